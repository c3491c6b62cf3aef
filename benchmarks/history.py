"""A fictitious history: one balance a day of each account, as a function of account and day.

The function exists in Python, for the rows of a batch, and in SQL (units/make_ledger.py), for ledgers of millions of rows. A
merge that counts exactly the changes made proves that both agree.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.office import TENANT
from benchmarks.sizes import LedgerSize
from pfo_pipeline.contracts.tables import BalanceRow

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS_PER_CONNECTION = 5

_CURRENCIES = ("EUR", "USD", "CHF")
_CENT = Decimal("0.01")


def last_day(size: LedgerSize) -> int:
    return size.days - 1


def balance(size: LedgerSize, account: int, day: int, *, is_changed: bool = False) -> BalanceRow:
    """The balance of one account on one day; a cent more if it is changed."""
    cents = (account * 7_919 + day * 104_729) % 10_000_000 + is_changed
    return BalanceRow(
        tenant_id=TENANT,
        account_id=f"acc_{account:020d}",
        as_of=FIRST_DAY + timedelta(days=day, seconds=account % 3_600),
        connection_id=str(account // ACCOUNTS_PER_CONNECTION),
        source_id=str(account),
        currency=_CURRENCIES[account % 3],
        current_balance=cents * _CENT,
        available_balance=None,
        available_basis=None,
        payload_digest=hashlib.sha256(str(day * size.accounts + account).encode()).hexdigest(),
    )
