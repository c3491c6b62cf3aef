"""Force a sync of one connection at the bank, and wait until it ends.

Facts: Powens docs, Fair usage policy: a forced sync is for one user at that user's request, never on a schedule. Connections:
PUT starts it; `last_update` or `state` shows its end. Too early or already running is 409 `conflict`. Forcing a connection
that waits for a person may cause strong authentications at the bank (seen by clients), so it is not done. `psu_requested`
says whether the user is present to answer the bank: the person who types a command is usually somebody else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pfo_pipeline.config import User
from pfo_pipeline.powens.errors import Invalid
from pfo_pipeline.powens.mapping import situation
from pfo_pipeline.powens.models import Connection
from pfo_pipeline.powens.session import BankSession
from pfo_pipeline.powens.states import Situation

Sleep = Callable[[float], Awaitable[None]]
End = Literal["synced", "up to date", "waits for a person", "failed", "still going on"]

POLL_DELAYS_SECONDS = (2, 3, 5, 10, 15, 25, 30, 30, 60, 60)
"""Four minutes in total; a sync takes seconds to minutes."""
_TOO_SOON = ("conflict", "toomanysync")


@dataclass(frozen=True)
class Forced:
    """The result of a forced sync, and the state of the connection after it."""

    connection_id: str
    end: End
    stands: Situation

    def __str__(self) -> str:
        return f"connection {self.connection_id}: {self.end}. {self.stands.remedy or ''}".rstrip()


async def force_sync(
    bank: BankSession,
    user: User,
    connection_id: str,
    *,
    clock: Callable[[], datetime],
    sleep: Sleep,
    member_present: bool = False,
) -> Forced:
    """Request a sync of one connection from the bank now, because a person wants it, and wait within POLL_DELAYS_SECONDS.

    If an earlier attempt has requested it, this attempt waits for it and does not request again.

    Args:
        member_present: The user can answer the bank, which may then start a strong authentication.
    Raises: PowensError, SecretError.
    """
    before = bank.asked_when(connection_id)
    if before is None:
        before = await bank.connection(user, connection_id)
        stands = situation(before, clock())
        if stands.status == "needs-person":
            return Forced(connection_id, "waits for a person", stands)
        try:
            await bank.force_sync(user, before, person_present=member_present)
        except Invalid as refusal:
            if refusal.code.lower() not in _TOO_SOON:
                raise
            return Forced(connection_id, "up to date", stands)
    for delay_seconds in POLL_DELAYS_SECONDS:
        await sleep(delay_seconds)
        now = await bank.connection(user, connection_id)
        stands = situation(now, clock())
        if now.last_update != before.last_update:
            return Forced(connection_id, "synced" if stands.is_synced else "failed", stands)
        if _has_ended_without_data(before, now):
            return Forced(connection_id, "waits for a person" if stands.status == "needs-person" else "failed", stands)
    return Forced(connection_id, "still going on", stands)


def _has_ended_without_data(before: Connection, now: Connection) -> bool:
    """Whether the sync ended without data. A state that was there before it says nothing about this sync."""
    return now.state not in (None, before.state, "validating")
