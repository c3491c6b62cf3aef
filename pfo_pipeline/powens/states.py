"""What a connection's state means: how it stands, who must act, and what to do.

Here: the table of states and the reading of dates that tells a silent connection. Not here: HTTP and rows.
Facts: Powens docs, Connections and "SCA and connection states"; the list of states is open.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pfo_pipeline.contracts.privacy import word

Status = Literal["healthy", "needs-person", "temporary", "silent", "paused", "unknown"]
Actor = Literal["member", "operator", "bank", "powens", "nobody"]

SILENT_AFTER = timedelta(days=3)
"""Powens syncs every 24 hours by itself; three missed days are no accident."""


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


_RECONNECT = "The member opens the link and confirms access at the bank."
_AT_THE_BANK = "The member settles it on the bank's own site, then opens the link."
_WAIT_BANK = "Nothing to do: Powens tries again by itself."

_STATES: dict[str, tuple[Status, Actor, str]] = {
    "SCARequired": ("needs-person", "member", _RECONNECT),
    "webauthRequired": ("needs-person", "member", _RECONNECT),
    "additionalInformationNeeded": ("needs-person", "member", "The member opens the link and enters the bank's code."),
    "decoupled": ("needs-person", "member", "The member opens the link and confirms in the bank's app."),
    "wrongpass": ("needs-person", "member", "The member opens the link and enters the new credentials."),
    "passwordExpired": ("needs-person", "member", "The member changes the password at the bank, then opens the link."),
    "actionNeeded": ("needs-person", "member", _AT_THE_BANK),
    "validating": ("temporary", "nobody", "Nothing to do: Powens is processing a confirmation."),
    "rateLimiting": ("temporary", "bank", _WAIT_BANK),
    "websiteUnavailable": ("temporary", "bank", _WAIT_BANK),
    "bug": ("temporary", "powens", "Powens tries again by itself; tell Powens support if it lasts."),
    "notSupported": ("needs-person", "operator", "Ask Powens support: the bank is no longer supported this way."),
}

KNOWN_STATES = frozenset(_STATES)


def read_state(
    state: str | None,
    source_states: tuple[str, ...],
    *,
    active: bool,
    last_success_at: datetime | None,
    created_at: datetime | None,
    now: datetime,
) -> Situation:
    """How a connection stands `now`.

    Args:
        state: The connection's own; null means that the last sync succeeded.
        source_states: States of its enabled sources that are not null: one may fail while the connection looks fine.
        last_success_at: Last successful sync; judged by its age, since a stuck connection keeps a null state.
    """
    decisive = state or min(source_states, key=_gravity, default=None)
    if decisive is not None:
        status, who, remedy = _STATES.get(
            decisive, ("unknown", "operator", "A state that we do not know: look at it in the Powens console.")
        )
        return Situation(word(decisive), status, who, remedy)
    if not active:
        return Situation(None, "paused", "operator", "Automatic sync is off: turn it on in the Powens console.")
    seen = last_success_at or created_at
    if seen is None or now - seen > SILENT_AFTER:
        return Situation(
            None,
            "silent",
            "operator",
            f"It looks healthy but has not synced for over {SILENT_AFTER.days} days: ask Powens support.",
        )
    return Situation(None, "healthy", None, None)


def _gravity(state: str) -> tuple[int, str]:
    order = ("needs-person", "unknown", "temporary")
    return order.index(_STATES.get(state, ("unknown", "operator", ""))[0]), state
