"""The simulator as a program: builds a world from options, and serves it on loopback until it is stopped."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pfo_pipeline.simulator import demo, demo_config
from pfo_pipeline.simulator.admin import admin_app
from pfo_pipeline.simulator.exact_json import dumps
from pfo_pipeline.simulator.gateway import Bench, Gateway
from pfo_pipeline.simulator.paris_time import Clock
from pfo_pipeline.simulator.state import Settings, World
from pfo_pipeline.simulator.webview import webview_app

LOOPBACK = "127.0.0.1"
TICK_SECONDS = 0.1


@dataclass(frozen=True)
class Options:
    """Options of the simulator.

    Args:
        world: `demo`, or `empty` for a test that builds its own.
        port: 0 for any free one.
        now: Aware start of the virtual clock, default the machine's.
        frozen: Whether the clock moves only on request.
        rate_limit: Calls per minute and domain, 0 for no limit.
        page_size: Upper limit of a list page, null for none.
        state_dir: Folder for the pipeline's configuration of the demo world.
        end_with_stdin: Whether to stop when standard input ends.
    """

    world: Literal["demo", "empty"] = "demo"
    port: int = 0
    seed: int = 7
    now: datetime | None = None
    frozen: bool = False
    rate_limit: int = 0
    page_size: int | None = None
    state_dir: Path | None = None
    end_with_stdin: bool = False


def build_bench(options: Options) -> Bench:
    """Build the world and its instruments from the options."""
    clock = Clock(options.now or datetime.now(UTC), frozen=options.frozen)
    settings = Settings(rate_limit_per_minute=options.rate_limit, page_size=options.page_size)
    world = World(clock=clock, seed=options.seed, advanced_to=clock.now(), settings=settings)
    if options.world == "demo":
        demo.populate(world)
    return Bench(world)


class PortUnusable(OSError):
    """The port cannot be used."""


def listen(port: int = 0) -> socket.socket:
    """Open a listening socket on loopback. Raises: PortUnusable."""
    # With an explicit protocol asyncio turns Nagle's algorithm off; otherwise each answer takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortUnusable(
            f"{LOOPBACK}:{port} cannot be listened on: {error.strerror}. Choose another --port, or 0 for any free one."
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The root URL of a listening socket."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


class LoopbackServer(uvicorn.Server):
    """A server that leaves signals to its caller."""

    _loop: asyncio.AbstractEventLoop | None = None
    _stopped: asyncio.Event | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing: uvicorn would raise the signal again when it exits."""
        yield

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but end immediately when stopped, not at the next tick."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything without uvicorn's grace period; open requests end with the event loop."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # One iteration of the loop, in which the transports close.
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Stop soon, without waiting for clients or slow answers. May be called from any thread."""
        self.should_exit = True
        self.force_exit = True
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


def build_server(bench: Bench) -> LoopbackServer:
    """A quiet HTTP server for a bench; run it on sockets of `listen`."""
    config = uvicorn.Config(
        Gateway(bench, admin=admin_app(bench), webview=webview_app(bench)),
        http=_ProtocolWithTransport,
        ws="none",
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
    )
    return LoopbackServer(config)


def run(options: Options) -> None:
    """Serve until SIGTERM, SIGINT, or the end of standard input if that option is set.

    Prints one JSON line `{"url", "config"}` once the port is open; `config` is null without a state folder.
    """
    bench = build_bench(options)
    with listen(options.port) as listener:
        url = url_of(listener)
        written = None
        if options.state_dir is not None and options.world == "demo":
            written = demo_config.write(bench.world, options.state_dir, url)
        message = dumps({"url": url, "config": str(written) if written else None}).decode("utf-8")
        asyncio.run(_serve(build_server(bench), listener, message, end_with_stdin=options.end_with_stdin))


async def _serve(server: LoopbackServer, listener: socket.socket, message: str, *, end_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    if end_with_stdin:
        watcher = threading.Thread(target=_watch_stdin, args=(loop, server.stop), daemon=True)
        watcher.start()
    # Last, because a reader of this line may stop the program immediately.
    sys.stdout.write(message + "\n")
    sys.stdout.flush()
    await server.serve(sockets=[listener])


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    # On the descriptor: a daemon thread inside sys.stdin would hold its lock when the interpreter exits.
    with contextlib.suppress(OSError):
        while os.read(0, 65_536):
            pass
    # The loop may have ended meanwhile.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop)


class _ProtocolWithTransport(H11Protocol):
    """Passes the connection's transport to the application, which needs it for faults on the wire."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)
