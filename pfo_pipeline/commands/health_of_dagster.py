"""Is Dagster at work? Its daemon, the last tick of each sensor and schedule, whether the code loads, waiting webhooks.

Asked of Dagster's own interface, which needs Dagster: about two seconds. The web server is not asked: what it shows comes from
the same storage.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterInstance

from pfo_pipeline.commands.figures import duration
from pfo_pipeline.commands.health import Finding
from pfo_pipeline.commands.history import opened_history
from pfo_pipeline.commands.place import Place
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.schedules import QUARTER_MINUTES
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

SILENCE = timedelta(minutes=5)
"""The daemon gives a sign of life every half minute; a sensor that takes long may hold it up a little."""
_PATIENCE = 3
"""So many intervals may pass without a tick: the daemon takes the sensors one after another."""
_START = "Start it (systemctl start pfo-daemon, or pfo dev); until then runs wait in the queue, and no schedule runs."


def dagster_findings(place: Place, now: datetime) -> Iterator[Finding]:
    """Raises: HistoryUnusable: Dagster's storage does not open."""
    # The storage first: loading the code reads it too.
    with opened_history(place.history_lock) as instance:
        yield _daemon(instance, now)
        try:
            repository = build_defs().get_repository_def()
            repository.load_all_definitions()
        except Exception as error:  # Anything may be wrong with code that does not load.
            name = type(error).__name__
            yield Finding("critical", "code", f"the code location does not load ({name}). Install the lock anew.")
            return
        yield Finding("ok", "code", "the code location loads")
        intervals = _intervals(repository)
        states = {s.instigator_name: s for s in instance.all_instigator_state() if s.instigator_name in intervals}
        for name, interval in sorted(intervals.items()):
            yield _instigator(instance, name, interval, states.get(name), now)
    yield _webhooks(place, states.get("webhooks"), now)


def _intervals(repository: dg.RepositoryDefinition) -> dict[str, timedelta]:
    """How often each sensor and schedule looks."""
    sensors = {s.name: timedelta(seconds=s.minimum_interval_seconds or 30) for s in repository.sensor_defs}
    return sensors | {s.name: timedelta(minutes=QUARTER_MINUTES) for s in repository.schedule_defs}


def _daemon(instance: DagsterInstance, now: datetime) -> Finding:
    beats = {kind: status.last_heartbeat for kind, status in instance.get_daemon_statuses().items() if status.required}
    if not any(beats.values()):
        return Finding("critical", "daemon", f"has never run. {_START}")
    ages = {kind: now - datetime.fromtimestamp(beat.timestamp, UTC) for kind, beat in beats.items() if beat}
    silent = sorted(kind for kind in beats if kind not in ages or ages[kind] > SILENCE)
    if silent:
        oldest = duration(max(ages.values()))
        return Finding("critical", "daemon", f"no sign of life for {oldest} ({', '.join(silent)}). {_START}")
    failing = sorted(kind for kind, beat in beats.items() if beat and beat.errors)
    if failing:
        return Finding("warn", "daemon", f"{', '.join(failing)} had errors; its log tells which.")
    return Finding("ok", "daemon", f"last sign of life {duration(max(ages.values()))} ago")


def _instigator(
    instance: DagsterInstance, name: str, interval: timedelta, state: "InstigatorState | None", now: datetime
) -> Finding:
    about = f"automation {name}"
    if state is None:
        return Finding("warn", about, "has never ticked")
    if state.status.value == "STOPPED":
        return Finding("warn", about, "was switched off. Switch it on again in the Dagster UI, under Automation.")
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    if not ticks:  # A schedule's first comes with its first quarter of an hour.
        return Finding("ok", about, "is switched on; no tick yet")
    age = now - datetime.fromtimestamp(ticks[0].timestamp, UTC)
    if age > max(_PATIENCE * interval, SILENCE):
        return Finding("warn", about, f"last ticked {duration(age)} ago, and should every {duration(interval)}")
    if ticks[0].status.value == "FAILURE":
        return Finding("warn", about, "its last tick failed; the Dagster UI shows why, under Automation.")
    return Finding("ok", about, f"ticked {duration(age)} ago")


def _webhooks(place: Place, state: "InstigatorState | None", now: datetime) -> Finding:
    cursor = getattr(state.instigator_data, "cursor", None) if state else None
    waiting = Inbox(inbox_path(place.files.private), lambda: now).after(int(cursor or 0), 1)
    if not waiting:
        return Finding("ok", "webhooks", "none waits for a run")
    age = now - datetime.fromtimestamp(waiting[0].seq / 1e6, UTC)
    return Finding("warn" if age > SILENCE else "ok", "webhooks", f"the oldest has waited {duration(age)} for its run")
