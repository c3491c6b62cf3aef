"""Posts of the simulated bank: the documented bodies and signatures, repeated until they are accepted."""

import base64
import gzip
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import NOON, SimulatedBank, SimulatedDomain, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, refusal, web

ALL = [
    "CONNECTION_SYNCED",
    "CONNECTION_DELETED",
    "ACCOUNTS_FETCHED",
    "ACCOUNT_FOUND",
    "ACCOUNT_SYNCED",
    "ACCOUNT_ENABLED",
    "ACCOUNT_DISABLED",
    "USER_DELETED",
]


@dataclass
class Arrived:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        plain = gzip.decompress(self.raw) if self.headers.get("content-encoding") == "gzip" else self.raw
        body: dict[str, Any] = json.loads(plain)
        return body


@dataclass
class Mailbox:
    """A receiver with given answers that keeps all posts."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)

    def addresses(self, *events: str) -> dict[str, str]:
        return {event: f"{self.url}/{event}" for event in events or ALL}

    def events(self) -> list[str]:
        return [post.path.removeprefix("/") for post in self.arrived]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            box.arrived.append(Arrived(self.path, headers, raw))
            self.send_response(box.statuses.pop(0) if box.statuses else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join()


@pytest.fixture
def domain(bank: SimulatedBank) -> SimulatedDomain:
    return bank.add_domain("jones-sandbox")


@pytest.fixture
def member(bank: SimulatedBank, domain: SimulatedDomain) -> SimulatedUser:
    return bank.add_user(domain.name)


def is_signed(post: Arrived, secret: str) -> bool:
    text = f"POST.{post.path}.{post.headers['bi-signature-date']}.".encode() + post.raw
    expected = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    return post.headers["bi-signature"] == expected


def test_a_daily_sync_is_posted_in_the_documented_order_and_form(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    secret = bank.add_webhooks(domain, mailbox.addresses())
    made = bank.add_connection(member, accounts=[{"balance": "12.50"}, {"balance": "7"}])

    bank.advance(days=1)
    bank.posts()

    assert mailbox.events() == ["ACCOUNTS_FETCHED", "ACCOUNT_SYNCED", "ACCOUNT_SYNCED", "CONNECTION_SYNCED"]
    fetched, first, second, synced = (post.body for post in mailbox.arrived)
    assert set(synced) == {"user", "connection", "id_webhook_data"}
    assert (synced["user"]["id"], synced["connection"]["id"]) == (member.id, made.id)
    assert {"connector", "sources", "accounts", "subscriptions"} <= set(synced["connection"])
    assert [a["id"] for a in synced["connection"]["accounts"]] == made.account_ids
    assert "transactions" in synced["connection"]["accounts"][0]
    assert "transactions" not in fetched["connection"]["accounts"][0]
    assert [first["id"], second["id"]] == made.account_ids
    assert len({post.body["id_webhook_data"] for post in mailbox.arrived}) == 4
    assert secret is not None
    assert all(is_signed(post, secret) for post in mailbox.arrived)
    assert mailbox.arrived[0].headers["bi-signature-date"] == f"{NOON + timedelta(days=1):%Y-%m-%dT%H:%M:%S.%fZ}"


@pytest.mark.parametrize("state", ["SCARequired", "websiteUnavailable"])
def test_a_failed_sync_is_posted_with_its_state_and_without_accounts(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox, state: str
) -> None:
    bank.add_webhooks(domain, mailbox.addresses())
    made = bank.add_connection(member, accounts=[{"balance": "1"}], state=state)

    bank.sync(domain.name, made.id)
    bank.posts()

    (post,) = mailbox.arrived
    assert post.path == "/CONNECTION_SYNCED"
    assert (post.body["connection"]["state"], post.body["connection"]["accounts"]) == (state, [])


def test_an_ended_consent_is_posted_by_the_failed_sync(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    bank.add_connection(member, expire=(NOON + timedelta(hours=1)).isoformat())

    bank.advance(days=1)
    bank.posts()

    assert [post.body["connection"]["state"] for post in mailbox.arrived] == ["SCARequired"]


def test_a_new_bank_its_accounts_and_its_removal_are_posted(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses())
    made = bank.add_connection(member)
    account = bank.add_account(domain.name, made.id, disabled=True)
    with bank.client(member) as client:
        for disabled in (False, True):
            payload(client.post(f"users/me/accounts/{account}?all", json={"disabled": disabled}))
        client.delete(f"users/me/connections/{made.id}")
        client.delete("users/me")
    bank.posts()

    found, *_, deleted, gone = (post.body for post in mailbox.arrived)
    assert mailbox.events() == [
        "ACCOUNT_FOUND",
        "ACCOUNT_ENABLED",
        "ACCOUNT_DISABLED",
        "CONNECTION_DELETED",
        "USER_DELETED",
    ]
    assert set(found) == {"id", "id_user", "id_connection", "disabled", "type", "id_webhook_data"}
    assert (deleted["id"], gone["id"]) == (made.id, member.id)


def test_without_a_provider_a_post_carries_the_users_token(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"), signed=False)
    made = bank.add_connection(member)

    bank.sync(domain.name, made.id)
    bank.posts()

    (post,) = mailbox.arrived
    assert post.headers["authorization"] == f"Bearer {member.token}"
    assert "bi-signature" not in post.headers


def test_a_packed_body_is_signed_as_it_is_sent(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.change_domain(domain.name, webhooks_gzip=True)
    secret = bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    made = bank.add_connection(member)

    bank.sync(domain.name, made.id)
    bank.posts()

    (post,) = mailbox.arrived
    assert post.raw[:2] == b"\x1f\x8b"
    assert secret is not None
    assert is_signed(post, secret)
    assert post.body["connection"]["id"] == made.id


def test_a_refused_post_is_repeated_at_the_next_move_of_the_clock(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    mailbox.statuses = [500]
    bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    made = bank.add_connection(member)
    bank.sync(domain.name, made.id)
    assert [post["status"] for post in bank.posts()] in ([500], [500, 204])

    bank.advance(seconds=1)

    assert bank.posts()[-1]["status"] == 204
    assert bank.pending_posts() == 0
    assert len({post.body["id_webhook_data"] for post in mailbox.arrived}) == 1


def test_a_run_gives_up_on_an_address_after_ten_failures(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    mailbox.statuses = [500] * 10
    bank.add_webhooks(domain, mailbox.addresses("ACCOUNT_SYNCED"))
    made = bank.add_connection(member, accounts=[{"balance": "1"} for _ in range(15)])

    bank.sync(domain.name, made.id)
    bank.posts()

    # Ten in the first run, all in the second.
    assert [post["status"] for post in bank.posts()] == [500] * 10 + [204] * 15


def test_a_run_gives_up_on_an_address_after_two_timeouts_and_on_no_other(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.be_impatient(0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        bank.add_webhooks(domain, {"ACCOUNT_SYNCED": url, **mailbox.addresses("CONNECTION_SYNCED")})
        made = bank.add_connection(member, accounts=[{"balance": "1"} for _ in range(5)])
        bank.sync(domain.name, made.id)

        # Two runs: the one that the sync began, and the one that this test starts.
        assert [post["status"] for post in bank.posts()] == [None, None, 204, None, None]

    assert bank.pending_posts() == 5
    assert mailbox.events() == ["CONNECTION_SYNCED"]


def test_an_absent_receiver_delays_nothing(bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser) -> None:
    bank.add_webhooks(domain, {"CONNECTION_SYNCED": "http://127.0.0.1:9/away"})
    made = bank.add_connection(member)

    bank.advance(days=3)

    with bank.client(member) as client:
        assert payload(client.get(f"users/me/connections/{made.id}"))["last_update"] > "2026-03-12"
    assert {post["status"] for post in bank.posts()} == {0}
    assert bank.pending_posts() == 3


def test_faults_apply_to_the_next_posts(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    secret = bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    assert secret is not None
    made = bank.add_connection(member)
    given: dict[str, list[Arrived]] = {}
    for kind in ("lose", "duplicate", "forge", "stale"):
        bank.post_fault(kind, event="CONNECTION_SYNCED")
        bank.sync(domain.name, made.id)
        bank.posts()
        given[kind], mailbox.arrived = mailbox.arrived, []

    assert given["lose"] == []
    assert len({post.raw for post in given["duplicate"]}) == 1
    assert len(given["duplicate"]) == 2
    assert [is_signed(post, secret) for post in given["forge"]] == [False, True]
    (stale,) = given["stale"]
    assert is_signed(stale, secret)
    assert datetime.fromisoformat(stale.headers["bi-signature-date"]) == NOON.astimezone(UTC) - timedelta(days=30)


def test_posts_of_one_run_may_come_in_reverse(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses("ACCOUNTS_FETCHED", "CONNECTION_SYNCED"))
    made = bank.add_connection(member)
    bank.post_fault("reorder")

    bank.sync(domain.name, made.id)
    bank.posts()

    assert mailbox.events() == ["CONNECTION_SYNCED", "ACCOUNTS_FETCHED"]


def test_an_anonymous_users_events_wait_until_the_user_is_permanent(
    bank: SimulatedBank, domain: SimulatedDomain, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    temporary = payload(web.post(f"{domain.base_url}/auth/init"))
    visitor = SimulatedUser(domain.name, domain.base_url, temporary["id_user"], temporary["auth_token"])
    made = bank.add_connection(visitor)
    bank.sync(domain.name, made.id)
    bank.posts()
    assert mailbox.arrived == []

    credentials = {"client_id": domain.client_id, "client_secret": domain.client_secret}
    code = payload(web.get(f"{domain.base_url}/auth/token/code", headers=bearer(visitor.token)))["code"]
    payload(web.post(f"{domain.base_url}/auth/token/access", json={**credentials, "code": code}))
    bank.posts()

    assert mailbox.events() == ["CONNECTION_SYNCED"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_webhooks_need_the_configuration_token(domain: SimulatedDomain, member: SimulatedUser) -> None:
    for path in ("webhooks", "webhooks/auth", "webhooks_events"):
        url = f"{domain.base_url}/{path}"
        assert refusal(web.get(url)) == (401, "unauthorized")
        assert refusal(web.get(url, headers=bearer(member.token))) == (403, "forbidden")
        assert payload(web.get(url, headers=bearer(domain.config_token)))["total"] in (0, 8)


def test_a_secret_is_returned_once(domain: SimulatedDomain) -> None:
    url, headers = f"{domain.base_url}/webhooks/auth", bearer(domain.config_token)
    made = payload(web.post(url, params={"type": "hmac_signature", "name": "acmehooks"}, headers=headers))

    assert set(made) == {"id", "type", "name", "config"}
    listed = payload(web.get(url, headers=headers))["authproviders"]
    assert listed == [{"id": made["id"], "type": "hmac_signature", "name": "acmehooks"}]
    assert web.delete(f"{url}/{made['id']}", headers=headers).status_code == 204
    assert payload(web.get(url, headers=headers))["authproviders"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("webhooks/auth", {"type": "hmac_signature"}, 400, "missingParameter"),
        ("webhooks/auth", {"type": "oauth9", "name": "a"}, 400, "invalidValue"),
        ("webhooks/auth", {"type": "hmac_signature", "name": "with-a-dash"}, 500, "dataError"),
        ("webhooks", {"event": "CONNECTION_SYNCED"}, 400, "missingParameter"),
        ("webhooks", {"event": "NO_SUCH", "url": "https://x.example/"}, 400, "invalidValue"),
        ("webhooks", {"event": "CONNECTION_SYNCED", "url": "x.example"}, 400, "invalidValue"),
        ("webhooks", {"event": "CONNECTION_SYNCED", "url": "https://x.example", "id_auth": 99}, 400, "invalidValue"),
    ],
)
def test_an_invalid_registration_is_refused(
    domain: SimulatedDomain, path: str, body: dict[str, object], status: int, code: str
) -> None:
    answer = web.post(f"{domain.base_url}/{path}", json=body, headers=bearer(domain.config_token))

    assert refusal(answer) == (status, code)


def test_a_removed_address_gets_no_more_posts(
    bank: SimulatedBank, domain: SimulatedDomain, member: SimulatedUser, mailbox: Mailbox
) -> None:
    bank.add_webhooks(domain, mailbox.addresses("CONNECTION_SYNCED"))
    made = bank.add_connection(member)
    url, headers = f"{domain.base_url}/webhooks", bearer(domain.config_token)
    (webhook,) = payload(web.get(url, headers=headers))["webhooks"]

    done: httpx.Response = web.delete(f"{url}/{webhook['id']}", headers=headers)
    bank.sync(domain.name, made.id)

    assert done.status_code == 204
    assert bank.posts() == []
