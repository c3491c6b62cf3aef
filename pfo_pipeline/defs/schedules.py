"""When a tenant's workflows run by themselves: in the tenant's own time zone, not all tenants in one minute.

A schedule looks every quarter of an hour which tenants are due; a tenant's quarter is drawn from its name. Scheduled runs
read what Powens already has and never force a bank: Powens syncs by itself, and forcing is for one user at that user's
request (Powens docs, Fair usage policy).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pfo_pipeline.config import ConfigError, Tenant, load_config
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.partitions import TENANTS

QUARTER_MINUTES = 15
ACCOUNTS_HOURS = (5,)
"""After the bank day's end, before the family's office opens."""
BALANCES_HOURS = (7, 12, 16, 20)


def due(tenant: Tenant, hours: Iterable[int], at: datetime) -> str | None:
    """The tenant's local slot that falls into the quarter of an hour that begins at `at`, or None.

    The slot is a text such as `2026-03-29T05`, so that an hour that October repeats is run once.
    """
    local = at.astimezone(tenant.zone)
    quarter = int(hashlib.sha256(tenant.id.encode()).hexdigest(), 16) % (60 // QUARTER_MINUTES)
    if local.hour in hours and local.minute // QUARTER_MINUTES == quarter:
        return f"{local:%Y-%m-%dT%H}"
    return None


def requests_at(
    tenants: Iterable[Tenant], registered: Collection[str], hours: Iterable[int], at: datetime
) -> list[dg.RunRequest]:
    """A run for each registered tenant that is due in the quarter of an hour that begins at `at`."""
    slots = {t.id: slot for t in tenants if t.id in registered and (slot := due(t, hours, at))}
    return [dg.RunRequest(run_key=f"{tenant_id}:{slot}", partition_key=tenant_id) for tenant_id, slot in slots.items()]


def _requests(context: dg.ScheduleEvaluationContext, hours: Iterable[int]) -> Iterator[dg.RunRequest | dg.SkipReason]:
    try:
        config = load_config()
    except ConfigError as mistake:
        yield dg.SkipReason(str(mistake))
        return
    at = context.scheduled_execution_time.astimezone(UTC)
    requests = requests_at(config.tenants, context.instance.get_dynamic_partitions(TENANTS), hours, at)
    yield from requests
    if not requests:
        yield dg.SkipReason(f"No tenant is due in the quarter of an hour from {at:%H:%M} UTC.")


@dg.schedule(
    job=sync_openbanking_accounts,
    cron_schedule=f"*/{QUARTER_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each tenant's accounts once a night, in its own time zone. Repairs what automation does not retry.",
)
def accounts_nightly(context: dg.ScheduleEvaluationContext) -> Any:
    yield from _requests(context, ACCOUNTS_HOURS)


@dg.schedule(
    job=refresh_openbanking_balances,
    cron_schedule=f"*/{QUARTER_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each tenant's balances four times a day, in its own time zone.",
)
def balances_by_day(context: dg.ScheduleEvaluationContext) -> Any:
    yield from _requests(context, BALANCES_HOURS)
