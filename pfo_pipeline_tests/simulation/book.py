"""The expected ledger, computed without the pipeline's code from the true state of the bank and the readable answers.

If a rule changes in the pipeline, change it here by hand too, with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pfo_pipeline_tests.simulation.truth import TrueAccount, TrueConnection

Work = Literal["sync", "refresh"]

_AHEAD = timedelta(days=1)
_STUCK = timedelta(hours=36)
_SILENT = timedelta(days=3)
_APART = timedelta(hours=20)
_SIBLING_AHEAD = timedelta(hours=1)


@dataclass(frozen=True)
class Read:
    """The answers to one member's calls: None without an answer free of faults."""

    connections: Sequence[TrueConnection] | None
    accounts: Sequence[TrueAccount] | None
    attempt: int = 1
    """The attempt that read the accounts: accounts that were read first are in the ledger first."""
    at: datetime | None = None
    """Time of the read."""
    connections_at: datetime | None = None
    """Time at which the connections were read."""


@dataclass(frozen=True)
class Reading:
    """One finished command step. `is_recorded` is False for a run that died before it merged."""

    run_id: str
    work: Work
    now: datetime
    members: Mapping[str, Read]
    unreadable: Mapping[int, str]
    accepted: Mapping[int, str]
    is_recorded: bool

    def is_read(self, member: str) -> bool:
        return self.lists_connections(member) and self.members[member].accounts is not None

    def lists_connections(self, member: str) -> bool:
        return self.members[member].connections is not None


@dataclass(frozen=True)
class Version:
    """An expected version of an account, from one reading on."""

    member: str
    connection: int
    type: str
    currency: str | None
    name: str
    number: str | None
    iban: str | None
    disabled: datetime | None
    deleted: datetime | None
    known: bool
    source: int | None = None
    missing: datetime | None = None
    """Since when no list contains it."""
    ended: str | None = None
    """Who says that it ended; `missing` if its source worked without it at a first read."""

    @property
    def is_live(self) -> bool:
        return self.disabled is None and self.deleted is None


@dataclass(frozen=True)
class Figure:
    """An expected balance."""

    connection: int
    currency: str
    balance: Decimal
    available: Decimal | None


@dataclass(frozen=True)
class Health:
    """The expected status of a connection. Of several failing sources any may be named: then `state` is None."""

    is_healthy: bool
    is_gone: bool
    state: str | None
    synced: datetime | None = None
    consent_ends: datetime | None = None


@dataclass(frozen=True)
class After:
    """Expected content of the newest views right after a reading, which later readings overwrite."""

    reading: Reading
    health: Mapping[int, Health]
    has_trouble: bool


@dataclass
class Book:
    """The expected ledger of one tenant, by the bank's own ids."""

    versions: list[tuple[int, str, Version]] = field(default_factory=list)
    """(account, run, version)"""
    figures: list[tuple[int, str, datetime, Figure]] = field(default_factory=list)
    """(account, run, as of, balance)"""
    put_aside: set[tuple[str, str, int]] = field(default_factory=set)
    """(run, kind of record, account): each must be in quarantine after that run."""
    afterwards: list[After] = field(default_factory=list)
    first_seen: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """By account: reading, attempt and its own id, which give the order of accounts in the ledger."""
    accounts: dict[int, Version] = field(default_factory=dict)
    health: dict[int, Health] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    synced: datetime | None = None
    """Time of the last complete read."""
    proved: dict[int, datetime] = field(default_factory=dict)
    """By missing account: when a source first worked without it."""
    _by_date: dict[tuple[int, datetime], Figure] = field(default_factory=dict)

    def read(self, reading: Reading) -> None:
        """Record the expected effects of a reading."""
        if not reading.is_recorded:
            return
        troubled = self._see_connections(reading)
        trouble = self._sync(reading) if reading.work == "sync" else self._refresh(reading, troubled)
        trouble |= not all(map(reading.is_read, reading.members)) or (reading.work == "sync" and bool(troubled))
        self.afterwards.append(After(reading, dict(self.health), trouble))

    def newest(self, account: int, at: datetime | None = None) -> tuple[datetime, Figure] | None:
        """The newest balance at a time, as known now."""
        dates = [as_of for number, as_of in self._by_date if number == account and (at is None or as_of <= at)]
        return (max(dates), self._by_date[account, max(dates)]) if dates else None

    def _see_connections(self, reading: Reading) -> set[int]:
        """Returns: the connections with a problem."""
        troubled = set()
        for member, read in reading.members.items():
            for connection in read.connections or ():
                self.owners[connection.id] = member
                self.health[connection.id] = _health(connection, reading.now)
                if not self.health[connection.id].is_healthy:
                    troubled.add(connection.id)
        return troubled

    def _sync(self, reading: Reading) -> bool:
        trouble = False
        listed, linked = set(), set()
        for member, read in reading.members.items():
            linked |= {connection.id for connection in read.connections or ()}
            if not reading.is_read(member):
                continue
            for account in read.accounts or ():
                listed.add(account.id)
                if _is_record(reading, account.id):
                    self.put_aside.add((reading.run_id, "account", account.id))
                    trouble = True
                    known = self.accounts.get(account.id)
                    if known is not None and known.missing is not None and known.deleted is None:
                        self._version(account.id, reading.run_id, self._kept(account.id, missing=None, ended=None))
                else:
                    self.first_seen.setdefault(account.id, (len(self.afterwards), read.attempt, account.id))
                    self._version(account.id, reading.run_id, _version(member, account))
        for number, version in list(self.accounts.items()):
            is_unlinked = reading.lists_connections(version.member) and version.connection not in linked
            is_told = reading.is_read(version.member) or is_unlinked
            if version.deleted is None and is_told and number not in listed:
                self._version(number, reading.run_id, self._absent(number, reading, linked))
                trouble |= self.accounts[number].is_live
        for number, health in self.health.items():
            if not health.is_gone and reading.lists_connections(self.owners[number]) and number not in linked:
                self.health[number] = Health(is_healthy=False, is_gone=True, state=None)
        self.synced = reading.now
        return trouble

    def _absent(self, number: int, reading: Reading, linked: set[int]) -> Version:
        """The version of an account that is in no list: gone with its connection, missing, or gone after its source worked
        twice without it.

        A list may be short or empty by mistake; an account removed from the totals at once would be wrong until the next
        night.
        """
        version = self.accounts[number]
        read = reading.members[version.member]
        if version.connection not in linked:
            return self._kept(number, deleted=read.connections_at, missing=None, ended="connection")
        now = read.at
        assert now is not None, f"account {number}: read, and nobody knows when"
        siblings = [
            account
            for read in reading.members.values()
            for account in read.accounts or ()
            if account.connection == version.connection
        ]
        since = version.missing or now
        if any(reading.unreadable.get(account.id) == "twice" for account in siblings):
            return self._kept(number, missing=since)  # One of the two may be this one.
        proved = self.proved.get(number) if version.missing else None
        before = proved or max((at for at in (self.synced, version.missing) if at), default=None)
        has_advanced = before is not None and any(
            account.updated is not None
            and before < account.updated <= now + _SIBLING_AHEAD
            and (account.source, account.deleted) == (version.source, None)
            and not _is_record(reading, account.id)
            for account in siblings
        )
        if has_advanced and proved is None:
            self.proved[number] = now
        elif has_advanced and proved is not None and now - proved >= _APART:
            return self._kept(number, deleted=version.missing, missing=None, ended="missing")
        return self._kept(number, missing=since, ended="missing" if proved or has_advanced else None)

    def _kept(self, number: int, **changes: datetime | str | None) -> Version:
        newest, version = self.newest(number), self.accounts[number]
        currency = newest[1].currency if newest else version.currency
        return replace(version, currency=currency, **changes)  # type: ignore[arg-type]

    def _version(self, number: int, run_id: str, version: Version) -> None:
        if self.accounts.get(number) != version:
            self.accounts[number] = version
            self.versions.append((number, run_id, version))

    def _refresh(self, reading: Reading, troubled: set[int]) -> bool:
        trouble = False
        for member, read in reading.members.items():
            if not reading.is_read(member):
                continue
            served = {account.id: account for account in read.accounts or () if account.is_live}
            for number, version in self.accounts.items():
                if version.member == member and version.is_live:
                    trouble |= not self._take(number, version, served.get(number), reading)
                    trouble |= version.connection in troubled
            trouble |= bool(served.keys() - {n for n, v in self.accounts.items() if v.is_live})
        return trouble

    def _take(self, number: int, version: Version, account: TrueAccount | None, reading: Reading) -> bool:
        """Record an account's balance. Returns: False if there is none that can be stored."""
        if account is None:
            return False
        newest = self.newest(number)
        currency = newest[1].currency if newest else version.currency
        has_changed = newest is not None and account.currency not in (currency, reading.accepted.get(number))
        if number in reading.unreadable or (account.balance is not None and has_changed):
            self.put_aside.add((reading.run_id, "account" if _is_record(reading, number) else "balance", number))
            return False
        if account.balance is None:
            return False
        assert account.currency is not None, f"account {number}: a balance without a currency that nobody ordered"
        assert account.updated is not None, f"account {number}: a balance without a date that nobody ordered"
        assert account.updated <= reading.now + _AHEAD, f"account {number}: a date in the future that nobody ordered"
        figure = Figure(account.connection, account.currency, account.balance, account.available)
        if self._by_date.get((number, account.updated)) != figure:
            self._by_date[number, account.updated] = figure
            self.figures.append((number, reading.run_id, account.updated, figure))
        return True


def _is_record(reading: Reading, number: int) -> bool:
    return reading.unreadable.get(number) in ("record", "twice")


def _version(member: str, account: TrueAccount) -> Version:
    return Version(
        member=member,
        connection=account.connection,
        type=account.type,
        currency=account.currency,
        name=account.name,
        number=account.number,
        iban=account.iban,
        disabled=account.disabled,
        deleted=account.deleted,
        known=account.known,
        source=account.source,
        ended="bank" if account.deleted else None,
    )


def _health(connection: TrueConnection, now: datetime) -> Health:
    """Facts: Powens syncs once a day; a state that is not null means that no data arrived."""
    states = [connection.state] if connection.state else list(connection.states)
    age = now - (connection.synced or connection.created)
    is_late = age > _SILENT or (connection.next_try is None and age > _STUCK)
    is_healthy = not states and connection.active and not is_late
    state = connection.state or (states[0] if len(states) == 1 else None)
    return Health(is_healthy, False, state, connection.synced, connection.expires)
