"""Proof of the rows of each load: a seal per table, and a hash chain over the loads of each tenant.

A seal counts the rows of a load in one table, sums their amounts and hashes their content. A link of the chain hashes the
previous link, the load's row in the load log, and its seals. If a row, a seal or a row of the log is changed later, the hash
no longer matches. A load may write new seals for earlier loads, as an erasure does; the newest seal is valid.
"""

from collections.abc import Collection
from functools import cache

import duckdb

from pfo_pipeline.contracts.tables import MONEY, PROVENANCE, BalanceRow, ColumnType, table_of, tables

SEALED_TABLES = (*(table.name for table in tables()), "telemetry", "erasures")

OFFICE_TABLES = ("migrations", "office")
"""Tables of the whole office. Each tenant's first load after a change seals them as a whole."""

_COLUMNS: dict[str, dict[str, ColumnType]] = {
    "migrations": {"version": "bigint", "name": "varchar", "applied_at": "timestamptz"},
    "office": {"office": "varchar", "created_at": "timestamptz"},
    "loads": {
        "load_id": "bigint",
        "tenant_id": "varchar",
        "run_id": "varchar",
        "operation": "varchar",
        "code_version": "varchar",
        "attempt": "bigint",
        "complete": "boolean",
        "recorded_at": "timestamptz",
        "offered": "bigint",
        "added": "bigint",
        "quarantined": "bigint",
        "synced": "bigint",
        "failed": "bigint",
    },
    "seals": {
        "tenant_id": "varchar",
        "load_id": "bigint",
        "about_load_id": "bigint",
        "table_name": "varchar",
        "rows": "bigint",
        "amount_sum": MONEY,
        "content_hash": "varchar",
    },
    "telemetry": {
        "event": "varchar",
        "tenant_id": "varchar",
        "emitted_at": "timestamptz",
        "properties": "json",
        "load_id": "bigint",
        "run_id": "varchar",
    },
    "erasures": {
        "tenant_id": "varchar",
        "scope": "varchar",
        "rows_removed": "bigint",
        "load_id": "bigint",
        "recorded_at": "timestamptz",
        "run_id": "varchar",
        "operation": "varchar",
    },
}

# A sum of more than 28 digits before the point would be an error; amounts that could lead to one are hashed but not summed.
_ADDED_UP = "sum(current_balance) filter (where abs(current_balance) < 1e18::decimal(38,10))"


def seal(con: duckdb.DuckDBPyConnection, load_id: int, touched: Collection[str] = SEALED_TABLES) -> None:
    """Seal the rows of load `load_id` in each table that it changed, and link the load to the tenant's previous load.

    Call this once per load, as the last step of its transaction.
    """
    for table in touched:
        con.execute(
            f"insert into seals by name select *, $load_id as load_id from ({seals_sql(table)}) "
            "where about_load_id = $load_id",
            {"load_id": load_id},
        )
    for table in OFFICE_TABLES:
        con.execute(_SEAL_OFFICE_TABLE.format(table=table, contents=office_table_sql(table)), {"load_id": load_id})
    link(con, load_id)


_SEAL_OFFICE_TABLE = """
insert into seals by name
select l.tenant_id, l.load_id, l.load_id as about_load_id, '{table}' as table_name, f.rows,
    null::decimal(38,10) as amount_sum, f.content_hash
from loads l cross join ({contents}) f
where l.load_id = $load_id and f.content_hash is distinct from (
    select max_by(content_hash, load_id) from seals
    where table_name = '{table}' and tenant_id = (select tenant_id from loads where load_id = $load_id)
)
"""


def office_table_sql(table: str, source: str | None = None) -> str:
    """Return a query for the content of an office table: rows, content_hash.

    Args:
        source: The rows to use instead of the whole table.
    """
    return f"""
        select count(*) as rows, sha256(string_agg(row_hash, '' order by row_hash)) as content_hash
        from (select sha256({row_text_sql(table)}) as row_hash from {source or table})
    """


def link(con: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Link a load whose seals are written to the tenant's previous load."""
    con.execute(
        f"""
        insert into chain by name
        select tenant_id, load_id, previous_hash, sha256(previous_hash || link_text) as hash
        from ({link_texts_sql()}) join (
            select coalesce(max_by(hash, load_id), '') as previous_hash
            from chain
            where tenant_id = (select tenant_id from loads where load_id = $load_id)
        ) on true
        where load_id = $load_id
        """,
        {"load_id": load_id},
    )


@cache
def seals_sql(table: str) -> str:
    """Return a query for the rows of each load in a table: tenant_id, about_load_id, table_name, rows, amount_sum,
    content_hash.

    The content hash is the hash of the sorted row hashes, so it does not depend on the order of the rows.
    """
    text = row_text_sql(table)
    added_up = _ADDED_UP if table == table_of(BalanceRow).name else "null::decimal(38,10)"
    return f"""
        select tenant_id, load_id as about_load_id, '{table}' as table_name, count(*) as rows, {added_up} as amount_sum,
            sha256(string_agg(row_hash, '' order by row_hash)) as content_hash
        from (select *, sha256({text}) as row_hash from {table})
        group by tenant_id, load_id
    """


@cache
def link_texts_sql() -> str:
    """Return a query for the text that each link hashes after the previous hash: tenant_id, load_id, link_text."""
    return f"""
        select l.tenant_id, l.load_id, {row_text_sql("loads", "l.")} || coalesce(s.seals, '') as link_text
        from loads l left join (
            select load_id, string_agg({row_text_sql("seals")}, '' order by about_load_id, table_name) as seals
            from seals group by load_id
        ) s on s.load_id = l.load_id
    """


def row_text_sql(table: str, prefix: str = "", *, without: Collection[str] = ()) -> str:
    """Return an SQL expression for the canonical text of a row; two different rows never have the same text.

    The text has each column that is not null, in the order of column names, as name, length in bytes and value. Times are
    microseconds since 1970 in UTC. A column that a later version adds is null in earlier rows, so their text does not change.
    """
    columns = sorted((name, kind) for name, kind in sealed_columns(table).items() if name not in without)
    # `concat` skips nulls. A chain of `||` with `coalesce` gives the same text and takes twice as long to plan.
    return f"concat({', '.join(_column_text(name, kind, prefix) for name, kind in columns)})"


def sealed_columns(table: str) -> dict[str, ColumnType]:
    """Return every column of a table that is sealed or hashed in the chain."""
    contract = {t.name: t for t in tables()}.get(table)
    return {c.name: c.type for c in (*contract.columns, *PROVENANCE)} if contract else _COLUMNS[table]


def _column_text(name: str, kind: ColumnType, prefix: str) -> str:
    column = f"{prefix}{name}"
    value = f"epoch_us({column})::varchar" if kind == "timestamptz" else f"{column}::varchar"
    return f"'{name}=' || strlen({value}) || ':' || {value} || ';'"
