"""The minimum that loads the same accounts and balances: read both lists, exact decimals, Arrow, one MERGE.

Handwritten for comparison: no validation, no history, no telemetry, no readers, no second workflow.
"""

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import duckdb
import pyarrow as pa

from benchmarks.bank import TOKEN
from benchmarks.work import Work

_PARIS = ZoneInfo("Europe/Paris")
_FIELDS: list[tuple[str, pa.DataType]] = [
    ("account_id", pa.string()),
    ("connection_id", pa.string()),
    ("institution_name", pa.string()),
    ("account_type", pa.string()),
    ("display_name", pa.string()),
    ("iban", pa.string()),
    ("currency", pa.string()),
    ("as_of", pa.timestamp("us", tz="UTC")),
    ("balance", pa.decimal128(38, 10)),
    ("coming", pa.decimal128(38, 10)),
]
_TABLE = """
create table if not exists accounts (
    account_id varchar not null, connection_id varchar not null, institution_name varchar not null,
    account_type varchar not null, display_name varchar not null, iban varchar, currency varchar not null,
    as_of timestamptz not null, balance decimal(38,10) not null, coming decimal(38,10)
)
"""
_MERGE = """
merge into accounts as a using stage as s on a.account_id = s.account_id
when matched and (a.as_of, a.balance, a.coming, a.display_name, a.currency)
    is distinct from (s.as_of, s.balance, s.coming, s.display_name, s.currency) then update
when not matched then insert
returning merge_action
"""


def prepare(root: str, data_dir: str) -> Work:
    path = Path(data_dir) / "minimum.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    touched: list[int] = []

    def run() -> None:
        connections, accounts = asyncio.run(_read(root))
        touched.append(_merge(path, _table(connections, accounts)))

    def facts() -> dict[str, int]:
        with duckdb.connect(str(path), read_only=True) as con:
            rows = con.table("accounts").shape[0]
        return {"rows": rows, "touched": touched[0], "file_bytes": path.stat().st_size}

    return Work(run, facts)


async def _read(root: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        connections = await _list(
            http, f"{root}/users/me/connections?limit=1000&expand=connector,sources", "connections"
        )
        accounts = await _list(http, f"{root}/users/me/accounts?limit=1000&all=", "accounts")
    return connections, accounts


async def _list(http: aiohttp.ClientSession, url: str | None, key: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    while url:
        async with http.get(url) as answer:
            answer.raise_for_status()
            page = json.loads(await answer.read(), parse_float=Decimal)
        records += page[key]
        following = page["_links"]["next"]
        url = following["href"] if following else None
    return records


def _table(connections: list[dict[str, Any]], accounts: list[dict[str, Any]]) -> pa.Table:
    names = {connection["id"]: connection["connector"]["name"] for connection in connections}
    rows = [
        {
            "account_id": str(account["id"]),
            "connection_id": str(account["id_connection"]),
            "institution_name": names[account["id_connection"]],
            "account_type": account["type"],
            "display_name": account["name"],
            "iban": account["iban"],
            "currency": account["currency"]["id"],
            "as_of": datetime.fromisoformat(account["last_update"]).replace(tzinfo=_PARIS),
            "balance": account["balance"],
            "coming": account["coming"],
        }
        for account in accounts
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(_FIELDS))


def _merge(path: Path, stage: pa.Table) -> int:
    """Merge the stage. Returns the number of rows inserted or updated."""
    with duckdb.connect(str(path)) as con:
        con.execute(_TABLE)
        con.register("stage", stage)
        return len(con.execute(_MERGE).fetchall())
