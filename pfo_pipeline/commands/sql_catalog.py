"""What a person may name in a query of the ledger: its relations with what they mean, and DuckDB's words.

All from DuckDB's catalog of the published file.
"""

from dataclasses import dataclass
from itertools import groupby

import duckdb

from pfo_pipeline.ledger.schema import SCHEMA

_RELATIONS = """
select table_name, 'table', [], comment from duckdb_tables() where database_name = current_database() and schema_name = $schema
union all
select view_name, 'view', [], comment from duckdb_views() where database_name = current_database() and schema_name = $schema
union all
select function_name, 'macro', parameters, comment from duckdb_functions()
where database_name = current_database() and schema_name = $schema and function_type = 'table_macro'
order by all
"""
_COLUMNS = """
select table_name, column_name, data_type, coalesce(comment, '') from duckdb_columns()
where database_name = current_database() and schema_name = $schema
order by table_name, column_index
"""
# Operators and what is meant for DuckDB itself are no words that anybody types.
_FUNCTIONS = """
select distinct function_name from duckdb_functions()
where database_name = 'system' and regexp_full_match(function_name, '[a-z][a-z0-9_]*')
order by all
"""


# Where the meaning of a macro's column is from, by its name: the catalog keeps none. The first that has it.
_MEANT_IN = ("balances", "accounts", "totals", "account_identity")


@dataclass(frozen=True)
class NamedColumn:
    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Relation:
    """A table, a view, or a macro, which has parameters."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    comment: str
    columns: tuple[NamedColumn, ...]

    @property
    def called(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})" if self.kind == "macro" else self.name


@dataclass(frozen=True)
class Catalog:
    relations: dict[str, Relation]
    functions: tuple[str, ...]
    keywords: tuple[str, ...]


def read_catalog(con: duckdb.DuckDBPyConnection) -> Catalog:
    """The catalog of the ledger behind `con`, which has entered the schema."""
    schema = {"schema": SCHEMA}
    columns = {
        name: tuple(NamedColumn(*rest) for _, *rest in rows)
        for name, rows in groupby(con.execute(_COLUMNS, schema).fetchall(), key=lambda row: row[0])
    }
    meanings = {c.name: c.comment for table in reversed(_MEANT_IN) for c in columns.get(table, ())}
    relations = {
        name: Relation(
            name,
            kind,
            tuple(parameters),
            comment or "",
            columns.get(name) or _columns_of_macro(con, name, parameters, meanings),
        )
        for name, kind, parameters, comment in con.execute(_RELATIONS, schema).fetchall()
    }
    return Catalog(
        relations,
        tuple(name for (name,) in con.execute(_FUNCTIONS).fetchall()),
        tuple(name for (name,) in con.execute("select keyword_name from duckdb_keywords() order by 1").fetchall()),
    )


def _columns_of_macro(
    con: duckdb.DuckDBPyConnection, name: str, parameters: list[str], meanings: dict[str, str]
) -> tuple[NamedColumn, ...]:
    """The catalog has none: they are those of a call."""
    required = "null" if parameters else ""  # Each of ours needs one at most; the others have a default.
    described = con.execute(f'describe from "{name}"({required})').fetchall()
    return tuple(NamedColumn(column, kind, meanings.get(column, "")) for column, kind, *_ in described)
