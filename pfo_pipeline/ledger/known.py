"""Rows of the ledger as they are read: accounts, connections, users, identities; exact amounts, times in UTC."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

CLASSES = ("cash", "savings", "card", "investments", "insurance", "crypto", "loan", "unclassified")
"""Every class that an account may be of; the view account_types says which type is of which."""
APART = ("loan", "unclassified")
"""Classes that are in no total."""


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """Newest version of an account with its newest balance; amounts exact, in the account's currency.

    `canonical_id` is the bank account that it is; what is seen through two connections is two of these with one such id.
    """

    account_id: str
    canonical_id: str
    identity_decided_by: str | None
    user_id: str
    connection_id: str
    source_id: str
    institution_id: str
    institution_name: str
    account_type: str
    currency: str | None
    display_name: str
    number: str | None
    iban: str | None
    bic: str | None
    usage: str | None
    ownership: str | None
    parent_account_id: str | None
    disabled_at: datetime | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime
    current_balance: Decimal | None
    available_balance: Decimal | None
    available_basis: str | None
    as_of: datetime | None
    balance_recorded_at: datetime | None
    connection_status: str | None
    last_success_at: datetime | None
    connection_source_id: str | None
    missing_since: datetime | None
    ended_by: str | None
    is_crypto: bool | None
    account_class: str

    @property
    def is_enabled(self) -> bool:
        return self.disabled_at is None and self.deleted_at is None


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """Newest state of a connection."""

    connection_id: str
    user_id: str
    institution_id: str
    institution_name: str
    state: str | None
    status: str
    who_acts: str | None
    remedy: str | None
    link: str | None
    last_success_at: datetime | None
    next_try_at: datetime | None
    consent_expires_at: datetime | None

    @property
    def is_troubled(self) -> bool:
        return self.status not in ("healthy", "gone", "not_read")


@dataclass(frozen=True, slots=True)
class KnownUser:
    """How reading a user went last."""

    user_id: str
    status: str
    code: str | None
    who_acts: str | None
    remedy: str | None
    recorded_at: datetime

    @property
    def is_troubled(self) -> bool:
        return self.status not in ("ok", "ended")

    @property
    def stands(self) -> str:
        return user_stands(self.status, self.code)


def user_stands(status: str, code: str | None) -> str:
    """How reading a user went, in words."""
    if status == "not_configured":
        return "no longer read by us"
    return f"{status} ({code})" if code else status


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A linked account as account matching needs it: its newest version, its newest balance, what was decided of it."""

    account_id: str
    canonical_id: str
    user_id: str
    connection_id: str
    connection_source_id: str | None
    source_id: str
    institution_id: str
    account_type: str
    currency: str | None
    is_crypto: bool | None
    iban: str | None
    number: str | None
    display_name: str
    parent_account_id: str | None
    disabled_at: datetime | None
    deleted_at: datetime | None
    missing_since: datetime | None
    created_at: datetime
    first_updated_at: datetime | None
    """Powens' time of the first version: a balance that is newer shows that the account advanced."""
    listed_since: datetime | None
    """Since when it has been listed without a break; None while it is not."""
    as_of: datetime | None
    balance_recorded_at: datetime | None
    current_balance: Decimal | None
    evidence: str | None
    decided_by: str | None
    counts_as: str | None


@dataclass(frozen=True, slots=True)
class KnownDecision:
    """What a person decided of two linked accounts last: same, different or undone."""

    account_id: str
    other_id: str
    decision: str


@dataclass(frozen=True, slots=True)
class KnownProposal:
    """An open proposal that two accounts are one."""

    account_id: str
    other_id: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A user who could not be read, or a connection that is not in order."""

    tenant_id: str
    what: str
    institution: str
    why: str
    who_acts: str | None
    remedy: str | None


@dataclass(frozen=True, slots=True)
class Attention:
    """What needs a look though its connection seems in order: of one connection, and one source where Powens names it."""

    tenant_id: str
    connection_id: str
    thing: str
    """Its id: the connection's, with the source's or the matter."""
    user_id: str
    institution_name: str
    code: str
    """missing, noAccount, proposed, oneOf, unclassified, changed, quarantined, noBalance; or Powens' error of single
    accounts.
    """
    why: str
    who_acts: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Total:
    """What a tenant has in one currency, by class; an account that is linked twice counts once.

    `accounts`, `current_balance` and `oldest_as_of` are of all classes but loans and unclassified accounts.
    """

    tenant_id: str
    currency: str
    accounts: int
    current_balance: Decimal | None
    loans: Decimal | None
    oldest_as_of: datetime | None
    cash: Decimal | None
    savings: Decimal | None
    cards: Decimal | None
    investments: Decimal | None
    insurance: Decimal | None
    crypto: Decimal | None
    unclassified: Decimal | None
    possibly_double: Decimal


@dataclass(frozen=True, slots=True)
class Figure:
    """The newest balance of one enabled bank account, and the three dates by which its age is judged."""

    tenant_id: str
    account_id: str
    institution_name: str
    account_type: str
    account_class: str
    currency: str | None
    current_balance: Decimal | None
    connection_id: str
    connection_status: str | None
    who_acts: str | None
    connection_class: str
    as_of: datetime | None
    """The bank's own date; null while there is no figure."""
    synced_at: datetime | None
    """Powens' last sync of the connection that succeeded."""
    recorded_at: datetime | None
    """When we learnt the figure."""
    is_read: bool = True
    """Whether we read its user still."""


@dataclass(frozen=True, slots=True)
class LoadsAhead:
    """A tenant's loads that are dated after some moment, and the newest of those dates."""

    tenant_id: str
    loads: int
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class AgesByDay:
    """How old the figure of an account was at one hour of each day, in seconds, oldest day first; null before it was known."""

    tenant_id: str
    account_id: str
    seconds: list[int | None]


@dataclass(frozen=True, slots=True)
class Closings:
    """The last figure of each day that has one, oldest first; of one account."""

    account_id: str
    balances: list[Decimal]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that breaks a rule of the ledger; `subject` is a canonical id, or a table."""

    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class Drift:
    """A field or value of Powens that no documentation knows, and when it first came."""

    tenant_id: str
    field: str
    value: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class DailyTotals:
    """What a tenant had in one currency at the end of each day, oldest first, loans apart."""

    currency: str
    totals: list[Decimal]


@dataclass(frozen=True, slots=True)
class AccountThen:
    """One bank account at one moment, by what was known at another; of those through which it is seen, the one that speaks."""

    tenant_id: str
    account_id: str
    """The canonical id."""
    linked_id: str
    user_id: str
    connection_id: str
    institution_name: str
    display_name: str
    account_type: str
    account_class: str
    currency: str | None
    counts: bool
    """Neither disabled nor deleted at that moment, and a link of one certain account."""
    counts_as: str | None
    others: str | None
    deleted_at: datetime | None
    current_balance: Decimal | None
    available_balance: Decimal | None
    as_of: datetime | None
    recorded_at: datetime | None
    connection_status: str | None
    who_acts: str | None
    connection_class: str
    synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which bank account a linked account was, by what had been decided."""

    tenant_id: str
    linked_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class FigureThen:
    """What a bank account's last figure up to a date was."""

    tenant_id: str
    account_id: str
    currency: str
    current_balance: Decimal


@dataclass(frozen=True, slots=True)
class TroubledUser:
    """A user who could not be read."""

    tenant_id: str
    user_id: str
    status: str
    code: str | None
    who_acts: str | None
    remedy: str | None


@dataclass(frozen=True, slots=True)
class Doubled:
    """What an account that counts adds to a total, though it may be another one that counts too."""

    tenant_id: str
    account_id: str
    currency: str
    current_balance: Decimal


@dataclass(frozen=True, slots=True)
class Covered:
    """A linked account, or a record that could not be read: counted, or the one reason why not."""

    tenant_id: str
    linked_id: str | None
    account_id: str | None
    institution_name: str | None
    display_name: str | None
    account_type: str | None
    account_class: str | None
    currency: str | None
    current_balance: Decimal | None
    as_of: datetime | None
    counted: bool
    reason: str | None
    detail: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Shared:
    """An account that several tenants show: each of them counts it."""

    tenants: list[str]
    institution_name: str
    display_name: str
    currency: str
    current_balance: Decimal
    """As the newest of its figures says."""


@dataclass(frozen=True, slots=True)
class NewestLoad:
    """The newest load of a tenant, and the hash of its link in the chain."""

    tenant_id: str
    run_id: str
    recorded_at: datetime
    hash: str | None


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What some tenants had in one currency at the end of one of some days; the two add up to it."""

    currency: str
    day: int
    """Its place among those days, from 0."""
    whole: int
    fraction: Decimal
