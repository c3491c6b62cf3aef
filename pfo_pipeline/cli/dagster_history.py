"""Dagster's storage of runs and events in `DAGSTER_HOME`: opened by one program at a time, and old runs deleted.

A run of one tenant leaves about 0.2 MB: a database of its own, rows in the common one, files for its steps' output. Dagster
itself deletes only ticks (dagster.yaml, `retention`).
"""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from pfo_pipeline.cli.context import Place, require_admin
from pfo_pipeline.defs.from_contract import ASSET_KEYS, CASH_PAGE, TENANTS
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import named_ledger_errors
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.telemetry import steps

_DEADLINE_SECONDS = 60.0


class HistoryUnusable(PfoError):
    """Dagster's storage does not open, or breaks while it is used. The ledger is not touched by it."""


@contextmanager
def opened_history(lock: Path) -> Iterator[DagsterInstance]:
    """Dagster's storage. Two programs that make it at once would each find it half made.

    Raises: HistoryUnusable.
    """
    with locking_history(lock):
        try:
            instance = DagsterInstance.get()
        except Exception as error:  # Settings and databases that anything may be wrong with: each has its own class.
            raise _unusable(error) from error
    with instance:
        try:
            yield instance
        except SQLAlchemyError as error:
            raise _unusable(error) from error


@contextmanager
def locking_history(lock: Path) -> Iterator[None]:
    """Programs that are started at once make or change the storage in turn.

    Raises: HistoryUnusable, LedgerError.
    """
    try:
        with named_ledger_errors(lock), hold_lock(lock, deadline_seconds=_DEADLINE_SECONDS):
            yield
    except LockTimeout as holder:
        raise HistoryUnusable(
            f"{holder} has been making Dagster's storage for over {_DEADLINE_SECONDS:g} s. Let it finish, or end it."
        ) from None


def _unusable(error: Exception) -> HistoryUnusable:
    reason = textwrap.shorten(str(getattr(error, "orig", error)), 300, placeholder=" …")
    return HistoryUnusable(
        f"Dagster's storage in {os.environ['DAGSTER_HOME']} cannot be used: {reason} ({type(error).__name__}). "
        "Free the disk if it is full, fix dagster.yaml there if that is named; else move the folder away, and the next "
        "run makes a new one. The ledger is not touched."
    )


_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE = 200


@dataclass(frozen=True)
class DeletedRuns:
    """How many runs were deleted, and how many older ones were kept, which hold an asset's newest materialization."""

    deleted: int
    kept: int


def delete_old_runs(place: Place, now: datetime, keep: timedelta) -> DeletedRuns:
    """Delete the history of runs that ended before `now - keep`, but never the newest materialization of an asset's partition.

    Raises:
        OperationRefused: not an admin.
        HistoryUnusable: Dagster's storage does not open, or breaks.
    """
    require_admin("Tidying deletes the history of runs")
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    with opened_history(place.history_lock) as instance:
        needed = set(_newest_materializations(instance))
        old = _ended_before(instance, now - keep)
        unneeded = [run_id for run_id in old if run_id not in needed]
        for run_id in steps("Deleting runs", unneeded):
            _delete(instance, place.dagster_home, run_id)
    return DeletedRuns(len(unneeded), len(old) - len(unneeded))


def _newest_materializations(instance: DagsterInstance) -> Iterator[str]:
    """The runs that made them: without them the UI would show a partition as never made."""
    for key in (*ASSET_KEYS.values(), CASH_PAGE):
        for tenant_id in instance.get_dynamic_partitions(TENANTS):
            newest = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[tenant_id])
            yield from (record.run_id for record in instance.fetch_materializations(newest, limit=1).records)


def _ended_before(instance: DagsterInstance, at: datetime) -> list[str]:
    old = dg.RunsFilter(statuses=_ENDED, updated_before=at)
    found: list[str] = []
    while True:
        page = instance.get_runs(old, limit=_PAGE, cursor=found[-1] if found else None)
        found += [run.run_id for run in page]
        if len(page) < _PAGE:
            return found


def _delete(instance: DagsterInstance, home: Path, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    for emptied in (home / "history" / "runs").glob(f"{run_id}.db*"):
        emptied.unlink()  # SQLite keeps the size of what it held.
