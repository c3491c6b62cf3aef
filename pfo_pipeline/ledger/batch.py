"""What one operation hands to the ledger for one tenant, and what the ledger answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pfo_pipeline.contracts.model import TelemetryRecord
from pfo_pipeline.contracts.tables import LedgerRow


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
