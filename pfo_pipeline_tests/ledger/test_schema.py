"""The file's schema: as the contracts define it, with comments, readable by older DuckDB versions."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.contracts.tables import PROVENANCE, Column, Table, tables
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.hash_chain import SEALED_TABLES, sealed_columns
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.schema import SCHEMA, bring_up_to_date, known_migrations
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import MARCH_31, OFFICE, SetClock, a_ledger, ask, balance, batch

TYPES = {"timestamptz": "TIMESTAMP WITH TIME ZONE"}


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published ledger, opened as readers do."""
    ledger = a_ledger(tmp_path_factory.mktemp("schema") / "data")
    ledger.publish()
    with open_published(ledger.files.published) as opened:
        yield opened


def columns_of(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str, bool]]:
    found = con.execute(
        "select column_name, data_type, is_nullable = 'YES' from information_schema.columns "
        "where table_schema = 'ledger' and table_name = ? order by ordinal_position",
        [table],
    ).fetchall()
    return [(name, kind, nullable) for name, kind, nullable in found]


def as_stored(column: Column) -> tuple[str, str, bool]:
    return column.name, TYPES.get(column.type, column.type.upper()), column.nullable


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_table_has_the_columns_of_its_contract_and_their_provenance(
    con: duckdb.DuckDBPyConnection, table: Table
) -> None:
    stored = [as_stored(column) for column in (*table.columns, *PROVENANCE)]
    assert sorted(columns_of(con, table.name)) == sorted(stored)


def test_the_table_of_current_balances_has_the_columns_of_the_history(con: duckdb.DuckDBPyConnection) -> None:
    assert columns_of(con, "balances_current") == columns_of(con, "balances")


def test_every_table_and_view_has_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    described = con.execute(
        """
        select table_name, comment from duckdb_tables() where schema_name = 'ledger'
        union all
        select view_name, comment from duckdb_views() where schema_name = 'ledger'
        """
    ).fetchall()

    assert len(described) >= len(tables()) + 5 + 7
    assert [name for name, comment in described if not comment] == []


def test_every_column_has_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    silent = con.execute(
        "select table_name, column_name from duckdb_columns() where schema_name = 'ledger' and coalesce(comment, '') = ''"
    ).fetchall()

    assert silent == []


def test_every_amount_states_its_unit(con: duckdb.DuckDBPyConnection) -> None:
    amounts = con.execute(
        "select table_name || '.' || column_name, comment from duckdb_columns() "
        "where schema_name = 'ledger' and data_type like 'DECIMAL%' order by all"
    ).fetchall()

    without = [name for name, comment in amounts if "in units of currency" not in comment]

    assert len(amounts) >= 10
    assert without == ["seals.amount_sum"], "no figure, a check over all currencies"


def test_a_client_without_duckdb_functions_reads_the_comments_too(con: duckdb.DuckDBPyConnection) -> None:
    """BI tools query the standard's catalog."""
    silent = con.execute(
        """
        select table_name, column_name from information_schema.columns
        where table_schema = 'ledger' and coalesce("COLUMN_COMMENT", '') = ''
        union all
        select table_name, null from information_schema.tables
        where table_schema = 'ledger' and coalesce("TABLE_COMMENT", '') = ''
        """
    ).fetchall()

    assert silent == []


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_client_shows_the_texts_of_the_contracts(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    shown = con.execute(
        "select column_name, comment from duckdb_columns() where schema_name = 'ledger' and table_name = ?",
        [table.name],
    ).fetchall()

    assert dict(shown) == {column.name: column.description for column in (*table.columns, *PROVENANCE)}


@pytest.mark.parametrize("name", [*SEALED_TABLES, "loads", "seals"])
def test_the_proof_covers_every_column(con: duckdb.DuckDBPyConnection, name: str) -> None:
    sealed = sorted((column, TYPES.get(kind, kind.upper())) for column, kind in sealed_columns(name).items())

    assert sealed == sorted((column, kind) for column, kind, _ in columns_of(con, name))


def test_every_row_of_a_load_is_sealed(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute(
        "select table_name from duckdb_columns() where schema_name = 'ledger' and column_name = 'load_id' "
        "and table_name in (select table_name from duckdb_tables())"
    ).fetchall()

    assert {name for (name,) in found} == {*SEALED_TABLES, "loads", "seals", "chain", "balances_current"}


def test_there_are_no_keys_or_indexes(con: duckdb.DuckDBPyConnection) -> None:
    keys = con.execute(
        "select count(*) from duckdb_constraints() where schema_name = 'ledger' and constraint_type <> 'NOT NULL'"
    ).fetchall()

    assert keys == con.execute("select count(*) from duckdb_indexes()").fetchall() == [(0,)]


def test_the_file_is_written_for_duckdb_1_4_and_later(con: duckdb.DuckDBPyConnection) -> None:
    tags = con.execute("select tags from duckdb_databases() where database_name = current_database()").fetchone()

    assert tags is not None
    assert tags[0]["storage_version"].startswith("v1.4.0")


def test_nothing_of_ours_is_outside_our_schema(con: duckdb.DuckDBPyConnection) -> None:
    elsewhere = con.execute(
        "select schema_name from duckdb_tables() where schema_name <> 'ledger' "
        "union all select schema_name from duckdb_views() where schema_name <> 'ledger' and not internal"
    ).fetchall()

    assert elsewhere == []


def test_migrations_are_numbered_without_a_gap_and_recorded_in_the_file(con: duckdb.DuckDBPyConnection) -> None:
    recorded = con.execute("select version, name from migrations order by version").fetchall()

    assert recorded == [(migration.version, migration.name) for migration in known_migrations()]
    assert [version for version, _ in recorded] == list(range(1, len(recorded) + 1))


def test_the_office_is_written_into_its_ledger(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("select office from office").fetchall() == [(OFFICE,)]


def test_a_ledger_is_migrated_once(tmp_path: Path) -> None:
    clock = SetClock()
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, clock=clock)
    ledger.merge(batch(balance()))
    made = clock.now
    clock.advance(days=1)

    ledger.merge(batch(balance("2")))

    assert ask(ledger, "select distinct applied_at from migrations") == [(made,)]
    assert ask(ledger, "select created_at from office") == [(made,)]


def test_a_failed_migration_leaves_the_file_unchanged(tmp_path: Path) -> None:
    """A table that already exists stands for any cause that stops a migration halfway."""
    with duckdb.connect(str(tmp_path / "x.duckdb")) as con:
        con.execute(f"create schema {SCHEMA}")
        con.execute(f"create table {SCHEMA}.telemetry (other integer)")
        with pytest.raises(duckdb.CatalogException):
            bring_up_to_date(con, tmp_path / "x.duckdb", OFFICE, MARCH_31)

    with duckdb.connect(str(tmp_path / "x.duckdb")) as con:
        assert con.execute("select table_name from duckdb_tables()").fetchall() == [("telemetry",)]


def test_every_macro_has_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("select function_name, comment from duckdb_functions() where schema_name = 'ledger'").fetchall()

    assert {name for name, _ in found} >= {"balances_as_of", "accounts_as_of", "cash_position", "restatements"}
    assert [name for name, comment in found if not comment] == []
