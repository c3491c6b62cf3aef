"""Rows read from the ledger: accounts, connections, users, identities. Amounts are exact, times are in UTC."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

CLASSES = ("cash", "savings", "card", "investments", "insurance", "crypto", "loan", "unclassified")
"""Every account class; the view account_types maps account types to classes."""
APART = ("loan", "unclassified")
"""Classes that are in no total."""


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """Newest version of an account with its newest balance. Amounts are exact, in the account's currency.

    `canonical_id` is the id of the account. Two linked accounts of the same account have the same canonical id.
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


@dataclass(frozen=True, slots=True)
class KnownUser:
    """The result of the last read of a user."""

    user_id: str
    status: str
    code: str | None
    who_acts: str | None
    remedy: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A linked account with the data that account matching needs: newest version, newest balance and decisions."""

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
    """Powens' time of the first version. If the balance is newer, the account has been updated since."""
    listed_since: datetime | None
    """Start of the current unbroken time of being listed; None if it is not listed."""
    as_of: datetime | None
    balance_recorded_at: datetime | None
    current_balance: Decimal | None
    evidence: str | None
    decided_by: str | None
    counts_as: str | None


@dataclass(frozen=True, slots=True)
class KnownDecision:
    """A person's last decision about two linked accounts: same, different or undone."""

    account_id: str
    other_id: str
    decision: str


@dataclass(frozen=True, slots=True)
class KnownProposal:
    """An open proposal that two accounts are the same."""

    account_id: str
    other_id: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Total:
    """A tenant's total in one currency, by class; an account that is linked twice counts once.

    `accounts`, `current_balance` and `oldest_as_of` cover all classes except loans and unclassified accounts.
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
class DatedBalance:
    """The newest balance of one enabled account, and the three dates that determine its age."""

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
    """The bank's own date; null if there is no balance."""
    synced_at: datetime | None
    """Time of Powens' last successful sync of the connection."""
    recorded_at: datetime | None
    """When we recorded the balance."""
    is_read: bool = True
    """Whether we still read its user."""


@dataclass(frozen=True, slots=True)
class LoadsAhead:
    """A tenant's loads dated after a given time, and the newest of their dates."""

    tenant_id: str
    loads: int
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class DailyBalances:
    """The last balance of one account on each day that has one, oldest first."""

    account_id: str
    balances: list[Decimal]


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated rule of the ledger; `subject` is a canonical id, or a table."""

    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class Drift:
    """An undocumented field or value from Powens, and when it was first received."""

    tenant_id: str
    field: str
    value: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class DailyTotals:
    """A tenant's total in one currency at the end of each day, oldest first, without loans."""

    currency: str
    totals: list[Decimal]


@dataclass(frozen=True, slots=True)
class AccountAsOf:
    """One account at one time, as known at another; values are those of its newest enabled linked account."""

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
    """Whether it was neither disabled nor deleted at that time, and a link of one certain account."""
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
class AccountLink:
    """The account to which a linked account was assigned."""

    tenant_id: str
    linked_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class BalanceAsOf:
    """The last balance of an account up to a date."""

    tenant_id: str
    account_id: str
    currency: str
    current_balance: Decimal


@dataclass(frozen=True, slots=True)
class PossibleDouble:
    """The amount that an account adds to a total although it may be the same as another account in that total."""

    tenant_id: str
    account_id: str
    currency: str
    current_balance: Decimal


@dataclass(frozen=True, slots=True)
class CoverageRow:
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
    """An account that several tenants have; each of them counts it."""

    tenants: list[str]
    institution_name: str
    display_name: str
    currency: str
    current_balance: Decimal
    """The newest of its balances."""


@dataclass(frozen=True, slots=True)
class NewestLoad:
    """The newest load of a tenant, and the hash of its link in the chain."""

    tenant_id: str
    run_id: str
    recorded_at: datetime
    hash: str | None


@dataclass(frozen=True, slots=True)
class DayTotal:
    """The total of some tenants in one currency at the end of one of the requested days. The total is the sum of the two
    amounts.
    """

    currency: str
    day: int
    """Index of the day, from 0."""
    whole: int
    fraction: Decimal
