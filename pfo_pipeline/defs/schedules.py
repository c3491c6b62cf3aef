"""Schedules: when the workflows of a tenant are due, in its time zone, spread over the hour.

A due time is an hour of the tenant's own clock and is requested once, in time or caught up. A schedule looks every quarter of
an hour; the tenant's name decides its quarter. Requests are read from Dagster's runs, because Dagster evaluates only the
newest tick of those it missed, and knows a run key again only at the same scheduled time. Scheduled runs read the data that
Powens already has and never force a bank: Powens syncs by itself, and forcing is for one user at that user's request
(Powens docs, Fair usage policy).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

import dagster as dg

from pfo_pipeline.config import ConfigError, Tenant, load_config
from pfo_pipeline.defs.from_contract import ASSET_KEYS, FIRST_SYNC, TENANTS
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts

QUARTER_MINUTES = 15
_QUARTER = timedelta(minutes=QUARTER_MINUTES)
_DAY = timedelta(days=1)
_ACCOUNTS = ASSET_KEYS["sync-accounts"]
_BALANCES = ASSET_KEYS["refresh-balances"]
COMMANDS: Mapping[str, frozenset[dg.AssetKey]] = MappingProxyType(
    {
        sync_openbanking_accounts.name: frozenset({_ACCOUNTS}),
        refresh_openbanking_balances.name: frozenset({_BALANCES}),
    }
)
"""The assets of a whole job that read the bank, by the job's name."""


@dataclass(frozen=True)
class JobHours:
    """The hours at which a job is due. A run of one of `served_by` reads the same data as the job."""

    job: str
    hours: tuple[int, ...]
    served_by: frozenset[dg.AssetKey]


ACCOUNTS = JobHours(sync_openbanking_accounts.name, (5,), frozenset({_ACCOUNTS}))
"""After the bank day's end, before the family's office opens."""
BALANCES = JobHours(refresh_openbanking_balances.name, (7, 12, 16, 20), frozenset({_BALANCES, _ACCOUNTS}))
"""Balances follow accounts (sensor `after_sync`)."""


@dataclass(frozen=True)
class DueTime:
    """A due time of a tenant. `name` is local, such as `2026-03-29T05`; `begins` is in UTC."""

    tenant_id: str
    name: str
    begins: datetime

    @property
    def run_key(self) -> str:
        return f"{self.tenant_id}:{self.name}"

    def is_missed(self, at: datetime) -> bool:
        """Whether its own quarter of an hour is over."""
        return at - self.begins >= _QUARTER


@dataclass(frozen=True)
class RequestedRun:
    """A requested run. `failed`: it ended without success, and was not the first run of a new tenant."""

    tenant_id: str
    job: str
    commands: frozenset[dg.AssetKey]
    at: datetime
    run_key: str | None = None
    failed: bool = False


def newest_due_time(tenant: Tenant, job_hours: JobHours, at: datetime) -> DueTime | None:
    """The tenant's latest due time up to `at`; None if that is at least a day ago."""
    today = at.astimezone(tenant.zone).date()
    quarter = int(hashlib.sha256(tenant.id.encode()).hexdigest(), 16) % (60 // QUARTER_MINUTES)
    times = [time(hour, quarter * QUARTER_MINUTES, tzinfo=tenant.zone) for hour in job_hours.hours]
    # An hour that October repeats is taken at its first pass; one that March skips begins when it would have.
    wall = [datetime.combine(day, moment) for day in (today - _DAY, today) for moment in times]
    due_times = (DueTime(tenant.id, f"{local:%Y-%m-%dT%H}", local.astimezone(UTC)) for local in wall)
    begun = [due_time for due_time in due_times if at - _DAY < due_time.begins <= at]
    return max(begun, key=lambda due_time: (due_time.begins, due_time.name), default=None)


def due(
    tenants: Iterable[Tenant], job_hours: JobHours, at: datetime, requested: Collection[RequestedRun]
) -> list[DueTime]:
    """The newest due time of each tenant that has neither its own run nor a later run without failure.

    A due time's own run counts whatever its result: its steps have had their attempts. Another run (from the command line, the
    UI,
    a webhook) reads the same data, so it counts until it fails; then the tenant is due after all.
    """
    own = {run.run_key for run in requested if run.job == job_hours.job}
    served: dict[str, datetime] = {}
    for run in requested:
        if not run.failed and run.commands & job_hours.served_by:
            served[run.tenant_id] = max(run.at, served.get(run.tenant_id, run.at))
    newest = [due_time for tenant in tenants if (due_time := newest_due_time(tenant, job_hours, at))]
    return [
        due_time
        for due_time in newest
        if due_time.run_key not in own
        and not (due_time.tenant_id in served and served[due_time.tenant_id] >= due_time.begins)
    ]


_PARTITION = "dagster/partition"
_RUN_KEY = "dagster/run_key"
_REQUESTED = [status for status in dg.DagsterRunStatus if status != dg.DagsterRunStatus.NOT_STARTED]
"""A run that was created but not launched comes from an interrupted tick: Dagster launches it when it is requested again."""
_FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def requested_runs(instance: dg.DagsterInstance, tenants: Sequence[Tenant], at: datetime) -> list[RequestedRun]:
    """The runs that decide whether the tenants are due: one query, and a second one if a due time has no run yet."""
    due_times = [
        due_time
        for job_hours in (ACCOUNTS, BALANCES)
        for t in tenants
        if (due_time := newest_due_time(t, job_hours, at))
    ]
    if not due_times:
        return []
    own = _runs(
        instance, dg.RunsFilter(statuses=_REQUESTED, tags={_RUN_KEY: [due_time.run_key for due_time in due_times]})
    )
    lacking = [due_time.begins for job_hours in (ACCOUNTS, BALANCES) for due_time in due(tenants, job_hours, at, own)]
    if not lacking:
        return own
    return own + _runs(instance, dg.RunsFilter(statuses=_REQUESTED, created_after=min(lacking)))


def _runs(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> list[RequestedRun]:
    found = []
    for record in instance.get_run_records(wanted):
        run, key = record.dagster_run, record.dagster_run.tags.get(_RUN_KEY)
        found.append(
            RequestedRun(
                tenant_id=run.tags.get(_PARTITION, ""),
                job=run.job_name,
                commands=frozenset(run.asset_selection or COMMANDS.get(run.job_name) or ()),
                at=record.create_timestamp.astimezone(UTC),
                run_key=key,
                failed=run.status in _FAILED and not (key or "").startswith(FIRST_SYNC),
            )
        )
    return found


def run_for(due_time: DueTime) -> dg.RunRequest:
    return dg.RunRequest(run_key=due_time.run_key, partition_key=due_time.tenant_id, tags={"pfo/slot": due_time.name})


def _requests(context: dg.ScheduleEvaluationContext, job_hours: JobHours) -> Iterator[dg.RunRequest | dg.SkipReason]:
    try:
        config = load_config()
    except ConfigError as mistake:
        yield dg.SkipReason(str(mistake))
        return
    at = context.scheduled_execution_time.astimezone(UTC)
    registered = set(context.instance.get_dynamic_partitions(TENANTS))
    tenants = [tenant for tenant in config.tenants if tenant.id in registered]
    requested = requested_runs(context.instance, tenants, at)
    due_times = due(tenants, job_hours, at, requested)
    if job_hours is BALANCES and due_times and not _is_switched_off(context.instance, accounts_nightly.name):
        # After a night without service both jobs are due, and Dagster evaluates the two schedules in any order.
        following = {due_time.tenant_id for due_time in due(tenants, ACCOUNTS, at, requested)}
        for due_time in (due_time for due_time in due_times if due_time.tenant_id in following):
            context.log.info(
                f"{due_time.tenant_id}: due time {due_time.name} is left to the balances that follow due accounts"
            )
        due_times = [due_time for due_time in due_times if due_time.tenant_id not in following]
    for due_time in due_times:
        why = (
            f"caught up: due time {due_time.name} was missed"
            if due_time.is_missed(at)
            else f"due time {due_time.name} begins"
        )
        context.log.info(f"{due_time.tenant_id}: {why}")
        yield run_for(due_time)
    if not due_times:
        yield dg.SkipReason(
            f"No tenant is due at {at:%H:%M} UTC: each one's newest due time has a run, or its accounts come first."
        )


def _is_switched_off(instance: dg.DagsterInstance, schedule: str) -> bool:
    states = (state for state in instance.all_instigator_state() if state.instigator_name == schedule)
    return any(state.status.value == "STOPPED" for state in states)


@dg.schedule(
    job=sync_openbanking_accounts,
    cron_schedule=f"*/{QUARTER_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each tenant's accounts once a night, in its own time zone. Repairs what automation does not retry.",
)
def accounts_nightly(context: dg.ScheduleEvaluationContext) -> Any:
    yield from _requests(context, ACCOUNTS)


@dg.schedule(
    job=refresh_openbanking_balances,
    cron_schedule=f"*/{QUARTER_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each tenant's balances four times a day, in its own time zone.",
)
def balances_by_day(context: dg.ScheduleEvaluationContext) -> Any:
    yield from _requests(context, BALANCES)
