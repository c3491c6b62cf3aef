"""The result of an attempt of a command step: rows, counts, telemetry events, errors, and records in quarantine.

An event has exactly the properties that its contract lists, masked. A record leaves the quarantine when a read of the same
lists no longer puts it there.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from pfo_pipeline.contracts.model import Message, Operation, Property, TelemetryEvent, TelemetryRecord
from pfo_pipeline.contracts.tables import DriftRow, LedgerRow, QuarantineRow, UserRow, table_of
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.operations.force_sync import Forced
from pfo_pipeline.powens.errors import Transient, WrongClock
from pfo_pipeline.powens.schema_drift import Drift
from pfo_pipeline.redaction import PERSONAL_FIELDS, mask, scrub


def success_event(
    operation: Operation, request: Message, output: Message, now: datetime
) -> tuple[TelemetryRecord, ...]:
    if operation.telemetry is None:
        return ()
    return (_record(operation.telemetry.success, request, output, "", now),)


def failure_event(
    operation: Operation, request: Message, error: Exception, now: datetime
) -> tuple[TelemetryRecord, ...]:
    if operation.telemetry is None:
        return ()
    return (_record(operation.telemetry.failure, request, None, str(error), now),)


def _record(
    event: TelemetryEvent, request: Message, output: Message | None, error: str, now: datetime
) -> TelemetryRecord:
    sides: Mapping[str, object] = {"input": request, "output": output, "error": error}
    properties = {p.name: _value(p, sides[p.source]) for p in event.properties}
    return TelemetryRecord(event.key, str(properties["tenantId"]), now, properties)


def _value(wanted: Property, side: object) -> object:
    if wanted.source == "error":
        return scrub(str(side))
    value = getattr(side, wanted.field, None)
    if wanted.count:
        return len(value) if isinstance(value, Sized) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return mask(value) if wanted.field in PERSONAL_FIELDS else scrub(value)
    return value


OF_SYNC = frozenset({"connection", "account"})
"""The kinds of records that a full sync reads completely for a user."""
OF_REFRESH = frozenset({"connection", "balance"})
"""The kinds of records that a refresh reads completely: its list has no disabled accounts."""

CLEARED = "cleared"
_KEY = table_of(QuarantineRow).key


def cleared(
    known: Iterable[QuarantineRow],
    rows: Iterable[QuarantineRow],
    kinds: Collection[str],
    users: Collection[str],
    *,
    is_everyone: bool,
) -> Iterator[QuarantineRow]:
    """Yield a row for each record that is no longer quarantined.

    Args:
        known: The open rows of the ledger.
        rows: The rows of this read.
        kinds: The kinds of records that this read has completely.
        users: Users who were read completely.
        is_everyone: Whether they are all users of the tenant; a row of release 0.1.0 does not name its user.
    """
    still = {_key(row) for row in rows}
    for row in known:
        is_read = row.record in kinds and (row.user_id in users or (row.user_id is None and is_everyone))
        if is_read and _key(row) not in still:
            yield replace(row, state=CLEARED)


def _key(row: QuarantineRow) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in _KEY)


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
