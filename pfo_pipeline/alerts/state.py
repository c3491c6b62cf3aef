"""The state of alerts: which conditions each target was notified of, kept in `data/private/alerts.json`.

A condition ends once it has been absent for `SETTLED_AFTER`: one that comes and goes is one condition. Each target has its own
memory: one that was unreachable gets only the conditions that are still true when it is back. One process at a time changes
the file. A damaged file counts as empty: notifying twice is better than never.
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
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for

SETTLED_AFTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=7)
"""A resolved condition waits this long for a target that was notified of it and does not answer."""
RETRY_FIRST, RETRY_LAST = timedelta(minutes=1), timedelta(hours=1)

Event = Literal["opened", "repeated", "resolved"]
Repeats = Mapping[Severity, tuple[int, ...]]
"""Hours before each repetition, the last value from then on; none: never repeat."""


@dataclass(frozen=True)
class Entry:
    """A condition as it was last found."""

    condition: Condition
    since: datetime
    absent_since: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.absent_since is not None and now - self.absent_since >= SETTLED_AFTER


@dataclass(frozen=True)
class Told:
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
class TargetMemory:
    told: Mapping[Key, Told] = field(default_factory=dict)
    outage: Outage | None = None


@dataclass(frozen=True)
class Book:
    entries: Mapping[Key, Entry] = field(default_factory=dict)
    targets: Mapping[str, TargetMemory] = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """One condition to notify."""

    event: Event
    condition: Condition
    since: datetime


def looked(book: Book, findings: Findings, now: datetime, targets: Iterable[str]) -> Book:
    """The book after new findings. States of targets that are no longer configured are dropped."""
    book = _put_back(book, now)
    found = {condition.key: condition for condition in findings.conditions}
    memories = {name: book.targets.get(name, TargetMemory()) for name in targets}
    entries: dict[Key, Entry] = {}
    for key, entry in book.entries.items():
        kept = _kept(entry, found.get(key), now, absent=findings.looked_at(key))
        awaited = any(key in memory.told for memory in memories.values())
        if not kept.is_over(now) or (awaited and _age(kept, now) < FORGOTTEN_AFTER):
            entries[key] = kept
    for key, condition in found.items():
        entries.setdefault(key, Entry(condition, since=now))
    remembered = {
        name: replace(memory, told={key: told for key, told in memory.told.items() if key in entries})
        for name, memory in memories.items()
    }
    return Book(entries, remembered)


def _put_back(book: Book, now: datetime) -> Book:
    """Remove future dates, which a clock that was ahead has left: until then nothing would be repeated or retried."""
    entries = {
        key: replace(
            entry, since=min(entry.since, now), absent_since=entry.absent_since and min(entry.absent_since, now)
        )
        for key, entry in book.entries.items()
    }
    targets = {name: _memory_put_back(memory, now) for name, memory in book.targets.items()}
    return Book(entries, targets)


def _memory_put_back(memory: TargetMemory, now: datetime) -> TargetMemory:
    told = {key: replace(told, at=min(told.at, now)) for key, told in memory.told.items()}
    outage = memory.outage
    if outage is not None:
        next_try_at = min(outage.next_try_at, now + RETRY_LAST)
        outage = replace(outage, since=min(outage.since, now), next_try_at=next_try_at)
    return TargetMemory(told, outage)


def _kept(entry: Entry, found: Condition | None, now: datetime, *, absent: bool) -> Entry:
    if found is not None:
        return Entry(found, now if entry.is_over(now) else entry.since)
    return replace(entry, absent_since=entry.absent_since or now) if absent else entry


def _age(entry: Entry, now: datetime) -> timedelta:
    return now - (entry.absent_since or now)


def due(book: Book, target: str, repeats: Repeats, now: datetime, tenant_id: str | None = None) -> list[Notice]:
    """The notices that are due for a target, new conditions first.

    Args:
        tenant_id: The one tenant whose alerts the target gets; None: all tenants, and the office.
    """
    memory = book.targets.get(target, TargetMemory())
    found = []
    for key, entry in book.entries.items():
        if tenant_id is not None and key.tenant_id != tenant_id:
            continue
        event = _event(entry, memory.told.get(key), repeats, now)
        if event is not None:
            found.append(Notice(event, entry.condition, entry.since))
    order = ("opened", "repeated", "resolved")
    return sorted(found, key=lambda notice: (order.index(notice.event), notice.condition.key))


def _event(entry: Entry, told: Told | None, repeats: Repeats, now: datetime) -> Event | None:
    if entry.is_over(now):
        return "resolved" if told else None
    if entry.absent_since is not None:
        return None
    if told is None:
        return "opened"
    if entry.condition.stage < told.stage:
        return "repeated"
    waits = repeats[entry.condition.severity]
    if not waits:
        return None
    wait = timedelta(hours=waits[min(told.times, len(waits)) - 1])
    return "repeated" if now - told.at >= wait else None


def is_resting(book: Book, target: str, now: datetime) -> bool:
    """Whether a target that did not answer is not tried for now."""
    outage = book.targets.get(target, TargetMemory()).outage
    return outage is not None and now < outage.next_try_at


def told(book: Book, target: str, notices: Iterable[Notice], now: datetime) -> Book:
    """The book after a target has accepted these notices."""
    memory = book.targets.get(target, TargetMemory())
    remembered = dict(memory.told)
    for notice in notices:
        key = notice.condition.key
        before = remembered.pop(key, None)
        if notice.event != "resolved":
            remembered[key] = Told(now, (before.times if before else 0) + 1, notice.condition.stage)
    return _with(book, target, TargetMemory(remembered))


def unreached(book: Book, target: str, reason: str, now: datetime) -> Book:
    """The book after a target has not accepted a message: the first retry comes soon, later ones each hour."""
    memory = book.targets.get(target, TargetMemory())
    before = memory.outage
    tries = before.tries + 1 if before else 1
    wait = min(RETRY_LAST, RETRY_FIRST * 2 ** min(tries - 1, 10))
    outage = Outage(before.since if before else now, tries, now + wait, reason)
    return _with(book, target, replace(memory, outage=outage))


def _with(book: Book, target: str, memory: TargetMemory) -> Book:
    return replace(book, targets={**book.targets, target: memory})


BOOK = "alerts.json"
_LOCK_SECONDS = 30.0


class AlertsError(PfoError):
    """The alert state cannot be read or stored, so no alert can be sent."""


@dataclass(frozen=True)
class _Told:
    key: Key
    told: Told


@dataclass(frozen=True)
class _Target:
    name: str
    told: list[_Told]
    outage: Outage | None


@dataclass(frozen=True)
class _File:
    entries: list[Entry]
    targets: list[_Target]


_FILE = TypeAdapter(_File)


def read_book(private: Path) -> Book:
    """Read the book. Raises: AlertsError: it cannot be read."""
    path = private / BOOK
    try:
        found = _FILE.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Book()
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be read: {error.strerror}. Give this account the right to read it, or move it away: "
            "every open alert is then told again."
        ) from None
    return Book(
        {entry.condition.key: entry for entry in found.entries},
        {t.name: TargetMemory({each.key: each.told for each in t.told}, t.outage) for t in found.targets},
    )


def change_book(private: Path, change: Callable[[Book], Book]) -> Book:
    """Read, change and replace the book under a lock. Returns: the new book.

    Raises: AlertsError.
    """
    path = private / BOOK
    with _named(path), queue_for(path.with_suffix(".lock"), deadline_seconds=_LOCK_SECONDS):
        before = read_book(private)
        after = change(before)
        if after != before:
            _write(path, after)
    return after


def _write(path: Path, book: Book) -> None:
    targets = [
        _Target(name, [_Told(key, told) for key, told in memory.told.items()], memory.outage)
        for name, memory in book.targets.items()
    ]
    with draft_of(path, 0o600) as draft:
        draft.write_bytes(_FILE.dump_json(_File(list(book.entries.values()), targets)))


@contextmanager
def alone_in_telling(private: Path) -> Iterator[bool]:
    """Whether no other process sends alerts now, which would send the same ones. Raises: AlertsError."""
    path = private / BOOK
    with _named(path):
        try:
            with queue_for(path.with_suffix(".telling.lock"), deadline_seconds=0):
                yield True
                return
        except TurnNotReached:
            pass
        yield False


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except TurnNotReached as holder:
        raise AlertsError(
            f"{path}: {holder} has held it for over {_LOCK_SECONDS:g} s. Let it finish, or end it."
        ) from None
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be written: {error.strerror}. Free the disk if it is full, or give this account the right to "
            "write there; until then no alert is sent."
        ) from None
