"""Rows as Arrow tables with an explicit schema: the only form in which values enter DuckDB.

Why: object columns and NaN turn money into binary floats on the way in; decimal128 refuses what does not fit.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.contracts.tables import Column, LedgerRow, Table

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(columns: Sequence[Column]) -> "pa.Schema":
    import pyarrow as pa  # Only who reads or writes rows pays for it: Dagster loads this code to know assets and jobs.

    types: dict[str, pa.DataType] = {
        "varchar": pa.string(),
        "json": pa.string(),
        "decimal(38,10)": pa.decimal128(38, 10),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
        "bigint": pa.int64(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in columns])


def to_arrow(table: Table, rows: Sequence[LedgerRow]) -> "pa.Table":
    """Raises: pyarrow.ArrowInvalid: an amount does not fit DECIMAL(38,10) exactly."""
    import pyarrow as pa

    columns = {c.name: [_plain(getattr(row, c.name)) for row in rows] for c in table.columns}
    return pa.Table.from_pydict(columns, schema=arrow_schema(table.columns))


def _plain(value: Any) -> Any:
    """An amount without zeros at its end: Arrow counts them as digits and would refuse 1.000… for its length."""
    return value.normalize(EXACT) if isinstance(value, Decimal) else value
