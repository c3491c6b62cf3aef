"""The check of a ledger's own proof, `pfo verify`: it reads and hashes every value of every row."""

from pathlib import Path

from benchmarks.office import OFFICE
from benchmarks.work import Work
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.ledger.verify import Verified


def prepare(data_dir: str) -> Work:
    ledger = Ledger(LedgerFiles(Path(data_dir)), OFFICE)
    found: list[Verified] = []
    return Work(
        lambda: found.append(ledger.verify()), lambda: {"rows": found[0].rows, "findings": len(found[0].findings)}
    )
