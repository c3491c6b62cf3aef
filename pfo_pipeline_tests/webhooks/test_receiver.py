"""The receiver: a verified post is stored before the answer; all others leave nothing in the inbox or in the log."""

import gzip
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pfo_pipeline.powens import webhooks
from pfo_pipeline_tests.simulator.conftest import web
from pfo_pipeline_tests.webhooks.receiving import Receiving, signed

CONFIG = """
office = "north"

[tenants.smith]
domain = "smith-sandbox"
webhook_secret = "file:smith.hooks"
users = [{ id = "jane", token = "env:UNUSED" }]

[tenants.jones]
domain = "jones-sandbox"
webhook_bearer = ["env:JONES_JO", "env:JONES_MAX"]
users = [{ id = "jo", token = "env:JONES_JO" }, { id = "max", token = "env:JONES_MAX" }]

[tenants.quiet]
domain = "quiet-sandbox"
users = [{ id = "ann", token = "env:QUIET_ANN" }]
"""
EVENT = "CONNECTION_SYNCED"
IBAN = "FR7699999000820001234567079"


def body(number: int = 556003, state: str | None = None) -> bytes:
    accounts = [{"id": 17301, "iban": IBAN, "name": "Jane Smith"}]
    connection = {"id": 4821, "id_user": 731, "state": state, "error_message": "Jane Smith", "accounts": accounts}
    return json.dumps({"user": {"id": 731}, "connection": connection, "id_webhook_data": number}).encode()


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiving]:
    (tmp_path / "pfo.toml").write_text(CONFIG)
    (tmp_path / "smith.hooks").write_text("s3cret\n")
    monkeypatch.setenv("JONES_JO", "token-of-jo")
    monkeypatch.setenv("JONES_MAX", "token-of-max")
    with Receiving(tmp_path / "pfo.toml", tmp_path / "private") as running:
        yield running


def test_a_signed_post_is_stored_and_confirmed(receiver: Receiving) -> None:
    answer = receiver.post(EVENT, body(), signed(EVENT, body()))

    assert (answer.status_code, answer.content) == (204, b"")
    (event,) = receiver.kept()
    assert (event.tenant_id, event.hint.event, event.hint.webhook_id) == ("smith", EVENT, 556003)
    assert (event.hint.connection_id, event.hint.user_id, event.hint.error) == (4821, 731, None)


def test_only_ids_and_a_state_of_a_body_reach_the_disk_or_the_log(receiver: Receiving, tmp_path: Path) -> None:
    receiver.post(EVENT, body(state="SCARequired"), signed(EVENT, body(state="SCARequired")))
    receiver.post(EVENT, body(), signed(EVENT, body(), secret="wrong"))

    written = b"".join(path.read_bytes() for path in (tmp_path / "private").iterdir())
    assert b"SCARequired" in written
    for personal in (IBAN, "Jane", "s3cret"):
        assert personal.encode() not in written
        assert personal not in "\n".join(receiver.lines)
    assert receiver.lines == [
        f"smith {EVENT}: kept",
        f"smith {EVENT}: refused (401), its signature is wrong",
    ]


def test_a_copy_is_confirmed_and_stored_once(receiver: Receiving) -> None:
    """Not refused: Powens would send it again and again."""
    headers = signed(EVENT, body())

    answers = [receiver.post(EVENT, body(), headers).status_code for _ in range(3)]

    assert answers == [204, 204, 204]
    assert len(receiver.kept()) == 1


def test_a_copy_is_refused_by_its_age_before_its_id_is_forgotten(receiver: Receiving) -> None:
    headers = signed(EVENT, body())
    receiver.now += webhooks.MAX_AGE + timedelta(minutes=1)

    assert receiver.post(EVENT, body(), headers).status_code == 401
    assert receiver.kept() == []


def test_a_packed_post_is_stored(receiver: Receiving) -> None:
    packed = gzip.compress(body())

    answer = receiver.post(EVENT, packed, signed(EVENT, packed) | {"Content-Encoding": "gzip"})

    assert answer.status_code == 204
    assert [event.hint.webhook_id for event in receiver.kept()] == [556003]


def test_the_token_of_any_user_proves_an_unsigned_post(receiver: Receiving) -> None:
    answers = [
        receiver.post(EVENT, body(number), {"Authorization": f"Bearer {token}"}, tenant="jones").status_code
        for number, token in enumerate(["token-of-jo", "token-of-max", "token-of-somebody", "s3cret"])
    ]

    assert answers == [204, 204, 401, 401]
    assert [event.hint.webhook_id for event in receiver.kept()] == [0, 1]


def test_a_token_does_not_replace_a_signature(receiver: Receiving) -> None:
    assert receiver.post(EVENT, body(), {"Authorization": "Bearer s3cret"}).status_code == 401
    assert receiver.kept() == []


def test_a_post_signed_for_one_address_is_refused_at_another(receiver: Receiving) -> None:
    headers = signed(EVENT, body())

    assert receiver.post("ACCOUNTS_FETCHED", body(), headers).status_code == 401
    assert receiver.post(EVENT, body(), headers, tenant="jones").status_code == 401
    assert receiver.kept() == []


@pytest.mark.parametrize(
    "posted", [b"", b"{", b"[]", b'{"id_webhook_data": 1}', b'{"connection": {"id": 1}}', b"\x1f\x8b"]
)
def test_a_signed_post_that_cannot_be_read_leaves_nothing(receiver: Receiving, posted: bytes) -> None:
    assert receiver.post(EVENT, posted, signed(EVENT, posted)).status_code == 400
    assert receiver.kept() == []


def test_a_too_large_body_is_refused_with_or_without_its_length(
    receiver: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.webhooks.receiver.MAX_BODY_BYTES", 1000)
    large = b" " * 1000 + body()
    url = receiver.url + webhooks.path_of("smith", EVENT)

    found = web.post(url, content=large, headers=signed(EVENT, large))
    untold = web.post(url, content=iter([large[:900], large[900:]]), headers=signed(EVENT, large))

    assert (found.status_code, untold.status_code) == (413, 413)
    assert receiver.kept() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/powens/quiet/connection-synced", 404),
        ("POST", "/powens/nobody/connection-synced", 404),
        ("POST", "/powens/smith/payment-state-updated", 404),
        ("POST", "/powens/smith/connection-synced/", 404),
        ("POST", "//powens/smith/connection-synced", 404),
        ("POST", "/powens//smith/connection-synced", 404),
        ("POST", "/powens/smith/../smith/connection-synced%2f", 404),
        ("POST", "/powens/smith/Connection-Synced", 404),
        ("GET", "/powens/smith/connection-synced", 405),
        ("HEAD", "/powens/smith/connection-synced", 405),
        ("PUT", "/powens/smith/connection-synced", 405),
    ],
)
def test_only_the_addresses_of_tenants_with_a_secret_exist(
    receiver: Receiving, method: str, path: str, status: int
) -> None:
    assert web.request(method, receiver.url + path).status_code == status


def test_a_post_is_deferred_while_it_cannot_be_stored(receiver: Receiving, tmp_path: Path) -> None:
    """Powens repeats a post that did not get a success answer."""
    inbox = tmp_path / "private" / "webhooks.sqlite"
    inbox.rename(tmp_path / "aside")
    inbox.mkdir()
    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 503
    inbox.rmdir()
    (tmp_path / "aside").rename(inbox)

    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 204
    assert len(receiver.kept()) == 1


def test_a_secret_is_read_when_it_is_used(receiver: Receiving, tmp_path: Path) -> None:
    (tmp_path / "smith.hooks").unlink()
    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 503
    (tmp_path / "smith.hooks").write_text("n3w")

    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 401
    assert receiver.post(EVENT, body(), signed(EVENT, body(), secret="n3w")).status_code == 204


def test_an_escaped_address_is_verified_as_the_plain_one(
    receiver: Receiving,
) -> None:
    url = f"{receiver.url}/powens/smith/connection%2Dsynced?anything"

    assert web.post(url, content=body(), headers=signed(EVENT, body(), secret="wrong")).status_code == 401
    assert web.post(url, content=body(), headers=signed(EVENT, body())).status_code == 204


def test_the_first_of_two_equal_headers_counts_everywhere(receiver: Receiving) -> None:
    """An unsigned date never replaces the signed one."""
    url = receiver.url + webhooks.path_of("smith", EVENT)
    old = "2026-03-01T00:00:00Z"
    both = [*signed(EVENT, body(), date=old).items(), *signed(EVENT, body()).items()]

    assert web.post(url, content=body(), headers=both).status_code == 401
    assert web.post(url, content=body(), headers=both[::-1]).status_code == 204


def test_an_unsigned_body_is_not_read(receiver: Receiving) -> None:
    """The answer comes before the body has arrived."""
    for tenant in ("smith", "jones"):
        with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), timeout=10) as half:
            path = webhooks.path_of(tenant, EVENT)
            half.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n{{".encode())
            assert half.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("said", [b"", b"POST /powens", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHo"])
def test_a_sender_with_an_unfinished_request_head_is_disconnected(
    receiver: Receiving, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr("pfo_pipeline.webhooks.receiver.HEAD_SECONDS", 0.05)

    with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), timeout=10) as slow:
        slow.sendall(said)
        heard = b"".join(iter(lambda: slow.recv(1000), b""))

    assert (b" 404 " in heard) == (b"\r\n\r\n" in said)
    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 204


def test_a_slow_body_is_abandoned_in_time(receiver: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfo_pipeline.webhooks.receiver.BODY_SECONDS", 0.05)

    with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), timeout=10) as slow:
        head = "".join(f"{name}: {value}\r\n" for name, value in signed(EVENT, body()).items())
        path = webhooks.path_of("smith", EVENT)
        slow.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 100\r\n\r\n{{".encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_signed_post_from_the_future_shows_our_wrong_clock(receiver: Receiving) -> None:
    receiver.now -= timedelta(hours=1)

    assert receiver.post(EVENT, body(), signed(EVENT, body())).status_code == 401
    assert "this machine's clock is behind" in receiver.lines[-1]
