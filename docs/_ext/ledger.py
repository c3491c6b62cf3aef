"""Writes `docs/ledger.md` from the catalogue of a new ledger: `python -m docs._ext.ledger > docs/ledger.md`."""

import duckdb

from pfo_pipeline.contracts.tables import tables
from pfo_pipeline.ledger.schema import create

_TYPES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}


def render() -> str:
    """Return the page as Markdown."""
    with duckdb.connect() as con:
        create(con)
        macros, functions = (_macros(con, kind) for kind in ("table_macro", "macro"))
        parts = [
            "# The ledger",
            "What `data/ledger.duckdb` holds, in its schema `ledger`. Written from the catalogue of the file itself; a test "
            "keeps this page equal to it. How to open and query it: [analyst.md](analyst.md). A column that is marked "
            "*personal* is left out where `publish_personal_columns` is off.",
            "## Tables",
            "Rows are only ever appended. The key says which rows are versions of the same thing; the one with the highest "
            "`load_id` holds.",
            *(_table(con, name, text) for name, text in _relations(con, "table")),
            "## Views",
            *(_view(con, name, text) for name, text in _relations(con, "view")),
            "## Macros",
            "Table functions: `from balances_as_of(date '2026-06-30')`. An optional parameter is given by its "
            "name. A moment is a `timestamptz`, or a date: the end of that day in the tenant's time zone.",
            *(_macro(con, name, parameters, text) for name, parameters, text in macros),
            "## Functions",
            "Helper functions of the macros.",
            "| function | answers |\n|---|---|\n"
            + "\n".join(f"| `{name}({', '.join(parameters)})` | {text} |" for name, parameters, text in functions),
        ]
    return "\n\n".join(parts) + "\n"


def _relations(con: duckdb.DuckDBPyConnection, kind: str) -> list[tuple[str, str]]:
    return con.execute(
        f"select {kind}_name, comment from duckdb_{kind}s() where schema_name = 'ledger' and not internal order by all"
    ).fetchall()


def _macros(con: duckdb.DuckDBPyConnection, kind: str) -> list[tuple[str, list[str], str]]:
    return con.execute(
        "select function_name, parameters, comment from duckdb_functions() "
        "where schema_name = 'ledger' and function_type = ? order by all",
        [kind],
    ).fetchall()


def _table(con: duckdb.DuckDBPyConnection, name: str, text: str) -> str:
    known = {table.name: table for table in tables()}.get(name)
    key = f"\n\nKey: {', '.join(f'`{column}`' for column in known.key)}." if known else ""
    return f"### {name}\n\n{text}{key}\n\n{_columns(con, name, tell_nulls=True)}"


def _view(con: duckdb.DuckDBPyConnection, name: str, text: str) -> str:
    return f"### {name}\n\n{text}\n\n{_columns(con, name)}"


def _macro(con: duckdb.DuckDBPyConnection, name: str, parameters: list[str], text: str) -> str:
    needed = next(n for n in range(len(parameters) + 1) if _can_be_called(con, name, n))
    written = ", ".join([*parameters[:needed], *(f"{optional} := …" for optional in parameters[needed:])])
    answer = con.execute(f"describe from {name}({', '.join(['null'] * needed)})").fetchall()
    columns = ", ".join(f"`{column}` {_type(kind)}" for column, kind, *_ in answer)
    return f"### {name}\n\n`{name}({written})`\n\n{text}\n\nColumns: {columns}."


def _can_be_called(con: duckdb.DuckDBPyConnection, name: str, arguments: int) -> bool:
    """Try the call, because the catalogue does not contain which parameters have a default."""
    try:
        con.execute(f"describe from {name}({', '.join(['null'] * arguments)})")
    except duckdb.BinderException:
        return False
    return True


def _columns(con: duckdb.DuckDBPyConnection, name: str, *, tell_nulls: bool = False) -> str:
    found = con.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where schema_name = 'ledger' and table_name = ? order by column_index",
        [name],
    ).fetchall()
    personal = {column.name for table in tables() for column in table.columns if column.personal}
    rows = "\n".join(
        f"| `{column}` | {_type(kind)}{', null' if nullable and tell_nulls else ''}"
        f"{', *personal*' if column in personal else ''} | {text} |"
        for column, kind, nullable, text in found
    )
    return f"| column | type | meaning |\n|---|---|---|\n{rows}"


def _type(name: str) -> str:
    return _TYPES.get(name, name).lower()


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
