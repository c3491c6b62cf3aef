"""What one operation hands to the ledger for one tenant, and what the ledger answers."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pfo_pipeline.contracts.model import TelemetryRecord
from pfo_pipeline.contracts.tables import LedgerRow, QuarantineRow


@dataclass(frozen=True)
class Batch:
    """Rows of one tenant and operation, merged in one transaction.

    `complete` is False for what a failed attempt already had: durable before the next attempt, not yet a result; and for a
    run of chosen connections or accounts: the tenant was not read.
    """

    tenant_id: str
    run_id: str
    operation: str
    code_version: str
    attempt: int
    complete: bool
    synced: int
    failed: int
    rows: Mapping[type[LedgerRow], tuple[LedgerRow, ...]]
    telemetry: tuple[TelemetryRecord, ...] = ()
    known_load: int = 0
    """The newest load that the rows take into account: what a person decided later stands."""

    @classmethod
    def by_hand(
        cls, tenant_id: str, operation: str, code_version: str, rows: Iterable[LedgerRow], *, known_load: int = 0
    ) -> "Batch":
        """What no read of a bank led to: a person's word, or a decision made anew."""
        by_kind: dict[type[LedgerRow], list[LedgerRow]] = {}
        for row in rows:
            by_kind.setdefault(type(row), []).append(row)
        return cls(
            tenant_id=tenant_id,
            run_id=f"{operation.rpartition('.')[2]}-{uuid.uuid4()}",
            operation=operation,
            code_version=code_version,
            attempt=1,
            complete=True,
            synced=0,
            failed=0,
            rows={kind: tuple(of_kind) for kind, of_kind in by_kind.items()},
            known_load=known_load,
        )

    @property
    def quarantined(self) -> int:
        """How many records were put aside."""
        rows = self.rows.get(QuarantineRow, ())
        return sum(isinstance(row, QuarantineRow) and row.state == "open" for row in rows)

    def __post_init__(self) -> None:
        tenants = {row.tenant_id for rows in self.rows.values() for row in rows} | {t.tenant_id for t in self.telemetry}
        assert tenants <= {self.tenant_id}, f"a batch of {self.tenant_id} holds rows of {sorted(tenants)}"


@dataclass(frozen=True)
class TableCount:
    """Rows offered to one table, those added because something differed, those already there."""

    offered: int
    added: int

    @property
    def unchanged(self) -> int:
        return self.offered - self.added


@dataclass(frozen=True)
class MergeResult:
    load_id: int
    recorded_at: datetime
    counts: Mapping[str, TableCount] = field(default_factory=dict)

    def added(self, table: str) -> int:
        return self.counts[table].added if table in self.counts else 0

    def unchanged(self, table: str) -> int:
        return self.counts[table].unchanged if table in self.counts else 0
