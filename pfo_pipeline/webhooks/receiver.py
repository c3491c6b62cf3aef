"""Receives the webhooks of Powens: a post is verified, read and stored on disk before the success answer.

A connection that does not send its request head in time is closed: uvicorn does not limit that time, and a few dozen silent
connections would block real posts. The log contains the tenant, the event and our own reason, and no content of the post.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from pfo_pipeline.config import Config, SecretError, Tenant
from pfo_pipeline.powens.webhooks import (
    EVENTS,
    MAX_BODY_BYTES,
    SIGNATURE_HEADER,
    PostRefused,
    path_of,
    read_hint,
    verify_bearer,
    verify_signature,
)
from pfo_pipeline.webhooks.inbox import Inbox, InboxError

HEAD_SECONDS = 10
"""For the first byte and for the whole head of a request. A proxy sends both at once."""


class ImpatientProtocol(H11Protocol):
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests() and self._patience is None:
            self._wait_for_head()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


BODY_SECONDS = 60
"""For a whole body to arrive: a slow sender must not occupy a connection forever."""


@dataclass(frozen=True)
class Receiver:
    """
    Args:
        tell: Called with one line for each post.
    """

    config: Config
    inbox: Inbox
    clock: Callable[[], datetime]
    tell: Callable[[str], None]

    def app(self) -> Starlette:
        """The addresses of every tenant with a `webhook_secret` or a `webhook_bearer`; no others exist."""
        listening = [tenant for tenant in self.config.tenants if tenant.webhook_secret or tenant.webhook_bearer]
        addresses = [(tenant, event) for tenant in listening for event in EVENTS]
        app = Starlette(
            routes=[Route(path_of(t.id, event), self._endpoint(t, event), methods=["POST"]) for t, event in addresses]
        )
        # Another path is another address: a redirect would lead to the host in the request's own Host header.
        app.router.redirect_slashes = False
        return app

    def _endpoint(self, tenant: Tenant, event: str) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            try:
                self._prove_sender(tenant, request.headers)
                body = await _body(request)
                # In a thread: reading megabytes and waiting for the disk must not delay other posts.
                outcome = await run_in_threadpool(self._accept, tenant, event, request.headers, body)
            except PostRefused as refusal:
                self.tell(f"{tenant.id} {event}: refused ({refusal.status}), {refusal}")
                return Response(status_code=refusal.status)
            except (SecretError, InboxError) as problem:
                # Powens repeats a post that did not get a success answer.
                self.tell(f"{tenant.id} {event}: put off (503). {problem}")
                return Response(status_code=503)
            self.tell(f"{tenant.id} {event}: {outcome}")
            return Response(status_code=204)

        return endpoint

    def _prove_sender(self, tenant: Tenant, headers: Mapping[str, str]) -> None:
        """Verify what can be verified before the body is read."""
        if tenant.webhook_secret is None:
            verify_bearer(self.config.webhook_bearer(tenant), headers)
        elif not headers.get(SIGNATURE_HEADER):
            raise PostRefused(401, "it is not signed")

    def _accept(self, tenant: Tenant, event: str, headers: Mapping[str, str], body: bytes) -> str:
        secret = self.config.webhook_secret(tenant)
        if secret is not None:
            verify_signature(secret, path_of(tenant.id, event), headers, body, self.clock())
        return "kept" if self.inbox.keep(tenant.id, read_hint(event, body)) else "known already"


async def _body(request: Request) -> bytes:
    """Read the body. Raises: PostRefused: too large, too slow, or the sender has disconnected."""
    too_large = PostRefused(413, f"it is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB")
    promised = request.headers.get("Content-Length", "")
    if promised.isdecimal() and len(promised) < 19 and int(promised) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise PostRefused(408, "it did not arrive in time") from None
    except ClientDisconnect:
        raise PostRefused(400, "it was cut short") from None
    return bytes(body)
