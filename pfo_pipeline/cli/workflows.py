"""Runs the workflows in this process, through the same Dagster jobs that schedules and the UI start.

The runs are written to Dagster's own history, so that the UI shows them like any other.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from pfo_pipeline.cli.dagster_history import locking_history, opened_history
from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.failures import CANCELLED, STARTED_BY, described_failure
from pfo_pipeline.defs.from_contract import TENANTS, job_name, run_config
from pfo_pipeline.operations.selection import EVERYTHING, Choice

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class WorkflowRun:
    """How one workflow of one tenant ended. Counts are those of its command step."""

    tenant_id: str
    workflow: Workflow
    run_id: str
    succeeded: bool
    synced: int
    failed: int
    added: int
    forced: str
    """How it ended that the bank was asked; empty where it was not."""
    reason: str

    @property
    def was_cancelled(self) -> bool:
        return self.reason == CANCELLED


def run_workflows(
    tenant_ids: list[str],
    *,
    choice: Choice = EVERYTHING,
    lock: Path,
    starting: Callable[[str, Workflow], None],
    ended: Callable[[WorkflowRun], None],
) -> list[WorkflowRun]:
    """Accounts, then balances, tenant after tenant; a tenant whose accounts failed is not asked for balances.

    Args:
        choice: What of the one tenant is run. A bank that is to be asked is asked once, for accounts.
        lock: File that programs started at once queue for while they make or change Dagster's storage.
        starting, ended: Called before and after each workflow, for progress.
    Raises:
        HistoryUnusable: Dagster's storage does not open, or breaks.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    repository = build_defs().get_repository_def()
    runs: list[WorkflowRun] = []
    with opened_history(lock) as instance, signals_seen() as interrupted:
        _register(instance, tenant_ids, lock)
        for tenant_id in tenant_ids:
            for workflow in WORKFLOWS:
                starting(tenant_id, workflow)
                result = repository.get_job(job_name(workflow)).execute_in_process(
                    instance=instance,
                    partition_key=tenant_id,
                    raise_on_error=False,
                    tags={STARTED_BY: "command-line"},
                    run_config={**_QUIET, **run_config(workflow, choice)},
                )
                runs.append(_described(tenant_id, workflow, result))
                if interrupted():
                    runs[-1] = replace(runs[-1], reason=CANCELLED)
                ended(runs[-1])
                if runs[-1].was_cancelled:
                    return runs
                if not result.success:
                    break
                choice = replace(choice, force=False, member_present=False)
    return runs


def _register(instance: dg.DagsterInstance, tenant_ids: list[str], lock: Path) -> None:
    """Add the tenants as partitions, one program at a time: Dagster refuses a partition that another has just added."""
    with locking_history(lock):
        new = [tenant_id for tenant_id in tenant_ids if not instance.has_dynamic_partition(TENANTS, tenant_id)]
        instance.add_dynamic_partitions(TENANTS, new)


@contextmanager
def signals_seen() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came. Dagster's handler and Python's raise wherever the program happens to be.

    Within Dagster's own code such an exception is dropped, and within a destructor Python shows and drops it.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before, show_dropped = signal.set_wakeup_fd(writing), sys.unraisablehook

    def seen() -> bool:
        try:
            return bool({signal.SIGINT, signal.SIGTERM} & set(os.read(reading, 512)))
        except BlockingIOError:
            return False

    def show_others(dropped: "sys.UnraisableHookArgs") -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt | DagsterExecutionInterruptedError):
            show_dropped(dropped)

    sys.unraisablehook = show_others
    try:
        yield seen
    finally:
        sys.unraisablehook = show_dropped
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _described(tenant_id: str, workflow: Workflow, result: dg.ExecuteInProcessResult) -> WorkflowRun:
    counts: dict[str, object] = {}
    for event in result.get_asset_materialization_events():
        counts = {k: v.value for k, v in event.materialization.metadata.items()} | counts
    return WorkflowRun(
        tenant_id=tenant_id,
        workflow=workflow,
        run_id=result.run_id,
        succeeded=result.success,
        synced=int(str(counts.get("synced", 0))),
        failed=int(str(counts.get("failed", 0))),
        added=int(str(counts.get("added", 0))),
        forced=str(counts.get("forced", "")),
        reason="" if result.success else _failure(result),
    )


def _failure(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, in the words of the step that failed first, never a traceback."""
    failures = [event for event in result.all_events if event.is_step_failure]
    interrupts = [e.step_failure_data.error for e in failures if e.step_failure_data.error is not None]
    causes = [described_failure(event) for event in failures]
    if any(e.cls_name == DagsterExecutionInterruptedError.__name__ for e in interrupts) or any(
        cause["code"] == CANCELLED for cause in causes
    ):
        return CANCELLED
    unnamed = f"an error of the program itself; see run {result.run_id} in the Dagster UI"
    return (causes[0]["reason"] if causes else None) or unnamed
