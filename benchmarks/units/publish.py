"""The ledger's `publish`: checkpoint, copy, sync to disk, rename."""

from pathlib import Path

from benchmarks.office import OFFICE
from benchmarks.work import Work
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger


def prepare(data_dir: str) -> Work:
    ledger = Ledger(LedgerFiles(Path(data_dir)), OFFICE)
    # Of what was published before, to tell how much the place on disk grew.
    before = ledger.files.published.stat().st_size if ledger.files.published.exists() else 0

    def facts() -> dict[str, int]:
        size = ledger.files.published.stat().st_size
        return {"bytes": size, "growth_bytes": size - before}

    return Work(ledger.publish, facts)
