"""The received events, in the order of arrival, each once.

One SQLite file between the receiver, which writes, and the sensor, which reads. `keep` returns when a new event is on disk.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pfo_pipeline.errors import PfoError
from pfo_pipeline.powens.webhooks import MAX_AGE, Hint

KEPT = timedelta(days=7)
"""How long an event is remembered after it was read. A later copy is refused by its age."""
assert KEPT > 2 * MAX_AGE

_BUSY_SECONDS = 30
_TABLE = """
create table if not exists events (
    seq integer primary key,
    tenant text not null,
    event text not null,
    webhook_id integer not null,
    connection_id integer,
    user_id integer,
    error text,
    unique (tenant, event, webhook_id)
) strict
"""
# The number is the microsecond of arrival, and always larger than the previous one, so a new inbox after a deletion still
# continues after the sensor's cursor.
_KEEP = """
insert into events (seq, tenant, event, webhook_id, connection_id, user_id, error)
values (max(?, (select coalesce(max(seq), 0) + 1 from events)), ?, ?, ?, ?, ?, ?)
on conflict (tenant, event, webhook_id) do nothing
"""
_AFTER = """
select seq, tenant, event, webhook_id, connection_id, user_id, error from events where seq > ? order by seq limit ?
"""
# Keep the newest event: the next number is counted from it.
_FORGET = "delete from events where seq <= ? and seq < ? and seq < (select max(seq) from events)"


class InboxError(PfoError):
    """The inbox cannot be read or written."""


@dataclass(frozen=True)
class Event:
    """A stored hint. `seq` orders events, and is the microsecond (since 1970) of arrival."""

    seq: int
    tenant_id: str
    hint: Hint


def inbox_path(private: Path) -> Path:
    """Path of the inbox in the private folder."""
    return private / "webhooks.sqlite"


class Inbox:
    """The inbox, for several threads and processes at once. The first `keep` creates the file."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock

    def prepare(self) -> None:
        """Create the file, or check that it is an inbox. Raises: InboxError."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise _unusable(self._path, error.strerror) from None
        with self._opened() as con:
            con.execute(_TABLE)

    def keep(self, tenant_id: str, hint: Hint) -> bool:
        """Store an event so that it survives a power cut.

        Returns: False if it was already stored.
        Raises: InboxError.
        """
        about = (hint.event, hint.webhook_id, hint.connection_id, hint.user_id, hint.error)
        with self._opened() as con:
            return con.execute(_KEEP, (_microseconds(self._clock()), tenant_id, *about)).rowcount == 1

    def after(self, seq: int, limit: int) -> list[Event]:
        """The oldest events after number `seq`, in order. Raises: InboxError."""
        if not self._path.exists():
            return []
        with self._opened() as con:
            return [Event(number, tenant, Hint(*about)) for number, tenant, *about in con.execute(_AFTER, (seq, limit))]

    def forget(self, through: int) -> None:
        """Delete events up to number `through` whose copies are old enough to be refused. Raises: InboxError."""
        if self._path.exists():
            with self._opened() as con:
                con.execute(_FORGET, (through, _microseconds(self._clock() - KEPT)))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            con = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                # With a rollback journal, EXTRA also survives a power cut right after a commit (SQLite docs).
                con.execute("pragma synchronous = extra")
                yield con
            finally:
                con.close()
        except sqlite3.Error as error:
            raise _unusable(self._path, getattr(error, "sqlite_errorname", type(error).__name__)) from None


def _unusable(path: Path, reason: str | None) -> InboxError:
    if reason == "SQLITE_BUSY":
        return InboxError(f"{path} is held by another program for over {_BUSY_SECONDS} s. The next look tries again.")
    return InboxError(
        f"{path} cannot be used ({reason}). Free the disk if it is full; if the file is damaged, delete it: "
        "the nightly runs fetch what its events reported."
    )


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
