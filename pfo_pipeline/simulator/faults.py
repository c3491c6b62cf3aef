"""Faults that a test orders for a client's requests."""

import asyncio
import base64
import binascii
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal, get_args

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.values import FieldReader

Kind = Literal["status", "html", "slow", "reset", "truncated", "body", "endless"]
GATEWAY_PAGE = b"<html><head><title>ERROR</title></head><body><h1>503 ERROR</h1><hr>CloudFront</body></html>"


@dataclass
class Fault:
    """A fault and a filter of requests; null in a filter means any, null in `times` means until cleared."""

    id: int
    kind: Kind
    domain: str | None
    user: int | None
    method: str | None
    path: re.Pattern[str] | None
    times: int | None
    skip: int
    executed: bool
    status: int
    code: str | None
    retry_after: int | None
    seconds: float
    content: bytes
    content_type: str
    headers: dict[str, str]
    applied: int = 0

    def concerns(self, *, domain: str, user: int | None, method: str, path: str) -> bool:
        """Whether the filter matches a request."""
        return (
            self.domain in (None, domain)
            and self.user in (None, user)
            and self.method in (None, method)
            and (self.path is None or self.path.search(path) is not None)
        )

    def json(self) -> JsonObject:
        """The fault as the admin route lists it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "domain": self.domain,
            "user": self.user,
            "method": self.method,
            "path": self.path.pattern if self.path else None,
            "times": self.times,
            "skip": self.skip,
            "applied": self.applied,
        }


@dataclass
class FaultBook:
    """Faults in the order of arrival; the first matching one applies, so they can be queued."""

    faults: list[Fault] = field(default_factory=list)
    count: int = 0

    def add(self, order: JsonObject) -> Fault:
        """Add a fault.

        Raises:
            ValueError: the order is invalid.
        """
        fault = _read(order, self.count + 1)
        self.count += 1
        self.faults.append(fault)
        return fault

    def strike(self, *, domain: str, user: int | None, method: str, path: str) -> Fault | None:
        """The fault for this request, with its count reduced by one; null for a normal request."""
        for fault in self.faults:
            if not fault.concerns(domain=domain, user=user, method=method, path=path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.times is None or fault.applied < fault.times:
                fault.applied += 1
                return fault
        return None


async def wait_unless_gone(receive: Receive, seconds: float) -> bool:
    """Wait. Returns true if the client disconnected meanwhile. The request body must have been read."""
    gone = asyncio.ensure_future(receive())
    try:
        done, _ = await asyncio.wait({gone}, timeout=seconds)
        return bool(done)
    finally:
        gone.cancel()


async def drop(scope: Scope, receive: Receive) -> None:
    """Reset the connection: the client gets no byte of an answer."""
    transport: asyncio.Transport = scope["state"]["transport"]
    connection = transport.get_extra_info("socket")
    # With zero linger the kernel sends RST instead of closing normally.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await receive()


async def cut(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Promise the whole body, send half of it, and close."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    body = bytes(response.body)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    transport: asyncio.Transport = scope["state"]["transport"]
    transport.close()
    await receive()


async def never_end(receive: Receive, send: Send, fault: Fault) -> None:
    """Send the content repeatedly, in chunks without a promised length, until the client disconnects."""
    headers = [(b"content-type", fault.content_type.encode())]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    while not await wait_unless_gone(receive, fault.seconds):
        await send({"type": "http.response.body", "body": fault.content, "more_body": True})


def gateway_page() -> Response:
    """The edge's page when nothing behind it answers."""
    return Response(GATEWAY_PAGE, 503, {"Server": "CloudFront"}, media_type="text/html")


def _read(order: JsonObject, number: int) -> Fault:
    reader = FieldReader(order)
    kind = reader.text("kind")
    if kind not in get_args(Kind):
        raise ValueError(f"kind: one of {', '.join(get_args(Kind))}")
    content = _content(reader)
    path = reader.text("path", None)
    method = reader.text("method", None)
    fault = Fault(
        id=number,
        kind=kind,  # type: ignore[arg-type]  # checked above
        domain=reader.text("domain", None),
        user=reader.whole("user", None),
        method=method.upper() if method else None,
        path=_pattern(path) if path else None,
        times=reader.whole("times", None) if "times" in order else 1,
        skip=reader.whole("skip", 0) or 0,
        executed=reader.flag("executed", default=False),
        status=reader.whole("status", 200 if kind in ("body", "endless") else 500) or 500,
        code=reader.text("code", None),
        retry_after=reader.whole("retry_after", None),
        seconds=float(reader.decimal("seconds", 0)),
        content=content,
        content_type=reader.text("content_type", None) or "application/json",
        headers=_headers(reader.take("headers", {})),
    )
    reader.done()
    return fault


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("headers: an object of strings is needed")
    return value


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"path: {error}") from None


def _content(reader: FieldReader) -> bytes:
    text, encoded = reader.text("body", None), reader.text("body_base64", None)
    repeat = reader.whole("repeat", 1) or 0
    try:
        once = base64.b64decode(encoded, validate=True) if encoded is not None else (text or "").encode("utf-8")
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("body_base64: not base64") from None
    return once * repeat
