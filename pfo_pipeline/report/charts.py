"""Charts of a cash page: balances over time by Altair, the bridge and the consent calendar as markup.

One specification serves every plot. A browser that runs scripts draws it from the table behind the plot (cash.js); for
others it is drawn here, without a network. Altair and vl-convert are imported when a page is made: together they cost over a
second of CPU. Their parts that are the same for every page are kept in the account's cache folder (XDG base directory
specification). Amounts reach the plot as decimal text: only the place of a line is a binary float.
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
    """What `make` made once under this name, which must tell it from whatever another version makes.

    It ends up as a script in pages, so it is taken from a file of this account alone that nobody else may write.
    """
    file = _folder() / name
    try:
        found = file.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        pass  # Not there yet, or of no use.
    made = make()
    _keep(file, made)
    return made


def _folder() -> Path:
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (told if told.is_absolute() else Path.home() / ".cache") / "pfo"
    except RuntimeError:  # There is no home.
        return Path(os.devnull)


def _keep(file: Path, text: str) -> None:
    """By one rename, so that nobody reads half of it. That it cannot be kept is no failure."""
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
    """Vega, Vega-Lite and Vega-Embed as one script, fit to stand inside `<script>`."""
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
    """Vega-Lite for one plot, as JSON without its rows.

    A row has `day` (milliseconds UTC), `ago` (0: the last), `total` (decimal text or null) and `text` (what people read).
    Its parameters are `days`, how many are shown, and `at`, the day that is being read.
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
    told = chart.to_dict() | {"data": rows}
    del told["datasets"]  # where Altair has put the rows, which are none
    return json.dumps(told)


def _extremes(base: Any, y: Any) -> list[Any]:
    """The highest and the lowest of the days shown: a hairline each, with its amount."""
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
    """What cash.js reads out of the table, oldest first."""
    epoch = date(1970, 1, 1)
    listed = [
        {"day": (day - epoch).days * 86_400_000, "total": None if total is None else plain(total), "text": text}
        for day, total, text in zip(days, totals, written, strict=True)
    ]
    return [row | {"ago": len(listed) - 1 - index} for index, row in enumerate(listed)]


def drawn(data: list[dict[str, Any]], width_px: int, height_px: int, locale: Locale) -> str:
    """The plot of all its days as SVG, for a reader whose browser runs no scripts."""
    import vl_convert

    specified: dict[str, Any] = json.loads(specification())
    specified |= {"width": width_px, "height": height_px}
    specified["data"]["values"] = data
    return str(vl_convert.vegalite_to_svg(specified, time_format_locale=time_locale(locale)))


def time_locale(locale: Locale) -> dict[str, Any]:
    """Names of months and days as d3 wants them; the rest of what it wants is not used."""
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
