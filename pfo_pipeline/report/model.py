"""The contents of a cash page as data: exact amounts, times in UTC, nothing formatted.

Amounts are booked balances. Liabilities (loans) and unclassified accounts are always separate, and currencies are never added
up without a rate.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import Shared

if TYPE_CHECKING:  # `pfo config check` needs this module, and no database.
    from pfo_pipeline.operations.action_items import ActionItem

Reason = Literal["movement", "new account", "account gone", "restatement", "carried forward", "not counted"]
"""Why a balance differs from the previous one, or does not although it should: a `carried forward` balance is older than its
limit,
and a `not counted` account is new and in no total.
"""
Side = Literal["total", "loans", "unclassified"]
"""The sum that contains an account with a balance: accounts of all other classes are in the total."""


def side_of(account_class: str) -> Side:
    return "loans" if account_class == "loan" else "unclassified" if account_class == "unclassified" else "total"


@dataclass(frozen=True)
class Rate:
    """The value of one unit of a currency in the reference currency; `day` is the rate's own date."""

    currency: str
    day: date
    value: Decimal


@dataclass(frozen=True)
class Position:
    """One account with its last balance up to the page's time; `current` is None if there is no balance yet."""

    tenant_id: str
    account_id: str
    user_id: str
    institution_name: str
    display_name: str
    account_type: str
    account_class: str
    currency: str | None
    current: Decimal | None
    available: Decimal | None
    as_of: datetime | None
    recorded_at: datetime | None
    age: timedelta | None
    """Age since the bank's own date, never negative."""
    limit: timedelta
    is_stale: bool
    """Older than its limit, or without a balance."""
    converted: Decimal | None
    """`current` in the reference currency, rounded to its decimals; None without a rate."""

    @property
    def side(self) -> Side:
        return side_of(self.account_class)


@dataclass(frozen=True)
class Amount:
    """The sum of several accounts in one currency."""

    currency: str
    accounts: int
    total: Decimal
    stale: Decimal | None
    """The part of `total` with balances older than their limit. None: no such balance; zero: they add up to zero."""
    oldest_as_of: datetime
    converted: Decimal | None


@dataclass(frozen=True)
class Part:
    """One line of a breakdown; `converted` is None unless every amount has a rate."""

    name: str
    amounts: tuple[Amount, ...]
    converted: Decimal | None


@dataclass(frozen=True)
class Breakdown:
    """The same total by another attribute: every breakdown adds up to the page's `total`."""

    by: Literal["tenant", "institution", "member", "account type"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ClassTotal:
    """The balances of one class; `converted` is None unless every amount has a rate."""

    name: str
    amounts: tuple[Amount, ...]
    converted: Decimal | None


@dataclass(frozen=True)
class CoverageLine:
    """Linked accounts of one tenant that are counted, or that are not for one reason at one institution."""

    tenant_id: str
    reason: str | None
    """None: counted."""
    institution_name: str | None
    """None: counted, at any institution; or unknown."""
    accounts: int
    amounts: tuple[tuple[str, Decimal], ...]
    """Their balances, if known."""
    details: tuple[str, ...]


@dataclass(frozen=True)
class Unconverted:
    """A currency of the page without a usable rate, and the reason."""

    currency: str
    why: str


@dataclass(frozen=True)
class Reference:
    """Everything in one currency, if there are rates; each account is rounded, so that columns add up.

    `rates` are those of the page's other currencies; `without` lists its currencies that are in no sum.
    """

    currency: str
    cash: Decimal
    total: Decimal
    liabilities: Decimal
    rates: tuple[Rate, ...]
    without: tuple[Unconverted, ...]

    @property
    def net(self) -> Decimal:
        """Assets less loans, of all classified accounts."""
        return EXACT.add(self.total, self.liabilities)


@dataclass(frozen=True)
class History:
    """The total in one currency at the end of each day in the page's time zone, oldest first.

    The last total is the page's own. None: before the first balance, or no rate on that day. In the reference currency: the
    sum of
    the currencies that have a rate now, each day by the rates of that day; each currency's total is rounded.
    """

    currency: str
    days: tuple[date, ...]
    totals: tuple[Decimal | None, ...]


@dataclass(frozen=True)
class Change:
    """The change of one account between the last report and this one; an account with two reasons has two."""

    tenant_id: str
    account_id: str
    institution_name: str
    display_name: str
    side: Side
    currency: str
    reason: Reason
    difference: Decimal
    as_of: datetime | None
    """The bank's date of the changed balance."""
    detail: str = ""


@dataclass(frozen=True)
class Bridge:
    """From one total to the other: `before` and the differences of `by_reason` add up to `after`, exactly.

    A balance that was carried forward or is not counted makes no difference, and is not in `by_reason`.
    """

    currency: str
    side: Side
    before: Decimal
    by_reason: tuple[tuple[Reason, Decimal], ...]
    after: Decimal


@dataclass(frozen=True)
class Changes:
    """Changes since the state as of `since`, as known then."""

    since: datetime
    is_last_report: bool
    """Whether `since` is the time of the last report, or a requested time."""
    bridges: tuple[Bridge, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Consent:
    """A consent with an end; `amounts` and `accounts` are the part of the total that goes stale then."""

    tenant_id: str
    connection_id: str
    user_id: str
    institution_name: str
    ends_at: datetime
    days_left: int
    """Whole days; negative after the end."""
    accounts: int
    amounts: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class LoadReference:
    """The newest load of a tenant that the page knows: its run, and the digest of the tenant's chain up to it."""

    tenant_id: str
    run_id: str
    recorded_at: datetime
    digest: str | None


@dataclass(frozen=True)
class CashPage:
    """A page about some tenants at one time (`as_of`), as known at another (`known_at`)."""

    office: str
    title: str
    tenant_ids: tuple[str, ...]
    names: dict[tuple[str, str], str]
    """Members by tenant and user id, if the configuration names them."""
    timezone: str
    as_of: datetime
    known_at: datetime
    positions: tuple[Position, ...]
    cash: tuple[Amount, ...]
    """Per currency, of class cash."""
    classes: tuple[ClassTotal, ...]
    """Every class in the total that has a balance, cash first."""
    total: tuple[Amount, ...]
    """Per currency, of all classes except loans and unclassified accounts, as in the ledger's `totals`."""
    liabilities: tuple[Amount, ...]
    unclassified: tuple[Amount, ...]
    possibly_double: tuple[tuple[str, Decimal], ...]
    """Per currency: the amount that may be counted twice, until a person has decided."""
    shared: tuple[Shared, ...]
    """Accounts that several of the page's tenants have."""
    coverage: tuple[CoverageLine, ...]
    breakdowns: tuple[Breakdown, ...]
    reference: Reference | None
    history: tuple[History, ...]
    """365 days, one history for each currency."""
    reference_history: History | None
    changes: Changes | None
    """None if there was no earlier report."""
    action_items: tuple["ActionItem", ...]
    consents: tuple[Consent, ...]
    sources: tuple[LoadReference, ...]
    first_as_of: datetime | None
    """The earliest known balance of these tenants; a page as of an earlier time is empty."""

    @property
    def stale_accounts(self) -> int:
        """Number of accounts with a balance older than its limit, or without a balance."""
        return sum(position.is_stale for position in self.positions)

    @property
    def waiting_for_a_person(self) -> int:
        return sum(item.needs_person for item in self.action_items)
