"""Bringing a ledger file to the newest schema: numbered migrations, forward only.

A file that a newer version of this program has touched is refused, not damaged.
"""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.comments import write_comments
from pfo_pipeline.ledger.errors import LedgerForeign, LedgerNewer
from pfo_pipeline.ledger.proof import seal

SCHEMA = "ledger"
_SEALED_SINCE = 3
"""From this version on every load is sealed when it is written; those of an earlier ledger are when it is migrated."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str


def known_migrations() -> tuple[Migration, ...]:
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
    wanted = known_migrations()
    if version > wanted[-1].version:
        raise LedgerNewer(
            f"{path} has schema version {version}; this program knows {wanted[-1].version}. Update the program."
        )
    if version > 0:
        refuse_other_office(con, path, office)
    if version < wanted[-1].version:
        con.begin()
        create(con, from_version=version, applied_at=now)
        if version == 0:
            con.execute("insert into office values (?, ?)", [office, now])
        elif version < _SEALED_SINCE:
            for (load_id,) in con.execute("select load_id from loads order by load_id").fetchall():
                seal(con, load_id)
        con.commit()


def create(con: duckdb.DuckDBPyConnection, *, from_version: int = 0, applied_at: datetime | None = None) -> None:
    """Make the schema with its comments in the default database, from what is there; enter it.

    Args:
        applied_at: Write each migration into the table of migrations, with this moment.
    """
    con.execute(f"create schema if not exists {SCHEMA}")
    enter(con)
    con.execute(
        """
        create table if not exists migrations (
            version bigint not null, name varchar not null, applied_at timestamptz not null
        )
        """
    )
    for migration in known_migrations():
        if migration.version > from_version:
            con.execute(migration.sql)
            if applied_at is not None:
                con.execute("insert into migrations values (?, ?, ?)", [migration.version, migration.name, applied_at])
    write_comments(con)


def refuse_other_office(con: duckdb.DuckDBPyConnection, path: Path, office: str) -> None:
    """Raises: LedgerForeign: the ledger behind `con` belongs to another office."""
    owner = con.execute("select office from office").fetchall()
    if owner != [(office,)]:
        raise LedgerForeign(
            f"{path} belongs to office {owner[0][0]!r}, the configuration is of office {office!r}. Set data_dir to "
            "another folder, or move that ledger away (for the demonstration's: pfo demo remove)."
        )


def enter(con: duckdb.DuckDBPyConnection) -> None:
    """Make `ledger` the default schema and UTC the time zone, whatever name the file is opened under."""
    con.execute("set TimeZone = 'UTC'")
    con.execute(f"use {_schema_of(con)}")


def version_of(con: duckdb.DuckDBPyConnection) -> int:
    """Schema version of the ledger behind `con`, which is entered; 0 when it holds none."""
    try:
        enter(con)
        query = f"select coalesce(max(version), 0) from {_schema_of(con)}.migrations"
        [(newest,)] = con.execute(query).fetchall()
    except duckdb.CatalogException:  # Asking the catalog first takes several times as long.
        return 0
    return int(newest)


def _schema_of(con: duckdb.DuckDBPyConnection) -> str:
    [(database,)] = con.execute("select current_database()").fetchall()
    return f'"{database}".{SCHEMA}'
