"""The schema of a ledger file: tables by numbered, forward-only migrations; views and macros from one file.

A file that was touched by a newer version of this program is refused and stays unchanged.
"""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.comments import write_comments
from pfo_pipeline.ledger.connection import open_file, quoted
from pfo_pipeline.ledger.errors import ASK_VERIFY, LedgerDamaged, LedgerForeign, LedgerNewer
from pfo_pipeline.ledger.hash_chain import seal

SCHEMA = "ledger"
_SEALED_SINCE = 3
"""From this version on, every load is sealed when it is written; loads of an earlier ledger are sealed when it is migrated."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    sql: str


@cache
def known_migrations() -> tuple[Migration, ...]:
    """Return every migration, oldest first."""
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


def bring_up_to_date(
    con: duckdb.DuckDBPyConnection, path: Path, office: str, now: datetime, *, if_damaged: str = ASK_VERIFY
) -> bool:
    """Create or migrate the ledger behind `con`, in one transaction, and make `ledger` its default schema.

    Returns: whether there was anything to do.
    Raises:
        LedgerNewer: written by a newer version of this program.
        LedgerForeign: it belongs to another office.
        LedgerDamaged: it names no office; `if_damaged` is the remedy.
    """
    # Read-only on the normal path: an unchanged ledger must not be rewritten only because it is opened.
    version = version_of(con)
    wanted = known_migrations()
    if version > wanted[-1].version:
        raise LedgerNewer(
            f"{path} has schema version {version}; this program knows {wanted[-1].version}. Update the program."
        )
    if version > 0:
        refuse_other_office(con, path, office, if_damaged=if_damaged)
    if version == wanted[-1].version:
        return False
    con.begin()
    create(con, from_version=version, applied_at=now)
    if version == 0:
        con.execute("insert into office values (?, ?)", [office, now])
    elif version < _SEALED_SINCE:
        for (load_id,) in con.execute("select load_id from loads order by load_id").fetchall():
            seal(con, load_id)
    con.commit()
    return True


def create(con: duckdb.DuckDBPyConnection, *, from_version: int = 0, applied_at: datetime | None = None) -> None:
    """Create the schema with its comments in the default database, starting from its version; enter it.

    Args:
        applied_at: Record each migration in the table of migrations, with this time.
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
    make_views(con)


def make_views(con: duckdb.DuckDBPyConnection) -> None:
    """Drop and create every view and macro, with comments; remove foreign ones. The schema must be entered."""
    for kind, name in con.execute(
        """
        select 'view', view_name from duckdb_views() where database_name = current_database() and schema_name = $schema
        union all select distinct if(function_type = 'table_macro', 'macro table', 'macro'), function_name
        from duckdb_functions()
        where database_name = current_database() and schema_name = $schema and function_type in ('macro', 'table_macro')
        """,
        {"schema": SCHEMA},
    ).fetchall():
        con.execute(f"drop {kind} {quoted(name)}")
    con.execute(files("pfo_pipeline.ledger").joinpath("views.sql").read_text(encoding="utf-8"))
    write_comments(con)


_CATALOGUE = """
select 'table ' || table_name, sql from duckdb_tables() where database_name = current_database() and schema_name = $schema
union all
select 'view ' || view_name, sql from duckdb_views() where database_name = current_database() and schema_name = $schema
union all
select 'macro ' || function_name, string_agg(parameters::varchar || ' ' || macro_definition, '; ' order by macro_definition)
from duckdb_functions()
where database_name = current_database() and schema_name = $schema and function_type in ('macro', 'table_macro')
group by function_name
"""


def catalogue_of(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the definition of each table, view and macro in the ledger behind `con`, by its kind and name."""
    return dict(con.execute(_CATALOGUE, {"schema": SCHEMA}).fetchall())


@cache
def expected_catalogue() -> dict[str, frozenset[str]]:
    """Return the definitions that `catalogue_of` may return for a ledger made by the migrations.

    DuckDB prints a definition that it has just parsed differently from one that it has read back from the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "expected.duckdb"
        with open_file(path) as con:
            create(con)
            parsed = catalogue_of(con)
        with open_file(path, read_only=True) as con:
            enter(con)
            read_back = catalogue_of(con)
    return {name: frozenset({parsed[name], read_back[name]}) for name in parsed}


def refuse_other_office(
    con: duckdb.DuckDBPyConnection, path: Path, expected: str, *, if_damaged: str = ASK_VERIFY
) -> None:
    """Check the office of the ledger. Raises: LedgerForeign: it belongs to another office; LedgerDamaged: it names none."""
    # No variable here has the table's name: if the table is missing, DuckDB would use the variable instead.
    owners = sorted({name for (name,) in con.execute("select office from office").fetchall()})
    if not owners:
        raise LedgerDamaged(f"{path} does not say which office it is of. {if_damaged}")
    if owners != [expected]:
        raise LedgerForeign(
            f"{path} belongs to office {', '.join(owners)!r}, the configuration is of office {expected!r}. Set data_dir to "
            "another folder, or move that ledger away (for the demonstration's: pfo demo remove)."
        )


def enter(con: duckdb.DuckDBPyConnection) -> str:
    """Make `ledger` the default schema and UTC the time zone, for any catalog name under which the file is opened.

    Returns: the schema's name, with the catalog's, quoted.
    """
    [(database,)] = con.execute("select current_database()").fetchall()
    schema = f"{quoted(database)}.{SCHEMA}"
    con.execute(f"set TimeZone = 'UTC'; use {schema}")
    return schema


def version_of(con: duckdb.DuckDBPyConnection) -> int:
    """Return the schema version of the ledger behind `con`, which is entered; 0 if there is none."""
    try:
        query = f"select coalesce(max(version), 0) from {enter(con)}.migrations"
        [(newest,)] = con.execute(query).fetchall()
    except duckdb.CatalogException:  # Querying the catalog first takes several times as long.
        return 0
    return int(newest)
