"""A plan under construction: its household, and the connections and accounts that no episode uses yet.

Each connection and account belongs to at most one episode, so that its expected state is clear. Runs are shared: a fault that
hides a member may coincide with any other event.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from pfo_pipeline_tests.simulation.events import AccountChanged, Connected, ConnectionChanged, Event, NewAccount, Wake

ONE_SOURCE = ("Banque Exemple", "Caisse des Tilleuls", "Harbour & Vale", "Rhonequell Privatbank")
TWO_SOURCES = "Crédit des Deux Rives"
_KINDS = (
    ("checking", "EUR", 2),
    ("checking", "EUR", 2),
    ("savings", "EUR", 2),
    ("checking", "USD", 2),
    ("market", "CHF", 2),
    ("savings", "JPY", 0),
    ("checking", "TND", 3),
    ("market", "BTC", 8),
    ("loan", "EUR", 2),
)
_SURNAMES = ("Vauquelin", "Oskarsdóttir", "Brzęczyszczykiewicz", "Delacroix-Lemaître", "Nakashimada", "O'Shaughnessy")


F = TypeVar("F")


@dataclass
class Draft:
    rng: random.Random
    turn: int
    """Rotates through variants, so that neighbouring seeds differ: chance alone would omit some."""
    start: datetime
    wakes: list[Wake]
    members: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    connections: dict[str, Connected] = field(default_factory=dict)
    _free: dict[str, set[str]] = field(default_factory=dict)
    """Unused accounts, by connection; a connection is unused as long as all of its accounts are."""
    _free_connections: set[str] = field(default_factory=set)
    _quiet_wakes: list[int] = field(default_factory=list)
    _numbers: int = 0

    def settle(self, members: tuple[str, ...]) -> None:
        """Create the members, with one or two banks each."""
        self.members = members
        self._quiet_wakes = list(range(1, len(self.wakes) - 1))
        for member in members:
            for _ in range(self.rng.choice((1, 1, 2))):
                self.connect(member, self.start + timedelta(seconds=len(self.connections)))

    def connect(
        self, member: str, at: datetime, *, connector: str | None = None, what: str = "a bank is connected"
    ) -> str:
        """Create a connection with accounts; a connection from the start is unused."""
        accounts = tuple(self.new_account() for _ in range(self.rng.choice((1, 2, 2, 3))))
        connector = connector or self.rng.choice((*ONE_SOURCE, TWO_SOURCES))
        event = Connected(at, what, member, self.name("connection"), connector, accounts)
        return self.add(event, is_free=at < self.wakes[0].at)

    def add(self, event: Connected, *, is_free: bool = True) -> str:
        self.events.append(event)
        self.connections[event.connection] = event
        if is_free:
            self._free[event.connection] = {account.key for account in event.accounts}
            self._free_connections.add(event.connection)
        return event.connection

    def new_account(self, **given: str | bool | None) -> NewAccount:
        kind, currency, places = self.rng.choice(_KINDS)
        cents = self.rng.randint(1, 10 ** self.rng.randint(3, 9)) * (-1 if kind == "loan" else 1)
        has_iban = kind == "checking"
        serial = self.rng.randrange(10**10, 10**11)
        fields: dict[str, object] = {
            "key": self.name("account"),
            "bank_account": f"bank account {self._numbers}",
            "type": kind,
            "currency": currency,
            "balance": f"{cents}e-{places}",
            "name": f"{self.person()} {serial % 10_000:04d}",
            "number": f"{serial:011d}{self._numbers:04d}",
            "iban": f"FR{self.rng.randint(10, 98)}99999{serial:011d}{self._numbers:07d}" if has_iban else None,
        }
        account = NewAccount(**{**fields, **given})  # type: ignore[arg-type]
        self.keep_secret(account.name, account.number, account.iban)
        return account

    def person(self) -> str:
        return self.rng.choice(_SURNAMES)

    def form(self, forms: Iterable[F]) -> F:
        """The next variant."""
        self.turn += 1
        ordered = list(forms)
        return ordered[self.turn % len(ordered)]

    def keep_secret(self, *texts: str | None) -> None:
        self.secrets |= {text for text in texts if text}

    def name(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind[0]}{self._numbers}"

    def connection(self, *, two_sources: bool = False) -> str:
        """An unused connection, or a new one."""
        fitting = sorted(
            key for key in self._free_connections if not two_sources or self.connections[key].connector == TWO_SOURCES
        )
        key = (
            self.rng.choice(fitting)
            if fitting
            else self.connect(self.rng.choice(self.members), self.start, connector=TWO_SOURCES if two_sources else None)
        )
        self._free_connections.discard(key)
        self._free[key] = set()
        return key

    def account(self) -> tuple[str, NewAccount]:
        """A connection's key and one of its unused accounts."""
        fitting = sorted((connection, key) for connection, keys in self._free.items() for key in keys)
        if not fitting:
            self.connect(self.rng.choice(self.members), self.start)
            return self.account()
        connection, key = self.rng.choice(fitting)
        self._free[connection].discard(key)
        self._free_connections.discard(connection)
        return connection, next(a for a in self.connections[connection].accounts if a.key == key)

    def free_again(self, connection: str) -> None:
        """Mark the connection as unused again."""
        self._free_connections.add(connection)

    def span(self) -> tuple[datetime, datetime]:
        """A time before one wake, and one before a later wake."""
        first, second = sorted(self.rng.sample(range(1, len(self.wakes)), 2))
        return self.before(first), self.before(second)

    def moment(self) -> datetime:
        return self.before(self.rng.randrange(1, len(self.wakes)))

    def before(self, wake: int) -> datetime:
        """A time in the last two days before a wake; no other wake lies between."""
        return self.wakes[wake].at - timedelta(seconds=self.rng.randint(3_600, 36 * 3_600))

    def armed(self, *, night: bool = False) -> datetime | None:
        """The time right before a wake without another fault; None if there is no such wake."""
        fitting = [n for n in self._quiet_wakes if not night or self.wakes[n].work == "night"]
        if not fitting:
            return None
        chosen = self.rng.choice(fitting)
        self._quiet_wakes.remove(chosen)
        return self.wakes[chosen].at - timedelta(seconds=1)

    def change_connection(self, at: datetime, what: str, connection: str, fields: Mapping[str, object]) -> None:
        self.events.append(ConnectionChanged(at, what, connection, fields))

    def change_account(self, at: datetime, what: str, account: str, fields: Mapping[str, object]) -> None:
        self.events.append(AccountChanged(at, what, account, fields))
