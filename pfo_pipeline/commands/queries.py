"""Records of the ledger, and rows as JSON, CSV or a table. Not here: SQL that somebody writes (sql.py)."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pfo_pipeline.commands.place import Place
from pfo_pipeline.commands.terminal import visible, visible_lines
from pfo_pipeline.contracts.accounts import ListAccountsInput
from pfo_pipeline.contracts.model import Message
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.operations.accounts import QueryContext, list_accounts
from pfo_pipeline.operations.balances import get_every_balance


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


def show(
    console: Console, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], counted: str | None = None
) -> None:
    """As a table, and under it how many rows there are: `counted`, where these are not all of them."""
    table = Table()
    for name in columns:
        numbers = [row[name] for row in rows if row[name] is not None]
        right = bool(numbers) and all(isinstance(n, int | Decimal) and not isinstance(n, bool) for n in numbers)
        # Where the terminal is narrow, words are cut short; an amount never.
        width = max(len(_cell(number)) for number in numbers) if right else None
        table.add_column(Text(visible(name)), justify="right" if right else "left", min_width=width)
    for row in rows:
        table.add_row(*(Text(visible_lines(_cell(row[name]))) for name in columns))
    console.print(table)
    console.print(counted or f"{len(rows)} rows")
