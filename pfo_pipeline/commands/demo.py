"""The demonstration: the simulated bank as a program of its own, and taking the demonstration's traces away again.

Only here and in the `simulator` command does anything know of the simulator: the pipeline is given a configuration
file, and cannot tell.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.store import LedgerFiles

DEMO_OFFICE = "demo"


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
        DemoError: the ledger there is not the demonstration's, or something is at work on it.
    """
    files = LedgerFiles(data_dir)
    if not files.private.exists():
        return _remove(data_dir, files)
    try:
        with queue_for(serving_lock(data_dir), deadline_seconds=0), queue_for(files.lock, deadline_seconds=0):
            return _remove(data_dir, files)
    except TurnNotReached as holder:
        raise DemoError(
            f"{holder} is at work in {data_dir} (pfo dev or a run). End it first; nothing was removed."
        ) from None
    except OSError as error:
        raise DemoError(f"{error.filename} cannot be removed: {error.strerror}. Run it again once it can.") from None


def serving_lock(data_dir: Path) -> Path:
    """Held by `pfo dev` while it runs: one Dagster at a time works on a data folder."""
    return LedgerFiles(data_dir).private / "serving.lock"


def _remove(data_dir: Path, files: LedgerFiles) -> list[Path]:
    if files.published.exists():
        with open_published(files.published) as con:
            office = con.execute("select office from office").fetchall()
        if office != [(DEMO_OFFICE,)]:
            raise DemoError(f"{files.published} is not the demonstration's ledger. Nothing was removed.")
    elif files.primary.exists():
        raise DemoError(f"{files.primary} was never published, so whose it is cannot be told. Nothing was removed.")
    history = [path for path in (data_dir / "dagster").glob("*") if path.name != "dagster.yaml"]
    doomed = [files.published, files.private, data_dir / "alerts.jsonl", *history]
    removed = [path for path in doomed if path.exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return removed
