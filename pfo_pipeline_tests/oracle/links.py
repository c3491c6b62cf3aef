"""The history of each linked account in the answers: when it was listed, its values, whether it is gone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Literal

from pfo_pipeline_tests.oracle.reading import Accounts, ConnectionRow, Connections, Row, is_masked, is_whole
from pfo_pipeline_tests.oracle.recording import Link

GONE_AFTER = timedelta(hours=20)
State = Literal["listed", "missing", "disabled", "deleted", "gone"]
Source = tuple[str, int | None, int | None]
"""A member, a connection, a source of it."""


@dataclass
class Seen:
    """A linked account with its whole history."""

    link: Link
    first_read: int
    """The number of the read in which it was first seen, hidden or not."""
    row: Row
    bank: str | None
    state: State = "disabled"
    since: datetime | None = None
    value: Decimal | None = None
    """The last readable balance, with its row."""
    value_row: Row | None = None
    updates: dict[int, datetime | None] = field(default_factory=dict)
    """Its date in the list, by each read that listed it."""
    last_listed: datetime | None = None
    missed: list[datetime] = field(default_factory=list)
    """Complete reads in which it was missing while a sibling advanced."""
    source_name: str | None = None
    ibans: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    whole_numbers: set[str] = field(default_factory=set)
    plain_numbers: set[str] = field(default_factory=set)
    """Numbers without a mask, whole or short."""
    names: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)

    @property
    def member(self) -> str:
        return self.link[0]

    @property
    def source(self) -> Source:
        return self.member, self.row.connection, self.row.source

    @property
    def counts(self) -> bool:
        """Whether its balance may be in a total: it is in its list, or only missing from it."""
        return self.state in ("listed", "missing") and self.value is not None and self.value_row is not None

    @property
    def value_updated(self) -> datetime | None:
        return self.value_row.updated if self.value_row else None

    def learn(self, row: Row) -> None:
        self.row = row
        for known, shown in (
            (self.ibans, row.iban),
            (self.numbers, row.number),
            (self.names, row.name),
            (self.types, row.type),
        ):
            if shown:
                known.add(shown)
        self.whole_numbers |= {number for number in self.numbers if is_whole(number)}
        self.plain_numbers |= {number for number in self.numbers if not is_masked(number)}
        if row.amount.is_readable and row.amount.value is not None and row.currency is not None:
            self.value, self.value_row = row.amount.value, row

    def turn(self, state: State, at: datetime) -> None:
        if self.state != state or self.since is None:
            self.state, self.since = state, at
        if state != "missing":
            self.missed.clear()

    def advanced_after(self, read: int) -> bool:
        """Whether its date advanced in a read later than this one."""
        before = self._last_update_until(read)
        later = [date for number, date in self.updates.items() if number > read and date is not None]
        return any(before is None or date > before for date in later)

    def advanced_in(self, read: int) -> bool:
        """Whether its date in this read is later than in the previous one, which listed it too."""
        if read not in self.updates or not any(number < read for number in self.updates):
            return False
        before, now = self._last_update_until(read - 1), self.updates[read]
        return now is not None and (before is None or now > before)

    def _last_update_until(self, read: int) -> datetime | None:
        dates = [date for number, date in self.updates.items() if number <= read and date is not None]
        return max(dates, default=None)


@dataclass
class Memory:
    """All linked accounts of one tenant."""

    links: dict[Link, Seen] = field(default_factory=dict)
    together: dict[frozenset[Link], int] = field(default_factory=dict)
    """Pairs that were in one list of a source, with the first such read."""
    connections: dict[tuple[str, int], ConnectionRow] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    """By member, the rows of the last list that name no account."""
    reads: int = 0

    def read(self, at: datetime, member: str, connections: Connections | None, accounts: Accounts | None) -> None:
        self.reads += 1
        if connections is not None:
            self._connections(at, member, connections, accounts)
        if accounts is not None:
            self._accounts(at, member, accounts)

    def of_member(self, member: str) -> list[Seen]:
        return [seen for seen in self.links.values() if seen.member == member]

    def _connections(self, at: datetime, member: str, said: Connections, accounts: Accounts | None) -> None:
        for row in said.rows:
            self.connections[member, row.id] = row
        there = {row.id for row in said.rows} | {row.connection for row in (accounts.rows if accounts else ())}
        for who, number in [key for key in self.connections if key[0] == member]:
            if number not in there and not said.unreadable:
                del self.connections[who, number]
                for seen in self.of_member(member):
                    if seen.row.connection == number:
                        seen.turn("gone", at)

    def _accounts(self, at: datetime, member: str, said: Accounts) -> None:
        self.unreadable[member] = len(said.unreadable)
        for row in said.rows:
            self._row(at, member, row)
        shown = {row.id for row in said.rows}
        if said.is_full:
            self._absent(at, member, shown, said.unreadable)
        by_source: dict[Source, set[Link]] = {}
        for row in said.rows:
            if row.is_listed:
                by_source.setdefault((member, row.connection, row.source), set()).add((member, row.id))
        for links in by_source.values():
            for pair in combinations(links, 2):
                self.together.setdefault(frozenset(pair), self.reads)

    def _row(self, at: datetime, member: str, row: Row) -> None:
        connection = self.connections.get((member, row.connection)) if row.connection is not None else None
        if connection is None and (member, row.id) not in self.links:
            return  # Its owner is unknown; it is not counted, and only the product names it.
        if (member, row.id) not in self.links:
            self.links[member, row.id] = Seen((member, row.id), self.reads, row, None)
        seen = self.links[member, row.id]
        seen.learn(row)
        if connection is not None:
            seen.bank = connection.bank
            seen.source_name = connection.source_names.get(row.source) if row.source is not None else None
        if row.is_listed:
            seen.updates[self.reads] = row.updated
            seen.last_listed = at
            seen.turn("listed", at)
        else:
            seen.turn("deleted" if row.is_deleted else "disabled", at)

    def _absent(self, at: datetime, member: str, shown: Iterable[int], lost: Iterable[int | None]) -> None:
        mine = self.of_member(member)
        for seen in mine:
            if seen.link[1] in shown or seen.state not in ("listed", "missing"):
                continue
            seen.turn("missing", at)
            siblings = [other for other in mine if other.source == seen.source and other is not seen]
            may_be_among_the_lost = None in lost or seen.row.connection in lost
            if not may_be_among_the_lost and any(other.advanced_in(self.reads) for other in siblings):
                seen.missed.append(at)
                if at - seen.missed[0] >= GONE_AFTER:
                    seen.turn("gone", at)
