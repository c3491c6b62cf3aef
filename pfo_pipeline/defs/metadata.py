"""Metadata of materializations for the Dagster UI: short tables and a plot, without personal data.

The plot is SVG in Markdown, written by hand: one line per currency needs no plotting library, and the one that draws without a
browser takes a second of CPU (docs/architecture.md). No amount becomes a binary float.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import dagster as dg

from pfo_pipeline.contracts.records import EXACT, plain
from pfo_pipeline.ledger.known import DailyTotals
from pfo_pipeline.redaction import scrub

MOST_ROWS = 20
"""The number of rows that the UI shows without a scroll bar; of the others only the number is shown."""


NOT_SHOWN = "Not shown: the ledger is encrypted, and Dagster's storage is not. See: pfo status"


def without_content(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keep counts, times and paths, for the run storage of an office whose ledger is encrypted: no amount, id or bank."""
    kept = (int, dg.TimestampMetadataValue, dg.PathMetadataValue)
    return {name: value for name, value in metadata.items() if isinstance(value, kept)} | {"content": NOT_SHOWN}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> dg.MarkdownMetadataValue:
    """A Markdown table of at most MOST_ROWS rows; the text `nothing` if there are none."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows[:MOST_ROWS])]
    lines.insert(1, "|---" * len(head) + "|")
    if len(rows) > MOST_ROWS:
        lines.append(f"\nand {len(rows) - MOST_ROWS} more")
    return dg.MetadataValue.md("\n".join(lines) if rows else nothing)


def cell(value: str | None) -> str:
    """Escape a cell. A bank's name may contain anything; it must stay in its cell, and a link or a tag in it must stay
    text.
    """
    return re.sub(r"([\\|<>\[\]`])", r"\\\1", " ".join(scrub(value or "").split()))


_WIDTH, _HEIGHT, _LABEL = 420, 56, 18
MOST_LINES = 8


def over_time(totals: Sequence[DailyTotals]) -> dg.MarkdownMetadataValue:
    """One line per currency, each on its own scale, with its lowest and highest total as text."""
    shown = [daily for daily in totals if len(daily.totals) > 1][:MOST_LINES]
    if not shown:
        return dg.MetadataValue.md("Two days are needed for a line.")
    parts = [_line(daily, index * (_HEIGHT + _LABEL)) for index, daily in enumerate(shown)]
    height = len(shown) * (_HEIGHT + _LABEL) + 4
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="11" fill="#555">{"".join(parts)}</svg>'
    )
    return dg.MetadataValue.md(f"![balance over time](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})")


def _line(daily: DailyTotals, top: int) -> str:
    low, high = min(daily.totals), max(daily.totals)
    points = " ".join(
        f"{_WIDTH * day // (len(daily.totals) - 1)},{top + _LABEL + _above(total, low, high)}"
        for day, total in enumerate(daily.totals)
    )
    label = f"{daily.currency}: {plain(low)} to {plain(high)}, {len(daily.totals)} days"
    return (
        f'<text x="0" y="{top + 12}">{escape(label)}</text>'
        f'<polyline points="{points}" fill="none" stroke="#4f43dd" stroke-width="1.5"/>'
    )


def _above(total: Decimal, low: Decimal, high: Decimal) -> int:
    """Distance from the top, in pixels."""
    span = EXACT.subtract(high, low)
    if not span:
        return _HEIGHT // 2
    return int(EXACT.divide_int(EXACT.multiply(EXACT.subtract(high, total), _HEIGHT), span))
