"""Faults as a real client sees them, the rate limit, the journal."""

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, refusal, web


@pytest.mark.parametrize(
    ("status", "code"), [(401, "unauthorized"), (429, "tooManyRequests"), (500, "bug"), (503, "maintenance")]
)
def test_a_status_comes_with_its_envelope_and_passes(
    bank: SimulatedBank, client: httpx.Client, status: int, code: str
) -> None:
    bank.fault("status", status=status, retry_after=7)

    answer = client.get("users/me")

    assert refusal(answer) == (status, code)
    assert answer.headers["Retry-After"] == "7"
    assert client.get("users/me").status_code == 200


def test_the_edge_answers_html(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("html")

    answer = client.get("users/me")

    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Server"] == "CloudFront"


def test_a_slow_answer_ends_when_the_client_leaves(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("slow", seconds=3600)

    with pytest.raises(httpx.ReadTimeout):
        client.get("users/me", timeout=0.05)

    assert client.get("users/me").status_code == 200
    assert [entry["status"] for entry in bank.journal()] == [None, 200]


def test_a_slow_answer_arrives_after_its_delay(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("slow", seconds="0.01")

    assert client.get("users/me").status_code == 200


def test_a_reset_gives_no_byte(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("reset")

    with pytest.raises(httpx.ReadError):
        client.get("users/me")

    assert client.get("users/me").status_code == 200


def test_a_truncated_answer_breaks_off(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("truncated")

    with pytest.raises(httpx.RemoteProtocolError):
        client.get("users/me")

    assert client.get("users/me").status_code == 200


def test_any_bytes_can_be_served(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("body", body_base64="//4=", content_type="application/json")
    bank.fault("body", body="[", repeat=5000, status=418, content_type="text/plain")

    assert client.get("users/me").content == b"\xff\xfe"
    nested = client.get("users/me")

    assert (nested.status_code, nested.text) == (418, "[" * 5000)


def test_a_lost_answer_may_have_taken_effect(bank: SimulatedBank) -> None:
    domain = bank.add_domain("jones-sandbox")
    bank.fault("reset", path="^/auth/init$", executed=True)

    with pytest.raises(httpx.ReadError):
        web.post(
            f"{domain.base_url}/auth/init",
            json={"client_id": domain.client_id, "client_secret": domain.client_secret},
        )

    headers = {"Authorization": f"Bearer {domain.users_token}"}
    assert len(payload(web.get(f"{domain.base_url}/users", headers=headers))["users"]) == 1


def test_a_fault_applies_only_to_matching_requests(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    other = bank.add_user()
    bank.fault("status", status=500, user=user.id, method="get", path="^/users/me/accounts", skip=1, times=2)

    assert client.get("users/me").status_code == 200
    with bank.client(other) as other_client:
        assert other_client.get("users/me/accounts").status_code == 200
    statuses = [client.get("users/me/accounts").status_code for _ in range(4)]

    assert statuses == [200, 500, 500, 200]


def test_faults_queue_up_and_last_until_cleared(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.fault("status", status=429)
    bank.fault("status", status=503, times=None)

    assert [client.get("users/me").status_code for _ in range(4)] == [429, 503, 503, 503]
    bank.clear_faults()

    assert client.get("users/me").status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "flood"},
        {"kind": "status", "stauts": 500},
        {"kind": "slow", "seconds": "soon"},
        {"kind": "html", "path": "("},
    ],
)
def test_an_invalid_order_is_refused(bank: SimulatedBank, order: dict[str, str]) -> None:
    answer = bank.admin.post("/faults", json=order)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_rate_limit_counts_per_domain_and_sends_retry_after(bank: SimulatedBank) -> None:
    for name in ("jones-sandbox", "brown-sandbox"):
        bank.add_domain(name, rate_limit_per_minute=2)
    jones, brown = bank.add_user("jones-sandbox"), bank.add_user("brown-sandbox")
    with bank.client(jones) as client, bank.client(brown) as other:
        assert [client.get("users/me").status_code for _ in range(2)] == [200, 200]
        limited = client.get("users/me")

        assert refusal(limited) == (429, "tooManyRequests")
        assert 1 <= int(limited.headers["Retry-After"]) <= 60
        assert other.get("users/me").status_code == 200
        bank.clear_rate_limit("jones-sandbox")
        assert client.get("users/me").status_code == 200


def test_the_journal_lists_requests_without_secrets(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    bank.fault("html", path="accounts")
    client.get("users/me?x=1")
    client.get("users/me/accounts")
    web.get(f"{user.base_url}/webauth?token=very-secret&redirect_uri=http://127.0.0.1/")

    entries = bank.journal("smith-sandbox")

    assert [(entry["path"], entry["status"], entry["fault"], entry["user"]) for entry in entries] == [
        ("/users/me", 200, None, user.id),
        ("/users/me/accounts", 503, "html", user.id),
        ("/webauth", 400, None, None),
    ]
    assert entries[0]["query"] == "x=1"
    assert entries[0]["clock"] == "2026-03-10 13:00:00"
    assert "very-secret" not in str(entries)
    assert user.token not in str(entries)
    assert [entry["seq"] for entry in bank.journal(since=entries[1]["seq"])] == [entries[2]["seq"]]
    bank.clear_journal()
    assert bank.journal() == []


def test_admin_requests_for_unknown_ids_are_not_found(bank: SimulatedBank) -> None:
    assert bank.admin.patch("/domains/smith-sandbox/accounts/1", json={}).status_code == 404
    assert bank.admin.post("/domains/nobody/users", json={}).status_code == 404
    assert bank.admin.get("/health").json()["status"] == "ok"
