"""`pfo tidy`: delete what Dagster keeps of old runs. The ledger's history, its load log and the alerts stay.

A run of one tenant leaves about 0.2 MB: a database of its own, rows in the common one, files for its steps' output. Dagster
itself deletes only ticks (dagster.yaml, `retention`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click
import dagster as dg
from dagster import DagsterInstance

from pfo_pipeline.commands.history import opened_history
from pfo_pipeline.commands.place import Place
from pfo_pipeline.defs.options import ASSET_KEYS, CASH_PAGE
from pfo_pipeline.defs.partitions import TENANTS
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.telemetry import steps

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE = 200


@dataclass(frozen=True)
class Tidied:
    """Runs whose history was deleted, and older ones that hold an asset's newest materialization."""

    deleted: int
    kept: int


def tidy(place: Place, now: datetime, keep: timedelta) -> Tidied:
    """Delete the history of runs that ended before `now - keep`, but never the newest materialization of an asset's partition.

    Raises:
        OperationRefused: not an admin.
        HistoryUnusable: Dagster's storage does not open, or breaks.
    """
    if place.role != "admin":
        raise OperationRefused("Tidying deletes the history of runs, so it needs role admin (PFO_ROLE).")
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    with opened_history(place.history_lock) as instance:
        needed = set(_newest_materializations(instance))
        old = _ended_before(instance, now - keep)
        unneeded = [run_id for run_id in old if run_id not in needed]
        for run_id in steps("Deleting runs", unneeded):
            _delete(instance, place.dagster_home, run_id)
    return Tidied(len(unneeded), len(old) - len(unneeded))


def tidy_and_show(place: Place, now: datetime, keep: timedelta) -> None:
    """Raises: as `tidy`."""
    tidied = tidy(place, now, keep)
    click.echo(
        f"Deleted the history of {tidied.deleted} runs older than {keep.days} days; kept {tidied.kept} of that age, "
        "which made the newest state of an asset. The ledger is not touched."
    )


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
