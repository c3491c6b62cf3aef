"""The ledger's `publish`: checkpoint, copy, sync to disk, rename."""

from pathlib import Path

from benchmarks.office import OFFICE
from benchmarks.work import Work
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger


def prepare(data_dir: str) -> Work:
    ledger = Ledger(LedgerFiles(Path(data_dir)), OFFICE)
    # Size of the earlier publication, to compute the growth of used disk space.
    before = ledger.files.published.stat().st_size if ledger.files.published.exists() else 0

    def facts() -> dict[str, int]:
        size = ledger.files.published.stat().st_size
        return {"bytes": size, "growth_bytes": size - before}

    return Work(ledger.publish, facts)
