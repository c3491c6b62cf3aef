"""HTTP calls to Powens, and lists read page by page. Every failure becomes a PowensError.

The client does not retry: the retry policy belongs to the step. Facts: Powens docs, API design: `_links.next.href` is absolute
and opaque, or null; `limit` is at most 1000. Some clients saw links with only a path, and an empty `_links`. A link to another
host would send the bearer token there, so it is refused.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from pfo_pipeline.config import Config, ConfigError, Tenant
from pfo_pipeline.powens.errors import (
    Invalid,
    Missing,
    NotJson,
    PowensError,
    RateLimited,
    Refused,
    ServerFault,
    TooSlow,
    Unreachable,
    WrongClock,
    WrongHost,
)
from pfo_pipeline.powens.rate_limit import RateLimiter, find_rate_limiter
from pfo_pipeline.powens.values import parse_json, record_id
from pfo_pipeline.redaction import word
from pfo_pipeline.telemetry import measured

PAGE_SIZE = 1000
MAX_LINK_LENGTH = 8_000
MAX_PAGES = 1_000


@dataclass(frozen=True)
class Listing:
    """A complete list. `missing` is its own `total` minus the number of its records; negative if there are more records."""

    records: list[dict[str, Any]]
    missing: int = 0


class BadLink(ValueError):
    """A next link that must not be followed. The text gives the reason, without the link."""


def next_url(current: str, envelope: Mapping[str, object], seen: set[str]) -> str | None:
    """URL of the next page, or None on the last page.

    Args:
        current: URL of this page.
        envelope: The decoded answer.
        seen: URLs already requested for this list.
    Raises:
        BadLink: not a URL, another host, a page that was already requested, or more pages than any list has.
    """
    links = envelope.get("_links")
    following = links.get("next") if isinstance(links, Mapping) else None
    href = following.get("href") if isinstance(following, Mapping) else None
    if href is None:
        return None
    if not isinstance(href, str):
        raise BadLink("the next page's link is not a text")
    if len(href) > MAX_LINK_LENGTH or not (href.isascii() and href.isprintable()):
        raise BadLink("the next page's link is not a URL")
    try:
        target = urljoin(current, href)
        is_same_host = urlsplit(target)[:2] == urlsplit(current)[:2]
    except ValueError:
        raise BadLink("the next page's link is not a URL") from None
    if not is_same_host:
        raise BadLink("the next page's link points to another host")
    if len(seen) >= MAX_PAGES:
        raise BadLink(f"the list has more than {MAX_PAGES} pages")
    if target in seen:
        raise BadLink("the next page's link leads back to a page already read")
    return target


def later_holds(records: list[dict[str, Any]], page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add a page to the records. A record on both is taken from the page, because it was read later: the list changes
    meanwhile.
    """
    again = {record_id(record) for record in page} - {None}
    return [record for record in records if record_id(record) not in again] + page


def missing(records: list[dict[str, Any]], envelope: Mapping[str, object]) -> int:
    """The last page's `total` minus the number of records; 0 if the page has no `total` (we saw it only in live answers)."""
    total = envelope.get("total")
    if not isinstance(total, int) or isinstance(total, bool):
        return 0
    ids = [record_id(record) for record in records]
    # It is not documented whether the total counts a record once or twice if one page contains it twice.
    distinct = len(set(ids) - {None}) + ids.count(None)
    return total - len(ids) if total > len(ids) else min(0, total - distinct)


CALLS_AT_ONCE = 4
"""Concurrent calls per domain. Powens publishes no limit for production; its sandbox allows 30 a minute."""
MAX_BODY_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 10
CLOCK_TOLERANCE = timedelta(minutes=30)
"""More than a clock without NTP drifts in years, and less than the error of a wrong time zone or summer time."""
_ENCODING = "gzip"

_WITHOUT_PROXY: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(
    ("all://127.0.0.1", "all://localhost", "all://[::1]")
)
"""No proxy reaches a server on this machine."""

TransportFactory = Callable[[], httpx.AsyncBaseTransport]


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates of this machine, or of `SSL_CERT_FILE`: an office may have an authority of its own. Read once."""
    return ssl.create_default_context()


class PowensClient:
    """Calls to one Powens domain. Open it with `async with`, and use it in one event loop."""

    def __init__(
        self,
        root: str,
        *,
        timeout_seconds: float,
        transport: TransportFactory | None = None,
        rate_limiter: RateLimiter | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            root: `https://{domain}.biapi.pro/2.0`, without a trailing slash.
            timeout_seconds: For a whole call. Reads take seconds; a busy aggregator takes longer.
            rate_limiter: Rate limiter of all calls; None for no limit.
            clock: This machine's clock, which also dates the rows of the ledger; aware.
        """
        self._root = root
        self._timeout_seconds = timeout_seconds
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        try:
            self._http = httpx.AsyncClient(
                transport=transport() if transport else None,
                mounts=_WITHOUT_PROXY,
                verify=_certificates(),
                limits=httpx.Limits(max_connections=CALLS_AT_ONCE),
                timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
                headers={"Accept": "application/json", "Accept-Encoding": _ENCODING, "User-Agent": "pfo-pipeline"},
                follow_redirects=False,
                # One client serves several users: a cookie of one user must not be sent for another.
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=())),
            )
        except (ImportError, ValueError, httpx.InvalidURL):  # Its text has the proxy's URL, which may hold a password.
            raise ConfigError(
                "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment: not a proxy that can be used. "
                "Set it to http://HOST:PORT, or unset it."
            ) from None

    async def __aenter__(self) -> "PowensClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def read_list(self, path: str, key: str, token: str, params: Mapping[str, str] | None = None) -> Listing:
        """Read every record of a list, page after page. A later page replaces a record of an earlier one: the list changes
        meanwhile.

        A list whose number of records differs from its own total is read once more. If it still differs, the result says so.

        Args:
            path: Below the root, such as `/users/me/accounts`.
            key: The envelope's key that holds the records.
            params: Query; a flag such as `all` has an empty text as its value.
        Raises:
            PowensError: a call failed, or a next link must not be followed. A part of a list is never returned.
        """
        url = str(httpx.URL(self._root + path, params={"limit": str(PAGE_SIZE), **(params or {})}))
        listing = await self._read_pages(url, path, key, token)
        return listing if listing.missing == 0 else await self._read_pages(url, path, key, token)

    async def _read_pages(self, url: str, path: str, key: str, token: str) -> Listing:
        records: list[dict[str, Any]] = []
        seen: set[str] = set()
        following: str | None = url
        while following is not None:
            seen.add(following)
            envelope = await self.call("GET", following, token)
            page = envelope.get(key)
            if not isinstance(page, list) or not all(isinstance(record, dict) for record in page):
                raise Invalid("unreadable", f"GET {path}", f"the answer holds no list of {key}")
            records = later_holds(records, page)
            try:
                following = next_url(following, envelope, seen)
            except BadLink as reason:
                raise Invalid("badLink", f"GET {path}", str(reason)) from None
        return Listing(records, missing(records, envelope))

    async def call(self, method: str, url: str, token: str | None, json: object = None) -> dict[str, Any]:
        """Make one call and decode its JSON object. If the status means no content, the result is empty.

        Raises: PowensError, RateLimitUnusable.
        """
        name = f"{method} {_path(url)}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if self._rate_limiter is not None:
            await self._rate_limiter.wait(name)
        with measured("pfo.powens.call", method=method, route=_route(url)):
            return await self._call(method, url, headers, json, name)

    async def _call(self, method: str, url: str, headers: Mapping[str, str], json: object, name: str) -> dict[str, Any]:
        try:
            async with self._calls, asyncio.timeout(self._timeout_seconds):
                request = self._http.build_request(method, url, headers=headers, json=json)
                response = await self._http.send(request, stream=True)
                try:
                    body = await _read_body(response, name)
                finally:
                    await response.aclose()
        except (httpx.RequestError, OSError) as error:
            raise self._failure(error, name) from None
        if method == "GET":  # A call that changed something must report its result, even with a wrong clock.
            self._refuse_wrong_clock(response, name)
        return _decode(response, body, name)

    def _refuse_wrong_clock(self, response: httpx.Response, name: str) -> None:
        """Raise WrongClock if our clock differs from Powens' clock. Our clock dates every balance that we store, permanently.

        The date of an error answer is checked too: it proves as much as any other.
        """
        try:
            theirs = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError, OverflowError):
            return
        ours = self._clock()
        if abs(ours - theirs) > CLOCK_TOLERANCE:
            which = "ahead of" if ours > theirs else "behind"
            apart = f"{abs(ours - theirs).total_seconds() / 3600:.1f} hours"
            raise WrongClock("clock", name, f"this machine's clock is {apart} {which} that of Powens")

    def _failure(self, error: Exception, name: str) -> PowensError:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return TooSlow("timeout", name, f"no answer within {self._timeout_seconds:g} s")
        if isinstance(error, httpx.DecodingError):
            return NotJson("badEncoding", name, "the answer cannot be unpacked")
        host = httpx.URL(self._root).host
        causes = [type(cause) for cause in _causes(error)]
        if socket.gaierror in causes:
            return WrongHost("unknownHost", name, f"no address is found for {host}")
        if ssl.SSLCertVerificationError in causes:
            return WrongHost("badCertificate", name, f"the certificate of {host} is not valid")
        return Unreachable("unreachable", name, f"the connection failed ({type(error).__name__})")


def client_of(config: Config, tenant: Tenant, transport: TransportFactory | None = None) -> PowensClient:
    """Create a client for the tenant's domain, with its rate limit."""
    return PowensClient(
        tenant.root,
        timeout_seconds=tenant.timeout_seconds,
        transport=transport,
        rate_limiter=find_rate_limiter(config, tenant),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _route(url: str) -> str:
    """The path with each id replaced by `{id}`, so that calls can be counted by route."""
    return re.sub(r"/\d+(?=/|$)", "/{id}", _path(url))


def _path(url: str) -> str:
    return httpx.URL(url).path


async def _read_body(response: httpx.Response, name: str) -> bytes:
    encodings = response.headers.get_list("Content-Encoding", split_commas=True)
    if encodings not in ([], ["identity"], [_ENCODING]):
        # One encoding inside another could unpack a few kilobytes to gigabytes before we can count the first chunk.
        raise NotJson("badEncoding", name, "the answer is packed in a way that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Invalid("tooLarge", name, f"the answer is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB")
    return bytes(body)


def _decode(response: httpx.Response, body: bytes, name: str) -> dict[str, Any]:
    try:
        payload = parse_json(body)
    except ValueError:
        payload = None
    if response.status_code == 204:
        return {}
    if response.is_success:
        if not isinstance(payload, dict):
            raise NotJson("notJson", name, "the answer is not a JSON object")
        return payload
    raise _refusal(response, payload if isinstance(payload, dict) else None, name)


def _refusal(response: httpx.Response, payload: Mapping[str, Any] | None, name: str) -> PowensError:
    status = response.status_code
    code = _code(payload.get("code") if payload else None) or f"http{status}"
    request_id = _request_id(payload.get("request_id") if payload else None)
    reason = f"Powens answered {status}"
    if status == 429:
        wait = _retry_after_seconds(response)
        return RateLimited(code, name, reason + ", too many calls", request_id, retry_after_seconds=wait)
    if status >= 500:
        return ServerFault(code, name, reason, request_id)
    if 300 <= status < 400:
        return Invalid(code, name, reason + ", a redirect, which is not followed: the token would go along", request_id)
    if payload is None and status not in (401, 403, 404):
        return NotJson("notJson", name, f"{reason} without a readable body", request_id)
    if status in (401, 403):
        return Refused(code, name, reason + ", the token is not accepted", request_id)
    if status == 404:
        return Missing(code, name, reason + ", unknown for this token", request_id)
    return Invalid(code, name, reason, request_id)


def _code(value: object) -> str | None:
    """The error code if it is a word: a number or a sentence could be personal data."""
    return value if isinstance(value, str) and word(value) == value else None


def _request_id(value: object) -> str | None:
    """The request id for Powens' support, if it is one number or word."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text and len(text) <= 64 and text.replace("-", "").replace("_", "").isalnum() else None


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """Seconds to wait according to `Retry-After` (seconds or an HTTP date); None if it is missing or not usable."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isascii() and header.isdigit() and len(header) < 10:
        return float(header)
    try:
        until = parsedate_to_datetime(header)
        now = parsedate_to_datetime(response.headers["Date"])
        return max(0.0, (until - now).total_seconds())
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
