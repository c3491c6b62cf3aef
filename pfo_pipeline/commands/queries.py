"""Rows as JSON, CSV or a table."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from pfo_pipeline.contracts.records import FORMULA, plain

if TYPE_CHECKING:
    from rich.console import Console


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
    """What JSON has no type for. Amounts are written as text, so that no reader turns them into binary floats."""
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

    from pfo_pipeline.commands.terminal import visible, visible_lines

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
