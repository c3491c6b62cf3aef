"""Rows and file sizes of a ledger after a unit's work."""

from collections.abc import Mapping

import duckdb

from pfo_pipeline.contracts.tables import tables
from pfo_pipeline.ledger.connection import LedgerFiles

_FIXED = frozenset({"office", "migrations"})


def ledger_facts(files: LedgerFiles) -> Mapping[str, int]:
    """Rows about accounts and banks, rows of the logs and their proof, bytes of the primary and of the published copy."""
    known = {*(table.name for table in tables()), "balances_current"}
    with duckdb.connect(str(files.primary), read_only=True) as con:
        names = con.execute("select table_name from duckdb_tables() where schema_name = 'ledger'").fetchall()
        rows = {name: con.table(f"ledger.{name}").shape[0] for (name,) in names if name not in _FIXED}
    return {
        "rows": sum(count for name, count in rows.items() if name in known),
        "log_rows": sum(count for name, count in rows.items() if name not in known),
        "file_bytes": files.primary.stat().st_size,
        "published_bytes": files.published.stat().st_size if files.published.exists() else 0,
        **{f"rows_{name}": count for name, count in rows.items()},
    }
