"""Short constructors for rows, batches and clocks, so that a test shows only its subject."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pfo_pipeline.contracts.model import TelemetryRecord
from pfo_pipeline.contracts.tables import (
    AccountRow,
    BalanceRow,
    ConnectionRow,
    DriftRow,
    LedgerRow,
    QuarantineRow,
    UserRow,
)
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline.ledger.store import Clock, Ledger
from pfo_pipeline_tests.new_ledger import begin_ledger

OFFICE = "willow"
MARCH_30 = datetime(2026, 3, 30, 5, 0, tzinfo=UTC)
MARCH_31 = datetime(2026, 3, 31, 5, 0, tzinfo=UTC)
APRIL_1 = datetime(2026, 4, 1, 5, 0, tzinfo=UTC)
REFRESH = "openbanking.balances.refresh"


needs_encryption = pytest.mark.skipif(
    duckdb.__version__ != "1.5.5", reason="the extension that writes encrypted files is made for DuckDB 1.5.5"
)


@dataclass
class SetClock:
    """A clock that stands still until it is set."""

    now: datetime = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def a_ledger(
    data_dir: Path, *, clock: Clock | None = None, office: str = OFFICE, deadline_seconds: float = 60
) -> Ledger:
    begin_ledger(data_dir, office)
    return Ledger(LedgerFiles(data_dir), office, deadline_seconds=deadline_seconds, clock=clock or SetClock())


def balance(amount: str | Decimal = "10.00", as_of: datetime = MARCH_31, **changes: Any) -> BalanceRow:
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "account_id": "acc_1",
        "as_of": as_of,
        "connection_id": "7",
        "source_id": "70",
        "currency": "EUR",
        "current_balance": Decimal(amount),
        "available_balance": None,
        "available_basis": None,
        "payload_digest": f"{amount} at {as_of}",
    }
    return BalanceRow(**values | changes)


def account(account_id: str = "acc_1", **changes: Any) -> AccountRow:
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "account_id": account_id,
        "user_id": "jane",
        "connection_id": "7",
        "source_id": "70",
        "institution_id": "b-1",
        "institution_name": "Banque Exemple",
        "account_type": "checking",
        "currency": "EUR",
        "display_name": "Compte courant",
        "number": "00082000112",
        "iban": "FR7699999000820000011200012",
        "bic": "BEXAFRPPXXX",
        "usage": "PRIV",
        "ownership": "owner",
        "parent_account_id": None,
        "disabled_at": None,
        "deleted_at": None,
        "provider_updated_at": MARCH_31,
        "payload_digest": "d-1",
    }
    return AccountRow(**values | changes)


def connection(connection_id: str = "7", **changes: Any) -> ConnectionRow:
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "connection_id": connection_id,
        "user_id": "jane",
        "institution_id": "b-1",
        "institution_name": "Banque Exemple",
        "state": None,
        "status": "healthy",
        "who_acts": None,
        "remedy": None,
        "link": None,
        "active": True,
        "created_at": MARCH_30,
        "last_success_at": MARCH_31,
        "next_try_at": APRIL_1,
        "consent_expires_at": None,
        "payload_digest": "d-2",
    }
    return ConnectionRow(**values | changes)


def user(user_id: str = "jane", **changes: Any) -> UserRow:
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "user_id": user_id,
        "status": "ok",
        "code": None,
        "who_acts": None,
        "remedy": None,
    }
    return UserRow(**values | changes)


def put_aside(source_id: str | None = "70", digest: str = "d-3", **changes: Any) -> QuarantineRow:
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "record": "account",
        "source_id": source_id,
        "reason": "balance: not a number",
        "payload_digest": digest,
        "state": "open",
    }
    return QuarantineRow(**values | changes)


def drift(value: str = "vault", field: str = "account.type") -> DriftRow:
    return DriftRow("smith", field, value)


def event(**properties: Any) -> TelemetryRecord:
    return TelemetryRecord("openbanking.balances.refreshed", "smith", MARCH_31, {"tenantId": "smith", **properties})


def batch(*rows: LedgerRow, **changes: Any) -> Batch:
    by_kind: dict[type[LedgerRow], tuple[LedgerRow, ...]] = defaultdict(tuple)
    for row in rows:
        by_kind[type(row)] += (row,)
    values: dict[str, Any] = {
        "tenant_id": rows[0].tenant_id if rows else "smith",
        "run_id": "run-1",
        "operation": REFRESH,
        "code_version": "1.0.0",
        "attempt": 1,
        "complete": True,
        "synced": len(rows),
        "failed": 0,
        "rows": dict(by_kind),
    }
    return Batch(**values | changes)


def opened(ledger: Ledger) -> duckdb.DuckDBPyConnection:
    """Open a connection to the primary beside the ledger's own.

    DuckDB keeps a file loaded while a connection to it is open: a test of the content may hold one, which saves most of the
    time that opening takes. Tests of the file itself hold none.
    """
    con = duckdb.connect(str(ledger.files.primary), config={"storage_compatibility_version": "v1.4.0"})
    enter(con)
    return con


def ask(ledger: Ledger, question: str) -> list[tuple[Any, ...]]:
    """Query the primary; readers of the published copy see the same."""
    with opened(ledger) as con:
        return con.execute(question).fetchall()


def everything_in(ledger: Ledger) -> dict[str, int]:
    """Return row counts of the tables that are not empty, without those that every ledger begins with."""
    with opened(ledger) as con:
        names = [
            n for (n,) in con.execute("select table_name from duckdb_tables() where schema_name = 'ledger'").fetchall()
        ]
        counts = {name: con.table(name).shape[0] for name in names}
    return {name: count for name, count in counts.items() if count and name not in ("office", "migrations")}
