"""Charts of a cash page: balances over time by Altair, the bridge and the consent calendar as markup.

One specification serves every plot. A browser that runs scripts draws it from the table behind the plot (cash.js); for others
it is drawn here, without a network. Altair and vl-convert are imported when a page is made: together they cost over a second
of CPU. The parts that are the same for every page are kept in the user's cache folder (XDG base directory specification).
Amounts reach the plot as decimal text: only the position of a line is a binary float.
"""

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from babel import Locale

from pfo_pipeline.contracts.records import EXACT, plain
from pfo_pipeline.report.model import Bridge, Reason


def kept(name: str, make: Callable[[], str]) -> str:
    """Return the cached result of `make` under this name. The name must differ between versions that make different content.

    The content becomes a script in pages, so the file must belong to this user, and nobody else may have write access.
    """
    file = _folder() / name
    try:
        found = file.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        pass  # missing or not usable
    made = make()
    _keep(file, made)
    return made


def _folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (folder if folder.is_absolute() else Path.home() / ".cache") / "pfo"
    except RuntimeError:  # no home folder
        return Path(os.devnull)


def _keep(file: Path, text: str) -> None:
    """Write the file by one rename, so that nobody reads half of it. A failure is ignored."""
    draft = None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as written:
            draft = Path(written.name)
            written.write(text)
        draft.replace(file)
    except OSError:
        if draft is not None:
            draft.unlink(missing_ok=True)


DAYS = (30, 90, 365)
_INK, _SOFT, _RULE, _ACCENT = "var(--ink)", "var(--soft)", "var(--rule)", "var(--accent)"


@cache
def libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that is safe inside `<script>`."""
    return (
        kept(f"vega-{version('vl-convert-python')}.js", _bundled)
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )


def _bundled() -> str:
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"))


@cache
def specification() -> str:
    """Vega-Lite specification of one plot, as JSON without its rows.

    A row has `day` (milliseconds UTC), `ago` (0: the last), `total` (decimal text or null) and `text` (for people).
    Its parameters are `days`, the number of days shown, and `at`, the selected day.
    """
    import altair as alt

    rows: dict[str, Any] = {"values": [], "format": {"parse": {"total": "number"}}}
    base = alt.Chart().transform_filter("datum.ago < days")
    marks = alt.Axis(
        title=None,
        grid=False,
        domainColor=_RULE,
        tickColor=_RULE,
        tickSize=4,
        offset=20,
        tickCount={"expr": "max(2, width / 80)"},
        labelColor=_SOFT,
        labelFlush=True,
        labelOverlap="greedy",
        labelExpr="days > 100 ? utcFormat(datum.value, '%b') : utcFormat(datum.value, '%-d %b')",
    )
    x = alt.X("day:T", scale=alt.Scale(type="utc", nice=False), axis=marks)
    y = alt.Y("total:Q", scale=alt.Scale(zero=False, nice=False), axis=None)
    line = base.mark_line(
        interpolate="step-after", stroke=_INK, strokeWidth=1.5, strokeCap="round", strokeJoin="round"
    ).encode(x, y)
    last = (
        base.transform_filter("datum.ago == 0")
        .mark_point(filled=True, size=34, fill=_INK, stroke=None, opacity=1)
        .encode(x, y)
    )
    at = base.transform_filter("datum.day == at")
    read = at.mark_rule(stroke=_ACCENT, strokeWidth=1).encode(x) + at.mark_point(
        filled=True, size=48, fill=_ACCENT, stroke=None, opacity=1
    ).encode(x, y)
    layers = alt.layer(*_extremes(base, y), line, last, *read.layer, data=rows)
    chart = (
        layers.add_params(alt.param(name="days", value=DAYS[-1]), alt.param(name="at", value=0))
        .properties(
            autosize=alt.AutoSizeParams(type="none"),
            padding={"left": 4, "right": 4, "top": 22, "bottom": 44},
            background="transparent",
        )
        .configure(font="inherit")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11)
        .configure_text(fontSize=11)
    )
    spec = chart.to_dict() | {"data": rows}
    del spec["datasets"]  # Altair's own rows, which are empty
    return json.dumps(spec)


def _extremes(base: Any, y: Any) -> list[Any]:
    """Mark the highest and the lowest day shown: a hairline each, with its amount."""
    found = base.transform_filter("isValid(datum.total)").transform_aggregate(
        high="argmax(total)", low="argmin(total)", highest="max(total)", lowest="min(total)"
    )
    flat = "datum.highest == datum.lowest"
    high = found.transform_calculate(
        total="datum.highest", text=f"({flat} ? 'throughout ' : 'highest ') + datum.high.text"
    )
    low = found.transform_filter(f"!({flat})").transform_calculate(
        total="datum.lowest", text="'lowest ' + datum.low.text"
    )
    beside = {"align": "left", "color": _SOFT, "x": 0, "limit": {"expr": "width"}}
    return [
        *(one.mark_rule(stroke=_RULE, strokeWidth=1).encode(y) for one in (high, low)),
        high.mark_text(baseline="bottom", dy=-4, **beside).encode(y, text="text:N"),
        low.mark_text(baseline="top", dy=4, **beside).encode(y, text="text:N"),
    ]


def rows(days: Iterable[date], totals: Iterable[Decimal | None], written: Iterable[str]) -> list[dict[str, Any]]:
    """The rows as cash.js reads them from the table, oldest first."""
    epoch = date(1970, 1, 1)
    listed = [
        {"day": (day - epoch).days * 86_400_000, "total": None if total is None else plain(total), "text": text}
        for day, total, text in zip(days, totals, written, strict=True)
    ]
    return [row | {"ago": len(listed) - 1 - index} for index, row in enumerate(listed)]


def drawn(data: list[dict[str, Any]], width_px: int, height_px: int, locale: Locale) -> str:
    """The plot of all days as SVG, for a browser that runs no scripts."""
    import vl_convert

    specified: dict[str, Any] = json.loads(specification())
    specified |= {"width": width_px, "height": height_px}
    specified["data"]["values"] = data
    return str(vl_convert.vegalite_to_svg(specified, time_format_locale=time_locale(locale)))


def time_locale(locale: Locale) -> dict[str, Any]:
    """Names of months and days in d3's form; d3's other required entries are not used."""
    months, days = locale.months["stand-alone"], locale.days["stand-alone"]
    week = [6, *range(6)]  # d3 begins with Sunday, Babel with Monday.
    return {
        "dateTime": "%x %X",
        "date": "%Y-%m-%d",
        "time": "%H:%M:%S",
        "periods": ["AM", "PM"],
        "days": [days["wide"][day] for day in week],
        "shortDays": [days["abbreviated"][day] for day in week],
        "months": [months["wide"][month] for month in range(1, 13)],
        "shortMonths": [months["abbreviated"][month] for month in range(1, 13)],
    }


_PARTS = 10_000


@dataclass(frozen=True)
class BridgeBar:
    """One reason of a bridge. Its bar begins at `left` and is `width` wide, both in percent, beside the line at `before`."""

    reason: Reason
    difference: Decimal
    left: str
    width: str


@dataclass(frozen=True)
class DrawnBridge:
    bridge: Bridge
    steps: tuple[BridgeBar, ...]
    before: str
    after: str
    """Positions of the two totals, in percent. The scale of a bridge covers only the changes."""


def drawn_bridge(bridge: Bridge) -> DrawnBridge:
    totals = [bridge.before]
    for _, difference in bridge.by_reason:
        totals.append(EXACT.add(totals[-1], difference))
    low, high = min(totals), max(totals)
    places = [_place(EXACT.subtract(total, low), EXACT.subtract(high, low)) for total in totals]
    steps = tuple(
        BridgeBar(reason, difference, _percent(min(pair)), _percent(abs(pair[1] - pair[0])))
        for (reason, difference), pair in zip(bridge.by_reason, pairwise(places), strict=True)
    )
    return DrawnBridge(bridge, steps, _percent(places[0]), _percent(places[-1]))


def _place(value: Decimal, span: Decimal) -> int:
    return int(EXACT.divide_int(EXACT.multiply(value, _PARTS), span)) if span else _PARTS // 2


def _percent(place: int) -> str:
    return f"{place // 100}.{place % 100:02}%"


@dataclass(frozen=True)
class Calendar:
    """Whole months, from today's to that of the last end; at least six and at most twelve."""

    first: date
    last: date
    months: tuple[tuple[date, str], ...]
    """The first day of each, and its position in percent."""
    today: str

    def place(self, day: date) -> str:
        """Position in percent; a day outside the calendar is placed at its edge."""
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
    """The first days of this number of months, and of the next one."""
    months = [first.year * 12 + first.month - 1 + index for index in range(number + 1)]
    return [date(month // 12, month % 12 + 1, 1) for month in months]


def _day_place(first: date, last: date, day: date) -> str:
    inside = min(max(day, first), last)
    return _percent((inside - first).days * _PARTS // (last - first).days)
