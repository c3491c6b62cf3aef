"""Writing a ledger anew into another file: without what was erased, without personal columns, or under another key.

DuckDB keeps deleted values in a file until their blocks are used again; a new file has never held them.
"""

from pathlib import Path

import duckdb

from pfo_pipeline.contracts.tables import AccountRow, table_of
from pfo_pipeline.ledger.opening import attach
from pfo_pipeline.ledger.schema import SCHEMA, create
from pfo_pipeline.telemetry.progress import steps


def write_anew(con: duckdb.DuckDBPyConnection, draft: Path, *, key: str | None, withhold_personal: bool) -> None:
    """Write the ledger behind `con`, with every row as it is, into a new file.

    Args:
        key: The new file's encryption key; None for a plain file.
        withhold_personal: Leave out what the contracts call personal; the new file says so in `withheld`.
    Raises: duckdb.Error, OSError, LedgerKeyRefused; the draft may then be half written.
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
