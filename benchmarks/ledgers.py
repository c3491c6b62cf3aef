"""Ledgers of several sizes for the measurements of merge, publication and queries: made once, in a folder each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import run_unit
from benchmarks.sizes import LedgerSize, Sizes

Tell = Callable[[str], None]
"""Receives a line about the progress."""


@dataclass(frozen=True)
class FilledLedger:
    size: LedgerSize
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.size.balances:,} rows"

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments for units on ledgers."""
        return {"data_dir": str(self.folder), "accounts": self.size.accounts, "days": self.size.days}


def fill(sizes: Sizes, folder: Path, tell: Tell) -> tuple[FilledLedger, ...]:
    """Create ledgers of every size, from small to large."""
    ledgers = tuple(FilledLedger(size, folder / f"ledger-{size.balances}") for size in sizes.ledgers)
    for ledger in ledgers:
        tell(f"filling a ledger with {ledger.name}")
        run_unit("make_ledger", **ledger.arguments)
    return ledgers
