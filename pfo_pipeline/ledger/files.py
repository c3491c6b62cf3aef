"""Where the ledger's files are."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LedgerFiles:
    """Where the ledger lives below the data folder."""

    data_dir: Path

    @property
    def published(self) -> Path:
        return self.data_dir / "ledger.duckdb"

    @property
    def private(self) -> Path:
        return self.data_dir / "private"

    @property
    def primary(self) -> Path:
        # Not named like the schema: DuckDB could not tell the catalog `ledger` from the schema `ledger`.
        return self.private / "canonical.duckdb"

    @property
    def lock(self) -> Path:
        return self.private / "canonical.lock"

    @property
    def backup_memory(self) -> Path:
        """When and where the last backup was made."""
        return self.private / "backup.json"

    def turn(self, tenant_id: str) -> Path:
        """What a run of the tenant holds from its first step to its last."""
        return self.private / "turns" / f"{tenant_id}.lock"
