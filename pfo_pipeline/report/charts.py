"""The plots of a cash page: what has been there at the end of each day, by Altair, drawn without a network.

One specification serves every plot. A browser that runs scripts draws it from the table behind the plot (cash.js); for
others it is drawn here. Altair and vl-convert are imported when a page is made: together they cost over a second of CPU.
Amounts reach the plot as decimal text, and are written by their text: only the place of a line is a binary float.
Not here: bars and the consent calendar, which are markup (drawing.py).
"""

import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any

from babel import Locale

from pfo_pipeline.contracts.records import plain
from pfo_pipeline.report.keeping import kept

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
