"""One merge of every account's balance, some of them changed; the ledger's own `merge`, including opening and closing the
file.
"""

from pathlib import Path

from benchmarks.history import balance
from benchmarks.ledger_facts import ledger_facts
from benchmarks.office import OFFICE, TENANT
from benchmarks.sizes import LedgerSize
from benchmarks.work import Work
from pfo_pipeline.contracts.tables import BalanceRow
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.merge import Batch, MergeResult
from pfo_pipeline.ledger.store import Ledger


def prepare(data_dir: str, accounts: int, days: int, changed: int, number: int, is_one_behind: bool) -> Work:
    """
    Args:
        changed: Number of accounts whose balance differs from the ledger's newest.
        number: Number of earlier merges of this kind; each changes further accounts.
        is_one_behind: The last account's balance is still that of the first day, as of a bank that no longer answers.
    """
    ledger = Ledger(LedgerFiles(Path(data_dir)), OFFICE)
    size = LedgerSize(accounts, days)
    rows = [balance(size, n, days - 1, is_changed=n < (number + 1) * changed) for n in range(accounts)]
    if is_one_behind:
        rows[-1] = balance(size, accounts - 1, 0)
    batch = _batch(tuple(rows))
    before = ledger_facts(ledger.files)
    merged: list[MergeResult] = []

    def facts() -> dict[str, int]:
        after = ledger_facts(ledger.files)
        return {"added": merged[0].added("balances"), "growth_bytes": after["file_bytes"] - before["file_bytes"]}

    return Work(lambda: merged.append(ledger.merge(batch)), facts)


def _batch(rows: tuple[BalanceRow, ...]) -> Batch:
    return Batch(
        tenant_id=TENANT,
        run_id="merge",
        operation="openbanking.balances.refresh",
        code_version="1.0.0",
        attempt=1,
        complete=True,
        synced=len(rows),
        failed=0,
        rows={BalanceRow: rows},
    )
