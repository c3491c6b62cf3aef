"""Links to the page on which a member acts."""

from urllib.parse import parse_qs, urlsplit

from pfo_pipeline.config import Tenant
from pfo_pipeline.powens.auth import connect_link, reconnect_link


def tenant(**settings: object) -> Tenant:
    users = [{"id": "jane", "token": "env:X"}]
    return Tenant.model_validate({"id": "smith", "domain": "smith-sandbox", "users": users} | settings)


def parameters(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).query, strict_parsing=True)


def test_a_link_leads_to_the_reconnect_page_in_a_language() -> None:
    link = reconnect_link(tenant(), "38")

    assert link.startswith("https://webview.powens.com/en/reconnect?")
    assert parameters(link) == {"domain": ["smith-sandbox.biapi.pro"], "connection_id": ["38"]}


def test_a_link_contains_the_client_and_the_return_address() -> None:
    link = reconnect_link(tenant(client_id="12345678", redirect_uri="https://office.example/return?a=b&c"), "38")

    assert parameters(link)["client_id"] == ["12345678"]
    assert parameters(link)["redirect_uri"] == ["https://office.example/return?a=b&c"]


def test_a_link_opens_with_a_code_whatever_its_characters() -> None:
    link = reconnect_link(tenant(), "38", "a+b/c=&d é")

    assert parameters(link)["code"] == ["a+b/c=&d é"]


def test_a_link_for_others_contains_no_code() -> None:
    assert "code" not in parameters(reconnect_link(tenant(), "38"))


def test_a_link_names_the_domain_even_where_calls_go_elsewhere() -> None:
    link = reconnect_link(tenant(base_url="http://127.0.0.1:8080/smith-sandbox/2.0"), "38")

    assert parameters(link)["domain"] == ["smith-sandbox.biapi.pro"]


def test_a_link_for_a_new_bank_contains_its_state() -> None:
    link = connect_link(tenant(client_id="12345678", redirect_uri="http://127.0.0.1:8765/back"), "C0DE", "ST4TE")

    assert link.startswith("https://webview.powens.com/en/connect?")
    assert parameters(link) == {
        "domain": ["smith-sandbox.biapi.pro"],
        "client_id": ["12345678"],
        "redirect_uri": ["http://127.0.0.1:8765/back"],
        "code": ["C0DE"],
        "state": ["ST4TE"],
    }


def test_the_configuration_chooses_the_language_of_the_pages() -> None:
    french = tenant(webview_url="https://webview.powens.com/fr/")

    assert reconnect_link(french, "38").startswith("https://webview.powens.com/fr/reconnect?")
