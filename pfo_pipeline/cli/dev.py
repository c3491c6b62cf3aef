"""`pfo dev`: Dagster's web server and daemon until this program ends.

Each child has its own session, so that a signal reaches it once, from this program, which then waits for the whole session:
a code server and its runs end some seconds after the server that started them.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pfo_pipeline.cli.context import find_place, serving_lock, working
from pfo_pipeline.cli.options import examples
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock

GRACE_SECONDS = 20
_WORKSPACE = Path(__file__).with_name("workspace.yaml")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerError(PfoError):
    """A server of the development setup ended by itself."""


@contextmanager
def locking_server(data_dir: Path) -> Iterator[None]:
    """Raises: ServerError: another `pfo dev` works on the same data folder; two daemons would start every run twice."""
    try:
        with hold_lock(serving_lock(data_dir), deadline_seconds=0):
            yield
    except LockTimeout as holder:
        raise ServerError(f"{holder} already serves {data_dir}. End it first, or set PFO_DATA_DIR.") from None


def serve_dagster(port: int, *, lock: Path, ready: Callable[[str], None]) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, or until one of the two ends.

    `DAGSTER_HOME` is set; see `working`.

    Args:
        lock: See `run_workflows`.
    Raises:
        HistoryUnusable: Dagster's storage cannot be made.
        ServerError: one of them ended by itself; its own words are above.
    """
    here = Path("workspace.yaml").absolute()
    workspace = str(here if here.exists() else _WORKSPACE)
    programs = Path(sys.executable).parent
    _open_history(lock)
    commands = {
        "web server": [str(programs / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), "-w", workspace],
        # Every minute the daemon takes a new code server, and the old one warns that nobody talks to it any more.
        "daemon": [str(programs / "dagster-daemon"), "run", "-w", workspace, "--code-server-log-level", "error"],
    }
    children: dict[str, subprocess.Popen[bytes]] = {}
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        for name, command in commands.items():
            children[name] = subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent)
        ready(f"http://127.0.0.1:{port}")
        while not stop.wait(1.0):
            ended = [name for name, child in children.items() if child.poll() is not None]
            if ended:
                raise ServerError(f"Dagster's {ended[0]} ended by itself; its last words are above.")
    finally:
        for child in children.values():
            _signal_session(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children.values():
            while _is_alive(child) and time.monotonic() < deadline:
                time.sleep(0.1)
            if _is_alive(child):
                _signal_session(child, signal.SIGKILL)
            child.wait()


def _open_history(lock: Path) -> None:
    """Make Dagster's storage where there is none: two servers that both make it break it for each other.

    Where there is one, see that it opens: each server would end in a traceback of its own.
    """
    from pfo_pipeline.cli.dagster_history import opened_history

    with opened_history(lock) as instance:
        instance.get_runs(limit=1)


def _end_with_parent() -> None:
    """In a new child: on Linux it is ended when this program is killed (prctl(2), PR_SET_PDEATHSIG)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_alive(child: subprocess.Popen[bytes]) -> bool:
    """Whether a process of its session is alive."""
    return child.poll() is None or _signal_session(child, 0)


def _signal_session(child: subprocess.Popen[bytes], number: int) -> bool:
    """False when nothing of the session is left (macOS refuses to signal one of which only corpses are left)."""
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@click.command(
    short_help="Serve the Dagster UI, with schedules and sensors.", epilog=examples("pfo dev", "pfo dev --port 3001")
)
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI, on loopback.")
def dev(port: int) -> None:
    """The Dagster UI with schedules and sensors running; a simulated bank beside it when nothing is configured."""
    with working(find_place()) as place, locking_server(place.data_dir):
        serve_dagster(
            port,
            lock=place.history_lock,
            ready=lambda url: click.echo(f"Dagster UI: {url}   ledger: {place.files.published}"),
        )
