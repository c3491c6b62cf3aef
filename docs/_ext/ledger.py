"""Writes `docs/ledger.md` from the catalogue of a new ledger: `python -m docs._ext.ledger > docs/ledger.md`."""

import duckdb

from pfo_pipeline.contracts.tables import PROVENANCE, tables
from pfo_pipeline.ledger.schema import create

_PROVENANCE = "| column | type | meaning |\n|---|---|---|\n" + "\n".join(
    f"| `{column.name}` | {column.type} | {column.description} |" for column in PROVENANCE
)
_ABOUT_THE_LOAD = {column.name: column.description for column in PROVENANCE}
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
            "`load_id` is current.",
            "Most tables and views end with the columns of the load that wrote the row:",
            _PROVENANCE,
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
    """Return a table of the relation's own columns, after a line with those that have the meaning of a table's column."""
    personal = {column.name for table in tables() for column in table.columns if column.personal}
    rows, elsewhere, of_load = [], dict[str, list[str]](), []
    for column, kind, nullable, text in con.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where schema_name = 'ledger' and table_name = ? order by column_index",
        [name],
    ).fetchall():
        source = next((t.name for t in tables() for c in t.columns if (c.name, c.description) == (column, text)), None)
        if _ABOUT_THE_LOAD.get(column) == text:
            of_load.append(f"`{column}`")
        elif source and source != name and name not in {table.name for table in tables()}:
            elsewhere.setdefault(source, []).append(f"`{column}`")
        else:
            null = ", null" if nullable and tell_nulls else ""
            mark = ", *personal*" if column in personal else ""
            rows.append(f"| `{column}` | {_type(kind)}{null}{mark} | {text} |")
    lines = [f"As in `{source}`: {', '.join(columns)}." for source, columns in elsewhere.items()]
    if of_load:
        all_of_load = len(of_load) == len(_ABOUT_THE_LOAD)
        lines.append("And the columns of the load." if all_of_load else f"Of the load: {', '.join(of_load)}.")
    own = "| column | type | meaning |\n|---|---|---|\n" + "\n".join(rows) if rows else ""
    return "\n\n".join(part for part in (own, " ".join(lines)) if part)


def _type(name: str) -> str:
    return _TYPES.get(name, name).lower()


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
