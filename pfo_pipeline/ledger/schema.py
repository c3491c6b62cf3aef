"""Bringing a ledger file to the newest schema: numbered migrations, forward only.

A file that a newer version of this program has touched is refused, not damaged. Comments that clients can read come from
the contracts (contracts/tables.py), so that they are written once.
"""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import duckdb

from pfo_pipeline.contracts.tables import PROVENANCE, tables
from pfo_pipeline.ledger.errors import LedgerForeign, LedgerNewer

SCHEMA = "ledger"

_COMMENTS = {
    "office": "Which office this ledger belongs to.",
    "migrations": "Schema versions applied to this file.",
    "loads": "Append-only log of every load: one row per merge, with counts.",
    "balances_current": "Newest balance of each account, kept beside the history; read it as balances_latest.",
    "telemetry": "Events that the contracts name, with exactly their properties, masked.",
}
_COLUMN_COMMENTS = {
    "office.office": "Slug of the office, as configured.",
    "office.created_at": "When this ledger was begun.",
    "migrations.version": "Number of the schema version.",
    "migrations.name": "Its name.",
    "migrations.applied_at": "When it was applied to this file.",
    "loads.load_id": "Number of the load, counted from 1.",
    "loads.tenant_id": "Slug of the tenant that was loaded.",
    "loads.run_id": "Dagster run that made the load.",
    "loads.operation": "Contract operation that made the load.",
    "loads.code_version": "Version of that operation.",
    "loads.attempt": "Attempt of the step, counted from 1.",
    "loads.complete": "False for what a failed attempt already had.",
    "loads.recorded_at": "When we learnt it; never before the load before.",
    "loads.offered": "Rows that were read.",
    "loads.added": "Rows that differed from what was known, and were appended.",
    "loads.quarantined": "Records that break the contract and were put aside.",
    "loads.synced": "Accounts or balances brought up to date.",
    "loads.failed": "Those that could not be, the quarantined ones included.",
    "telemetry.event": "Key of the event.",
    "telemetry.tenant_id": "Slug of the tenant.",
    "telemetry.emitted_at": "When the operation ended.",
    "telemetry.properties": "Exactly the contract's properties.",
    "telemetry.load_id": "The load that carried the event; see ledger.loads.",
    "telemetry.run_id": "Dagster run that emitted the event.",
    "accounts_history.superseded_at": "When the next version was learnt; null for the newest.",
    "positions.connection_status": "healthy, needs-person, temporary, silent, paused, gone or unknown.",
    "positions.connection_state": "Powens' state of the connection, or a source's; null = OK.",
    "runs.first_load_at": "When the run's first load was recorded.",
    "runs.last_load_at": "When its last load was recorded.",
    "runs.attempts": "Attempts that it took.",
    "runs.complete": "Whether an attempt ended the step.",
}
# Where a column that is not named above has its text from: the first of these tables that has it.
_SOURCES = {
    "balances_current": ("balances",),
    "users_latest": ("users",),
    "connections_latest": ("connections",),
    "accounts_latest": ("accounts",),
    "accounts_history": ("accounts",),
    "balances_latest": ("balances",),
    "positions": ("balances", "accounts"),
    "runs": ("loads",),
}
_VIEW_COMMENTS = {
    "users_latest": "How reading each user went last.",
    "connections_latest": "Newest state of each connection.",
    "accounts_latest": "Newest version of each account, disabled and deleted ones included.",
    "accounts_history": "Every version of each account, with when it was superseded.",
    "balances_latest": "Newest balance of each account, by the bank's own date.",
    "positions": "Enabled accounts with their newest balance, its date and the state of the connection.",
    "runs": "One row per run, tenant and operation: attempts, rows added, synced, failed.",
}


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """Every migration, oldest first."""
    found = sorted(
        (
            entry
            for entry in files("pfo_pipeline.ledger").joinpath("migrations").iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )
    return tuple(
        Migration(int(entry.name.split("_")[0]), Path(entry.name).stem, entry.read_text(encoding="utf-8"))
        for entry in found
    )


def bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path, office: str, now: datetime) -> None:
    """Create or migrate the ledger behind `con`, in one transaction, and make `ledger` its default schema.

    Raises:
        LedgerNewer: written by a newer version of this program.
        LedgerForeign: it belongs to another office.
    """
    # Read-only on the normal path: an unchanged ledger must not be rewritten just by being opened.
    version = version_of(con)
    wanted = migrations()
    if version > wanted[-1].version:
        raise LedgerNewer(
            f"{path} has schema version {version}; this program knows {wanted[-1].version}. Update the program."
        )
    if version < wanted[-1].version:
        con.begin()
        con.execute(f"create schema if not exists {SCHEMA}")
        enter(con)
        con.execute(
            """
            create table if not exists migrations (
                version bigint not null, name varchar not null, applied_at timestamptz not null
            )
            """
        )
        for migration in wanted:
            if migration.version > version:
                con.execute(migration.sql)
                con.execute("insert into migrations values (?, ?, ?)", [migration.version, migration.name, now])
        if version == 0:
            con.execute("insert into office values (?, ?)", [office, now])
        _comment(con)
        con.commit()
    enter(con)
    owner = con.execute("select office from office").fetchall()
    if owner != [(office,)]:
        raise LedgerForeign(
            f"{path} belongs to office {owner[0][0]!r}, the configuration is of office {office!r}. Set data_dir to "
            "another folder, or move that ledger away (for the demonstration's: pfo demo remove)."
        )


def enter(con: duckdb.DuckDBPyConnection) -> None:
    """Make `ledger` the default schema and UTC the time zone, whatever name the file is opened under."""
    con.execute("set TimeZone = 'UTC'")
    database = con.execute("select current_database()").fetchone()
    assert database is not None
    con.execute(f'use "{database[0]}".{SCHEMA}')


def version_of(con: duckdb.DuckDBPyConnection) -> int:
    """Schema version of the file behind `con`; 0 when it holds no ledger."""
    known = con.execute(
        "select count(*) from information_schema.tables where table_schema = 'ledger' and table_name = 'migrations'"
    ).fetchone()
    if known != (1,):
        return 0
    enter(con)
    newest = con.execute("select coalesce(max(version), 0) from migrations").fetchone()
    return int(newest[0]) if newest else 0


def _comment(con: duckdb.DuckDBPyConnection) -> None:
    for name, text in _COMMENTS.items():
        con.execute(f"comment on table {name} is {_literal(text)}")
    for name, text in _VIEW_COMMENTS.items():
        con.execute(f"comment on view {name} is {_literal(text)}")
    texts = dict(_COLUMN_COMMENTS)
    for table in tables():
        con.execute(f"comment on table {table.name} is {_literal(table.description)}")
        texts |= {f"{table.name}.{c.name}": c.description for c in (*table.columns, *PROVENANCE)}
    columns = con.execute(
        "select table_name, column_name from information_schema.columns where table_schema = 'ledger'"
    ).fetchall()
    for name, column in columns:
        text = next(texts[key] for t in (name, *_SOURCES.get(name, ())) if (key := f"{t}.{column}") in texts)
        con.execute(f"comment on column {name}.{column} is {_literal(text)}")


def _literal(text: str) -> str:
    """COMMENT ON takes no parameter; the texts are our own constants."""
    return "'" + text.replace("'", "''") + "'"
