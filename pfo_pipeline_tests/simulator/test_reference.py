"""Connectors, currencies, account types."""

from pfo_pipeline_tests.simulated_bank import SimulatedBank
from pfo_pipeline_tests.simulator.conftest import payload, refusal, web

TEST_CONNECTOR = "338178e6-3d01-564f-9a7b-52ca442459bf"


def test_reference_data_needs_no_token(bank: SimulatedBank) -> None:
    base = bank.base_url("smith-sandbox")

    connectors = payload(web.get(f"{base}/connectors"))
    currencies = payload(web.get(f"{base}/currencies"))["currencies"]
    types = payload(web.get(f"{base}/account_types"))["accounttypes"]

    assert connectors["total"] == len(connectors["connectors"]) > 5
    precisions = {item["id"]: item["precision"] for item in currencies}
    assert (precisions["EUR"], precisions["JPY"], precisions["TND"], precisions["BTC"]) == (2, 0, 3, 8)
    assert {item["name"]: item["id"] for item in types}["checking"] == 2


def test_a_connector_is_found_by_uuid_and_by_the_domains_own_id(bank: SimulatedBank) -> None:
    bank.add_domain("jones-sandbox")
    found = {}
    for name in ("smith-sandbox", "jones-sandbox"):
        base = bank.base_url(name)
        by_uuid = payload(web.get(f"{base}/connectors/{TEST_CONNECTOR}?expand=sources,fields,countries"))
        found[name] = by_uuid["id"]
        assert payload(web.get(f"{base}/connectors/{by_uuid['id']}"))["uuid"] == TEST_CONNECTOR
        assert [item["name"] for item in by_uuid["sources"]] == ["openapi", "directaccess"]
        assert by_uuid["fields"][0]["name"] == "openapiwebsite"
        assert by_uuid["countries"] == [{"id": "fr", "name": "France"}]

    assert found["smith-sandbox"] != found["jones-sandbox"]
    assert refusal(web.get(f"{bank.base_url('smith-sandbox')}/connectors/0")) == (404, "notFound")


def test_connectors_are_filtered_by_country(bank: SimulatedBank) -> None:
    answer = web.get(f"{bank.base_url('smith-sandbox')}/connectors?country_codes=ch&expand=countries")

    countries = {item["countries"][0]["id"] for item in payload(answer)["connectors"]}
    assert countries == {"ch"}
