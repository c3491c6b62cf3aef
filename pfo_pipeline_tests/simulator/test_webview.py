"""The webview: a member connects a bank, shares accounts, renews a consent, cancels; with plain forms."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, web

BACK = "http://127.0.0.1:8765/callback"
TEST_CONNECTOR = "338178e6-3d01-564f-9a7b-52ca442459bf"


@dataclass
class Page(HTMLParser):
    """The view of a browser without scripts: the inputs of the form, ticked or filled in."""

    text: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._select = ""
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "select":
            self._select = name
        elif tag == "option":
            self.choices.setdefault(self._select, []).append(value)
        elif tag == "input":
            self.choices.setdefault(name, []).append(value)
            if given.get("type") == "hidden" or "checked" in given:
                self.fields.setdefault(name, []).append(value)


@pytest.fixture
def domain(bank: SimulatedBank) -> SimulatedDomain:
    return bank.add_domain("jones-sandbox", redirect_uris=[BACK])


@pytest.fixture
def jane(bank: SimulatedBank, domain: SimulatedDomain) -> SimulatedUser:
    return bank.add_user(domain.name)


def code_of(bank: SimulatedBank, user: SimulatedUser) -> str:
    with bank.client(user) as client:
        return str(payload(client.get("auth/token/code?type=singleAccess"))["code"])


def address(bank: SimulatedBank, domain: SimulatedDomain, page: str = "connect", /, **query: str | None) -> str:
    known = {"domain": f"{domain.name}.biapi.pro", "client_id": domain.client_id, "redirect_uri": BACK, "state": "xyz"}
    given = {name: value for name, value in {**known, **query}.items() if value is not None}
    return str(httpx.URL(f"{bank.url}/webview/en/{page}", params=given))


def opened(url: str) -> Page:
    answer = web.get(url)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def submit(url: str, page: Page, **values: str | list[str]) -> Page:
    """Submit the page's form; returns the next page."""
    answer = web.post(url, data={**page.fields, "action": "confirm", **values})
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def returned(answer: httpx.Response) -> dict[str, str]:
    """The query of the member's return."""
    assert answer.status_code == 302, answer.text
    location = answer.headers["Location"]
    assert location.startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def read(bank: SimulatedBank, user: SimulatedUser, path: str) -> Any:
    with bank.client(user) as client:
        return payload(client.get(f"users/me/{path}"))


def test_a_member_connects_a_bank_and_shares_some_of_its_accounts(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    url = address(bank, domain, code=code_of(bank, jane))
    page = submit(url, opened(url), connector=TEST_CONNECTOR)
    assert "SCARequiredAndOTP" in page.choices["openapiwebsite"]
    page = submit(url, page, openapiwebsite="par", login="jane", password="1234")
    found = page.fields.pop("accounts")
    assert len(found) == 3

    answer = returned(web.post(url, data={**page.fields, "accounts": found[:2], "action": "share"}))
    bank.advance(minutes=1)

    (connection,) = read(bank, jane, "connections")["connections"]
    assert answer == {"connection_id": str(connection["id"]), "state": "xyz"}
    assert (connection["state"], connection["last_update"]) == (None, "2026-03-10 13:00:20")
    accounts = read(bank, jane, "accounts")["accounts"]
    assert [str(account["id"]) for account in accounts] == found[:2]
    assert all(account["balance"] is not None for account in accounts)


def test_a_member_may_choose_the_accounts_after_the_first_sync(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    url = address(bank, domain, code=code_of(bank, jane))
    uuid = opened(url).choices["connector"][1]
    url = address(bank, domain, code=code_of(bank, jane))
    page = submit(url, opened(url), connector=uuid)
    bank.advance(minutes=10)

    returned(web.post(url, data={**page.fields, "action": "share"}))
    bank.advance(minutes=1)

    accounts = read(bank, jane, "accounts")["accounts"]
    assert len(accounts) == 3
    assert all(account["balance"] is not None for account in accounts)


def test_one_post_may_contain_everything(bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser) -> None:
    filtered = {"connector_uuids": TEST_CONNECTOR, "account_types": "livret_a"}
    url = address(bank, domain, code=code_of(bank, jane), **filtered)
    values = {"connector": TEST_CONNECTOR, "openapiwebsite": "par", "login": "x", "password": "1234", "accounts": "all"}

    returned(web.post(url, data=values))

    assert [account["type"] for account in read(bank, jane, "accounts")["accounts"]] == ["livret_a"]


@pytest.mark.parametrize(
    ("scenario", "asked"),
    [
        ("SCARequired", []),
        ("SCARequiredAndOTP", ["openapisms"]),
        ("SCARequiredAndDecoupled", ["resume"]),
        ("additionalInformationNeeded", ["openapisms"]),
        ("shortDecoupled", ["resume"]),
        ("bug", []),
    ],
)
def test_every_scenario_can_be_walked_through(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser, scenario: str, asked: list[str]
) -> None:
    url = address(bank, domain, code=code_of(bank, jane))
    page = submit(url, opened(url), connector=TEST_CONNECTOR)
    page = submit(url, page, openapiwebsite=scenario, login="jane", password="1234")

    for name in asked:
        assert name in page.choices
        page = submit(url, page, **{"openapisms": "abcd"} if name == "openapisms" else {})
    returned(web.post(url, data={**page.fields, "action": "share"}))

    (connection,) = read(bank, jane, "connections")["connections"]
    assert connection["state"] == ("bug" if scenario == "bug" else None)
    assert (connection["expire"] is None) == (scenario == "bug")


@pytest.mark.parametrize("scenario", ["wrongpass", "passwordExpired", "actionNeeded"])
def test_a_banks_refusal_is_shown_and_nothing_is_created(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser, scenario: str
) -> None:
    url = address(bank, domain, code=code_of(bank, jane))
    page = submit(url, opened(url), connector=TEST_CONNECTOR)
    page = submit(url, page, openapiwebsite=scenario, login="jane", password="1234")

    assert 'role="alert"' in page.text
    assert read(bank, jane, "connections")["connections"] == []
    page = submit(url, page, openapiwebsite="par", login="jane", password="1234")
    assert "accounts" in page.fields


def test_a_wrong_code_requires_the_password_again(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    url = address(bank, domain, code=code_of(bank, jane))
    page = submit(url, opened(url), connector=TEST_CONNECTOR)
    page = submit(url, page, openapiwebsite="additionalInformationNeeded", login="jane", password="1234")

    page = submit(url, page, openapisms="abc")
    assert {"login", "password"} <= set(page.choices)
    page = submit(url, page, login="jane", password="4321")
    assert 'role="alert"' in page.text
    page = submit(url, page, login="jane", password="1234")

    assert "accounts" in page.fields


def test_cancelling_returns_the_member_and_creates_nothing(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    for steps in (0, 1):
        url = address(bank, domain, code=code_of(bank, jane), connector_uuids=TEST_CONNECTOR)
        page = opened(url)
        if steps:
            given = {"connector": TEST_CONNECTOR, "openapiwebsite": "par", "login": "x", "password": "1234"}
            page = submit(url, page, **given)
        answer = returned(web.post(url, data={**page.fields, "action": "cancel"}))

        assert (answer["error"], answer["state"]) == ("access_denied", "xyz")
        assert answer["error_description"]
        assert read(bank, jane, "connections")["connections"] == []


def test_without_a_code_an_anonymous_user_is_created_and_its_code_returned(
    bank: SimulatedBank, domain: SimulatedDomain
) -> None:
    url = address(bank, domain, state=None)
    uuid = opened(url).choices["connector"][1]

    answer = returned(web.post(url, data={"connector": uuid, "accounts": "all"}))

    assert set(answer) == {"connection_id", "code"}
    exchange = {"client_id": domain.client_id, "client_secret": domain.client_secret, "code": answer["code"]}
    token = payload(web.post(f"{domain.base_url}/auth/token/access", json=exchange))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    (connection,) = payload(web.get(f"{domain.base_url}/users/me/connections", headers=headers))["connections"]
    assert str(connection["id"]) == answer["connection_id"]


def test_opening_uses_up_the_code_and_an_old_code_opens_nothing(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    used, old = code_of(bank, jane), code_of(bank, jane)
    page = opened(address(bank, domain, code=used))
    assert returned(web.get(address(bank, domain, code=used)))["error"] == "session_expired"
    bank.advance(minutes=30)

    assert returned(web.get(address(bank, domain, code=old)))["error"] == "session_expired"
    late = web.post(address(bank, domain, code=used), data={**page.fields, "action": "confirm"})
    assert returned(late) == {
        "error": "session_expired",
        "error_description": "The session has expired",
        "state": "xyz",
    }


def test_a_visit_ends_with_its_user_and_is_not_valid_in_another_domain(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    other = bank.add_domain("smythe-sandbox", redirect_uris=[BACK])
    url = address(bank, domain, code=code_of(bank, jane))
    form = {**opened(url).fields, "connector": TEST_CONNECTOR}

    assert returned(web.post(address(bank, other), data=form))["error"] == "session_expired"
    assert web.post(url, data=form).status_code == 200
    with bank.client(jane) as client:
        client.delete("users/me")
    assert returned(web.post(url, data=form))["error"] == "session_expired"


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": None},
        {"redirect_uri": f"{BACK}/"},
        {"redirect_uri": f"{BACK}?a=b"},
        {"redirect_uri": "https://elsewhere.invalid/callback"},
        {"domain": "jones-sandbox"},
        {"domain": "nobody-sandbox.biapi.pro"},
        {"client_id": "1"},
        {"connector_uuids": "none-such"},
    ],
)
def test_a_wrong_address_shows_a_page_without_a_redirect(
    bank: SimulatedBank, domain: SimulatedDomain, wrong: dict[str, str | None]
) -> None:
    answer = web.get(address(bank, domain, **wrong))

    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "cannot be opened" in answer.text


def test_an_address_without_a_language_gets_the_gateways_page(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    assert web.get(address(bank, domain).replace("/en/", "/")).status_code == 503
    assert web.get(address(bank, domain, "manage")).status_code == 404


@pytest.mark.parametrize(
    ("connector", "state", "fields"),
    [
        ("Banque Exemple", "SCARequired", {}),
        ("Banque Exemple", "webauthRequired", {}),
        ("Banque Exemple", "wrongpass", {}),
        ("Banque Exemple", "actionNeeded", {}),
        ("Banque Exemple", None, {}),
        ("Crédit des Deux Rives", "additionalInformationNeeded", {"openapisms": "abcd"}),
        ("Crédit des Deux Rives", "decoupled", {"resume": "true"}),
        ("Crédit des Deux Rives", "wrongpass", {"login": "jane", "password": "1234"}),
        ("Crédit des Deux Rives", "passwordExpired", {"login": "jane", "password": "1234"}),
    ],
)
def test_a_renewal_repairs_a_connection_for_another_180_days(
    bank: SimulatedBank,
    domain: SimulatedDomain,
    jane: SimulatedUser,
    connector: str,
    state: str | None,
    fields: dict[str, str],
) -> None:
    made = bank.add_connection(jane, connector, state=state, expire="2026-03-12 12:00:00", accounts=[{"balance": "5"}])
    url = address(bank, domain, "reconnect", connection_id=str(made.id), code=code_of(bank, jane))
    page = opened(url)
    assert re.search("2026-09-06", page.text)
    if fields:
        page = submit(url, page)

    answer = returned(web.post(url, data={**page.fields, "action": "confirm", **fields}))
    bank.advance(minutes=1)

    assert answer == {"connection_id": str(made.id), "state": "xyz"}
    connection = read(bank, jane, f"connections/{made.id}?expand=sources")
    assert (connection["state"], connection["last_update"]) == (None, "2026-03-10 13:00:20")
    assert connection["expire"] == connection["sources"][0]["access_expire"] == "2026-09-06 14:00:00"


@pytest.mark.parametrize("state", ["bug", "websiteUnavailable", "notSupported", "regulatoryHold"])
def test_a_problem_that_no_member_can_solve_returns_an_error(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser, state: str
) -> None:
    made = bank.add_connection(jane, state=state)
    url = address(bank, domain, "reconnect", connection_id=str(made.id), code=code_of(bank, jane))

    assert returned(web.get(url))["error"] == "server_error"
    assert read(bank, jane, f"connections/{made.id}")["state"] == state


def test_a_cancelled_or_foreign_renewal_changes_nothing(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    other = bank.add_user(domain.name)
    made = bank.add_connection(jane, state="SCARequired")
    where = {"connection_id": str(made.id)}
    assert web.get(address(bank, domain, "reconnect", code=code_of(bank, other), **where)).status_code == 400
    assert web.get(address(bank, domain, "reconnect", **where)).status_code == 400
    for text in ("", "x", "9" * 5000):
        found = address(bank, domain, "reconnect", code=code_of(bank, jane), connection_id=text)
        assert web.get(found).status_code == 400
    url = address(bank, domain, "reconnect", code=code_of(bank, jane), **where)

    answer = returned(web.post(url, data={**opened(url).fields, "action": "cancel"}))

    assert answer["error"] == "access_denied"
    assert read(bank, jane, f"connections/{made.id}")["state"] == "SCARequired"


def test_the_client_application_lists_its_redirect_addresses(
    bank: SimulatedBank, domain: SimulatedDomain, jane: SimulatedUser
) -> None:
    with bank.client(jane) as client:
        told = payload(client.get(f"clients/{domain.client_id}"))
        assert client.get("clients/1").status_code == 404

    assert told == {"id": int(domain.client_id), "name": domain.name, "redirect_uris": [BACK]}
    assert web.get(f"{domain.base_url}/clients/{domain.client_id}").status_code == 401
