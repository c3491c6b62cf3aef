"""Connections: states, the dialogue with the user, forced and automatic syncs."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import LOGIN, create, payload, read, refusal, web


def test_a_healthy_connection_looks_as_documented(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user)

    listed = payload(client.get("users/me/connections"))

    assert listed["total"] == 1
    (connection,) = listed["connections"]
    assert connection["id"] == made.id
    assert (connection["state"], connection["error"], connection["fields"]) == (None, None, None)
    assert connection["id_connector"] == connection["id_bank"] == connection["id_provider"]
    assert connection["last_update"].startswith("2026-03-10 0")
    assert connection["next_try"].startswith("2026-03-11 0")
    # 180 days after 2026-03-10 13:00, by then in summer time.
    assert connection["expire"] == "2026-09-06 14:00:00"
    assert connection["active"] is True


def test_expand_nests_the_requested_objects(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1"}, {"disabled": True}])
    query = "?expand=connector[countries],sources,accounts[transactions],all_accounts"

    connection = read(client, made.id, query)

    assert connection["connector"]["countries"][0]["id"] == "fr"
    assert [source["id"] for source in connection["sources"]] == made.source_ids
    assert [account["id"] for account in connection["accounts"]] == made.account_ids[:1]
    assert [account["id"] for account in connection["all_accounts"]] == made.account_ids


@pytest.mark.parametrize("text", ["accounts[", "accounts]]", "[,]", "", "accounts[a[b]", "x,accounts"])
def test_unmatched_brackets_are_ignored(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, text: str
) -> None:
    bank.add_connection(user)

    assert client.get(f"users/me/connections?expand={text}").status_code == 200


def test_a_new_connection_finds_accounts_that_are_disabled(bank: SimulatedBank, client: httpx.Client) -> None:
    made = payload(create(client, "par"), 201)
    assert (made["state"], made["last_update"]) == (None, None)

    bank.advance(minutes=1)

    assert read(client, made["id"])["last_update"] == "2026-03-10 13:00:20"
    assert payload(client.get("users/me/accounts"))["accounts"] == []
    found = payload(client.get("users/me/accounts?all"))["accounts"]
    assert len(found) == 3
    assert all(account["disabled"] and account["balance"] is None for account in found)
    assert {account["currency"] for account in found} == {None}


@pytest.mark.parametrize("scenario", ["wrongpass", "passwordExpired", "actionNeeded"])
def test_a_refused_creation_keeps_no_connection(client: httpx.Client, scenario: str) -> None:
    assert refusal(create(client, scenario)) == (400, scenario)
    assert payload(client.get("users/me/connections"))["connections"] == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"password": "4321"}, (400, "wrongpass")),
        ({"password": ""}, (400, "missingParameter")),
        ({"openapiwebsite": "nonsense"}, (400, "invalidValue")),
        ({"connector_uuid": "nonsense"}, (400, "invalidValue")),
        ({"source": "fax"}, (400, "invalidValue")),
    ],
)
def test_a_creation_with_wrong_values_is_refused(
    client: httpx.Client, change: dict[str, str], expected: tuple[int, str]
) -> None:
    assert refusal(create(client, "par", **change)) == expected


def test_the_second_source_has_its_own_scenario_field(client: httpx.Client) -> None:
    body = {**LOGIN, "directaccesswebsite": "bug"}

    made = payload(client.post("users/me/connections?expand=sources", json=body), 201)

    assert made["state"] == "bug"
    assert [source["name"] for source in made["sources"]] == ["directaccess"]


def test_strong_authentication_leads_to_a_code(bank: SimulatedBank, client: httpx.Client) -> None:
    made = payload(create(client, "SCARequiredAndOTP"), 202)
    address = f"users/me/connections/{made['id']}"
    assert made["state"] == "SCARequired"

    asked = payload(client.post(address), 202)
    assert asked["state"] == asked["error"] == "additionalInformationNeeded"
    assert [field["name"] for field in asked["fields"]] == ["openapisms"]
    done = payload(client.post(address, json={"openapisms": "abcd"}))
    assert (done["state"], done["fields"], done["error_message"]) == (None, None, None)
    assert done["last_update"] is None
    bank.advance(minutes=1)

    assert read(client, made["id"])["last_update"] == "2026-03-10 13:00:20"


def test_a_wrong_code_ends_in_wrongpass_and_new_credentials_repair_it(client: httpx.Client) -> None:
    made = payload(create(client, "additionalInformationNeeded"), 202)
    address = f"users/me/connections/{made['id']}"

    assert payload(client.post(address, json={"openapisms": "abc"}))["state"] == "wrongpass"
    wrong = client.post(address, json={"login": "anyone", "password": "0"})
    assert refusal(wrong) == (400, "wrongpass")
    repaired = client.post(address, json={"login": "anyone", "password": "1234"})

    assert payload(repaired)["state"] is None


def test_a_confirmation_in_the_background_is_validated_first(bank: SimulatedBank, client: httpx.Client) -> None:
    made = payload(create(client, "shortDecoupled"), 202)
    address = f"users/me/connections/{made['id']}"
    assert (made["state"], made["fields"]) == ("decoupled", [])

    resumed = payload(client.post(f"{address}?background", json={"resume": True}))
    assert resumed["state"] == "validating"
    bank.advance(minutes=1)

    assert read(client, made["id"])["state"] is None


def test_a_confirmation_without_background_ends_immediately(client: httpx.Client) -> None:
    made = payload(create(client, "SCARequiredAndDecoupled"), 202)
    address = f"users/me/connections/{made['id']}"
    assert payload(client.post(address), 202)["state"] == "decoupled"

    assert payload(client.post(address, json={"resume": True}))["state"] is None


def test_a_forced_sync_moves_data_only_when_the_clock_moves(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1000.00"}])
    address = f"users/me/connections/{made.id}"
    before = read(client, made.id)["last_update"]

    assert payload(client.put(f"{address}?psu_requested=false"))["last_update"] == before
    assert refusal(client.put(address)) == (409, "conflict")
    bank.advance(seconds=20)
    assert read(client, made.id)["last_update"] == "2026-03-10 13:00:20"
    account = payload(client.get(f"users/me/accounts/{made.account_ids[0]}"))
    assert account["last_update"] == "2026-03-10 13:00:19"
    assert account["balance"] != 1000
    too_soon = client.put(address)

    assert refusal(too_soon) == (409, "conflict")
    assert too_soon.json()["description"] == f"Can't force synchronization of connection {made.id}"
    bank.advance(minutes=15)
    assert client.put(address).status_code == 200


def test_a_forced_sync_can_be_made_to_fail(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(user)
    before = read(client, made.id)["last_update"]
    client.put(f"users/me/connections/{made.id}")

    bank.change_connection(user.domain, made.id, state="bug", error_message="Unexpected page")
    bank.advance(minutes=1)

    after = read(client, made.id)
    assert (after["state"], after["error_message"]) == ("bug", "Unexpected page")
    assert after["last_update"] == before


def test_a_failing_connection_keeps_its_last_update(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, state="websiteUnavailable", accounts=[{"balance": "5"}])
    before = read(client, made.id, "?expand=sources")
    assert before["error"] == before["sources"][0]["state"] == "websiteUnavailable"

    bank.advance(days=3)

    after = read(client, made.id)
    assert after["last_update"] == before["last_update"]
    assert after["next_try"] > "2026-03-13 13:00:00"
    bank.change_connection(user.domain, made.id, state=None)
    bank.advance(days=1)
    assert read(client, made.id)["last_update"].startswith("2026-03-14 0")


def test_forcing_never_repairs_a_state_that_needs_a_person(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, state="SCARequired")

    assert payload(client.put(f"users/me/connections/{made.id}?psu_requested=false"))["state"] == "SCARequired"
    asked = payload(client.put(f"users/me/connections/{made.id}?psu_requested=true"))

    assert asked["state"] == "webauthRequired"


def test_psu_requested_must_be_true_or_false(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(user)

    answer = client.put(f"users/me/connections/{made.id}?psu_requested=maybe")
    assert refusal(answer) == (400, "invalidValue")


def test_a_consent_that_ends_turns_into_strong_authentication(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, expire="2026-03-12 12:00:00")

    bank.advance(days=2)
    assert read(client, made.id)["state"] is None
    bank.advance(days=1)

    connection = read(client, made.id)
    assert (connection["state"], connection["next_try"]) == ("SCARequired", None)
    assert connection["last_update"].startswith("2026-03-12 0")


def test_forcing_does_not_renew_an_ended_consent(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, expire="2026-03-10 11:00:00", accounts=[{"balance": "7"}])
    before = read(client, made.id)

    forced = payload(client.put(f"users/me/connections/{made.id}?psu_requested=false"))
    bank.advance(minutes=1)

    assert (before["state"], forced["state"]) == (None, "SCARequired")
    assert read(client, made.id)["last_update"] == before["last_update"]
    assert payload(client.post(f"users/me/connections/{made.id}"), 202)["state"] == "webauthRequired"


def test_a_stuck_connection_stays_so_until_forced(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, next_try=None, last_update="2026-02-26 05:00:00")

    bank.advance(days=5)
    stuck = read(client, made.id)
    assert (stuck["state"], stuck["next_try"], stuck["last_update"]) == (None, None, "2026-02-26 05:00:00")
    client.put(f"users/me/connections/{made.id}")
    bank.advance(minutes=1)

    assert read(client, made.id)["last_update"] == "2026-03-15 13:00:20"
    assert read(client, made.id)["next_try"].startswith("2026-03-16 0")


def test_any_state_and_any_field_can_be_set(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(user, connector="Crédit des Deux Rives", source_states={"directaccess": "bug"})
    sources = payload(client.get(f"users/me/connections/{made.id}/sources"))["sources"]
    assert [source["state"] for source in sources] == [None, "bug"]

    bank.change_connection(user.domain, made.id, state="regulatoryHold", mood="grim", active=False)

    connection = read(client, made.id)
    assert (connection["state"], connection["error"]) == ("regulatoryHold", "regulatoryHold")
    assert (connection["mood"], connection["active"]) == ("grim", False)


def test_a_failing_source_does_not_update_its_accounts(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, source_states={"openapi": "bug"}, accounts=[{"balance": "10"}])
    before = payload(client.get("users/me/accounts"))["accounts"][0]

    bank.advance(days=2)

    assert read(client, made.id)["state"] is None
    assert payload(client.get("users/me/accounts"))["accounts"][0] == before


def test_deleting_a_connection_erases_it_and_a_new_one_gets_new_ids(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    old = bank.add_connection(user, accounts=[{"balance": "1"}])

    assert client.delete(f"users/me/connections/{old.id}").status_code == 204
    assert refusal(client.get(f"users/me/connections/{old.id}")) == (404, "notFound")
    assert payload(client.get("users/me/accounts?all"))["accounts"] == []
    new = bank.add_connection(user, accounts=[{"balance": "1"}])

    assert new.id != old.id
    assert new.account_ids != old.account_ids


def test_another_users_connection_is_not_found(bank: SimulatedBank, client: httpx.Client) -> None:
    other = bank.add_connection(bank.add_user(), accounts=[{"balance": "1"}])

    for method in ("GET", "PUT", "POST", "DELETE"):
        answer = client.request(method, f"users/me/connections/{other.id}")
        assert refusal(answer) == (404, "notFound")
    assert refusal(client.get(f"users/me/connections/{other.id}/accounts")) == (404, "notFound")
    assert refusal(client.get(f"users/me/accounts/{other.account_ids[0]}")) == (404, "notFound")


def test_a_web_login_repairs_the_connection_and_comes_back(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    domain = bank.add_domain("jones-sandbox")
    jones = bank.add_user(domain.name)
    made = bank.add_connection(jones, state="webauthRequired")
    query = {
        "client_id": domain.client_id,
        "redirect_uri": "http://127.0.0.1:1/back",
        "id_connection": str(made.id),
        "state": "xyz",
    }
    with bank.client(jones) as browser:
        url = payload(browser.get("webauth-url", params=query))["url"]
        back = web.get(url)
        assert back.status_code == 302
        answer = parse_qs(urlsplit(back.headers["Location"]).query)
        assert answer == {"state": ["xyz"], "id_connection": [str(made.id)]}
        assert read(browser, made.id)["state"] is None

        assert refusal(browser.get("webauth-url", params=query)) == (409, "invalidValue")
        assert web.get(url).status_code == 400


def test_a_web_login_without_its_parameters_is_refused(client: httpx.Client) -> None:
    assert refusal(client.get("webauth-url")) == (400, "missingParameter")
