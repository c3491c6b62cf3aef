"""What commands print: tables, JSON and CSV, progress bars, and amounts, dates and ages for people.

Text from banks and people is shown and never obeyed: no markup of rich, no escape sequence of the terminal.
"""

import csv
import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from pfo_pipeline.contracts.records import FORMULA, plain
from pfo_pipeline.telemetry import shown_by

if TYPE_CHECKING:
    from rich.console import Console


_WIDTH_WITHOUT_TERMINAL = 180
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, formats (changes of direction among them), surrogates and line ends."""


def console(*, stderr: bool = False) -> "Console":
    from rich.console import Console  # Programs ask for no table.

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else _WIDTH_WITHOUT_TERMINAL
    is_plain = os.environ.get("NO_COLOR") or _is_dumb()
    return Console(
        stderr=stderr,
        width=width,
        color_system=None if is_plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


@contextmanager
def progress() -> Iterator[None]:
    """Show how far long work has come, on standard error and only where that is a terminal; nothing of it stays there."""
    if not sys.stderr.isatty() or _is_dumb():
        yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def show(about: str, things: Collection[Any]) -> Iterator[Any]:
        if bars.tasks:  # Steps of a step: its own are counted.
            yield from things
            return
        task = bars.add_task(about, total=len(things))
        bars.start()
        for thing in things:
            yield thing
            bars.advance(task)
        bars.stop()
        bars.remove_task(task)

    try:
        with shown_by(show):
            yield
    finally:
        bars.stop()


def visible(text: str) -> str:
    """The text on one line; a character that a terminal would obey is spelt, such as `\\x1b`."""
    return "".join(_spelt(c) if unicodedata.category(c) in _OBEYED else c for c in text)


def visible_lines(text: str) -> str:
    """As `visible`, but line ends stay: for a plan of a query, or a message of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


_AMOUNT = re.compile(r"[+-]?[0-9.]+")


def write(out: TextIO, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str) -> None:
    """`form` json: one array; csv and csv-exact: a header, even where there is no row.

    In csv a text that a spreadsheet would take for a formula begins with an apostrophe: banks and people name accounts.
    """
    if form == "json":
        # In ASCII: it is the same JSON, whatever encoding the output has.
        json.dump([{name: _json_value(row[name]) for name in columns} for row in rows], out, indent=2)
        out.write("\n")
        return
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        cells = [_cell(row[name]) for name in columns]
        writer.writerow(cells if form == "csv-exact" else [_harmless(cell) for cell in cells])


def _harmless(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) and not _AMOUNT.fullmatch(cell) else cell


def _json_value(value: object) -> object:
    """The value as JSON has it. NaN and infinity, which a query's own DOUBLE may hold, have no form there: null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {_text(key): _json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [_json_value(item) for item in value]
    return _text(value)


def _text(value: object) -> str:
    """Text for values without a JSON type. Amounts are text, so that no reader turns them into binary floats."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return plain(value) if isinstance(value, Decimal) else str(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, dict | list | tuple) else _text(value)
    )


def show(
    console: "Console", columns: Sequence[str], rows: Sequence[Mapping[str, Any]], counted: str | None = None
) -> None:
    """As a table, and under it how many rows there are: `counted`, where these are not all of them."""
    from rich.table import Table  # Programs ask for no table.
    from rich.text import Text

    table = Table()
    for name in columns:
        numbers = [row[name] for row in rows if row[name] is not None]
        right = bool(numbers) and all(isinstance(n, int | Decimal) and not isinstance(n, bool) for n in numbers)
        # Where the terminal is narrow, words are cut short; an amount never.
        width = max(len(_cell(number)) for number in numbers) if right else None
        table.add_column(Text(visible(name)), justify="right" if right else "left", min_width=width)
    for row in rows:
        table.add_row(*(Text(visible_lines(_cell(row[name]))) for name in columns))
    console.print(table)
    console.print(counted or f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}")


def amount(value: Decimal | None, currency: str | None) -> str:
    """The amount with the currency's usual decimals, or as many as it has: never rounded."""
    if value is None:
        return "—"
    from babel.numbers import get_currency_precision  # Programs are given amounts as they are.

    digits = len(plain(value).partition(".")[2])
    return f"{value:,.{max(digits, get_currency_precision(currency or ''))}f}".replace(",", " ")


def moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}Z" if value else "—"


def until(value: datetime | None, now: datetime) -> str:
    """A time in the future and the whole days until then."""
    if value is None:
        return "—"
    return f"{moment(value)} ({f'{(value - now).days} d' if value > now else 'over'})"


def age(as_of: datetime | None, now: datetime, limit: timedelta) -> str:
    """`fresh` or `stale` by the limit, and the age of the balance; a bank's own date may be in the future."""
    if as_of is None:
        return "no figure"
    if as_of > now:
        return "in the future"
    old = now - as_of
    hours = int(old.total_seconds() // 3600)
    return f"{'fresh' if old <= limit else 'stale'} ({f'{hours} h' if hours < 48 else f'{hours // 24} d'})"


def ago(length: timedelta) -> str:
    """Time since then, or how far it is ahead of this machine's clock."""
    return f"{duration(length)} ago" if length >= timedelta(0) else f"{duration(-length)} ahead of this clock"


def duration(length: timedelta) -> str:
    """One number and its unit, rounded down; a negative duration, after a clock was set back, is 0."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def print_rows(columns: list[str], rows: list[dict[str, Any]], form: str | None) -> None:

    if form:
        write(sys.stdout, columns, rows, form)
    else:
        show(console(), columns, rows)
