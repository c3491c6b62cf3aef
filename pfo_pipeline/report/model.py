"""The contents of a cash page as data: exact amounts, times in UTC, nothing formatted.

Amounts are booked balances. Liabilities (loans) and accounts of no known class are always apart, and currencies are never
added up without a rate.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import Shared

Reason = Literal["movement", "new account", "account gone", "restatement", "carried forward", "not counted"]
"""Why a figure differs from the one before, or does not though it should: a `carried forward` one is beyond its limit, and one
that is `not counted` came since and is in no total.
"""
Side = Literal["total", "loans", "unclassified"]
"""Where an account with a figure is added up: accounts of all other classes are in the total."""


def side_of(account_class: str) -> Side:
    return "loans" if account_class == "loan" else "unclassified" if account_class == "unclassified" else "total"


@dataclass(frozen=True)
class Rate:
    """What one unit of a currency is worth in the reference currency; `day` is the rate's own date."""

    currency: str
    day: date
    value: Decimal


@dataclass(frozen=True)
class Position:
    """One bank account, once, with its last figure up to the page's moment; `current` is None while there is none."""

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
    """Since the bank's own date, never negative."""
    limit: timedelta
    is_stale: bool
    """Beyond its limit, or without a figure."""
    converted: Decimal | None
    """`current` in the reference currency, rounded to its decimals; None without a rate."""

    @property
    def side(self) -> Side:
        return side_of(self.account_class)


@dataclass(frozen=True)
class Amount:
    """What several accounts have in one currency."""

    currency: str
    accounts: int
    total: Decimal
    stale: Decimal | None
    """How much of `total` is figures beyond their limit; None: none is. They may add up to zero."""
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
    """The same total by something else: every breakdown adds up to the page's `total`."""

    by: Literal["tenant", "institution", "member", "account type"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ClassTotal:
    """What the accounts of one class have; `converted` is None unless every amount has a rate."""

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
    """None: counted, at any; or not known."""
    accounts: int
    amounts: tuple[tuple[str, Decimal], ...]
    """What they have, where it is known."""
    details: tuple[str, ...]


@dataclass(frozen=True)
class Unconverted:
    """A currency of the page that has no rate to go by, and why."""

    currency: str
    why: str


@dataclass(frozen=True)
class Reference:
    """Everything in one currency, as far as there are rates; each account is rounded, so that columns add up.

    `rates` are those of the page's other currencies, `without` its currencies that are in no sum.
    """

    currency: str
    cash: Decimal
    total: Decimal
    liabilities: Decimal
    rates: tuple[Rate, ...]
    without: tuple[Unconverted, ...]

    @property
    def net(self) -> Decimal:
        """Of all that has a class: what there is, less what is owed."""
        return EXACT.add(self.total, self.liabilities)


@dataclass(frozen=True)
class History:
    """What there was in one currency at the end of each day in the page's time zone, in the total, oldest first.

    The last total is the page's own. None: before the first figure, or no rate on that day. In the reference currency: of the
    currencies that it has a rate for now, each day by the rates of that day; each currency's total is rounded.
    """

    currency: str
    days: tuple[date, ...]
    totals: tuple[Decimal | None, ...]


@dataclass(frozen=True)
class Change:
    """What became of one account between the last report and this one; two lines where it has two reasons."""

    tenant_id: str
    account_id: str
    institution_name: str
    display_name: str
    side: Side
    currency: str
    reason: Reason
    difference: Decimal
    as_of: datetime | None
    """The bank's date of the figure that it is about."""
    detail: str = ""


@dataclass(frozen=True)
class Bridge:
    """From one total to the other: `before` and the differences of `by_reason` add up to `after`, exactly.

    A figure that was carried forward or is not counted makes no difference, and is not in `by_reason`.
    """

    currency: str
    side: Side
    before: Decimal
    by_reason: tuple[tuple[Reason, Decimal], ...]
    after: Decimal


@dataclass(frozen=True)
class Changes:
    """Since the state as of `since`, by what was known then."""

    since: datetime
    is_last_report: bool
    """Whether that is the last report's moment, or one that was asked for."""
    bridges: tuple[Bridge, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Task:
    """Something that waits: for `who` (member, operator: an act is needed), or until it mends itself."""

    tenant_id: str
    user_id: str
    institution_name: str | None
    why: str
    who: str | None
    remedy: str | None
    link: str | None
    next_try_at: datetime | None
    needs_person: bool


@dataclass(frozen=True)
class Consent:
    """A consent with an end; `amounts` and `accounts` are what goes stale then, of what is in the total."""

    tenant_id: str
    connection_id: str
    user_id: str
    institution_name: str
    ends_at: datetime
    days_left: int
    """Whole days; negative once it is over."""
    accounts: int
    amounts: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class Source:
    """The newest load of a tenant that the page knows: its run, and the digest of the tenant's chain up to it."""

    tenant_id: str
    run_id: str
    recorded_at: datetime
    digest: str | None


@dataclass(frozen=True)
class CashPage:
    """A page about some tenants at one moment (`as_of`), by what was known at another (`known_at`)."""

    office: str
    title: str
    tenant_ids: tuple[str, ...]
    names: dict[tuple[str, str], str]
    """Members by tenant and user id, where the configuration names them."""
    timezone: str
    as_of: datetime
    known_at: datetime
    positions: tuple[Position, ...]
    cash: tuple[Amount, ...]
    """Per currency, of class cash."""
    classes: tuple[ClassTotal, ...]
    """Every class in the total that has a figure, cash first."""
    total: tuple[Amount, ...]
    """Per currency, of all classes but loans and unclassified accounts, as the ledger's `totals` have it."""
    liabilities: tuple[Amount, ...]
    unclassified: tuple[Amount, ...]
    possibly_double: tuple[tuple[str, Decimal], ...]
    """Per currency: how much may be counted twice, until a person has decided."""
    shared: tuple[Shared, ...]
    """Accounts that several of the page's tenants show."""
    coverage: tuple[CoverageLine, ...]
    breakdowns: tuple[Breakdown, ...]
    reference: Reference | None
    history: tuple[History, ...]
    """Of 365 days, one for each currency."""
    reference_history: History | None
    changes: Changes | None
    """None where there was no report before."""
    tasks: tuple[Task, ...]
    consents: tuple[Consent, ...]
    sources: tuple[Source, ...]
    first_as_of: datetime | None
    """The earliest figure that is known of these tenants; a page as of an earlier moment is empty."""

    @property
    def stale_accounts(self) -> int:
        """Those whose figure is beyond its limit, or that have none."""
        return sum(position.is_stale for position in self.positions)

    @property
    def waiting_for_a_person(self) -> int:
        return sum(task.needs_person for task in self.tasks)
