"""Webhooks of Powens: registration, signature and events.

Facts: Powens docs, guide "Webhooks". Neither body nor headers name the event, so each event has its own address. The key is
the bytes of the secret, not decoded (Formance's connector, run against the live service). The docs do not say whether a body
is signed before or after gzip: both are accepted, because both prove the sender. They do not say either whether a repeated
post is signed again, so its age refuses little: MAX_AGE must only be shorter than the time for which we remember ids.
`POST /webhooks/auth` returns the secret once. The name of a provider is short, of letters and digits: a name of 39 characters
with dashes was answered with 500 (Formance's contract test). `/webhooks` with `event`, `url` and `id_auth` is from the older
reference, which the current pages do not contradict.
"""

import base64
import hmac
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pfo_pipeline.errors import PfoError
from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import Invalid
from pfo_pipeline.powens.values import parse_json
from pfo_pipeline.redaction import word

EVENTS = (
    "CONNECTION_SYNCED",
    "CONNECTION_DELETED",
    "ACCOUNTS_FETCHED",
    "ACCOUNT_FOUND",
    "ACCOUNT_SYNCED",
    "ACCOUNT_ENABLED",
    "ACCOUNT_DISABLED",
    "USER_DELETED",
)
"""The events about accounts and balances. Powens has others, about transactions, documents and payments."""

SIGNATURE_HEADER = "BI-Signature"
DATE_HEADER = "BI-Signature-Date"
MAX_BODY_BYTES = 32 * 1024 * 1024
"""Packed or not: the first CONNECTION_SYNCED of a bank contains all its transactions and may be many megabytes."""
MAX_AGE = timedelta(days=3)
"""A post that failed on Friday evening must still be accepted on Monday morning."""
MAX_SKEW = timedelta(minutes=5)

_GZIP_MAGIC = b"\x1f\x8b"  # JSON never begins like this
_ID = re.compile(r"[0-9]{1,18}")


@dataclass
class PostRefused(PfoError):
    """A refused post. `reason` is our own text, without any content of the post."""

    status: int
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Hint:
    """The subject of an event. The current state is read from the API: a late post has an old state."""

    event: str
    webhook_id: int
    """`id_webhook_data`: the same in each copy of one event."""
    connection_id: int | None
    user_id: int | None
    error: str | None
    """The state of a failed sync, as a word; never the bank's text."""


def path_of(tenant_id: str, event: str) -> str:
    """Path for the posts of one event of one tenant; part of the signed text."""
    return f"/powens/{tenant_id}/{event.lower().replace('_', '-')}"


def signature(secret: str, path: str, date: str, body: bytes) -> str:
    message = b".".join((b"POST", path.encode(), date.encode("latin-1"), body))
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode("ascii")


def verify_signature(secret: str, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Verify the signature of a post.

    Args:
        body: The received bytes, unchanged.
    Raises:
        PostRefused: not signed with this secret for this path, or too old.
    """
    date, given = headers.get(DATE_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if not date or not given:
        raise PostRefused(401, "it is not signed")
    if not any(_same(signature(secret, path, date, form), given) for form in _signed_forms(body)):
        raise PostRefused(401, "its signature is wrong")
    signed_at = _moment(date)
    if signed_at < now - MAX_AGE:
        raise PostRefused(401, "its date is too old")
    if signed_at > now + MAX_SKEW:
        raise PostRefused(401, "its date is in the future: this machine's clock is behind")


def verify_bearer(tokens: Iterable[str], headers: Mapping[str, str]) -> None:
    """Verify the bearer token of a post.

    Args:
        tokens: Tokens that Powens may send: by default the permanent token of the user that the event is about.
    Raises:
        PostRefused: another token, or none.
    """
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    # Compare with each token, so that the time reveals nothing.
    known = [_same(token, given.strip()) for token in tokens]
    if scheme.lower() != "bearer" or not any(known):
        raise PostRefused(401, "its bearer token is wrong or missing")


def read_hint(event: str, body: bytes) -> Hint:
    """Read the hint from a body.

    Raises: PostRefused: not the body of such an event.
    """
    payload = _object(unpacked(body))
    webhook_id = _id(payload.get("id_webhook_data"))
    if webhook_id is None:
        raise PostRefused(400, "it has no id_webhook_data")
    if event in ("CONNECTION_SYNCED", "ACCOUNTS_FETCHED"):
        record, connection_key, user_key = payload.get("connection"), "id", "id_user"
    elif event == "CONNECTION_DELETED":
        record, connection_key, user_key = payload, "id", "id_user"
    elif event == "USER_DELETED":
        record, connection_key, user_key = payload, "", "id"
    else:
        record, connection_key, user_key = payload, "id_connection", "id_user"
    about = _id(record.get(connection_key or user_key)) if isinstance(record, dict) else None
    if not isinstance(record, dict) or about is None:
        raise PostRefused(400, f"it is not the body of {event}")
    state = record.get("state") or record.get("error")
    return Hint(
        event=event,
        webhook_id=webhook_id,
        connection_id=about if connection_key else None,
        user_id=_id(record.get(user_key)),
        error=word(state) if isinstance(state, str) else None,
    )


def unpacked(body: bytes) -> bytes:
    """Unpack the body if it is gzip. Raises: PostRefused: damaged, or too large once unpacked."""
    if not body.startswith(_GZIP_MAGIC):
        return body
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacking.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise PostRefused(400, "its gzip is damaged") from None
    if len(plain) > MAX_BODY_BYTES:
        raise PostRefused(413, "it is too large once unpacked")
    if not unpacking.eof:
        raise PostRefused(400, "its gzip is cut short")
    return plain


def _signed_forms(body: bytes) -> Iterable[bytes]:
    yield body
    if body.startswith(_GZIP_MAGIC):
        yield unpacked(body)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _moment(date: str) -> datetime:
    try:
        moment = datetime.fromisoformat(date)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PostRefused(401, "its date is not one") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        payload = parse_json(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise PostRefused(400, "it is not a JSON object")
    return payload


def _id(value: object) -> int | None:
    """The id as an integer; also from a quoted number; None if too large for a database."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if _ID.fullmatch(text) else None


_NAME_LENGTH = 13


def provider_name(tenant_id: str) -> str:
    return ("pfo" + "".join(c for c in tenant_id if c.isalnum()))[:_NAME_LENGTH]


class Registrar:
    """One Powens domain, with its configuration token."""

    def __init__(self, client: PowensClient, root: str, token: str) -> None:
        self._client = client
        self._root = root
        self._token = token

    async def provider(self, name: str) -> int | None:
        """Get the id of the signing secret with this name. Raises: PowensError."""
        providers = await self._list("/webhooks/auth", "authproviders")
        found = (p.get("id") for p in providers if p.get("name") == name and p.get("type") == "hmac_signature")
        return next((number for number in found if isinstance(number, int)), None)

    async def add_provider(self, name: str, store: Callable[[str], None]) -> int:
        """Let Powens create a secret.

        Args:
            store: Called with the secret, which Powens shows only once.
        Raises: PowensError.
        """
        made = await self._post("/webhooks/auth", {"type": "hmac_signature", "name": name})
        secret = made.get("config", {}).get("secret_key") if isinstance(made.get("config"), dict) else None
        if not isinstance(secret, str) or not secret:
            raise Invalid("unreadable", "POST /webhooks/auth", "the answer holds no secret_key")
        store(secret)
        return int(made["id"])

    async def add_addresses(self, tenant_id: str, base: str, provider: int) -> list[tuple[str, str, bool]]:
        """Register the addresses that are not registered yet.

        Returns: For each event its URL, and whether it is new.
        Raises: PowensError.
        """
        # Each event has its own address; Powens names the event by a number of its own, if at all.
        known = {(w.get("url"), str(w.get("id_auth"))) for w in await self._list("/webhooks", "webhooks")}
        given = []
        for event in EVENTS:
            url = base + path_of(tenant_id, event)
            is_new = (url, str(provider)) not in known
            if is_new:
                await self._post("/webhooks", {"event": event, "url": url, "id_auth": provider})
            given.append((event, url, is_new))
        return given

    async def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        return (await self._client.read_list(path, key, self._token)).records

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        answer = await self._client.call("POST", self._root + path, self._token, json=body)
        if not isinstance(answer.get("id"), int):
            raise Invalid("unreadable", f"POST {path}", "the answer holds no id")
        return answer
