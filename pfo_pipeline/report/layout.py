"""Lays out a cash page, and renders it as one HTML file that needs no server and no network and prints on A4.

Names of banks and persons are never markup: the template escapes everything, and the page's policy allows a browser only the
two scripts and the one style sheet of this package, and no loading.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from pfo_pipeline.contracts.records import EXACT, plain
from pfo_pipeline.operations.action_items import ActionItem
from pfo_pipeline.report import charts, wording
from pfo_pipeline.report.model import Breakdown, Bridge, CashPage, Change, ClassTotal, History, Position, Rate
from pfo_pipeline.report.wording import Wording
from pfo_pipeline.telemetry import steps

MOST_PLOTS = 8
"""Maximum number of plots (one per currency); tables have the days of all currencies."""
MOST_CHANGES = 8
"""Maximum number of changed accounts that are shown at once; the others are folded."""
MOST_ACCOUNTS_OPEN = 120
"""Above this number of accounts, institutions are folded."""


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
    """The history in the reference currency, of everything that has a rate."""

    @property
    def height_px(self) -> int:
        return 150 if self.is_all else 84

    @property
    def width_px(self) -> int:
        """Width without a script that fits it to the page."""
        return 640 if self.is_all else 290


@dataclass(frozen=True)
class View:
    """Values for the template in addition to the page's fields."""

    has_figures: bool
    is_before_the_first: bool
    has_tenants: bool
    """Several tenants: lines then name the tenant."""
    institutions: int
    cash_accounts: int
    stale: int
    without_figure: int
    other_classes: tuple[ClassTotal, ...]
    """All except cash."""
    total_accounts: int
    unclassified_types: tuple[str, ...]
    breakdowns: tuple[Breakdown, ...]
    """Those that show more than the total."""
    rates: Mapping[str, Rate]
    """By currency."""
    groups: tuple[Group, ...]
    is_folded: bool
    difference: Decimal | None
    """Between the reports' totals, if all of them are in one currency."""
    bridges: tuple[Bridge, ...]
    """Bridges with several reasons, which are drawn; a `short` one has one reason, an `unchanged` one none."""
    short_bridges: tuple[Bridge, ...]
    unchanged: tuple[Bridge, ...]
    changed_accounts: int
    changes_by_currency: bool
    """Without rates, differences in two currencies cannot be compared."""
    changes: tuple[Change, ...]
    more_changes: tuple[Change, ...]
    open_items: tuple[ActionItem, ...]
    retried_items: tuple[ActionItem, ...]
    histories: tuple[Shown, ...]
    undrawn: int
    """Number of histories without a plot."""


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
        open_items=tuple(item for item in page.action_items if item.needs_person),
        retried_items=tuple(item for item in page.action_items if not item.needs_person),
        histories=histories,
        undrawn=sum(not shown.is_drawn for shown in histories),
    )


def _histories(page: CashPage) -> tuple[Shown, ...]:
    """The history in the reference currency, then one of each currency that has balances."""
    accounts = {amount.currency: amount.accounts for amount in page.total}
    known = [_from_its_first(history) for history in page.history if _has_figures(history)]
    most = sorted(known, key=lambda history: -accounts.get(history.currency, 0))[:MOST_PLOTS]
    reference = page.reference_history
    all_of_it = [_from_its_first(reference)] if reference and _has_figures(reference) else []
    first = [Shown("days-all", history, True, is_all=True) for history in all_of_it]
    rest = [Shown(f"days-{index}", history, history in most, is_all=False) for index, history in enumerate(known)]
    return (*first, *rest)


def _from_its_first(history: History) -> History:
    """Remove the days before the first balance."""
    first = next(index for index, total in enumerate(history.totals) if total is not None)
    return History(history.currency, history.days[first:], history.totals[first:])


def _has_figures(history: History) -> bool:
    return any(total is not None for total in history.totals)


def _worth(page: CashPage) -> dict[str, Decimal]:
    """Value of one unit of each currency in the reference currency."""
    if page.reference is None:
        return {}
    return {page.reference.currency: Decimal(1), **{rate.currency: rate.value for rate in page.reference.rates}}


def _difference(page: CashPage, bridges: tuple[Bridge, ...]) -> Decimal | None:
    totals = [bridge for bridge in bridges if bridge.side == "total"]
    if len(totals) != 1 or [amount.currency for amount in page.total] != [totals[0].currency]:
        return None
    return EXACT.subtract(totals[0].after, totals[0].before)


def _biggest_first(changes: Iterable[Change], rates: Mapping[str, Decimal]) -> tuple[Change, ...]:
    """Sort by value; changes without a rate come next, by currency, and changes without a difference last."""

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


_TEMPLATES = Path(__file__).parent / "templates"


def render(page: CashPage, locale: str) -> str:
    """Render the page as HTML; the same page gives the same text.

    Args:
        locale: Format of amounts and dates, such as `en_GB`.
    Raises:
        NotWritable: The locale or the page's time zone is unknown.
    """
    words = Wording.of(locale, page.timezone)
    style, own = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("cash.css", "cash.js"))
    shown = view(page)
    drawn = [history for history in shown.histories if history.is_drawn]
    scripts = (charts.libraries(), own) if drawn else ()
    data = (
        {"spec": json.loads(charts.specification()), "timeFormatLocale": charts.time_locale(words.locale)}
        if drawn
        else {}
    )
    template = _environment(words).get_template("cash.html.jinja")
    html: str = template.render(
        page=page,
        view=shown,
        pictures={history.id: _picture(history, words) for history in steps("Drawing plots", drawn)},
        style=style,
        scripts=scripts,
        data=_inside_script(data),
        policy=_policy(style, scripts),
    )
    return html


@cache
def _environment(words: Wording) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(_TEMPLATES, encoding="utf-8"),
    )
    environment.filters |= {
        "text": wording.text,
        "link": wording.link,
        "kind": wording.kind,
        "class_name": wording.class_name,
        "reason": wording.reason,
        "iso": wording.iso,
        "exact": wording.exact,
        "age": wording.age,
        "count": wording.count,
        "plain": plain,
        "currency_name": wording.currency_name,
        "amount": words.amount,
        "difference": words.difference,
        "rate": words.rate,
        "day": words.day,
        "month": words.month,
        "moment": words.moment,
        "long_moment": words.long_moment,
        "local_day": words.local_day,
        "zip": zip,
    }
    environment.globals |= {"calendar": charts.calendar, "drawn_bridge": charts.drawn_bridge}
    return environment


def _picture(shown: Shown, words: Wording) -> str:
    history = shown.history
    written = [words.amount(total, history.currency) for total in history.totals]
    rows = charts.rows(history.days, history.totals, written)
    return charts.drawn(rows, shown.width_px, shown.height_px, words.locale)


def _inside_script(value: object) -> str:
    """JSON that is safe inside `<script>`: it contains no end tag and no line separator."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """The page's Content-Security-Policy: scripts and style by their digests, and nothing else."""
    allowed = " ".join(_digest(script) for script in scripts) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
