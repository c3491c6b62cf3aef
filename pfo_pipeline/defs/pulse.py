"""Are the daemon, the sensors and the schedules at work? Their last signs of life, from Dagster's own storage.

Not here: the words, and who is told (conditions.py for alerts, commands/health_of_dagster.py for a monitor).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import dagster as dg

from pfo_pipeline.defs.slots import QUARTER_MINUTES

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

SILENCE = timedelta(minutes=5)
"""The daemon gives a sign of life every half minute; a sensor that takes long may hold it up a little."""
_IN_A_ROW = 3
_PATIENCE = 3
"""So many intervals may pass without a tick: the daemon takes the sensors one after another."""


@dataclass(frozen=True)
class DaemonPulse:
    """`failing`: its parts that had errors; `silent`: those that gave no sign for SILENCE. `last`: the oldest one's."""

    state: Literal["well", "never ran", "silent", "failing"]
    last: datetime | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class TickPulse:
    """Of a sensor or schedule; `last` is its last tick."""

    name: str
    interval: timedelta
    state: Literal["well", "no tick yet", "never ticked", "switched off", "silent", "failing"]
    last: datetime | None = None
    fails_again_and_again: bool = False
    """One failed tick may be that of a code location that was loading; not so several in a row."""


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
    """One of each sensor and schedule, by name."""
    states = instigator_states(instance, repository)
    for name, interval in sorted(_intervals(repository).items()):
        yield _pulse(instance, name, interval, states.get(name), now)


def instigator_states(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> dict[str, "InstigatorState"]:
    """What Dagster stores of each sensor and schedule that there is (not of those that there were)."""
    names = _intervals(repository)
    return {s.instigator_name: s for s in instance.all_instigator_state() if s.instigator_name in names}


def _intervals(repository: dg.RepositoryDefinition) -> dict[str, timedelta]:
    """How often each sensor and schedule looks."""
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
    if not ticks:  # A schedule's first comes with its first quarter of an hour.
        return TickPulse(name, interval, "no tick yet")
    last = datetime.fromtimestamp(ticks[0].timestamp, UTC)
    if now - last > max(_PATIENCE * interval, SILENCE):
        return TickPulse(name, interval, "silent", last)
    failed = [tick.status.value == "FAILURE" for tick in ticks]
    return TickPulse(name, interval, "failing" if failed[0] else "well", last, failed == [True] * _IN_A_ROW)
