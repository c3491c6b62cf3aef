"""What can befall a tenant: frozen, dated events that name members, connections and accounts by words of the plan.

`what` describes an event in a few words: it is counted, and shown when a seed fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class NewAccount:
    """An account as a bank shows it first. `bank_account` is what it really is, whoever links it under whatever id."""

    key: str
    bank_account: str
    type: str
    currency: str
    balance: str
    name: str
    number: str | None
    iban: str | None
    disabled: bool = False


@dataclass(frozen=True)
class Event:
    at: datetime
    what: str


# At the bank


@dataclass(frozen=True)
class Connected(Event):
    """A member links a bank; `replaces` is a connection that goes away in the same moment."""

    member: str
    connection: str
    connector: str
    accounts: tuple[NewAccount, ...]
    replaces: str | None = None


@dataclass(frozen=True)
class AccountAppeared(Event):
    connection: str
    account: NewAccount


@dataclass(frozen=True)
class ConnectionRemoved(Event):
    connection: str


@dataclass(frozen=True)
class ConnectionChanged(Event):
    """Fields of a connection as the simulator's admin route takes them."""

    connection: str
    fields: Mapping[str, object]


@dataclass(frozen=True)
class AccountChanged(Event):
    """Fields of an account as the simulator's admin route takes them.

    `unreadable` says what no contract allows from now on: the whole record, its figure, or nothing again.
    """

    account: str
    fields: Mapping[str, object]
    unreadable: Literal["record", "figure", "nothing"] | None = None


@dataclass(frozen=True)
class AccountVanished(Event):
    account: str


@dataclass(frozen=True)
class TokenChanged(Event):
    """A member's token is revoked, or the file that holds it is lost; or all is well again with a new one."""

    member: str
    how: Literal["revoked", "lost", "renewed"]


# On the way


@dataclass(frozen=True)
class HttpFault(Event):
    """Strikes a member's calls while automation is awake next."""

    member: str
    fault: Mapping[str, object]
    times: int | None


@dataclass(frozen=True)
class TwiceInList(Event):
    """The next list of a member's accounts holds one of them twice, in two ways."""

    account: str


@dataclass(frozen=True)
class ListMoves(Event):
    """While a member's accounts are read page by page the list changes: one more, or one that was shown is gone."""

    account: str
    newcomer: NewAccount | None
    connection: str


@dataclass(frozen=True)
class Posts(Event):
    """The bank syncs a connection `syncs` times and posts it; `fault` befalls what is posted."""

    connection: str
    fault: Literal["none", "lose", "duplicate", "reorder", "forge", "stale"]
    event: Literal["CONNECTION_SYNCED", "ACCOUNT_SYNCED"]
    syncs: int


# In our own house


@dataclass(frozen=True)
class Death(Event):
    """The next run of accounts dies: what was fetched is not merged, or what was merged is not followed by anything."""

    when: Literal["before merge", "after merge"]


@dataclass(frozen=True)
class Neighbour(Event):
    """Another tenant's load is merged between the fetch and the merge of the next run."""


@dataclass(frozen=True)
class CurrencyAccepted(Event):
    """The operator puts an account's new currency into the configuration."""

    account: str
    currency: str


@dataclass(frozen=True)
class OperatorDecides(Event):
    """The operator joins an account to another, or says that it is one of its own; perhaps while a run goes on."""

    account: str
    other: str
    how: Literal["join", "split"]
    during_a_run: bool


@dataclass(frozen=True)
class Wake(Event):
    """Automation is awake for an hour and a half: for the hours of the night or of the day, and what it missed."""

    work: Literal["night", "day"]
