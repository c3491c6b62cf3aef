"""The meaning of a connection's state: its status, who must act, and the remedy. Every state has an owner.

Facts: Powens docs, Connections and "SCA and connection states"; the list of states is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pfo_pipeline.redaction import word

Status = Literal["healthy", "needs-person", "temporary", "silent", "paused", "unknown"]
Actor = Literal["member", "operator", "bank", "powens", "nobody"]

SILENT_AFTER = timedelta(days=3)
"""Powens syncs every 24 hours by itself; three missed days are not an accident."""
STUCK_AFTER = timedelta(hours=36)
"""One missed sync. If no next sync is planned, waiting does not help (seen live: two weeks, until forced)."""


@dataclass(frozen=True)
class Owner:
    """Who must act, and the remedy."""

    status: Status
    who_acts: Actor
    remedy: str

    @property
    def waiting_is_enough(self) -> bool:
        return waiting_is_enough(self.who_acts)


@dataclass(frozen=True)
class Situation:
    """The status of a connection. `state` is the one that decided: the connection's own or a source's."""

    state: str | None
    status: Status
    who_acts: Actor | None
    remedy: str | None

    @property
    def is_synced(self) -> bool:
        return self.status == "healthy"


def waiting_is_enough(who_acts: str | None) -> bool:
    """Whether the problem ends by itself; else the user or the operator must act."""
    return who_acts not in ("member", "operator")


def _member(what: str) -> Owner:
    return Owner("needs-person", "member", what)


_RECONNECT = _member("The member opens the link and confirms access at the bank.")
_BANK_RECOVERS = Owner("temporary", "bank", "Nothing to do: Powens tries again by itself.")

STATES: Mapping[str, Owner] = {
    "SCARequired": _RECONNECT,
    "webauthRequired": _RECONNECT,
    "additionalInformationNeeded": _member("The member opens the link and enters the bank's code."),
    "decoupled": _member("The member opens the link and confirms in the bank's app."),
    "wrongpass": _member("The member opens the link and enters the new credentials."),
    "passwordExpired": _member("The member changes the password at the bank, then opens the link."),
    "actionNeeded": _member("The member settles it on the bank's own site, then opens the link."),
    "validating": Owner("temporary", "nobody", "Nothing to do: Powens is processing a confirmation."),
    "rateLimiting": _BANK_RECOVERS,
    "websiteUnavailable": _BANK_RECOVERS,
    "bug": Owner("temporary", "powens", "Powens tries again by itself; tell Powens support if it lasts."),
    "notSupported": Owner("needs-person", "operator", "Ask Powens support: the bank is no longer supported this way."),
}
"""Every state that Powens documents, of a connection or of a source."""

_UNKNOWN = Owner("unknown", "operator", "A state that we do not know: look at it in the Powens console.")
_PAUSED = Owner("paused", "operator", "Automatic sync is off: turn it on in the Powens console.")
_SILENT = Owner(
    "silent",
    "operator",
    f"It looks healthy but has not synced for over {SILENT_AFTER.days} days: ask Powens support.",
)
_STUCK = Owner(
    "silent",
    "operator",
    "It is stuck: no sync for over a day, and none is planned. If the member wishes, pfo run --force asks the bank; "
    "else ask Powens support.",
)
_LASTING = Owner(
    "temporary", "operator", f"Waiting has not helped for over {SILENT_AFTER.days} days: ask Powens support."
)

KNOWN_STATES = frozenset(STATES)


@dataclass(frozen=True)
class FailingSource:
    """One of a connection's sources with a non-null state. Dates are its own, None if it has none."""

    state: str
    last_success_at: datetime | None = None
    next_try_at: datetime | None = None


def read_state(
    state: str | None,
    failing: tuple[FailingSource, ...],
    *,
    active: bool,
    last_success_at: datetime | None,
    created_at: datetime | None,
    next_try_at: datetime | None,
    now: datetime,
) -> Situation:
    """Determine the status of a connection at `now`.

    Args:
        state: The connection's own; null means that the last sync succeeded.
        failing: Its enabled sources with a state: one may fail for days while the connection looks healthy.
        last_success_at: Last successful sync; judged by its age, because a stuck connection keeps a null state.
        next_try_at: Powens' next sync, null if none is planned.
    """
    since = last_success_at or created_at
    own = _situation(state, now - since if since else None, next_try_at, active=active)
    if state:
        return own
    sources = [_of_source(source, since, next_try_at, active, now) for source in failing]
    return min([own, *sources], key=_gravity)


def _of_source(
    source: FailingSource, since: datetime | None, next_try_at: datetime | None, active: bool, now: datetime
) -> Situation:
    """Use the source's own dates if it has any: the connection's dates are those of its newest source."""
    known = [moment for moment in (source.last_success_at, since) if moment is not None]
    age = now - min(known) if known else None
    return _situation(source.state, age, source.next_try_at or next_try_at, active=active)


def _situation(state: str | None, age: timedelta | None, next_try_at: datetime | None, *, active: bool) -> Situation:
    owner = STATES.get(state, _UNKNOWN) if state else None
    if owner is None or owner.waiting_is_enough:
        # No person has to act for this state; only dates show whether the problem ends by itself.
        owner = _found_by_dates(age, next_try_at, active=active, waits=owner)
    if owner is None:
        return Situation(None, "healthy", None, None)
    return Situation(word(state) if state else None, owner.status, owner.who_acts, owner.remedy)


def _found_by_dates(
    age: timedelta | None, next_try_at: datetime | None, *, active: bool, waits: Owner | None
) -> Owner | None:
    """Who must act on a connection that looks healthy, or whose state (owner `waits`) usually ends by itself."""
    if not active:
        return _PAUSED
    if next_try_at is None and age is not None and age > STUCK_AFTER:
        return _STUCK
    if age is None or age > SILENT_AFTER:
        return _LASTING if waits else _SILENT
    return waits


def _gravity(situation: Situation) -> tuple[int, bool, str]:
    """Sort order: a person must act, unknown state, other problems to report, problems that end by themselves."""
    order = {"needs-person": 0, "unknown": 1, "healthy": 4}
    rank = order.get(situation.status, 3 if waiting_is_enough(situation.who_acts) else 2)
    return rank, situation.state is None, situation.state or ""
