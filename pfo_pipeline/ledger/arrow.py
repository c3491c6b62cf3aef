"""Rows as Arrow tables with an explicit schema: the only form in which values enter DuckDB.

Why: object columns and NaN turn money into binary floats on the way in; decimal128 refuses what does not fit.
"""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from pfo_pipeline.contracts.tables import Column, LedgerRow, Table

_TYPES: dict[str, pa.DataType] = {
    "varchar": pa.string(),
    "json": pa.string(),
    "decimal(38,10)": pa.decimal128(38, 10),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
}


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([pa.field(c.name, _TYPES[c.type], nullable=c.nullable) for c in columns])


def to_arrow(table: Table, rows: Sequence[LedgerRow]) -> pa.Table:
    """Raises: pyarrow.ArrowInvalid: an amount does not fit DECIMAL(38,10) exactly."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=arrow_schema(table.columns))
