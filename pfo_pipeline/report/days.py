"""What there was at the end of each day, in the page's time zone, per currency and in the reference currency.

Here: when a day ends, totals by day. Not here: the query (ledger/moments.py), what there is now (totals.py).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from pfo_pipeline.report.contents import History, Reference
from pfo_pipeline.report.rates import Rates
from pfo_pipeline.report.totals import exact_sum

DAYS = 365
Totals = Mapping[str, Sequence[Decimal | None]]
"""By currency, one for each day; None where no account has a figure."""


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there: where midnight is skipped, the moment of the change; where it comes twice, the first."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days_up_to(moment: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    """DAYS days there, the last one that of the moment."""
    last = moment.astimezone(zone).date()
    return tuple(last - timedelta(days=back) for back in reversed(range(DAYS)))


def ends_of(days: Sequence[date], zone: ZoneInfo, last: datetime) -> list[datetime]:
    """The last microsecond of each day, but for the last one, which ends at `last`."""
    return [start_of(day + timedelta(days=1), zone) - timedelta(microseconds=1) for day in days[:-1]] + [last]


def history_of(days: tuple[date, ...], totals: Totals) -> tuple[History, ...]:
    """One for each currency; once there was a figure, no figure is nothing."""
    return tuple(History(currency, days, _since_first(totals[currency])) for currency in sorted(totals))


def _since_first(totals: Sequence[Decimal | None]) -> tuple[Decimal | None, ...]:
    first = next((place for place, total in enumerate(totals) if total is not None), len(totals))
    return tuple(None if place < first else total or Decimal(0) for place, total in enumerate(totals))


def reference_history_of(days: tuple[date, ...], totals: Totals, reference: Reference, rates: Rates) -> History | None:
    """The same in the reference currency, but for the currencies that it is without; None where no other has a figure."""
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
