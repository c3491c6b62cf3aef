"""Records of one user in Powens' form, from a fixed seed, as bytes of JSON.

Facts: the fields are those of the Powens docs, Connections and Bank accounts, plus the fields that clients see live.
"""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from benchmarks.sizes import BankSize

TOKEN = "bench-token"  # noqa: S105 (opens nothing but the loopback server of the benchmarks)

_SEED = 20_260_331
_CURRENCIES = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
_TYPES = ("checking", "savings", "card", "market", "lifeinsurance", "loan")


def connections(size: BankSize, now: datetime) -> list[bytes]:
    """Every connection with its connector and sources, healthy."""
    return [_bytes(_connection(number, now)) for number in range(1, size.connections + 1)]


def accounts(size: BankSize, now: datetime) -> list[bytes]:
    """Every account, enabled, with a balance of today; amounts are JSON numbers with two decimals."""
    dice = Random(_SEED)  # noqa: S311 (the same figures each time)
    return [_account(number, 1 + (number - 1) % size.connections, dice, now) for number in range(1, size.accounts + 1)]


def _connection(number: int, now: datetime) -> dict[str, object]:
    uuid = str(UUID(int=number))
    return {
        "id": number,
        "id_user": 1,
        "id_connector": number,
        "id_provider": number,
        "id_bank": number,
        "connector_uuid": uuid,
        "state": None,
        "error": None,
        "error_message": None,
        "fields": {},
        "created": _paris(now - timedelta(days=90)),
        "last_update": _paris(now - timedelta(hours=2)),
        "next_try": _paris(now + timedelta(hours=22)),
        "last_push": None,
        "expire": _paris(now + timedelta(days=90)),
        "active": True,
        "connector": {
            "id": number,
            "uuid": uuid,
            "name": f"Banque {number}",
            "hidden": False,
            "charged": True,
            "code": None,
            "beta": False,
            "color": "0055aa",
            "slug": f"b{number}",
            "months_to_fetch": 24,
            "auth_mechanism": "webauth",
            "available_auth_mechanisms": ["webauth"],
            "capabilities": ["bank"],
            "account_usages": ["PRIV", "ORGA"],
            "products": ["bank"],
            "stability": {"status": "stable", "last_update": None},
        },
        "sources": [
            {
                "id": number,
                "id_connection": number,
                "id_connector_source": number,
                "name": "openapi",
                "last_update": _paris(now - timedelta(hours=2)),
                "disabled": None,
                "state": None,
                "access_expire": _paris(now + timedelta(days=90)),
                "next_try": _paris(now + timedelta(hours=22)),
            }
        ],
    }


def _account(number: int, connection: int, dice: Random, now: datetime) -> bytes:
    code = dice.choice(list(_CURRENCIES))
    cents = dice.randrange(-1_000_000, 100_000_000)
    record: dict[str, object] = {
        "id": number,
        "id_connection": connection,
        "id_user": 1,
        "id_source": connection,
        "id_parent": None,
        "number": f"{number:011d}",
        "webid": f"w{number}",
        "original_name": f"COMPTE {number}",
        "name": f"Compte {number}",
        "balance": "BALANCE",
        "coming": "COMING",
        "coming_balance": None,
        "formatted_balance": f"{cents / 100:.2f} {_CURRENCIES[code]}",
        "display": True,
        "last_update": _paris(now - timedelta(hours=2, seconds=number % 3_600)),
        "deleted": None,
        "disabled": None,
        "iban": f"FR76{number:023d}",
        "bic": "EXAMFRPP",
        "currency": {"id": code, "symbol": _CURRENCIES[code], "prefix": False, "crypto": False, "precision": 2},
        "type": dice.choice(_TYPES),
        "id_type": 2,
        "bookmarked": 0,
        "error": None,
        "usage": "PRIV",
        "ownership": "owner",
        "company_name": None,
        "loan": None,
        "opening_date": None,
        "information": {},
    }
    # As text: a binary float would not write two decimals.
    return _bytes(record).replace(b'"BALANCE"', _amount(cents)).replace(b'"COMING"', _amount(-cents // 50))


def _amount(cents: int) -> bytes:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}".encode()


def _paris(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def _bytes(record: dict[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def utc_now() -> datetime:
    return datetime.now(UTC)
