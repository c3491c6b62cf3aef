"""The order of a cash page: what stands together, what comes first, what is folded away because there is too much of it.

Here: counting, grouping and cutting of what the page holds. Not here: new figures (gathering.py), words (wording.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.report.contents import Breakdown, Bridge, CashPage, Change, ClassTotal, History, Position, Rate, Task

MOST_PLOTS = 8
"""Currencies that are drawn; the days of all stand in tables."""
MOST_CHANGES = 8
"""Changed accounts that are shown at once; the others are folded."""
MOST_ACCOUNTS_OPEN = 120
"""From more accounts on, institutions are folded."""


@dataclass(frozen=True)
class Group:
    """The accounts of a tenant at one institution."""

    tenant_id: str
    institution_name: str
    positions: tuple[Position, ...]

    @property
    def stale(self) -> int:
        return sum(position.is_stale for position in self.positions)


@dataclass(frozen=True)
class Shown:
    """A history on the page: its table, and its plot if it `is_drawn`."""

    id: str
    history: History
    is_drawn: bool
    is_all: bool
    """In the reference currency: of everything that has a rate."""

    @property
    def height_px(self) -> int:
        return 150 if self.is_all else 84

    @property
    def width_px(self) -> int:
        """Where no script fits it to the place that it has."""
        return 640 if self.is_all else 290


@dataclass(frozen=True)
class View:
    """What the template asks of a page beyond its fields."""

    has_figures: bool
    is_before_the_first: bool
    has_tenants: bool
    """Several: lines then say whose they are."""
    institutions: int
    cash_accounts: int
    stale: int
    without_figure: int
    other_classes: tuple[ClassTotal, ...]
    """All but cash."""
    total_accounts: int
    unclassified_types: tuple[str, ...]
    breakdowns: tuple[Breakdown, ...]
    """Those that tell more than the total."""
    rates: Mapping[str, Rate]
    """By currency."""
    groups: tuple[Group, ...]
    is_folded: bool
    difference: Decimal | None
    """Between the reports' totals, where all of them is in one currency."""
    bridges: tuple[Bridge, ...]
    """Those of several reasons, which are drawn; a `short` one has one reason, an `unchanged` one none."""
    short_bridges: tuple[Bridge, ...]
    unchanged: tuple[Bridge, ...]
    changed_accounts: int
    changes_by_currency: bool
    """Without rates, which of two currencies' differences is bigger is not known."""
    changes: tuple[Change, ...]
    more_changes: tuple[Change, ...]
    waiting: tuple[Task, ...]
    mending: tuple[Task, ...]
    histories: tuple[Shown, ...]
    undrawn: int
    """How many of them have no plot."""


def view(page: CashPage) -> View:
    rates = _worth(page)
    changes = _biggest_first(page.changes.changes, rates) if page.changes else ()
    bridges = page.changes.bridges if page.changes else ()
    histories = _histories(page)
    moved = [change for change in changes if change.reason != "carried forward"]
    return View(
        has_figures=any(position.current is not None for position in page.positions),
        is_before_the_first=page.first_as_of is not None and page.as_of < page.first_as_of,
        has_tenants=len(page.tenant_ids) > 1,
        institutions=len(
            {p.institution_name for p in page.positions if p.current is not None and p.account_class == "cash"}
        ),
        cash_accounts=sum(amount.accounts for amount in page.cash),
        stale=sum(position.is_stale and position.current is not None for position in page.positions),
        without_figure=sum(position.current is None for position in page.positions),
        other_classes=tuple(one for one in page.classes if one.name != "cash"),
        total_accounts=sum(amount.accounts for amount in page.total),
        unclassified_types=tuple(sorted({p.account_type for p in page.positions if p.side == "unclassified"})),
        rates={rate.currency: rate for rate in page.reference.rates} if page.reference else {},
        groups=_groups(page.positions),
        is_folded=len(page.positions) > MOST_ACCOUNTS_OPEN,
        difference=_difference(page, bridges),
        bridges=tuple(bridge for bridge in bridges if len(bridge.by_reason) > 1),
        short_bridges=tuple(bridge for bridge in bridges if len(bridge.by_reason) == 1),
        unchanged=tuple(bridge for bridge in bridges if not bridge.by_reason),
        breakdowns=tuple(b for b in page.breakdowns if len(b.parts) > (b.by in ("tenant", "member"))),
        changed_accounts=len({(change.tenant_id, change.account_id) for change in moved}),
        changes_by_currency=not rates and len({change.currency for change in changes}) > 1,
        changes=changes[:MOST_CHANGES],
        more_changes=changes[MOST_CHANGES:],
        waiting=tuple(task for task in page.tasks if task.needs_person),
        mending=tuple(task for task in page.tasks if not task.needs_person),
        histories=histories,
        undrawn=sum(not shown.is_drawn for shown in histories),
    )


def _histories(page: CashPage) -> tuple[Shown, ...]:
    """The reference currency's first, then each currency's that has figures."""
    accounts = {amount.currency: amount.accounts for amount in page.total}
    known = [_from_its_first(history) for history in page.history if _has_figures(history)]
    most = sorted(known, key=lambda history: -accounts.get(history.currency, 0))[:MOST_PLOTS]
    reference = page.reference_history
    all_of_it = [_from_its_first(reference)] if reference and _has_figures(reference) else []
    first = [Shown("days-all", history, True, is_all=True) for history in all_of_it]
    rest = [Shown(f"days-{index}", history, history in most, is_all=False) for index, history in enumerate(known)]
    return (*first, *rest)


def _from_its_first(history: History) -> History:
    """Without the days before the first figure."""
    first = next(index for index, total in enumerate(history.totals) if total is not None)
    return History(history.currency, history.days[first:], history.totals[first:])


def _has_figures(history: History) -> bool:
    return any(total is not None for total in history.totals)


def _worth(page: CashPage) -> dict[str, Decimal]:
    """Of one unit of each currency in the reference currency."""
    if page.reference is None:
        return {}
    return {page.reference.currency: Decimal(1), **{rate.currency: rate.value for rate in page.reference.rates}}


def _difference(page: CashPage, bridges: tuple[Bridge, ...]) -> Decimal | None:
    totals = [bridge for bridge in bridges if bridge.side == "total"]
    if len(totals) != 1 or [amount.currency for amount in page.total] != [totals[0].currency]:
        return None
    return EXACT.subtract(totals[0].after, totals[0].before)


def _biggest_first(changes: Iterable[Change], rates: Mapping[str, Decimal]) -> tuple[Change, ...]:
    """By what they are worth; what has no rate comes after that, by currency, and what makes no difference last."""

    def place(change: Change) -> tuple[bool, str, Decimal]:
        size, rate = change.difference.copy_abs(), rates.get(change.currency)
        is_last = change.reason in ("carried forward", "not counted")
        return (is_last, "", -EXACT.multiply(size, rate)) if rate else (is_last, change.currency, -size)

    return tuple(sorted(changes, key=place))


def _groups(positions: tuple[Position, ...]) -> tuple[Group, ...]:
    def place(position: Position) -> tuple[str, str, str]:
        return position.tenant_id, position.institution_name.casefold(), position.institution_name

    ordered = sorted(positions, key=lambda position: (*place(position), position.side != "total"))
    return tuple(
        Group(tenant_id, name, tuple(together)) for (tenant_id, _, name), together in groupby(ordered, key=place)
    )
