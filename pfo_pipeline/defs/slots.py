"""Which tenants are due: a slot is an hour of the tenant's own clock, and is asked for once, in its time or caught up.

Here: the decision, from moments and from the runs that were asked for. Not here: Dagster's storage and ticks (schedules.py).
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType

import dagster as dg

from pfo_pipeline.config import Tenant
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.options import ASSET_KEYS

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
"""What a run of a whole job reads at the bank, by the job's name."""


@dataclass(frozen=True)
class Turn:
    """The hours at which a job is due. A run that does one of `served_by` reads what the job would."""

    job: str
    hours: tuple[int, ...]
    served_by: frozenset[dg.AssetKey]


ACCOUNTS = Turn(sync_openbanking_accounts.name, (5,), frozenset({_ACCOUNTS}))
"""After the bank day's end, before the family's office opens."""
BALANCES = Turn(refresh_openbanking_balances.name, (7, 12, 16, 20), frozenset({_BALANCES, _ACCOUNTS}))
"""Balances follow accounts (sensor `after_sync`)."""


@dataclass(frozen=True)
class Slot:
    """`name` is local, such as `2026-03-29T05`; `begins` is in UTC."""

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
class Asked:
    """A run that somebody has asked for. `failed`: it ended without success, and was not the first one of a new tenant."""

    tenant_id: str
    job: str
    commands: frozenset[dg.AssetKey]
    at: datetime
    run_key: str | None = None
    failed: bool = False


def newest_slot(tenant: Tenant, turn: Turn, at: datetime) -> Slot | None:
    """The tenant's slot that began last, at `at` at the latest; None when that is a day ago or longer."""
    today = at.astimezone(tenant.zone).date()
    quarter = int(hashlib.sha256(tenant.id.encode()).hexdigest(), 16) % (60 // QUARTER_MINUTES)
    times = [time(hour, quarter * QUARTER_MINUTES, tzinfo=tenant.zone) for hour in turn.hours]
    # Of an hour that October repeats this is the first pass; one that March skips begins when it would have.
    wall = [datetime.combine(day, moment) for day in (today - _DAY, today) for moment in times]
    slots = (Slot(tenant.id, f"{local:%Y-%m-%dT%H}", local.astimezone(UTC)) for local in wall)
    begun = [slot for slot in slots if at - _DAY < slot.begins <= at]
    return max(begun, key=lambda slot: (slot.begins, slot.name), default=None)


def due(tenants: Iterable[Tenant], turn: Turn, at: datetime, asked: Collection[Asked]) -> list[Slot]:
    """The newest slot of each tenant for which no run was asked, neither for it nor, with success so far, since it began.

    The slot's own run counts however it ended: its steps have had their attempts. A run of somebody else (the command line,
    the UI, a webhook) reads the same, so it counts until it fails: then the slot is due after all.
    """
    own = {run.run_key for run in asked if run.job == turn.job}
    served: dict[str, datetime] = {}
    for run in asked:
        if not run.failed and run.commands & turn.served_by:
            served[run.tenant_id] = max(run.at, served.get(run.tenant_id, run.at))
    newest = [slot for tenant in tenants if (slot := newest_slot(tenant, turn, at))]
    return [
        slot
        for slot in newest
        if slot.run_key not in own and not (slot.tenant_id in served and served[slot.tenant_id] >= slot.begins)
    ]
