"""Merge a batch of rows of one tenant into the ledger, in one transaction. The history is never updated.

An unchanged row writes nothing; a changed row is appended. Rows enter DuckDB only as Arrow tables with an explicit schema:
object columns and NaN would turn money into binary floats, and decimal128 refuses an amount that does not fit.
Measured: an anti-join against the newest row of each key stays near the cost of a plain append at 10 million rows; MERGE
into an indexed history costs ten times as much and rewrites the file.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from pfo_pipeline.contracts.model import TelemetryRecord
from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.contracts.tables import BalanceRow, Column, LedgerRow, QuarantineRow, Table, table_of
from pfo_pipeline.ledger.hash_chain import seal

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(columns: Sequence[Column]) -> "pa.Schema":
    import pyarrow as pa  # Imported only where rows are read or written: Dagster loads this module to define assets and jobs.

    types: dict[str, pa.DataType] = {
        "varchar": pa.string(),
        "json": pa.string(),
        "decimal(38,10)": pa.decimal128(38, 10),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
        "bigint": pa.int64(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in columns])


def to_arrow(table: Table, rows: Sequence[LedgerRow]) -> "pa.Table":
    """Convert rows to an Arrow table. Raises: pyarrow.ArrowInvalid: an amount does not fit DECIMAL(38,10) exactly."""
    import pyarrow as pa

    columns = {c.name: [_plain(getattr(row, c.name)) for row in rows] for c in table.columns}
    return pa.Table.from_pydict(columns, schema=arrow_schema(table.columns))


def _plain(value: Any) -> Any:
    """Strip trailing zeros of an amount: Arrow counts them as digits and would refuse 1.000… because of its length."""
    return value.normalize(EXACT) if isinstance(value, Decimal) else value


@dataclass(frozen=True)
class Batch:
    """Rows of one tenant and operation, merged in one transaction.

    `complete` is False for the rows of a failed attempt, which are stored before the next attempt but are not a result yet,
    and for a run of selected connections or accounts, which is not a full sync of the tenant.
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
    """The newest load that the rows take into account; a person's later decision takes precedence over them."""

    @classmethod
    def by_hand(
        cls, tenant_id: str, operation: str, code_version: str, rows: Iterable[LedgerRow], *, known_load: int = 0
    ) -> "Batch":
        """Create a batch that does not come from reading a bank: a person's input, or a recomputed decision."""
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
        """The number of quarantined records."""
        rows = self.rows.get(QuarantineRow, ())
        return sum(isinstance(row, QuarantineRow) and row.state == "open" for row in rows)

    def __post_init__(self) -> None:
        tenants = {row.tenant_id for rows in self.rows.values() for row in rows} | {t.tenant_id for t in self.telemetry}
        assert tenants <= {self.tenant_id}, f"a batch of {self.tenant_id} holds rows of {sorted(tenants)}"


@dataclass(frozen=True)
class TableCount:
    """Numbers of rows offered to one table, added because they differ, and unchanged."""

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


_STAGE = "stage"
"""The name of the Arrow table with a batch's rows in the queries below."""

_STANDS = {
    "identities": " and (l.facts.decided_by is distinct from 'operator' or s.decided_by = 'operator'"
    " or l.newest_load <= $known_load)"
}
"""A run that began before a person's decision must not overwrite it (simulation, seed 4)."""

_CURRENT = """
merge into balances_current as c
using (
    from balances where load_id = $load_id
    qualify row_number() over (partition by tenant_id, account_id order by as_of desc) = 1
) as n
on c.tenant_id = n.tenant_id and c.account_id = n.account_id
when matched and n.as_of >= c.as_of then update set
    as_of = n.as_of, connection_id = n.connection_id, source_id = n.source_id, currency = n.currency,
    current_balance = n.current_balance, available_balance = n.available_balance,
    available_basis = n.available_basis, payload_digest = n.payload_digest, rounded_from = n.rounded_from,
    load_id = n.load_id,
    recorded_at = n.recorded_at, run_id = n.run_id, operation = n.operation
when not matched then insert by name
"""


class DuplicateKeys(ValueError):
    """A batch contains the same key twice; merging it would store one of the two rows by chance."""


def apply(con: duckdb.DuckDBPyConnection, batch: Batch, now: datetime) -> MergeResult:
    """Merge a batch in one transaction on an open, up-to-date ledger.

    Raises:
        DuplicateKeys: two rows of one table have the same key.
    """
    con.begin()
    try:
        load_id, recorded_at = next_load(con, now)
        counts = {}
        for kind, rows in batch.rows.items():
            if rows:
                table = table_of(kind)
                if len({tuple(getattr(row, name) for name in table.key) for row in rows}) < len(rows):
                    raise DuplicateKeys(f"{table.name}: the batch holds the same {', '.join(table.key)} more than once")
                stage = to_arrow(table, rows)
                counts[table.name] = _append_changed(con, table, stage, batch, load_id, recorded_at)
        if counts.get(table_of(BalanceRow).name, TableCount(0, 0)).added:
            con.execute(_CURRENT, {"load_id": load_id})
        _append_telemetry(con, batch, load_id)
        _append_load(con, batch, load_id, recorded_at, counts)
        touched = [name for name, count in counts.items() if count.added]
        seal(con, load_id, [*touched, "telemetry"] if batch.telemetry else touched)
        con.commit()
    except BaseException:
        # A failed commit, for example on a full disk, has already ended the transaction; its own error is the one to raise.
        with suppress(duckdb.TransactionException):
            con.rollback()
        raise
    finally:
        con.unregister(_STAGE)  # Not earlier: DuckDB 2.0 refuses it within a failed transaction.
    return MergeResult(load_id, recorded_at, counts)


def next_load(con: duckdb.DuckDBPyConnection, now: datetime) -> tuple[int, datetime]:
    """Return the next load's number, and a time after that of the last load: recorded times never run backwards."""
    [(load_id, recorded_at)] = con.execute(
        """
        select coalesce(max(load_id), 0) + 1, greatest($now::timestamptz, max(recorded_at) + interval 1 microsecond)
        from loads
        """,
        {"now": now},
    ).fetchall()
    return int(load_id), recorded_at


def _append_changed(
    con: duckdb.DuckDBPyConnection, table: Table, stage: "pa.Table", batch: Batch, load_id: int, recorded_at: datetime
) -> TableCount:
    con.register(_STAGE, stage)
    parameters = {
        "tenant_id": batch.tenant_id,
        "load_id": load_id,
        "recorded_at": recorded_at,
        "run_id": batch.run_id,
        "operation": batch.operation,
        "known_load": batch.known_load,
    }
    if table.name not in _STANDS:
        del parameters["known_load"]
    [(added,)] = con.execute(_append_changed_sql(table), parameters).fetchall()
    return TableCount(offered=stage.num_rows, added=int(added))


def _append_changed_sql(table: Table) -> str:
    """Return a query for the rows of `stage` that differ from the newest row of their key. Uses only the contract's column
    names.
    """
    same_key = " and ".join(f"l.{name} is not distinct from s.{name}" for name in table.key)
    differs = f" or l.facts is distinct from {_facts(table, 's.')}" if table.facts else ""
    return f"""
    insert into {table.name} by name
    with newest as ({_newest_balances_sql(table) if "as_of" in table.key else _newest_sql(table)})
    select s.*, $load_id as load_id, $recorded_at as recorded_at, $run_id as run_id, $operation as operation
    from stage s left join newest l on {same_key}
    where (l.tenant_id is null{differs}){_STANDS.get(table.name, "")}
    """


def _newest_sql(table: Table) -> str:
    keys = ", ".join(table.key)
    newest = f"arg_max({_facts(table)}, load_id)" if table.facts else "true"
    return (
        f"select {keys}, {newest} as facts, max(load_id) as newest_load "
        f"from {table.name} where tenant_id = $tenant_id group by {keys}"
    )


def _newest_balances_sql(table: Table) -> str:
    """Return a query for the newest rows: from balances_current, and from the history only for older rows.

    An account whose bank has sent nothing new for long is offered with its old date, and costs no query of the history.
    """
    keys = ", ".join(table.key)
    return f"""
    with late as materialized (
        select s.account_id, s.as_of
        from stage s join balances_current c on c.tenant_id = $tenant_id and c.account_id = s.account_id
        where s.as_of < c.as_of
    )
    select {keys}, {_facts(table)} as facts from balances_current where tenant_id = $tenant_id
    union all
    select {keys}, arg_max({_facts(table)}, load_id) as facts
    from {table.name} b
    where tenant_id = $tenant_id
        -- Not null where none is late: a null would be compared with every row instead of ruling all of them out.
        and as_of between (select coalesce(min(as_of), 'infinity') from late)
            and (select coalesce(max(as_of), '-infinity') from late)
        and (account_id, as_of) in (select account_id, as_of from late)
    group by {keys}
    """


def _facts(table: Table, prefix: str = "") -> str:
    return "struct_pack(" + ", ".join(f"{name} := {prefix}{name}" for name in table.facts) + ")"


def _append_telemetry(con: duckdb.DuckDBPyConnection, batch: Batch, load_id: int) -> None:
    if not batch.telemetry:
        return
    import pyarrow as pa  # See the import in `to_arrow`.

    events: dict[str, Any] = {
        "event": [record.event for record in batch.telemetry],
        "tenant_id": [record.tenant_id for record in batch.telemetry],
        "emitted_at": pa.array([r.emitted_at for r in batch.telemetry], pa.timestamp("us", tz="UTC")),
        "properties": [json.dumps(record.properties) for record in batch.telemetry],
    }
    con.register(_STAGE, pa.table(events))
    con.execute(
        "insert into telemetry by name select *, $load_id as load_id, $run_id as run_id from stage",
        {"load_id": load_id, "run_id": batch.run_id},
    )


def _append_load(
    con: duckdb.DuckDBPyConnection, batch: Batch, load_id: int, recorded_at: datetime, counts: dict[str, TableCount]
) -> None:
    con.execute(
        "insert into loads values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            load_id,
            batch.tenant_id,
            batch.run_id,
            batch.operation,
            batch.code_version,
            batch.attempt,
            batch.complete,
            recorded_at,
            sum(count.offered for count in counts.values()),
            sum(count.added for count in counts.values()),
            batch.quarantined,
            batch.synced,
            batch.failed,
        ],
    )
