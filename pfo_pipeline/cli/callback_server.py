"""HTTP server on loopback that waits until a member returns from Powens' pages.

Facts: Powens docs, Webview: back come `state` and `connection_id` (or `connection_ids`), or `error`.
A request without the right `state` changes nothing, and no text of a request is shown again.
"""

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from pfo_pipeline.errors import PfoError

CODE_LIFE_SECONDS = 1800
"""How long a code opens Powens' pages; nobody comes back after that."""
_GRACE_SECONDS = 2
_LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'",
}

ERRORS = {
    "access_denied": "The member did not consent, or left the page.",
    "server_error": "Powens' page failed. Try again; tell Powens support if it lasts.",
    "tos_declined": "The member declined Powens' terms, without which no bank is connected.",
    "session_expired": "The page was open for too long: it holds half an hour.",
}


class CannotWait(PfoError):
    """The redirect address cannot be listened on."""


@dataclass(frozen=True)
class Returned:
    """The connections of the member who returned; `error` is a sentence of this program, or None."""

    connection_ids: tuple[str, ...] = ()
    error: str | None = None


def listening_for(redirect_uri: str) -> socket.socket | None:
    """A socket on the address that members return to; None where it is not one of this machine's own.

    Raises: CannotWait.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.port is None:
        return None
    try:
        return open_listener(_LOOPBACK[parts.hostname], parts.port)
    except OSError as error:
        raise CannotWait(
            f"redirect_uri: port {parts.port} of this machine cannot be listened on ({error.strerror}). End the program "
            "that has it, or configure another port, and add that address in the Powens console."
        ) from None


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket at an IP address or name. Raises: OSError, OverflowError: it cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


async def wait_for_return(
    listener: socket.socket, redirect_uri: str, state: str, *, sleep: Callable[[float], Awaitable[object]]
) -> Returned | None:
    """Serve the address until a member returns with `state`; None when nobody did within the life of the code."""
    returned: asyncio.Future[Returned] = asyncio.get_running_loop().create_future()

    async def endpoint(request: Request) -> HTMLResponse:
        given = request.query_params.get("state", "")
        if not hmac.compare_digest(given.encode(), state.encode()):
            return _page(
                400, "This is not the link that was opened last. Open that one, or begin again in the terminal."
            )
        answer = _read(request)
        if not returned.done():
            returned.set_result(answer)
        return _page(200, answer.error or "All is done. You can close this window.")

    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=[Route(urlsplit(redirect_uri).path or "/", endpoint, methods=["GET"])]),
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
        )
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    over = asyncio.ensure_future(sleep(CODE_LIFE_SECONDS))
    ends: list[asyncio.Future[Any]] = [serving, over, returned]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
        server.should_exit = True
        await serving
    return returned.result() if returned.done() else None


def _read(request: Request) -> Returned:
    query = request.query_params
    if "error" in query:
        return Returned(error=ERRORS.get(query["error"], "Powens' page ended with an error that we do not know."))
    given = query.get("connection_ids") or query.get("connection_id") or ""
    ids = tuple(one for one in given.split(",") if one.isascii() and one.isdigit() and len(one) < 19)
    return Returned(ids) if ids else Returned(error="The member came back without a bank.")


def _page(status: int, sentence: str) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><title>pfo</title><p>{sentence}</p>\n", status, _HEADERS)
