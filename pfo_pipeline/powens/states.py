"""What a connection's state means: how it stands, who must act, and what to do. Every state has an owner.

Here: the table of states, and the reading of dates that tells a silent or stuck connection. Not here: HTTP and rows.
Facts: Powens docs, Connections and "SCA and connection states"; the list of states is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pfo_pipeline.contracts.privacy import word

Status = Literal["healthy", "needs-person", "temporary", "silent", "paused", "unknown"]
Actor = Literal["member", "operator", "bank", "powens", "nobody"]

SILENT_AFTER = timedelta(days=3)
"""Powens syncs every 24 hours by itself; three missed days are no accident."""
STUCK_AFTER = timedelta(hours=36)
"""One missed sync; without a next one planned, no further day can mend it (seen live: two weeks, until forced)."""


@dataclass(frozen=True)
class Owner:
    """Whose turn it is, and what to do."""

    status: Status
    who_acts: Actor
    remedy: str

    @property
    def waiting_is_enough(self) -> bool:
        return waiting_is_enough(self.who_acts)


@dataclass(frozen=True)
class Situation:
    """How a connection stands. `state` is the one that decided, the connection's own or a source's."""

    state: str | None
    status: Status
    who_acts: Actor | None
    remedy: str | None

    @property
    def is_synced(self) -> bool:
        return self.status == "healthy"


def waiting_is_enough(who_acts: str | None) -> bool:
    """Whether it mends itself, or somebody of ours must act: the member or the operator."""
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


def read_state(
    state: str | None,
    source_states: tuple[str, ...],
    *,
    active: bool,
    last_success_at: datetime | None,
    created_at: datetime | None,
    next_try_at: datetime | None,
    now: datetime,
) -> Situation:
    """How a connection stands `now`.

    Args:
        state: The connection's own; null means that the last sync succeeded.
        source_states: States of its enabled sources that are not null: one may fail while the connection looks fine.
        last_success_at: Last successful sync; judged by its age, since a stuck connection keeps a null state.
        next_try_at: Powens' next sync, null when none is planned.
    """
    decisive = state or min(source_states, key=_gravity, default=None)
    owner = STATES.get(decisive, _UNKNOWN) if decisive else None
    if owner is None or owner.waiting_is_enough:
        # Nothing that a person is told to do: whether the rest mends itself, only dates can tell.
        since = last_success_at or created_at
        owner = _found_by_dates(now - since if since else None, next_try_at, active=active, waits=owner)
    shown = word(decisive) if decisive else None
    return (
        Situation(shown, owner.status, owner.who_acts, owner.remedy)
        if owner
        else Situation(None, "healthy", None, None)
    )


def _found_by_dates(
    age: timedelta | None, next_try_at: datetime | None, *, active: bool, waits: Owner | None
) -> Owner | None:
    """Who must act on a connection that looks healthy, or whose state `waits` says that it mends itself."""
    if not active:
        return _PAUSED
    if next_try_at is None and age is not None and age > STUCK_AFTER:
        return _STUCK
    if age is None or age > SILENT_AFTER:
        return _LASTING if waits else _SILENT
    return waits


def _gravity(state: str) -> tuple[int, str]:
    order = ("needs-person", "unknown", "temporary")
    return order.index(STATES.get(state, _UNKNOWN).status), state
