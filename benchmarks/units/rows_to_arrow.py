"""The part of a merge without the ledger: converting the same rows to an Arrow table."""

from benchmarks.history import balance
from benchmarks.sizes import LedgerSize
from benchmarks.work import Work
from pfo_pipeline.contracts.tables import BalanceRow, table_of
from pfo_pipeline.ledger.merge import to_arrow


def prepare(accounts: int) -> Work:
    size = LedgerSize(accounts, 1)
    rows = [balance(size, n, 0) for n in range(accounts)]
    return Work(lambda: to_arrow(table_of(BalanceRow), rows))
