"""One query on the published ledger, opened read-only as by an analyst, with its result as an Arrow table.

It ran once before, so that the file's blocks are in memory on every side of a comparison.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.work import Work
from pfo_pipeline.ledger.connection import LedgerFiles

_SLOWEST = 8


def prepare(data_dir: str, sql: str, explain: bool = False) -> Work:
    """Args: explain: The facts also list DuckDB's most expensive operators."""
    con = duckdb.connect(str(LedgerFiles(Path(data_dir)).published), read_only=True)
    con.execute("use ledger.ledger")
    con.execute("set TimeZone = 'UTC'")
    con.sql(sql).to_arrow_table()
    found: list[pa.Table] = []
    operators = _operators(con, sql) if explain else []
    return Work(
        lambda: found.append(con.sql(sql).to_arrow_table()),
        lambda: {"rows": found[0].num_rows, "operators": operators},
    )


def _operators(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """The operators by their own CPU seconds, the most expensive first, with their numbers of rows."""
    [(_, text)] = con.execute(f"explain (analyze, format json) {sql}").fetchall()
    lines = sorted(_lines(json.loads(text)), reverse=True)
    return [f"{seconds:8.3f} s  {name:24} {rows:>12,} rows" for seconds, name, rows in lines[:_SLOWEST]]


def _lines(node: Mapping[str, Any]) -> list[tuple[float, str, int]]:
    own = (
        float(node.get("operator_timing", 0)),
        str(node.get("operator_name", "")),
        int(node.get("operator_cardinality", 0)),
    )
    return [own, *(line for child in node.get("children", []) for line in _lines(child))]
