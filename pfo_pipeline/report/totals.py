"""Exact sums of accounts: per currency, class, institution and user, in the reference currency, and at the end of each day."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from zoneinfo import ZoneInfo

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import APART, CLASSES, CoverageRow
from pfo_pipeline.operations.coverage import REASONS
from pfo_pipeline.report.model import (
    Amount,
    Breakdown,
    ClassTotal,
    CoverageLine,
    History,
    Part,
    Position,
    Reference,
    Unconverted,
)
from pfo_pipeline.report.rates import Rates

Names = Mapping[tuple[str, str], str]
"""Members by tenant and user id."""


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Sum exactly at any length; Python's own context would round a sum at 28 digits."""
    return reduce(EXACT.add, amounts, Decimal(0))


def amounts_of(positions: Iterable[Position]) -> tuple[Amount, ...]:
    """Sums per currency, in the order of their codes; accounts without a balance are not counted."""
    by_currency: dict[str, list[Position]] = defaultdict(list)
    for position in positions:
        if position.current is not None and position.currency is not None:
            by_currency[position.currency].append(position)
    return tuple(_amount(currency, some) for currency, some in sorted(by_currency.items()))


def _amount(currency: str, positions: list[Position]) -> Amount:
    converted = [position.converted for position in positions if position.converted is not None]
    stale = [position.current for position in positions if position.current is not None and position.is_stale]
    return Amount(
        currency=currency,
        accounts=len(positions),
        total=exact_sum(p.current for p in positions if p.current is not None),
        stale=exact_sum(stale) if stale else None,
        oldest_as_of=min(p.as_of for p in positions if p.as_of is not None),
        converted=exact_sum(converted) if len(converted) == len(positions) else None,
    )


def breakdowns_of(positions: Iterable[Position], names: Names) -> tuple[Breakdown, ...]:
    """The total by each attribute; loans and unclassified accounts are in no breakdown."""
    cash = [position for position in positions if position.side == "total" and position.current is not None]
    members = _member_names({(position.tenant_id, position.user_id) for position in cash}, names)
    return (
        Breakdown("tenant", _parts(cash, lambda position: position.tenant_id)),
        Breakdown("institution", _parts(cash, lambda position: position.institution_name)),
        Breakdown("member", _parts(cash, lambda position: members[position.tenant_id, position.user_id])),
        Breakdown("account type", _parts(cash, lambda position: position.account_type)),
    )


def classes_of(positions: Iterable[Position]) -> tuple[ClassTotal, ...]:
    """Totals of the classes in the total, cash first; a class without a balance is left out."""
    by_class: dict[str, list[Position]] = defaultdict(list)
    for position in positions:
        if position.current is not None:
            by_class[position.account_class].append(position)
    parts = [_part(name, amounts_of(by_class[name])) for name in CLASSES if name in by_class and name not in APART]
    return tuple(ClassTotal(part.name, part.amounts, part.converted) for part in parts)


def coverage_lines(covered: Iterable[CoverageRow]) -> tuple[CoverageLine, ...]:
    """By tenant: the counted accounts, then the others, by reason and institution."""
    order: dict[str | None, int] = {None: 0, **{reason: place for place, reason in enumerate(REASONS, start=1)}}
    together: dict[tuple[str, int, str], list[CoverageRow]] = defaultdict(list)
    for one in covered:
        institution = "" if one.counted else one.institution_name or ""
        together[one.tenant_id, order.get(one.reason, len(order)), institution].append(one)
    return tuple(_coverage_line(together[key]) for key in sorted(together))


def _coverage_line(some: list[CoverageRow]) -> CoverageLine:
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for one in some:
        if one.current_balance is not None and one.currency is not None:
            sums[one.currency].append(one.current_balance)
    first = some[0]
    return CoverageLine(
        tenant_id=first.tenant_id,
        reason=first.reason,
        institution_name=None if first.counted else first.institution_name,
        accounts=len(some),
        amounts=tuple((currency, exact_sum(amounts)) for currency, amounts in sorted(sums.items())),
        details=tuple(sorted({one.detail for one in some if one.detail})),
    )


def _member_names(members: set[tuple[str, str]], names: Names) -> dict[tuple[str, str], str]:
    """The configured name, else the user id. Equal names are followed by tenant and user id."""
    called = {member: names.get(member) or member[1] for member in members}
    alike = {name for name in called.values() if list(called.values()).count(name) > 1}
    return {
        (tenant_id, user_id): f"{name} ({tenant_id}, {user_id})" if name in alike else name
        for (tenant_id, user_id), name in called.items()
    }


def _parts(positions: Iterable[Position], name_of: Callable[[Position], str]) -> tuple[Part, ...]:
    """The largest first if everything has a rate, else by name."""
    by_name: dict[str, list[Position]] = defaultdict(list)
    for position in positions:
        by_name[name_of(position)].append(position)
    parts = [_part(name, amounts_of(some)) for name, some in sorted(by_name.items())]
    return tuple(sorted(parts, key=lambda part: (part.converted is None, EXACT.minus(part.converted or Decimal(0)))))


def _part(name: str, amounts: tuple[Amount, ...]) -> Part:
    converted = [amount.converted for amount in amounts if amount.converted is not None]
    return Part(name, amounts, exact_sum(converted) if len(converted) == len(amounts) else None)


def reference_of(positions: Iterable[Position], rates: Rates, day: date) -> Reference:
    """Everything with a rate on that day, in the reference currency."""
    figures = [p for p in positions if p.current is not None and p.currency is not None and p.side != "unclassified"]
    others = sorted({p.currency for p in figures if p.currency is not None} - {rates.reference})
    found = {currency: rates.on(currency, day) for currency in others}
    return Reference(
        currency=rates.reference,
        cash=exact_sum(p.converted for p in figures if p.converted is not None and p.account_class == "cash"),
        total=exact_sum(p.converted for p in figures if p.converted is not None and p.side == "total"),
        liabilities=exact_sum(p.converted for p in figures if p.converted is not None and p.side == "loans"),
        rates=tuple(rate for rate in found.values() if rate is not None),
        without=tuple(Unconverted(c, rates.why_none(c, day)) for c, rate in found.items() if rate is None),
    )


DAYS = 365
Totals = Mapping[str, Sequence[Decimal | None]]
"""By currency, one total for each day; None if no account has a balance."""


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The start of a day in a time zone. If midnight is skipped, the time of the change; if it occurs twice, the first."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days_up_to(moment: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    """DAYS days in the time zone; the last one contains the moment."""
    last = moment.astimezone(zone).date()
    return tuple(last - timedelta(days=back) for back in reversed(range(DAYS)))


def ends_of(days: Sequence[date], zone: ZoneInfo, last: datetime) -> list[datetime]:
    """The last microsecond of each day; the last day ends at `last`."""
    return [start_of(day + timedelta(days=1), zone) - timedelta(microseconds=1) for day in days[:-1]] + [last]


def history_of(days: tuple[date, ...], totals: Totals) -> tuple[History, ...]:
    """One history for each currency; after the first balance, no balance counts as zero."""
    return tuple(History(currency, days, _since_first(totals[currency])) for currency in sorted(totals))


def _since_first(totals: Sequence[Decimal | None]) -> tuple[Decimal | None, ...]:
    first = next((place for place, total in enumerate(totals) if total is not None), len(totals))
    return tuple(None if place < first else total or Decimal(0) for place, total in enumerate(totals))


def reference_history_of(days: tuple[date, ...], totals: Totals, reference: Reference, rates: Rates) -> History | None:
    """The same in the reference currency, except the currencies without a rate; None if no other has a balance."""
    without = {missing.currency for missing in reference.without}
    included = {currency: by_day for currency, by_day in totals.items() if currency not in without}
    if not included:
        return None
    converted: list[Decimal | None] = []
    for place, day in enumerate(days[:-1]):
        there = {currency: total for currency, by_day in included.items() if (total := by_day[place]) is not None}
        values = [rates.convert(total, currency, day) for currency, total in there.items()]
        known = [value for value in values if value is not None]
        before_first = not there and not any(converted_before is not None for converted_before in converted)
        converted.append(None if before_first or len(known) < len(values) else exact_sum(known))
    return History(reference.currency, days, (*converted, reference.total))
