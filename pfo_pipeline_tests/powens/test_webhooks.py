"""Webhook posts: their signatures, and the few facts that are kept."""

import contextlib
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.powens import webhooks
from pfo_pipeline.powens.webhooks import (
    EVENTS,
    Hint,
    PostRefused,
    path_of,
    read_hint,
    signature,
    unpacked,
    verify_bearer,
    verify_signature,
)

# Computed with another program, from the recipe in Powens' guide "Webhooks".
SECRET = "made-up-hmac-secret"
PATH = "/powens/user-deleted"
DATE = "2026-08-19T08:00:01.123456Z"
BODY = b'{"id":731,"signin":"2026-06-02 09:10:55","id_webhook_data":556008}'
SIGNATURE = "dJBLaH+0pp15oyDhzwL/Xbv4O6yZf2Z/eY0/NuN/ArA="
NOW = datetime(2026, 8, 19, 8, 0, 5, tzinfo=UTC)


def headers(found: str = SIGNATURE, date: str = DATE) -> dict[str, str]:
    return {"BI-Signature": found, "BI-Signature-Date": date}


def refusal_of(hint: tuple[str, bytes]) -> PostRefused:
    with pytest.raises(PostRefused) as refused:
        read_hint(*hint)
    return refused.value


def test_the_signature_is_the_documented_one() -> None:
    assert signature(SECRET, PATH, DATE, BODY) == SIGNATURE
    verify_signature(SECRET, PATH, headers(), BODY, NOW)


@pytest.mark.parametrize(
    ("secret", "path", "found", "body"),
    [
        ("another", PATH, headers(), BODY),
        (SECRET, PATH + "/", headers(), BODY),
        (SECRET, "/powens/user-deletee", headers(), BODY),
        (SECRET, PATH, headers(date="2026-08-19T08:00:01.123457Z"), BODY),
        (SECRET, PATH, headers(found=SIGNATURE[:-1]), BODY),
        (SECRET, PATH, headers(found=SIGNATURE.lower()), BODY),
        (SECRET, PATH, headers(found="é"), BODY),
        (SECRET, PATH, headers(date="é"), BODY),
        (SECRET, PATH, {"BI-Signature": SIGNATURE}, BODY),
        (SECRET, PATH, {"BI-Signature-Date": DATE}, BODY),
        (SECRET, PATH, {}, BODY),
        (SECRET, PATH, headers(), BODY + b"\n"),
        (SECRET, PATH, headers(), BODY.replace(b"731", b"732")),
        (SECRET, PATH, headers(), b""),
    ],
)
def test_any_difference_from_the_signed_post_is_refused(
    secret: str, path: str, found: dict[str, str], body: bytes
) -> None:
    with pytest.raises(PostRefused) as refused:
        verify_signature(secret, path, found, body, NOW)

    assert refused.value.status == 401


@pytest.mark.parametrize("packed_first", [True, False])
def test_a_packed_body_may_be_signed_before_or_after_packing(packed_first: bool) -> None:
    packed = gzip.compress(BODY)
    found = headers(signature(SECRET, PATH, DATE, packed if packed_first else BODY))

    verify_signature(SECRET, PATH, found, packed, NOW)

    assert read_hint("USER_DELETED", packed).webhook_id == 556008


@pytest.mark.parametrize(
    ("age", "is_taken"),
    [
        (timedelta(0), True),
        (webhooks.MAX_AGE, True),
        (webhooks.MAX_AGE + timedelta(seconds=1), False),
        (-webhooks.MAX_SKEW, True),
        (-webhooks.MAX_SKEW - timedelta(seconds=1), False),
    ],
)
def test_a_post_is_accepted_until_it_is_too_old(age: timedelta, is_taken: bool) -> None:
    now = datetime.fromisoformat(DATE) + age
    if is_taken:
        verify_signature(SECRET, PATH, headers(), BODY, now)
    else:
        with pytest.raises(PostRefused, match=r"date is too old|clock is behind"):
            verify_signature(SECRET, PATH, headers(), BODY, now)


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:00"])
def test_an_invalid_signed_date_is_refused(date: str) -> None:
    with pytest.raises(PostRefused, match="date") as refused:
        verify_signature(SECRET, PATH, headers(signature(SECRET, PATH, date, BODY), date), BODY, NOW)
    assert refused.value.status == 401


def test_any_known_bearer_token_is_accepted_and_no_other() -> None:
    for found in ("Bearer one", "bearer two"):
        verify_bearer(["one", "two"], {"Authorization": found})
    for found in ("Bearer three", "Bearer", "Basic one", "one", "Bearer é", ""):
        with pytest.raises(PostRefused):
            verify_bearer(["one", "two"], {"Authorization": found})
    with pytest.raises(PostRefused):
        verify_bearer([], {})


CONNECTION = {"id": 4821, "id_user": 731, "state": None, "error": None, "error_message": "see https://bank/?token=x"}
ACCOUNT = {"id": 17301, "id_connection": 4821, "id_user": 731, "error": None, "iban": "FR7699999000820001234567079"}
FAILED: dict[str, Any] = {**CONNECTION, "state": "SCARequired", "accounts": []}


@pytest.mark.parametrize(
    ("event", "body", "connection_id", "user_id", "error"),
    [
        ("CONNECTION_SYNCED", {"user": {"id": 731}, "connection": CONNECTION}, 4821, 731, None),
        ("CONNECTION_SYNCED", {"user": {"id": 731}, "connection": FAILED}, 4821, 731, "SCARequired"),
        ("ACCOUNTS_FETCHED", {"user": {"id": 731}, "connection": CONNECTION}, 4821, 731, None),
        ("CONNECTION_DELETED", {**CONNECTION, "error": "bug"}, 4821, 731, "bug"),
        ("ACCOUNT_FOUND", ACCOUNT, 4821, 731, None),
        ("ACCOUNT_SYNCED", ACCOUNT, 4821, 731, None),
        ("ACCOUNT_DISABLED", ACCOUNT, 4821, 731, None),
        ("USER_DELETED", {"id": 731}, None, 731, None),
    ],
)
def test_an_event_has_its_subject(
    event: str, body: dict[str, Any], connection_id: int | None, user_id: int, error: str | None
) -> None:
    posted = json.dumps({**body, "id_webhook_data": 556003}).encode()

    assert read_hint(event, posted) == Hint(event, 556003, connection_id, user_id, error)


def test_a_banks_text_is_never_used_as_a_state() -> None:
    state = "Dear Jane Smith, call 0612345678"
    body = {"connection": {**CONNECTION, "state": state}, "id_webhook_data": 1}

    assert read_hint("CONNECTION_SYNCED", json.dumps(body).encode()).error == "(not a word)"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"id": 731',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id": 731}',
        b'{"id": 731, "id_webhook_data": null}',
        b'{"id": 731, "id_webhook_data": true}',
        b'{"id": 731, "id_webhook_data": -1}',
        b'{"id": 731, "id_webhook_data": 1.5}',
        b'{"id": 731, "id_webhook_data": 9999999999999999999}',
        b'{"id_webhook_data": 1}',
        b'{"id": "x", "id_webhook_data": 1}',
    ],
)
def test_a_body_that_is_not_of_the_event_is_refused(body: bytes) -> None:
    assert refusal_of(("USER_DELETED", body)).status == 400


@pytest.mark.parametrize("connection", [None, [], "x", {}, {"id": None}])
def test_a_sync_without_a_connection_is_refused(connection: object) -> None:
    body = json.dumps({"connection": connection, "id_webhook_data": 1}).encode()

    assert refusal_of(("CONNECTION_SYNCED", body)).status == 400


def test_a_small_body_that_unpacks_without_end_is_refused() -> None:
    bomb = gzip.compress(b" " * (webhooks.MAX_BODY_BYTES + 1))
    assert len(bomb) < 100_000

    assert refusal_of(("USER_DELETED", bomb)).status == 413


@pytest.mark.parametrize("damaged", [gzip.compress(BODY, mtime=0)[:-9], b"\x1f\x8bnonsense", b"\x1f\x8b"])
def test_damaged_gzip_is_refused(damaged: bytes) -> None:
    with pytest.raises(PostRefused) as refused:
        unpacked(damaged)
    assert refused.value.status == 400


@given(st.binary(max_size=200), st.sampled_from(EVENTS))
def test_any_invalid_body_is_only_refused(body: bytes, event: str) -> None:
    with contextlib.suppress(PostRefused):
        assert read_hint(event, body).event == event


def test_each_event_of_each_tenant_has_an_address_of_its_own() -> None:
    paths = {path_of(tenant, event) for tenant in ("smith", "smith_2") for event in EVENTS}

    assert len(paths) == 2 * len(EVENTS)
    assert path_of("smith", "CONNECTION_SYNCED") == "/powens/smith/connection-synced"
