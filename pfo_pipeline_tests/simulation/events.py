"""Events of a tenant: frozen and dated, they name members, connections and accounts by words of the plan.

`what` describes an event in a few words, for counts and for failed seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class NewAccount:
    """An account as a bank first shows it. `bank_account` identifies the real account behind all its linked accounts."""

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
    """A member links a bank; `replaces` is a connection that ends at the same time."""

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
    """Changed fields of a connection, as for the simulator's admin route."""

    connection: str
    fields: Mapping[str, object]


@dataclass(frozen=True)
class AccountChanged(Event):
    """Changed fields of an account, as for the simulator's admin route.

    `unreadable` is the part that violates the contract from now on: the whole record, its balance, or nothing again.
    """

    account: str
    fields: Mapping[str, object]
    unreadable: Literal["record", "figure", "nothing"] | None = None


@dataclass(frozen=True)
class AccountVanished(Event):
    account: str


@dataclass(frozen=True)
class TokenChanged(Event):
    """A member's token is revoked, or its file is lost; or a new token works again."""

    member: str
    how: Literal["revoked", "lost", "renewed"]


# On the way


@dataclass(frozen=True)
class HttpFault(Event):
    """Affects a member's calls during the next wake."""

    member: str
    fault: Mapping[str, object]
    times: int | None


@dataclass(frozen=True)
class TwiceInList(Event):
    """The next list of a member's accounts contains one account twice, with different content."""

    account: str


@dataclass(frozen=True)
class ListMoves(Event):
    """While a member's accounts are read page by page, the list changes: an account is added, or one already shown is
    removed.
    """

    account: str
    newcomer: NewAccount | None
    connection: str


@dataclass(frozen=True)
class Posts(Event):
    """The bank syncs a connection `syncs` times and posts it; `fault` affects the posts."""

    connection: str
    fault: Literal["none", "lose", "duplicate", "reorder", "forge", "stale"]
    event: Literal["CONNECTION_SYNCED", "ACCOUNT_SYNCED"]
    syncs: int


# In our own house


@dataclass(frozen=True)
class Death(Event):
    """The next run of accounts dies: before the merge, or after the merge and before the next step."""

    when: Literal["before merge", "after merge"]


@dataclass(frozen=True)
class Neighbour(Event):
    """Another tenant's load is merged between the fetch and the merge of the next run."""


@dataclass(frozen=True)
class CurrencyAccepted(Event):
    """The operator adds an account's new currency to the configuration."""

    account: str
    currency: str


@dataclass(frozen=True)
class OperatorDecides(Event):
    """The operator joins an account to another, or separates it, perhaps during a run."""

    account: str
    other: str
    how: Literal["join", "split"]
    during_a_run: bool


@dataclass(frozen=True)
class Wake(Event):
    """Automation is awake for an hour and a half: for the due times of the night or of the day, and the missed ones."""

    work: Literal["night", "day"]
