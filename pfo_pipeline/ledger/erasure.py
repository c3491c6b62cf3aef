"""Erase the rows of a tenant or a user: the only exception to "nothing is deleted".

The loads that wrote the rows stay in the load log and in the chain. New seals record the content that remains, and the table
`erasures` records the erasure. DuckDB keeps deleted values in a file until their blocks are reused, so the ledger is then
copied into a new file, which has never contained them.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pfo_pipeline.contracts.tables import AccountRow, table_of
from pfo_pipeline.ledger.connection import attach
from pfo_pipeline.ledger.hash_chain import SEALED_TABLES, seal, seals_sql
from pfo_pipeline.ledger.merge import next_load
from pfo_pipeline.ledger.schema import SCHEMA, create
from pfo_pipeline.telemetry import steps


def write_anew(con: duckdb.DuckDBPyConnection, draft: Path, *, key: str | None, withhold_personal: bool) -> None:
    """Copy the ledger behind `con`, with every row unchanged, into a new file.

    Args:
        key: The encryption key of the new file; None for a plain file.
        withhold_personal: Leave out the columns that the contracts mark as personal, and list them in `withheld` of the new
            file.
    Raises: duckdb.Error, OSError, LedgerKeyRefused; the draft may then be incomplete.
    """
    [(source,)] = con.execute("select current_database()").fetchall()
    attach(con, draft, "draft", key=key)
    try:
        con.execute("use draft")
        con.begin()
        create(con)
        names = con.execute(
            "select table_name from duckdb_tables() where database_name = 'draft' and schema_name = $schema",
            {"schema": SCHEMA},
        ).fetchall()
        for (name,) in steps("Writing tables", names):
            replaced = _withheld(name) if withhold_personal else ""
            con.execute(f'insert into {name} by name select *{replaced} from "{source}".{SCHEMA}.{name}')
        if withhold_personal:
            rows = [[table.name, c.name] for table in [table_of(AccountRow)] for c in table.columns if c.personal]
            con.executemany("insert into withheld values (?, ?)", rows)
        con.commit()
        con.execute("checkpoint draft")
    finally:
        con.execute(f'use "{source}".{SCHEMA}')
        con.execute("detach draft")


def _withheld(table: str) -> str:
    contract = table_of(AccountRow)
    if table != contract.name:
        return ""
    values = ", ".join(f"{'null' if c.nullable else 'account_id'} as {c.name}" for c in contract.columns if c.personal)
    return f" replace ({values})"


OPERATION = "ledger.erase"

# The accounts of a user are those that belong to the user now. Of an account that now belongs to another user, only the
# versions of this user are removed.
_THEIRS = "account_id in (select account_id from accounts_latest where tenant_id = $tenant and user_id = $user)"
_OF_USER = {
    "balances": _THEIRS,
    "balances_current": _THEIRS,
    "identities": _THEIRS,
    "account_decisions": f"{_THEIRS} or {_THEIRS.replace('account_id', 'other_id', 1)}",
    "account_proposals": f"{_THEIRS} or {_THEIRS.replace('account_id', 'other_id', 1)}",
    "account_changes": _THEIRS,
    "quarantine": """user_id = $user or source_id in (
        select source_id from accounts where tenant_id = $tenant and user_id = $user
        union all select connection_id from connections where tenant_id = $tenant and user_id = $user)""",
    "accounts": f"user_id = $user or {_THEIRS}",
    "connections": "user_id = $user",
    "users": "user_id = $user",
}
_OF_TENANT = {name: "true" for name in ("balances_current", *SEALED_TABLES) if name != "erasures"}


@dataclass(frozen=True)
class Erased:
    """The number of removed rows, by table."""

    rows: dict[str, int]

    @property
    def total(self) -> int:
        return sum(count for name, count in self.rows.items() if name != "balances_current")


def erase(con: duckdb.DuckDBPyConnection, tenant_id: str, user_id: str | None, run_id: str, now: datetime) -> Erased:
    """Remove the rows of a tenant, or of one of its users; either all of them or none.

    Args:
        user_id: None for the whole tenant.
        run_id: The name of the erasure in the load log.
    Returns:
        The removed rows. If there were none, nothing is written.
    """
    con.begin()
    try:
        erased = _delete(con, _OF_USER if user_id else _OF_TENANT, {"tenant": tenant_id, "user": user_id})
        if erased.total:
            load_id, recorded_at = next_load(con, now)
            _seal_what_is_left(con, tenant_id, load_id)
            con.execute(
                "insert into loads values (?, ?, ?, ?, '1', 1, true, ?, 0, 0, 0, 0, 0)",
                [load_id, tenant_id, run_id, OPERATION, recorded_at],
            )
            scope = "user" if user_id else "tenant"
            con.execute(
                "insert into erasures values (?, ?, ?, ?, ?, ?, ?)",
                [tenant_id, scope, erased.total, load_id, recorded_at, run_id, OPERATION],
            )
            seal(con, load_id, ["erasures"])
        con.commit()
    except BaseException:
        con.rollback()
        raise
    return erased


def _delete(con: duckdb.DuckDBPyConnection, conditions: dict[str, str], who: dict[str, str | None]) -> Erased:
    rows = {}
    for table, condition in conditions.items():
        parameters = {name: value for name, value in who.items() if f"${name}" in condition} | {"tenant": who["tenant"]}
        [(count,)] = con.execute(
            f"delete from {table} where tenant_id = $tenant and ({condition})", parameters
        ).fetchall()
        rows[table] = int(count)
    return Erased(rows)


def _seal_what_is_left(con: duckdb.DuckDBPyConnection, tenant_id: str, load_id: int) -> None:
    """Write a new seal for each earlier load and table that has fewer rows than its newest seal records."""
    for table in steps("Sealing tables", SEALED_TABLES):
        con.execute(
            f"""
            insert into seals by name
            with sealed as (
                from seals where table_name = $table and tenant_id = $tenant
                qualify row_number() over (partition by about_load_id order by load_id desc) = 1
            )
            select s.tenant_id, $load_id as load_id, s.about_load_id, s.table_name, coalesce(f.rows, 0) as rows,
                f.amount_sum, coalesce(f.content_hash, sha256('')) as content_hash
            from sealed s left join ({seals_sql(table)}) f using (tenant_id, about_load_id)
            where s.rows <> coalesce(f.rows, 0)
            """,
            {"table": table, "tenant": tenant_id, "load_id": load_id},
        )
