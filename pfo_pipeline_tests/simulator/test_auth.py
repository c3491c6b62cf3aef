"""Tokens: their creation, access and end."""

import http.client

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, refusal, web


@pytest.fixture
def domain(bank: SimulatedBank) -> SimulatedDomain:
    return bank.add_domain("jones-sandbox")


def credentials(domain: SimulatedDomain) -> dict[str, str]:
    return {"client_id": domain.client_id, "client_secret": domain.client_secret}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def me(domain: SimulatedDomain, token: str) -> httpx.Response:
    return web.get(f"{domain.base_url}/users/me", headers=bearer(token))


def test_init_with_both_credentials_makes_a_permanent_user(domain: SimulatedDomain) -> None:
    made = payload(web.post(f"{domain.base_url}/auth/init", json=credentials(domain)))

    assert set(made) == {"auth_token", "type", "id_user", "expires_in"}
    assert (made["type"], made["expires_in"]) == ("permanent", None)
    assert payload(me(domain, made["auth_token"]))["id"] == made["id_user"]


def test_init_twice_makes_two_users(domain: SimulatedDomain) -> None:
    ids = {payload(web.post(f"{domain.base_url}/auth/init", json=credentials(domain)))["id_user"] for _ in "ab"}

    assert len(ids) == 2


def test_an_anonymous_user_is_gone_after_half_an_hour(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    made = payload(web.post(f"{domain.base_url}/auth/init"))
    assert (made["type"], made["expires_in"]) == ("temporary", 1800)

    bank.advance(minutes=30)

    assert refusal(me(domain, made["auth_token"])) == (401, "unauthorized")
    listed = web.get(f"{domain.base_url}/users", headers=bearer(domain.users_token))
    assert payload(listed)["users"] == []


def test_a_code_makes_an_anonymous_user_permanent(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    made = payload(web.post(f"{domain.base_url}/auth/init"))
    code = payload(web.get(f"{domain.base_url}/auth/token/code?type=singleAccess", headers=bearer(made["auth_token"])))
    assert (code["type"], code["access"], code["expires_in"]) == ("temporary", "single", 1800)

    exchange = {**credentials(domain), "code": code["code"]}
    access = payload(web.post(f"{domain.base_url}/auth/token/access", json=exchange))
    bank.advance(days=2)

    assert access["token_type"] == "Bearer"
    assert payload(me(domain, access["access_token"]))["id"] == made["id_user"]
    again = web.post(f"{domain.base_url}/auth/token/access", json=exchange)
    assert refusal(again) == (400, "invalidValue")


def test_a_code_ends_after_half_an_hour(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    user = bank.add_user(domain.name)
    code = payload(web.get(f"{domain.base_url}/auth/token/code", headers=bearer(user.token)))
    assert code["access"] == "standard"

    bank.advance(minutes=30)

    exchange = {**credentials(domain), "code": code["code"]}
    assert web.post(f"{domain.base_url}/auth/token/access", json=exchange).status_code == 400


def test_renew_without_a_user_silently_creates_one(domain: SimulatedDomain) -> None:
    made = payload(web.post(f"{domain.base_url}/auth/renew", json=credentials(domain)))

    assert set(made) == {"access_token", "token_type"}
    assert me(domain, made["access_token"]).status_code == 200


def test_renew_keeps_the_old_token_unless_told_to_revoke_it(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    user = bank.add_user(domain.name)
    request = {**credentials(domain), "grant_type": "client_credentials", "id_user": user.id}

    second = payload(web.post(f"{domain.base_url}/auth/renew", json=request))["access_token"]
    assert me(domain, user.token).status_code == 200
    third = payload(web.post(f"{domain.base_url}/auth/renew", json={**request, "revoke_previous": True}))

    assert [me(domain, token).status_code for token in (user.token, second)] == [401, 401]
    assert payload(me(domain, third["access_token"]))["id"] == user.id


def test_a_form_is_read_like_json(domain: SimulatedDomain) -> None:
    made = web.post(f"{domain.base_url}/auth/init", data=credentials(domain))

    assert payload(made)["type"] == "permanent"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "unauthorized")),
        ({"client_secret": None}, (400, "missingParameter")),
        ({"grant_type": "password"}, (400, "invalidValue")),
        ({"id_user": 999_999}, (404, "notFound")),
        ({"id_user": "me²"}, (404, "notFound")),
    ],
)
def test_renew_refuses_invalid_values(
    domain: SimulatedDomain, change: dict[str, object], expected: tuple[int, str]
) -> None:
    request = {**credentials(domain), **change}

    assert refusal(web.post(f"{domain.base_url}/auth/renew", json=request)) == expected


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_an_unreadable_body_is_refused(domain: SimulatedDomain, content: bytes) -> None:
    answer = web.post(f"{domain.base_url}/auth/init", content=content)

    assert refusal(answer) == (400, "badRequest")


def test_a_revoked_token_opens_nothing(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    user = bank.add_user(domain.name)

    assert web.delete(f"{domain.base_url}/auth/token", headers=bearer(user.token)).status_code == 204
    assert refusal(me(domain, user.token)) == (401, "unauthorized")


def test_no_token_is_401_and_a_token_of_the_wrong_kind_403(bank: SimulatedBank, domain: SimulatedDomain) -> None:
    user = bank.add_user(domain.name)

    assert refusal(web.get(f"{domain.base_url}/users/me")) == (401, "unauthorized")
    assert refusal(me(domain, "made-up")) == (401, "unauthorized")
    assert refusal(me(domain, domain.config_token)) == (403, "forbidden")
    assert refusal(web.get(f"{domain.base_url}/users", headers=bearer(user.token))) == (403, "forbidden")


def test_a_token_is_not_valid_in_another_domain(bank: SimulatedBank, user: SimulatedUser) -> None:
    other = bank.add_domain("jones-sandbox")

    assert me(other, user.token).status_code == 401


def test_another_users_id_is_not_found(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    other = bank.add_user()

    for path in ("", "/accounts", "/connections"):
        assert client.get(f"users/{user.id}{path}").status_code == 200
        assert refusal(client.get(f"users/{other.id}{path}")) == (404, "notFound")


def test_deleting_a_user_deletes_all_their_records(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    bank.add_connection(user, accounts=[{"balance": "1"}])

    assert client.delete("users/me").status_code == 204
    assert refusal(client.get("users/me/accounts")) == (401, "unauthorized")


def test_unknown_domains_paths_and_methods_are_refused(bank: SimulatedBank, client: httpx.Client) -> None:
    assert refusal(web.get(f"{bank.url}/nobody-sandbox/2.0/connectors")) == (404, "notFound")
    assert refusal(web.get(f"{bank.url}/smith-sandbox/3.0/connectors")) == (404, "notFound")
    assert refusal(client.get("transactions")) == (404, "notFound")
    for path in ("", "/", "//", "/smith-sandbox", "/smith-sandbox/2.0", "/smith-sandbox/2.0/"):
        assert refusal(web.get(f"{bank.url}{path}")) == (404, "notFound")
    bare = http.client.HTTPConnection(bank.url.removeprefix("http://"))
    bare.request("OPTIONS", "*")
    assert bare.getresponse().status == 404
    bare.close()
    not_allowed = client.post("connectors")
    assert refusal(not_allowed) == (405, "methodNotAllowed")
    assert not_allowed.headers["Allow"] == "GET"
