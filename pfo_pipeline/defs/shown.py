"""Tables and texts as the Dagster UI shows them: short, harmless whatever a bank is called, and never personal."""

import re
from collections.abc import Sequence

import dagster as dg

from pfo_pipeline.contracts.privacy import scrub

MOST_ROWS = 20
"""What the UI shows without a scroll bar of its own; the rest is counted."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> dg.MarkdownMetadataValue:
    """Rows of cells as Markdown, at most MOST_ROWS; `nothing` in their place where there are none."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows[:MOST_ROWS])]
    lines.insert(1, "|---" * len(head) + "|")
    if len(rows) > MOST_ROWS:
        lines.append(f"\nand {len(rows) - MOST_ROWS} more")
    return dg.MetadataValue.md("\n".join(lines) if rows else nothing)


def cell(value: str | None) -> str:
    """A bank's name may hold anything; here it stays within its cell, and a link or a tag in it stays text."""
    return re.sub(r"([\\|<>\[\]`])", r"\\\1", " ".join(scrub(value or "").split()))
