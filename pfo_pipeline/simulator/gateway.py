"""The ASGI application: admin, webview or API, domain, journal, rate limit, faults, errors.

There is no wait between reading a request and sending its answer, so the event loop is the lock that keeps the world
consistent. Facts: Powens docs, Fair usage policy: 30 calls a minute in a sandbox. Assumed: the window begins with the
first call and lasts 60 seconds.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import URL, Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pfo_pipeline.simulator import errors, faults
from pfo_pipeline.simulator.api import find_handler
from pfo_pipeline.simulator.calls import Call, read_body
from pfo_pipeline.simulator.exact_json import JsonObject, dumps
from pfo_pipeline.simulator.faults import Fault, FaultBook
from pfo_pipeline.simulator.paris_time import to_wire
from pfo_pipeline.simulator.sender import Sender
from pfo_pipeline.simulator.state import Domain, Token, World
from pfo_pipeline.simulator.sync_engine import advance

WINDOW_SECONDS = 60.0


@dataclass
class CallCounter:
    """Count calls per domain. `ticks` gives monotonic seconds."""

    ticks: Callable[[], float] = time.monotonic
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict)

    def seconds_to_wait(self, domain: str, limit: int) -> int | None:
        """Count a call; null if it is within the limit, else whole seconds until the window ends."""
        if limit <= 0:
            return None
        now = self.ticks()
        opened, calls = self._windows.get(domain, (now, 0))
        if now - opened >= WINDOW_SECONDS:
            opened, calls = now, 0
        if calls >= limit:
            return max(1, math.ceil(opened + WINDOW_SECONDS - now))
        self._windows[domain] = (opened, calls + 1)
        return None

    def clear(self, domain: str) -> None:
        """Open a new window with the next call."""
        self._windows.pop(domain, None)


SECRET_PARAMETERS = frozenset({"token", "code", "client_secret", "access_token"})


@dataclass
class JournalEntry:
    """A request. `status` stays null if no answer was begun, `fault` names the applied fault."""

    seq: int
    clock: str
    method: str
    domain: str
    path: str
    query: str
    user: int | None = None
    status: int | None = None
    fault: str | None = None

    def json(self) -> JsonObject:
        """The entry in the admin route's form."""
        return dict(vars(self))


@dataclass
class Journal:
    """Entries in the order of the requests; numbers continue after clearing."""

    entries: list[JournalEntry] = field(default_factory=list)
    count: int = 0

    def open(self, *, clock: str, method: str, domain: str, path: str, query: str) -> JournalEntry:
        """Record a new request."""
        self.count += 1
        entry = JournalEntry(self.count, clock, method, domain, path, _without_secrets(query))
        self.entries.append(entry)
        return entry

    def since(self, seq: int, domain: str | None) -> Sequence[JournalEntry]:
        """Entries after number `seq`, of one domain if given."""
        first = bisect_right(self.entries, seq, key=lambda item: item.seq)
        return [item for item in self.entries[first:] if domain in (None, item.domain)]


def _without_secrets(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name in SECRET_PARAMETERS for name, _ in pairs):
        return query
    return urlencode([(name, "***" if name in SECRET_PARAMETERS else value) for name, value in pairs])


VERSION_PREFIX = "/2.0"
FIRST_REQUEST_ID = 90_210_041


@dataclass
class Bench:
    """A world with its faults, journal, rate limiter and sender."""

    world: World
    faults: FaultBook = field(default_factory=FaultBook)
    journal: Journal = field(default_factory=Journal)
    limiter: CallCounter = field(default_factory=CallCounter)
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = Sender(self.world)


@dataclass(frozen=True)
class Incoming:
    """A request to the simulated Powens."""

    domain_name: str
    path: str
    method: str
    query: str
    headers: Headers
    body: bytes
    origin: str


class Gateway:
    """Routes `/admin` and `/webview` to their own applications and everything else to the simulated API."""

    def __init__(self, bench: Bench, *, admin: ASGIApp, webview: ASGIApp) -> None:
        self._bench = bench
        self._beside = {"admin": admin, "webview": webview}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI defines it."""
        if scope["type"] != "http":
            return
        beside = self._beside.get(scope["path"].removeprefix("/").partition("/")[0])
        if beside is not None:
            await beside(scope, receive, send)
            return
        incoming = await _read(scope, receive)
        if incoming is not None:
            try:
                await self._serve(incoming, scope, receive, send)
            finally:
                self._bench.sender.start()

    async def _serve(self, incoming: Incoming, scope: Scope, receive: Receive, send: Send) -> None:
        bench = self._bench
        now = advance(bench.world)
        domain = bench.world.domains.get(incoming.domain_name)
        token = _token(domain, incoming.headers)
        entry = bench.journal.open(
            clock=to_wire(now) or "",
            method=incoming.method,
            domain=incoming.domain_name,
            path=incoming.path,
            query=incoming.query,
        )
        entry.user = token.id_user if token else None
        fault = bench.faults.strike(
            domain=incoming.domain_name, user=entry.user, method=incoming.method, path=incoming.path
        )
        if fault is None:
            response = self._answer(incoming, domain, token)
        else:
            entry.fault = fault.kind
            struck = await self._strike(fault, incoming, entry, scope, receive, send)
            if struck is None:
                return
            response = struck
        entry.status = response.status_code
        await response(scope, receive, send)

    async def _strike(
        self, fault: Fault, incoming: Incoming, entry: JournalEntry, scope: Scope, receive: Receive, send: Send
    ) -> Response | None:
        """Apply the fault; null if the exchange is over."""
        done = self._answer_now(incoming) if fault.executed else None
        match fault.kind:
            case "slow":
                if await faults.wait_unless_gone(receive, fault.seconds):
                    return None
                return done or self._answer_now(incoming)
            case "reset":
                await faults.drop(scope, receive)
                return None
            case "truncated":
                whole = done or self._answer_now(incoming)
                entry.status = whole.status_code
                await faults.cut(scope, receive, send, whole)
                return None
            case "html":
                return faults.gateway_page()
            case "endless":
                await faults.never_end(receive, send, fault)
                return None
            case "body":
                headers = fault.headers | (
                    {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
                )
                return Response(fault.content, fault.status, headers, media_type=fault.content_type)
            case "status":
                return self._refusal(_ordered_error(fault), self._bench.world.domains.get(incoming.domain_name))

    def _answer_now(self, incoming: Incoming) -> Response:
        """The normal answer at this time, which may be after the arrival of the request."""
        advance(self._bench.world)
        domain = self._bench.world.domains.get(incoming.domain_name)
        return self._answer(incoming, domain, _token(domain, incoming.headers))

    def _answer(self, incoming: Incoming, domain: Domain | None, token: Token | None) -> Response:
        try:
            if domain is None or not incoming.path:
                raise errors.not_found()
            wait = self._bench.limiter.seconds_to_wait(domain.name, domain.settings.rate_limit_per_minute)
            if wait is not None:
                raise errors.too_many_requests(wait)
            handler, params = find_handler(incoming.method, incoming.path)
            answer = handler(
                Call(
                    world=self._bench.world,
                    domain=domain,
                    method=incoming.method,
                    url=URL(f"{incoming.origin}/{domain.name}{VERSION_PREFIX}{incoming.path}?{incoming.query}"),
                    params=params,
                    query=QueryParams(incoming.query),
                    body=read_body(incoming.headers.get("content-type", ""), incoming.body),
                    token=token,
                )
            )
            if answer.payload is None:
                response = Response(b"", answer.status, dict(answer.headers))
            else:
                content = dumps(answer.payload)
                response = Response(content, answer.status, dict(answer.headers), media_type="application/json")
        except errors.ApiError as refused:
            return self._refusal(refused, domain)
        except Exception:
            # To the client an error of the simulator looks like one of Powens; the journal keeps it.
            return self._refusal(errors.internal_bug(), domain)
        domain.requests += 1
        return response

    def _refusal(self, error: errors.ApiError, domain: Domain | None) -> Response:
        request_id = None
        if domain is not None:
            request_id = FIRST_REQUEST_ID + domain.requests
            domain.requests += 1
        envelope: dict[str, object] = {
            "code": error.code,
            "description": error.description,
            "message": error.message,
            "request_id": request_id,
        }
        return Response(dumps(envelope), error.status, dict(error.headers), media_type="application/json")


def _ordered_error(fault: Fault) -> errors.ApiError:
    code, description = errors.DEFAULT_CODES.get(fault.status, ("bug", "Error"))
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return errors.ApiError(fault.status, fault.code or code, description, headers=headers)


async def _read(scope: Scope, receive: Receive) -> Incoming | None:
    """Read the whole request; null if the client disconnected while sending it."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    headers = Headers(scope=scope)
    domain_name, slash, rest = scope["path"].removeprefix("/").partition("/")
    tail = slash + rest
    versioned = tail.startswith(f"{VERSION_PREFIX}/")
    return Incoming(
        domain_name=domain_name,
        path=tail.removeprefix(VERSION_PREFIX) if versioned else "",
        method=scope["method"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        origin=f"{scope['scheme']}://{headers.get('host', '127.0.0.1')}",
    )


def _token(domain: Domain | None, headers: Headers) -> Token | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if domain is None or scheme.lower() != "bearer":
        return None
    return domain.tokens.get(value.strip())
