"""Dagster's daemon in a plan: the program's own schedules and sensors are evaluated at times of the virtual clock."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.model import Step
from pfo_pipeline.defs.from_contract import ASSET_KEYS, FIRST_SYNC, TENANTS
from pfo_pipeline.defs.jobs import sync_openbanking_accounts
from pfo_pipeline.defs.schedules import (
    ACCOUNTS,
    BALANCES,
    COMMANDS,
    QUARTER_MINUTES,
    RequestedRun,
    accounts_nightly,
    balances_by_day,
    due,
    run_for,
)
from pfo_pipeline.defs.sensors import after_sync, tenants_sensor, webhooks_sensor

_SCHEDULES = ((accounts_nightly.name, ACCOUNTS), (balances_by_day.name, BALANCES))
_SENSORS = {sensor.name: sensor for sensor in (tenants_sensor, after_sync, webhooks_sensor)}


class Hearing(logging.Handler):
    """Keeps every logged line, including tracebacks."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.name}: {self.format(record)}")


@dataclass
class Automation:
    """Cursors and run keys as Dagster keeps them; a run key is requested once."""

    instance: dg.DagsterInstance
    clock: Callable[[], datetime]
    told: list[str] = field(default_factory=list)
    """The operator's view of ticks: skip reasons, and tags and keys of run requests."""
    _cursors: dict[str, str] = field(default_factory=dict)
    _run_keys: set[tuple[str, str]] = field(default_factory=set)
    _asked: dict[str, RequestedRun] = field(default_factory=dict)
    """Requested runs by run key."""

    def scheduled(self, tenant: Tenant, quarter: datetime) -> list[dg.RunRequest]:
        """Run requests of the schedules in the quarter of an hour that begins at `quarter`."""
        found: list[dg.RunRequest] = []
        tenants = [tenant] if self.instance.has_dynamic_partition(TENANTS, tenant.id) else []
        for name, turn in _SCHEDULES:
            slots = due(tenants, turn, quarter, self._asked.values())
            found += self._new(name, turn.job, [run_for(slot) for slot in slots], quarter)
        return found

    def sensed(self, name: str) -> list[dg.RunRequest]:
        """Run requests of a sensor now."""
        with dg.build_sensor_context(
            instance=self.instance, cursor=self._cursors.get(name), sensor_name=name
        ) as context:
            context.log.handlers = [Hearing(self.told)]  # Dagster's own handler would print.
            found: Any = _SENSORS[name](context)
        if isinstance(found, dg.SkipReason):
            return self._new(name, None, [found])
        if found.cursor is not None:
            self._cursors[name] = found.cursor
        for request in found.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest), "no tenant of a plan goes away"
            self.instance.add_dynamic_partitions(TENANTS, list(request.partition_keys))
        return self._new(name, sync_openbanking_accounts.name, found.run_requests or [found.skip_reason])

    def materialized(self, step: Step, tenant_id: str) -> None:
        """Record that a step of a run has succeeded."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(ASSET_KEYS[step.id], partition=tenant_id))

    def failed(self, asked: dg.RunRequest) -> None:
        """Record that a run has failed."""
        key = asked.run_key or ""
        if not key.startswith(FIRST_SYNC):
            self._asked[key] = replace(self._asked[key], failed=True)

    def _new(
        self,
        name: str,
        job: str | None,
        asked: Iterable[dg.RunRequest | dg.SkipReason | None],
        at: datetime | None = None,
    ) -> list[dg.RunRequest]:
        found = []
        for request in asked:
            self.told.append(f"{name}: {request}")
            key = (name, getattr(request, "run_key", None) or "")
            if isinstance(request, dg.RunRequest) and key not in self._run_keys:
                self._run_keys.add(key)
                found.append(request if request.job_name else request._replace(job_name=job))
                self._note(found[-1], at or self.clock())
        return found

    def _note(self, asked: dg.RunRequest, at: datetime) -> None:
        job = asked.job_name or ""
        commands = frozenset(asked.asset_selection or COMMANDS[job])
        self._asked[asked.run_key or ""] = RequestedRun(asked.partition_key or "", job, commands, at, asked.run_key)


def quarters(begin: datetime, end: datetime) -> list[datetime]:
    """The times of the schedules' ticks."""
    step = timedelta(minutes=QUARTER_MINUTES)
    first = begin.replace(minute=begin.minute // QUARTER_MINUTES * QUARTER_MINUTES, second=0, microsecond=0)
    found = [first + n * step for n in range((end - first) // step + 1)]
    return [quarter for quarter in found if begin <= quarter <= end]
