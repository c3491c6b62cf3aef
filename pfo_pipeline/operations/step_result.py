"""The data gathered by an attempt of a command step: rows, counts, events and errors."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pfo_pipeline.contracts.model import Operation, TelemetryRecord
from pfo_pipeline.contracts.tables import DriftRow, LedgerRow, QuarantineRow, UserRow, table_of
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.operations.force_sync import Forced
from pfo_pipeline.powens.errors import Transient, WrongClock
from pfo_pipeline.powens.schema_drift import Drift

Row = TypeVar("Row", bound=LedgerRow)


@dataclass
class StepResult:
    """The result of one user, or of all of a tenant's users together."""

    synced: int = 0
    failed: int = 0
    users_read: int = 0
    errors: list[str] = field(default_factory=list)
    transient: list[Transient] = field(default_factory=list)
    wrong_clock: WrongClock | None = None
    """An answer proved that our clock is wrong: nothing else of the step may be recorded."""
    telemetry: list[TelemetryRecord] = field(default_factory=list)
    drift: Counter[Drift] = field(default_factory=Counter)
    forced: Forced | None = None
    known_load: int = 0
    _rows: dict[type[LedgerRow], dict[tuple[Any, ...], LedgerRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Iterable["StepResult"]) -> "StepResult":
        """Combine the users' results. If two users have the same row, the first one in the configuration's order is kept."""
        whole = cls()
        for part in parts:
            whole.synced += part.synced
            whole.failed += part.failed
            whole.users_read += part.users_read
            whole.errors += part.errors
            whole.transient += part.transient
            whole.wrong_clock = whole.wrong_clock or part.wrong_clock
            whole.telemetry += part.telemetry
            whole.drift.update(part.drift)
            whole.forced = whole.forced or part.forced
            for kind, rows in part._rows.items():
                whole._rows[kind] = rows | whole._rows.get(kind, {})
        return whole

    def add(self, rows: Iterable[LedgerRow]) -> None:
        """Add rows to merge; a row with a key that is there already replaces it (pages may overlap)."""
        for row in rows:
            key = tuple(getattr(row, name) for name in table_of(type(row)).key)
            self._rows.setdefault(type(row), {})[key] = row

    def add_drift(self, tenant_id: str, drift: Mapping[Drift, int]) -> None:
        """Add undocumented fields and values with their number of records; the ledger records each kind once."""
        self.add(DriftRow(tenant_id, where, value) for where, value in drift)
        self.drift.update(drift)

    def add_failure(self, text: str, *, count: int = 1) -> None:
        self.failed += count
        self.errors.append(text)

    @property
    def quarantined(self) -> int:
        """The number of quarantined records."""
        return sum(row.state == "open" for row in self.rows_of(QuarantineRow))

    def rows_of(self, kind: type[Row]) -> list[Row]:
        return [row for rows in self._rows.values() for row in rows.values() if isinstance(row, kind)]

    def users_in_trouble(self) -> list[UserRow]:
        return [row for row in self.rows_of(UserRow) if row.status in ("refused", "unreachable")]

    def batch(
        self, tenant_id: str, run_id: str, operation: Operation, attempt: int, *, has_ended: bool, complete: bool
    ) -> Batch:
        """Return the batch to merge. Events and users' read results are included only by the attempt that ends the step."""
        return Batch(
            tenant_id=tenant_id,
            run_id=run_id,
            operation=operation.key,
            code_version=operation.version,
            attempt=attempt,
            complete=complete,
            synced=self.synced,
            failed=self.failed + self.quarantined,
            rows={kind: tuple(rows.values()) for kind, rows in self._rows.items() if has_ended or kind is not UserRow},
            telemetry=tuple(self.telemetry) if has_ended else (),
            known_load=self.known_load,
        )
