"""Health of the Dagster instance: daemon, ticks, failed runs and blocking checks, from Dagster's own storage.

The state is read, not collected from events, so every reader finds the same state, in any program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import dagster as dg

from pfo_pipeline.defs.schedules import QUARTER_MINUTES

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState
from collections.abc import Iterable

from pfo_pipeline.alerts.conditions import Condition, Findings, without_users
from pfo_pipeline.config import Config, ConfigError, Tenant
from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import CANCELLED, broken_rules, described_failure, described_start_failure
from pfo_pipeline.defs.from_contract import ASSET_KEYS, asset_keys, job_name
from pfo_pipeline.defs.resources import PARTITION_TAG

SILENCE = timedelta(minutes=5)
"""The daemon sends a heartbeat every half minute; a slow sensor may delay it a little."""
_IN_A_ROW = 3
_PATIENCE = 3
"""Number of intervals without a tick that is normal: the daemon runs the sensors one after another."""


@dataclass(frozen=True)
class DaemonPulse:
    """`failing`: its parts with errors; `silent`: its parts without a heartbeat for SILENCE; `last`: the oldest heartbeat."""

    state: Literal["well", "never ran", "silent", "failing"]
    last: datetime | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class TickPulse:
    """A sensor or schedule; `last` is its last tick."""

    name: str
    interval: timedelta
    state: Literal["well", "no tick yet", "never ticked", "switched off", "silent", "failing"]
    last: datetime | None = None
    fails_again_and_again: bool = False
    """One failed tick may come from a code location that was loading; several in a row do not."""


def daemon_pulse(instance: dg.DagsterInstance, now: datetime) -> DaemonPulse:
    beats = {kind: status.last_heartbeat for kind, status in instance.get_daemon_statuses().items() if status.required}
    lasts = {kind: datetime.fromtimestamp(beat.timestamp, UTC) for kind, beat in beats.items() if beat}
    if not lasts:
        return DaemonPulse("never ran")
    oldest = min(lasts.values())
    silent = sorted(kind for kind in beats if kind not in lasts or now - lasts[kind] > SILENCE)
    if silent:
        return DaemonPulse("silent", oldest, tuple(silent))
    failing = sorted(kind for kind, beat in beats.items() if beat and beat.errors)
    return DaemonPulse("failing" if failing else "well", oldest, tuple(failing))


def tick_pulses(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> Iterator[TickPulse]:
    """The pulse of each sensor and schedule, by name."""
    states = instigator_states(instance, repository)
    for name, interval in sorted(_intervals(repository).items()):
        yield _pulse(instance, name, interval, states.get(name), now)


def instigator_states(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> dict[str, "InstigatorState"]:
    """Dagster's stored state of each existing sensor and schedule (not of removed ones)."""
    names = _intervals(repository)
    return {s.instigator_name: s for s in instance.all_instigator_state() if s.instigator_name in names}


def _intervals(repository: dg.RepositoryDefinition) -> dict[str, timedelta]:
    """Interval of each sensor and schedule."""
    sensors = {s.name: timedelta(seconds=s.minimum_interval_seconds or 30) for s in repository.sensor_defs}
    return sensors | {s.name: timedelta(minutes=QUARTER_MINUTES) for s in repository.schedule_defs}


def _pulse(
    instance: dg.DagsterInstance, name: str, interval: timedelta, state: "InstigatorState | None", now: datetime
) -> TickPulse:
    if state is None:
        return TickPulse(name, interval, "never ticked")
    if state.status.value == "STOPPED":
        return TickPulse(name, interval, "switched off")
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_IN_A_ROW)
    if not ticks:  # A schedule's first tick comes within its first quarter of an hour.
        return TickPulse(name, interval, "no tick yet")
    last = datetime.fromtimestamp(ticks[0].timestamp, UTC)
    if now - last > max(_PATIENCE * interval, SILENCE):
        return TickPulse(name, interval, "silent", last)
    failed = [tick.status.value == "FAILURE" for tick in ticks]
    return TickPulse(name, interval, "failing" if failed[0] else "well", last, failed == [True] * _IN_A_ROW)


_BY_HAND = "__ASSET_JOB"
"""Dagster's name for the job of a run that materializes assets that a person chose."""
_LATELY = 5
"""Cancelled runs say nothing; after more than this number in a row, older runs are not read."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_TELLING = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_WHERE = "The Dagster UI shows run {run}. Once fixed: pfo run --tenant {tenant}"


def run_findings(instance: dg.DagsterInstance, config: Config, tenant_ids: Iterable[str] | None = None) -> Findings:
    """Workflows whose newest run failed, for each tenant; a later success of the same workflow ends the condition."""
    chosen = frozenset(tenant_ids) if tenant_ids is not None else None
    found = [
        condition
        for tenant in config.tenants
        if chosen is None or tenant.id in chosen
        for workflow in WORKFLOWS
        for condition in _of_workflow(instance, tenant, workflow)
    ]
    return Findings(tuple(found), frozenset({"run", "check"}), chosen)


def clock_is_wrong(instance: dg.DagsterInstance) -> bool:
    """Whether the newest run that called Powens failed because this machine's clock is wrong: ages are then unknown."""
    runs = [
        record
        for workflow in WORKFLOWS
        for record in instance.get_run_records(dg.RunsFilter(job_name=job_name(workflow), statuses=_ENDED), limit=1)
    ]
    if not runs:
        return False
    run = max(runs, key=lambda record: record.storage_id).dagster_run
    failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE) if run.is_failure else ()
    return any(described_failure(e.dagster_event)["code"] == "clock" for e in failures if e.dagster_event)


def _of_workflow(instance: dg.DagsterInstance, tenant: Tenant, workflow: Workflow) -> list[Condition]:
    """Failures of a workflow since the last successful read of the bank.

    A later run of other steps alone, such as one that only publishes, ends the failures of those steps and no others.
    """
    entry = ASSET_KEYS[workflow.entry_step_id]
    fixed: set[str] = set()
    for run in _newest_runs(instance, tenant.id, workflow):
        if run.is_success:
            if not run.asset_selection or entry in run.asset_selection:
                return []
            fixed |= {"__".join(key.path) for key in run.asset_selection}
            continue
        events = [e.dagster_event for e in instance.all_logs(run.run_id, of_type=_TELLING) if e.dagster_event]
        causes = [described_failure(event) for event in events if event.is_step_failure]
        if any(cause["code"] == CANCELLED for cause in causes):
            continue
        blocked = _blocked(events, tenant, run)
        if not blocked and causes and {cause["step"] for cause in causes} <= fixed:
            return []
        return blocked or [_failed(events, causes, tenant, workflow, run)]
    return []


def _newest_runs(instance: dg.DagsterInstance, tenant_id: str, workflow: Workflow) -> list[dg.DagsterRun]:
    """The finished runs, newest first."""
    assets = set(asset_keys(workflow))
    records = [
        record
        for job in (job_name(workflow), _BY_HAND)
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=job, tags={PARTITION_TAG: tenant_id}, statuses=_ENDED), limit=_LATELY
        )
        if job != _BY_HAND or assets & (record.dagster_run.asset_selection or set())
    ]
    return [record.dagster_run for record in sorted(records, key=lambda record: -record.storage_id)]


def _blocked(events: list[dg.DagsterEvent], tenant: Tenant, run: dg.DagsterRun) -> list[Condition]:
    return [
        Condition(
            kind="check",
            tenant_id=tenant.id,
            thing=f"{check.asset_key.to_user_string()}: {check.check_name}",
            owner="operator",
            severity="critical",
            code="checkFailed",
            text=f"The check {check.check_name} of {check.asset_key.to_user_string()} stopped a run",
            remedy=_WHERE.format(run=run.run_id[:8], tenant=tenant.id),
        )
        for check in broken_rules(events)
    ]


def _failed(
    events: list[dg.DagsterEvent],
    causes: list[dict[str, str | None]],
    tenant: Tenant,
    workflow: Workflow,
    run: dg.DagsterRun,
) -> Condition:
    cause = causes[0] if causes else described_start_failure(events)
    return Condition(
        kind="run",
        tenant_id=tenant.id,
        thing=job_name(workflow),
        owner=cause["who_acts"] or "operator",
        severity="critical",
        code=cause["code"] or "error",
        text=f"{workflow.title} failed ({cause['code']}): {_reason(tenant, cause)}",
        remedy=_WHERE.format(run=run.run_id[:8], tenant=tenant.id),
    )


def _reason(tenant: Tenant, cause: dict[str, str | None]) -> str:
    """The reason. A configuration error may concern another tenant, so its text must not go to this tenant's people."""
    if cause["code"] == ConfigError.__name__:
        return "the configuration cannot be used; pfo config check names each mistake."
    return without_users(tenant, cause["reason"] or "")


def pulse_findings(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime) -> Findings:
    """The daemon, if it ran once and no longer runs; while it runs, sensors and schedules that do not."""
    daemon = daemon_pulse(instance, now)
    if daemon.state == "silent":
        return Findings((_daemon(daemon),), frozenset({"daemon"}))
    pulses = tick_pulses(instance, repository, now) if daemon.state != "never ran" else ()
    troubled = [_automation(p) for p in pulses if p.state in ("switched off", "silent") or p.fails_again_and_again]
    return Findings(tuple(troubled), frozenset({"daemon", "sensor"}))


def _daemon(pulse: DaemonPulse) -> Condition:
    return Condition(
        kind="daemon",
        tenant_id="",
        thing="daemon",
        owner="operator",
        severity="critical",
        code="daemonSilent",
        text=f"Dagster's daemon has given no sign of life since {pulse.last:%Y-%m-%d %H:%M} UTC",
        remedy="Start it: systemctl start pfo-daemon, or pfo dev. Until then nothing runs by itself.",
    )


def _automation(pulse: TickPulse) -> Condition:
    last = f"{pulse.last:%Y-%m-%d %H:%M} UTC" if pulse.last else ""
    texts = {
        "switched off": ("is switched off", "Switch it on again in the Dagster UI, under Automation."),
        "failing": ("fails", "The Dagster UI shows why, under Automation."),
        "silent": (f"last ticked at {last}", "Look at the daemon's log."),
    }
    text, remedy = texts[pulse.state]
    return Condition(
        kind="sensor",
        tenant_id="",
        thing=pulse.name,
        owner="operator",
        severity="notice" if pulse.state == "switched off" else "critical",
        code=pulse.state.replace(" ", "-"),
        text=f"{pulse.name} {text}",
        remedy=remedy,
    )
