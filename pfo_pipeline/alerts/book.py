"""The book of alerts: from what is true now and what each target was told follows what to tell it. Pure functions.

A condition is over once it has been absent for `SETTLED_AFTER`: one that comes and goes is one condition, and no flood.
What was told is kept for each target apart: one that was dead is told what is still true when it is back, and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from pfo_pipeline.alerts.conditions import Condition, Findings, Key, Severity

SETTLED_AFTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=7)
"""A condition that is over waits so long for a target that was told of it and does not answer."""
RETRY_FIRST, RETRY_LAST = timedelta(minutes=1), timedelta(hours=1)

Event = Literal["opened", "repeated", "resolved"]
Repeats = Mapping[Severity, tuple[int, ...]]
"""Hours to wait before telling again, the last of them from then on; none: never again."""


@dataclass(frozen=True)
class Entry:
    """A condition as it was found last."""

    condition: Condition
    since: datetime
    absent_since: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.absent_since is not None and now - self.absent_since >= SETTLED_AFTER


@dataclass(frozen=True)
class Told:
    """What a target was last told of a condition."""

    at: datetime
    times: int
    stage: int


@dataclass(frozen=True)
class Outage:
    """A target that did not take what it was sent."""

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
    """One condition to tell."""

    event: Event
    condition: Condition
    since: datetime


def looked(book: Book, findings: Findings, now: datetime, targets: Iterable[str]) -> Book:
    """The book after a look; memories of targets that are configured no more are dropped."""
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
    """The book without dates to come, which a clock that was ahead has left: nothing would be repeated or tried until then."""
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
    """What a target is to be told now, new conditions first.

    Args:
        tenant_id: The one tenant whose alerts the target gets; None: all, and what concerns the office.
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
    """Whether a target that did not answer is left alone for now."""
    outage = book.targets.get(target, TargetMemory()).outage
    return outage is not None and now < outage.next_try_at


def told(book: Book, target: str, notices: Iterable[Notice], now: datetime) -> Book:
    """The book after a target has taken these."""
    memory = book.targets.get(target, TargetMemory())
    remembered = dict(memory.told)
    for notice in notices:
        key = notice.condition.key
        before = remembered.pop(key, None)
        if notice.event != "resolved":
            remembered[key] = Told(now, (before.times if before else 0) + 1, notice.condition.stage)
    return _with(book, target, TargetMemory(remembered))


def unreached(book: Book, target: str, reason: str, now: datetime) -> Book:
    """The book after a target has not taken what it was sent: the first retry comes soon, later ones each hour."""
    memory = book.targets.get(target, TargetMemory())
    before = memory.outage
    tries = before.tries + 1 if before else 1
    wait = min(RETRY_LAST, RETRY_FIRST * 2 ** min(tries - 1, 10))
    outage = Outage(before.since if before else now, tries, now + wait, reason)
    return _with(book, target, replace(memory, outage=outage))


def _with(book: Book, target: str, memory: TargetMemory) -> Book:
    return replace(book, targets={**book.targets, target: memory})
