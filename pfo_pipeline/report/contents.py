"""What a cash page says, as data: exact amounts, moments in UTC, nothing formatted.

Here: the types. Not here: where they come from (gathering.py, totals.py, days.py, changes.py, waiting.py), how they are shown
(page.py).
Amounts are booked balances. Liabilities (loans) are always apart, and currencies are never added up without a rate.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

Reason = Literal["movement", "new account", "account gone", "restatement", "carried forward"]
"""Why a figure differs from the one before, or does not though it should: a `carried forward` one is beyond its limit."""


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
    currency: str | None
    is_liability: bool
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
    """The same total by something else: every breakdown adds up to the page's `cash`."""

    by: Literal["tenant", "institution", "member", "account type"]
    parts: tuple[Part, ...]


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
    liabilities: Decimal
    rates: tuple[Rate, ...]
    without: tuple[Unconverted, ...]


@dataclass(frozen=True)
class History:
    """What there was in one currency at the end of each day in the page's time zone, without liabilities, oldest first.

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
    is_liability: bool
    currency: str
    reason: Reason
    difference: Decimal
    as_of: datetime | None
    """The bank's date of the figure that it is about."""
    detail: str = ""


@dataclass(frozen=True)
class Bridge:
    """From one total to the other: `before` and the differences of `by_reason` add up to `after`, exactly.

    A figure that was carried forward makes no difference, and is not in `by_reason`.
    """

    currency: str
    is_liability: bool
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
    """A consent with an end; `amounts` and `accounts` are what goes stale then, loans apart."""

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
    """Per currency, without liabilities."""
    liabilities: tuple[Amount, ...]
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
