"""When a tenant's workflows run by themselves: in the tenant's own time zone, not all tenants in one minute.

A schedule looks every quarter of an hour which tenants are due (slots.py); a tenant's quarter is drawn from its name. What was
asked for is read from Dagster's runs, because Dagster itself evaluates only the newest tick of those it missed, and knows a
run key again only at the same scheduled time. Scheduled runs read what Powens already has and never force a bank: Powens syncs
by itself, and forcing is for one user at that user's request (Powens docs, Fair usage policy).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pfo_pipeline.config import ConfigError, Tenant, load_config
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.partitions import FIRST_SYNC, TENANTS
from pfo_pipeline.defs.slots import ACCOUNTS, BALANCES, COMMANDS, QUARTER_MINUTES, Asked, Slot, Turn, due, newest_slot

_PARTITION = "dagster/partition"
_RUN_KEY = "dagster/run_key"
_ASKED = [status for status in dg.DagsterRunStatus if status != dg.DagsterRunStatus.NOT_STARTED]
"""A run that was made and not launched is of a tick that broke off: Dagster launches it when it is asked for again."""
_FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def asked_for(instance: dg.DagsterInstance, tenants: Sequence[Tenant], at: datetime) -> list[Asked]:
    """The runs that decide whether the tenants' newest slots are due: one query, a second one when a slot has no run yet."""
    slots = [slot for turn in (ACCOUNTS, BALANCES) for t in tenants if (slot := newest_slot(t, turn, at))]
    if not slots:
        return []
    own = _runs(instance, dg.RunsFilter(statuses=_ASKED, tags={_RUN_KEY: [slot.run_key for slot in slots]}))
    lacking = [slot.begins for turn in (ACCOUNTS, BALANCES) for slot in due(tenants, turn, at, own)]
    if not lacking:
        return own
    return own + _runs(instance, dg.RunsFilter(statuses=_ASKED, created_after=min(lacking)))


def _runs(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> list[Asked]:
    found = []
    for record in instance.get_run_records(wanted):
        run, key = record.dagster_run, record.dagster_run.tags.get(_RUN_KEY)
        found.append(
            Asked(
                tenant_id=run.tags.get(_PARTITION, ""),
                job=run.job_name,
                commands=frozenset(run.asset_selection or COMMANDS.get(run.job_name) or ()),
                at=record.create_timestamp.astimezone(UTC),
                run_key=key,
                failed=run.status in _FAILED and not (key or "").startswith(FIRST_SYNC),
            )
        )
    return found


def run_for(slot: Slot) -> dg.RunRequest:
    return dg.RunRequest(run_key=slot.run_key, partition_key=slot.tenant_id, tags={"pfo/slot": slot.name})


def _requests(context: dg.ScheduleEvaluationContext, turn: Turn) -> Iterator[dg.RunRequest | dg.SkipReason]:
    try:
        config = load_config()
    except ConfigError as mistake:
        yield dg.SkipReason(str(mistake))
        return
    at = context.scheduled_execution_time.astimezone(UTC)
    registered = set(context.instance.get_dynamic_partitions(TENANTS))
    tenants = [tenant for tenant in config.tenants if tenant.id in registered]
    asked = asked_for(context.instance, tenants, at)
    slots = due(tenants, turn, at, asked)
    if turn is BALANCES and slots and not _is_switched_off(context.instance, accounts_nightly.name):
        # After a night off both are due, and Dagster asks the two schedules in any order.
        following = {slot.tenant_id for slot in due(tenants, ACCOUNTS, at, asked)}
        for slot in (slot for slot in slots if slot.tenant_id in following):
            context.log.info(f"{slot.tenant_id}: slot {slot.name} is left to the balances that follow due accounts")
        slots = [slot for slot in slots if slot.tenant_id not in following]
    for slot in slots:
        why = f"caught up: slot {slot.name} was missed" if slot.is_missed(at) else f"slot {slot.name} begins"
        context.log.info(f"{slot.tenant_id}: {why}")
        yield run_for(slot)
    if not slots:
        yield dg.SkipReason(
            f"No tenant is due at {at:%H:%M} UTC: of each one's newest slot a run was asked for, or its accounts come first."
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
