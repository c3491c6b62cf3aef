"""Write a cash page as one HTML file: opens from a disk, needs no server and no network, prints on A4.

Here: what the template is given, and what a browser is allowed to do with the page.
Not here: words and amounts (wording.py), plots (charts.py, drawing.py), the order of things (arranging.py, templates/).
Nothing that a bank or a person named is markup: the template escapes everything, and the page's policy lets a browser run the
two scripts of this package only, apply its one style sheet, and load nothing.
"""

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pfo_pipeline.contracts.records import plain
from pfo_pipeline.report import charts, drawing, wording
from pfo_pipeline.report.arranging import Shown, view
from pfo_pipeline.report.contents import CashPage
from pfo_pipeline.report.wording import Wording
from pfo_pipeline.telemetry.progress import steps

_TEMPLATES = Path(__file__).parent / "templates"


def render(page: CashPage, locale: str) -> str:
    """The page as HTML; the same page gives the same text.

    Args:
        locale: How amounts and dates are written, such as `en_GB`.
    Raises:
        NotWritable: The locale or the page's time zone is not known.
    """
    words = Wording.of(locale, page.timezone)
    style, own = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("cash.css", "cash.js"))
    shown = view(page)
    drawn = [history for history in shown.histories if history.is_drawn]
    scripts = (charts.libraries(), own) if drawn else ()
    told = (
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
        told=_inside_script(told),
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
    environment.globals |= {"calendar": drawing.calendar, "drawn_bridge": drawing.drawn_bridge}
    return environment


def _picture(shown: Shown, words: Wording) -> str:
    history = shown.history
    written = [words.amount(total, history.currency) for total in history.totals]
    rows = charts.rows(history.days, history.totals, written)
    return charts.drawn(rows, shown.width_px, shown.height_px, words.locale)


def _inside_script(value: object) -> str:
    """JSON that ends no `<script>` and no line of one."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """The page's Content-Security-Policy: scripts and style by their digests, nothing from anywhere."""
    allowed = " ".join(_digest(script) for script in scripts) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
