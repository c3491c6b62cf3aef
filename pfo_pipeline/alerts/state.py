"""The state of alerts: which conditions each target was notified of, kept in `data/private/alerts.json`.

A condition ends once it has been absent for `SETTLED_AFTER`: one that comes and goes is one condition. Each target has its own
state: one that was unreachable gets only the conditions that are still true when it is back. One process at a time changes the
file. A damaged file counts as empty: notifying twice is better than never.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from pfo_pipeline.alerts.conditions import Condition, Findings, Key, Severity
from pfo_pipeline.atomic_files import draft_of
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock

SETTLED_AFTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=7)
"""A resolved condition waits this long for a target that was notified of it and does not answer."""
RETRY_FIRST, RETRY_LAST = timedelta(minutes=1), timedelta(hours=1)

Event = Literal["opened", "repeated", "resolved"]
Repeats = Mapping[Severity, tuple[int, ...]]
"""Hours before each repetition, the last value from then on; none: never repeat."""


@dataclass(frozen=True)
class Alert:
    """A condition as it was last found."""

    condition: Condition
    since: datetime
    absent_since: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.absent_since is not None and now - self.absent_since >= SETTLED_AFTER


@dataclass(frozen=True)
class Notification:
    """The last notification of a condition to a target."""

    at: datetime
    times: int
    stage: int


@dataclass(frozen=True)
class Outage:
    """A target that did not accept a message."""

    since: datetime
    tries: int
    next_try_at: datetime
    reason: str


@dataclass(frozen=True)
class TargetState:
    notifications: Mapping[Key, Notification] = field(default_factory=dict)
    outage: Outage | None = None


@dataclass(frozen=True)
class AlertState:
    alerts: Mapping[Key, Alert] = field(default_factory=dict)
    targets: Mapping[str, TargetState] = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """One condition to notify."""

    event: Event
    condition: Condition
    since: datetime


def record_findings(state: AlertState, findings: Findings, now: datetime, targets: Iterable[str]) -> AlertState:
    """Return the state after new findings. States of targets that are no longer configured are dropped."""
    state = _without_future_dates(state, now)
    found = {condition.key: condition for condition in findings.conditions}
    target_states = {name: state.targets.get(name, TargetState()) for name in targets}
    alerts: dict[Key, Alert] = {}
    for key, alert in state.alerts.items():
        updated = _update(alert, found.get(key), now, absent=findings.looked_at(key))
        awaited = any(key in target_state.notifications for target_state in target_states.values())
        if not updated.is_over(now) or (awaited and _age(updated, now) < FORGOTTEN_AFTER):
            alerts[key] = updated
    for key, condition in found.items():
        alerts.setdefault(key, Alert(condition, since=now))
    remembered = {
        name: replace(one, notifications={key: last for key, last in one.notifications.items() if key in alerts})
        for name, one in target_states.items()
    }
    return AlertState(alerts, remembered)


def _without_future_dates(state: AlertState, now: datetime) -> AlertState:
    """Remove future dates, which a clock that was ahead has left: until then nothing would be repeated or retried."""
    alerts = {
        key: replace(
            alert, since=min(alert.since, now), absent_since=alert.absent_since and min(alert.absent_since, now)
        )
        for key, alert in state.alerts.items()
    }
    targets = {name: _target_without_future_dates(target_state, now) for name, target_state in state.targets.items()}
    return AlertState(alerts, targets)


def _target_without_future_dates(target_state: TargetState, now: datetime) -> TargetState:
    notifications = {key: replace(last, at=min(last.at, now)) for key, last in target_state.notifications.items()}
    outage = target_state.outage
    if outage is not None:
        next_try_at = min(outage.next_try_at, now + RETRY_LAST)
        outage = replace(outage, since=min(outage.since, now), next_try_at=next_try_at)
    return TargetState(notifications, outage)


def _update(alert: Alert, found: Condition | None, now: datetime, *, absent: bool) -> Alert:
    if found is not None:
        return Alert(found, now if alert.is_over(now) else alert.since)
    return replace(alert, absent_since=alert.absent_since or now) if absent else alert


def _age(alert: Alert, now: datetime) -> timedelta:
    return now - (alert.absent_since or now)


def due(state: AlertState, target: str, repeats: Repeats, now: datetime, tenant_id: str | None = None) -> list[Notice]:
    """The notices that are due for a target, new conditions first.

    Args:
        tenant_id: The one tenant whose alerts the target gets; None: all tenants, and the office.
    """
    target_state = state.targets.get(target, TargetState())
    found = []
    for key, alert in state.alerts.items():
        if tenant_id is not None and key.tenant_id != tenant_id:
            continue
        event = _event(alert, target_state.notifications.get(key), repeats, now)
        if event is not None:
            found.append(Notice(event, alert.condition, alert.since))
    order = ("opened", "repeated", "resolved")
    return sorted(found, key=lambda notice: (order.index(notice.event), notice.condition.key))


def _event(alert: Alert, last: Notification | None, repeats: Repeats, now: datetime) -> Event | None:
    if alert.is_over(now):
        return "resolved" if last else None
    if alert.absent_since is not None:
        return None
    if last is None:
        return "opened"
    if alert.condition.stage < last.stage:
        return "repeated"
    waits = repeats[alert.condition.severity]
    if not waits:
        return None
    wait = timedelta(hours=waits[min(last.times, len(waits)) - 1])
    return "repeated" if now - last.at >= wait else None


def is_resting(state: AlertState, target: str, now: datetime) -> bool:
    """Whether a target that did not answer is not tried for now."""
    outage = state.targets.get(target, TargetState()).outage
    return outage is not None and now < outage.next_try_at


def mark_notified(state: AlertState, target: str, notices: Iterable[Notice], now: datetime) -> AlertState:
    """Return the state after a target has accepted these notices."""
    target_state = state.targets.get(target, TargetState())
    notifications = dict(target_state.notifications)
    for notice in notices:
        key = notice.condition.key
        before = notifications.pop(key, None)
        if notice.event != "resolved":
            notifications[key] = Notification(now, (before.times if before else 0) + 1, notice.condition.stage)
    return _with(state, target, TargetState(notifications))


def mark_unreached(state: AlertState, target: str, reason: str, now: datetime) -> AlertState:
    """Return the state after a target has not accepted a message: the first retry comes soon, later ones each hour."""
    target_state = state.targets.get(target, TargetState())
    before = target_state.outage
    tries = before.tries + 1 if before else 1
    wait = min(RETRY_LAST, RETRY_FIRST * 2 ** min(tries - 1, 10))
    outage = Outage(before.since if before else now, tries, now + wait, reason)
    return _with(state, target, replace(target_state, outage=outage))


def _with(state: AlertState, target: str, target_state: TargetState) -> AlertState:
    return replace(state, targets={**state.targets, target: target_state})


ALERTS_FILE = "alerts.json"
_LOCK_SECONDS = 30.0


class AlertsError(PfoError):
    """The alert state cannot be read or stored, so no alert can be sent."""


@dataclass(frozen=True)
class _Told:
    key: Key
    told: Notification


@dataclass(frozen=True)
class _Target:
    name: str
    told: list[_Told]
    outage: Outage | None


@dataclass(frozen=True)
class _File:
    """The names of the fields are those of the file."""

    entries: list[Alert]
    targets: list[_Target]


_FILE = TypeAdapter(_File)


def read_alerts(private: Path) -> AlertState:
    """Read the state. Raises: AlertsError: it cannot be read."""
    path = private / ALERTS_FILE
    try:
        found = _FILE.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return AlertState()
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be read: {error.strerror}. Give this account the right to read it, or move it away: "
            "every open alert is then sent again."
        ) from None
    return AlertState(
        {alert.condition.key: alert for alert in found.entries},
        {t.name: TargetState({each.key: each.told for each in t.told}, t.outage) for t in found.targets},
    )


def change_alerts(private: Path, change: Callable[[AlertState], AlertState]) -> AlertState:
    """Read, change and replace the state under a lock. Returns: the new state.

    Raises: AlertsError.
    """
    path = private / ALERTS_FILE
    with _named(path), hold_lock(path.with_suffix(".lock"), deadline_seconds=_LOCK_SECONDS):
        before = read_alerts(private)
        after = change(before)
        if after != before:
            _write(path, after)
    return after


def _write(path: Path, state: AlertState) -> None:
    targets = [
        _Target(name, [_Told(key, last) for key, last in target_state.notifications.items()], target_state.outage)
        for name, target_state in state.targets.items()
    ]
    with draft_of(path, 0o600) as draft:
        draft.write_bytes(_FILE.dump_json(_File(list(state.alerts.values()), targets)))


@contextmanager
def sending_alone(private: Path) -> Iterator[bool]:
    """Whether no other process sends alerts now, which would send the same ones. Raises: AlertsError."""
    path = private / ALERTS_FILE
    with _named(path):
        try:
            with hold_lock(path.with_suffix(".telling.lock"), deadline_seconds=0):
                yield True
                return
        except LockTimeout:
            pass
        yield False


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except LockTimeout as holder:
        raise AlertsError(
            f"{path}: {holder} has held it for over {_LOCK_SECONDS:g} s. Let it finish, or end it."
        ) from None
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be written: {error.strerror}. Free the disk if it is full, or give this account the right to "
            "write there; until then no alert is sent."
        ) from None
