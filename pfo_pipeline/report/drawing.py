"""Small pictures that are markup: the bars of a bridge and the calendar of consents, by places in hundredths.

Whole numbers throughout: no amount becomes a binary float. Not here: plots over time (charts.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.report.contents import Bridge, Reason

_PARTS = 10_000


@dataclass(frozen=True)
class Step:
    """One reason of a bridge; its bar goes from `left` for `width`, both in percent, beside the line at `before`."""

    reason: Reason
    difference: Decimal
    left: str
    width: str


@dataclass(frozen=True)
class DrawnBridge:
    bridge: Bridge
    steps: tuple[Step, ...]
    before: str
    after: str
    """Where the two totals are, in percent; a bridge is drawn only as wide as what changed."""


def drawn_bridge(bridge: Bridge) -> DrawnBridge:
    totals = [bridge.before]
    for _, difference in bridge.by_reason:
        totals.append(EXACT.add(totals[-1], difference))
    low, high = min(totals), max(totals)
    places = [_place(EXACT.subtract(total, low), EXACT.subtract(high, low)) for total in totals]
    steps = tuple(
        Step(reason, difference, _percent(min(pair)), _percent(abs(pair[1] - pair[0])))
        for (reason, difference), pair in zip(bridge.by_reason, pairwise(places), strict=True)
    )
    return DrawnBridge(bridge, steps, _percent(places[0]), _percent(places[-1]))


def _place(value: Decimal, span: Decimal) -> int:
    return int(EXACT.divide_int(EXACT.multiply(value, _PARTS), span)) if span else _PARTS // 2


def _percent(place: int) -> str:
    return f"{place // 100}.{place % 100:02}%"


@dataclass(frozen=True)
class Calendar:
    """Whole months, from the one of today to the one of the last end, six at least and twelve at most."""

    first: date
    last: date
    months: tuple[tuple[date, str], ...]
    """The first day of each, and its place in percent."""
    today: str

    def place(self, day: date) -> str:
        """In percent; what is over or beyond stands at the edge."""
        return _day_place(self.first, self.last, day)


def calendar(today: date, ends: Iterable[date]) -> Calendar:
    last_end = max(ends, default=today)
    wanted = (last_end.year - today.year) * 12 + last_end.month - today.month + 1
    starts = _months(today.replace(day=1), min(12, max(6, wanted)))
    first, last = starts[0], starts[-1]
    return Calendar(
        first,
        last,
        tuple((start, _day_place(first, last, start)) for start in starts[:-1]),
        _day_place(first, last, today),
    )


def _months(first: date, number: int) -> Sequence[date]:
    """First days of as many months, and of the one after."""
    months = [first.year * 12 + first.month - 1 + index for index in range(number + 1)]
    return [date(month // 12, month % 12 + 1, 1) for month in months]


def _day_place(first: date, last: date, day: date) -> str:
    inside = min(max(day, first), last)
    return _percent((inside - first).days * _PARTS // (last - first).days)
