"""Read commands for programs and people: records as JSON, CSV or a table; SQL over the published ledger."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pfo_pipeline.commands.place import Place
from pfo_pipeline.commands.terminal import visible, visible_lines
from pfo_pipeline.contracts.accounts import ListAccountsInput
from pfo_pipeline.contracts.model import Message
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.schema import SCHEMA, enter, known_migrations
from pfo_pipeline.operations.accounts import QueryContext, list_accounts
from pfo_pipeline.operations.balances import get_every_balance


class QueryError(PfoError):
    """The SQL could not be run; the message is DuckDB's own."""


def account_records(
    place: Place, tenant_id: str, as_of: datetime | None = None, known_at: datetime | None = None
) -> list[Message]:
    """`openbanking.accounts.list`, every page of every user; the newest, or as of a moment by what was known at another."""
    records: list[Message] = []
    with place.reader.at_once() as reader:
        context = QueryContext(tenant_id, place.role, reader, as_of, known_at)
        for user in reader.users(tenant_id):
            cursor, more = None, True
            while more:
                request = ListAccountsInput(
                    tenant_id=tenant_id, user_id=user.user_id, include_balances=True, cursor=cursor
                )
                page = list_accounts(context, request)
                records += page.accounts
                cursor, more = page.next_cursor, bool(page.has_more)
    return records


def balance_records(
    place: Place, tenant_id: str, as_of: datetime | None = None, known_at: datetime | None = None
) -> list[Message]:
    """`openbanking.balances.get` for every account that was enabled, likewise."""
    context = QueryContext(tenant_id, place.role, place.reader, as_of, known_at)
    return [record for answer in get_every_balance(context) for record in answer.balances]


def wire(records: Sequence[Message]) -> list[dict[str, Any]]:
    """Records in their wire form: camelCase, amounts as exact text, moments in UTC."""
    return [record.model_dump(mode="json", by_alias=True) for record in records]


def write(out: TextIO, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str) -> None:
    """`form` json: one array; csv: a header, even where there is no row."""
    if form == "json":
        # In ASCII: it is the same JSON, whatever encoding the output has.
        json.dump([{name: _json_value(row[name]) for name in columns} for row in rows], out, indent=2)
        out.write("\n")
        return
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])


def _json_value(value: object) -> object:
    """The value as JSON has it. NaN and infinity, which a query's own DOUBLE may hold, have no form there: null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {_text(key): _json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [_json_value(item) for item in value]
    return _text(value)


def _text(value: object) -> str:
    """What JSON has no type for. Amounts are written as text, so that no reader turns them into binary floats."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return plain(value) if isinstance(value, Decimal) else str(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, dict | list | tuple) else _text(value)
    )


def run_sql(place: Place, query: str, tenant_id: str | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Run one query on the published ledger; with a tenant, on a copy in memory that holds that tenant alone.

    The query reaches no other file, and writes none: not even for a sort that memory does not hold.

    Raises:
        QueryError: the query is wrong, or gives a value that Python has no form for.
    """
    # The errors are named inside: what is wrong with a query says nothing about the ledger's file.
    with _one_tenant(place, tenant_id) if tenant_id else place.opened() as con:
        _lock_in(con)
        try:
            # DuckDB's Python gives None for a text without a statement, whatever its type says.
            cursor: duckdb.DuckDBPyConnection | None = con.execute(query)
            if cursor is None:
                raise QueryError('There is no statement in the query. Give one, such as "select * from positions".')
            columns = _distinct([str(column[0]) for column in cursor.description or ()])
            return columns, [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        except RuntimeError as error:  # DuckDB's Python makes this of a Ctrl-C.
            raise KeyboardInterrupt if isinstance(error.__cause__, KeyboardInterrupt) else error from None
        except UnicodeEncodeError:
            raise QueryError("The query is not UTF-8 text.") from None
        except (OverflowError, TypeError, ValueError) as error:
            raise QueryError(
                f"Python has no form for a value of the answer ({error}). Make it text in the query: value::varchar."
            ) from None
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException) and tenant_id is None:
                raise  # The one file that a query reaches is damaged: the ledger.
            raise QueryError(str(error)) from None


def _lock_in(con: duckdb.DuckDBPyConnection) -> None:
    """No query can reach a file or an object of this program from here on, nor undo that.

    Without external access alone, DuckDB 1.5 still let `copy` write `ledger.duckdb.wal` beside the ledger, and read the
    ledger's own file: so the file systems are disabled too.
    """
    con.execute("set python_enable_replacements = false")
    con.execute("set temp_directory = ''")
    con.execute("set enable_external_access = false")
    con.execute("set disabled_filesystems = 'LocalFileSystem'")
    con.execute("set lock_configuration = true")


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    counts: dict[str, int] = {}
    out = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{counts[name]}")
    return out


@contextmanager
def _one_tenant(place: Place, tenant_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A ledger in memory with one tenant's rows."""
    with place.opened() as source:
        named = source.execute(
            "select table_name from duckdb_columns() c join duckdb_tables() t using (schema_name, table_name) "
            "where schema_name = 'ledger' and column_name = 'tenant_id'"
        ).fetchall()
        copies = {
            str(name): source.sql(
                f'from "{name}" where tenant_id = $tenant', params={"tenant": tenant_id}
            ).to_arrow_table()
            for (name,) in named
        }
    con = duckdb.connect(":memory:")
    try:
        con.execute(f"create schema {SCHEMA}")
        enter(con)
        for migration in known_migrations():
            con.execute(migration.sql)
        for name, rows in copies.items():
            con.register("copied", rows)
            con.execute(f'insert into "{name}" by name from copied')
            con.unregister("copied")
        yield con
    finally:
        con.close()


def show(console: Console, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table()
    for name in columns:
        numbers = [row[name] for row in rows if row[name] is not None]
        right = bool(numbers) and all(isinstance(n, int | Decimal) and not isinstance(n, bool) for n in numbers)
        table.add_column(Text(visible(name)), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(visible_lines(_cell(row[name]))) for name in columns))
    console.print(table)
    console.print(f"{len(rows)} rows")
