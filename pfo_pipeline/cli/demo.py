"""The demonstration: `pfo demo remove`, `pfo simulator`, and the simulated bank that runs when nothing is configured."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from pfo_pipeline.cli.context import DEMO_OFFICE, find_place, require_admin, serving_lock
from pfo_pipeline.cli.options import examples
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.reader import open_published, published_reader
from pfo_pipeline.report.output import pages_folder


class DemoError(PfoError):
    """The demonstration could not be started or taken away."""


@contextmanager
def simulated_bank() -> Iterator[Path]:
    """Run the simulator on a free loopback port until the block ends, or this process does.

    Yields:
        The configuration file that it wrote for its tenants, in a temporary folder: a second simulated bank beside
        this one has another port.
    """
    with tempfile.TemporaryDirectory(prefix="pfo-demo-") as state_dir, _simulator(state_dir) as config_file:
        yield config_file


@contextmanager
def _simulator(state_dir: str) -> Iterator[Path]:
    command = [sys.executable, "-m", "pfo_pipeline.simulator", "--state-dir", state_dir, "--end-with-stdin"]
    # A session of its own: Ctrl-C is for us, and the bank ends after its customers.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as bank:
        try:
            assert bank.stdout is not None
            ready = bank.stdout.readline()
            if not ready:
                raise DemoError("The simulated bank did not start; see the message above.")
            yield Path(json.loads(ready)["config"])
        finally:
            bank.terminate()
            bank.communicate()


def remove_demo(data_dir: Path) -> list[Path]:
    """Delete the demonstration's ledger, alerts and run history, and nothing else.

    Raises:
        OperationRefused: not an admin.
        DemoError: the ledger there is not the demonstration's, or something is at work on it.
        LedgerError: what is published there does not open.
    """
    require_admin("Removing the demonstration deletes a ledger")
    files = LedgerFiles(data_dir)
    try:
        _refuse_other_ledger(files)
        if not files.private.exists():
            return _remove(data_dir, files)
        with ExitStack() as held:
            for lock in (serving_lock(data_dir), *tenant_locks(files), files.lock):
                held.enter_context(hold_lock(lock, deadline_seconds=0))
            _refuse_other_ledger(files)
            return _remove(data_dir, files)
    except LockTimeout as holder:
        raise DemoError(
            f"{holder} is at work in {data_dir} (pfo dev or a run). End it first; nothing was removed."
        ) from None
    except OSError as error:
        raise DemoError(
            f"{error.filename or data_dir} cannot be removed: {error.strerror or error}. Run it again once it can."
        ) from None


def tenant_locks(files: LedgerFiles) -> list[Path]:
    """The locks that runs hold: of every tenant in the ledger, and of every tenant that a run was begun for."""
    known = published_reader(files.published).tenants() if files.published.exists() else []
    return sorted({*map(files.tenant_lock, known), *files.tenant_lock("").parent.glob("*.lock")})


def _refuse_other_ledger(files: LedgerFiles) -> None:
    """Raises: DemoError: the ledger is not the demonstration's, or it cannot be known."""
    if files.published.exists():
        with open_published(files.published) as con:
            office = con.execute("select office from office").fetchall()
        if office != [(DEMO_OFFICE,)]:
            raise DemoError(f"{files.published} is not the demonstration's ledger. Nothing was removed.")
    elif files.primary.exists():
        raise DemoError(f"{files.primary} was never published, so its office is unknown. Nothing was removed.")


def _remove(data_dir: Path, files: LedgerFiles) -> list[Path]:
    """Links are removed and not followed: their targets may belong to others."""
    dagster = data_dir / "dagster"
    history = [dagster] if dagster.is_symlink() else [p for p in dagster.glob("*") if p.name != "dagster.yaml"]
    # The published ledger last: after an interruption it proves that all this is the demonstration's.
    doomed = [*history, data_dir / "alerts.jsonl", pages_folder(data_dir), files.private, files.published]
    removed = [path for path in doomed if path.is_symlink() or path.exists()]
    for path in removed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return removed


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
    short_help="Serve a simulated Powens on loopback.",
    epilog=examples("pfo simulator", "pfo simulator --world empty --port 8700"),
)
@click.pass_context
def simulator(ctx: click.Context) -> None:
    """A Powens on loopback, with a clock and faults (see `pfo simulator --help`)."""
    from pfo_pipeline.simulator.__main__ import main as simulate

    simulate(ctx.args, prog="pfo simulator")


@click.group(epilog=examples("pfo demo remove"))
def demo() -> None:
    """Manage the demonstration, which runs when nothing is configured."""


@demo.command(epilog=examples("pfo demo remove"))
def remove() -> None:
    """Delete the demonstration's ledger, alerts and run history, to go live in the same folder."""
    place = find_place()
    if place.config is not None and place.config.office == DEMO_OFFICE:
        raise DemoError(f"{place.config.source} calls its own office {DEMO_OFFICE!r}. Nothing was removed.")
    for path in remove_demo(place.data_dir):
        click.echo(f"removed {_short(path)}")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
