"""A script: the data of the bank's side at each of a list of moments, as records in the shape of the documentation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pfo_pipeline_tests.oracle.recording import Decision

Record = dict[str, Any]
PARIS = ZoneInfo("Europe/Paris")
ORDINARY_DAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PRECISION = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "KWD": 3, "BTC": 8, "ETH": 18}


@dataclass(frozen=True)
class Instead:
    """An answer that replaces the right one."""

    status: int
    body: Record


NO_ACCOUNT = Instead(409, {"code": "noAccount", "description": "At least one bank account is required."})
BROKEN = Instead(500, {"code": "bug", "description": "Internal error"})


@dataclass(frozen=True)
class UserState:
    """The data of one user at the bank's side. Lists are sent in this order."""

    connections: tuple[Record, ...] = ()
    accounts: tuple[Record, ...] = ()
    instead: Mapping[str, Instead] = field(default_factory=dict)
    """By path below `/users/me`."""


@dataclass(frozen=True)
class Moment:
    at: datetime
    users: Mapping[str, UserState]


@dataclass(frozen=True)
class Script:
    """The history of one tenant at the bank's side. Moments ascend."""

    moments: tuple[Moment, ...]
    decisions: tuple[Decision, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """Return every member of any moment, in order of first sight."""
        return tuple(dict.fromkeys(name for moment in self.moments for name in moment.users))


def day(number: float) -> datetime:
    """Return a morning, counted from an ordinary one."""
    return ORDINARY_DAY + timedelta(days=number)


def paris(at: datetime | None) -> str | None:
    """Format a time as Powens writes it: wall time of Paris without an offset."""
    return None if at is None else f"{at.astimezone(PARIS):%Y-%m-%d %H:%M:%S}"


def currency(code: str) -> Record:
    return {
        "id": code,
        "name": code,
        "symbol": code,
        "precision": PRECISION.get(code, 2),
        "crypto": code in ("BTC", "ETH"),
    }


def source(number: int, connection_id: int, at: datetime, name: str = "openapi", **more: Any) -> Record:
    return {
        "id": number,
        "id_connection": connection_id,
        "id_connector_source": 300 + len(name),
        "name": name,
        "created": paris(ORDINARY_DAY - timedelta(days=90)),
        "last_update": paris(at),
        "disabled": None,
        "state": None,
        "access_expire": paris(at + timedelta(days=120)),
        "expire": None,
        "next_try": paris(at + timedelta(days=1)),
    } | more


def connection(number: int, at: datetime, *sources: Record, bank: str = "Banque Lilas", **more: Any) -> Record:
    """Return a healthy connection; without sources it gets one, whose number is ten times that of the connection."""
    return {
        "id": number,
        "id_user": None,
        "id_connector": 1000 + len(bank),
        "connector_uuid": connector_uuid(bank),
        "connector": {"id": 1000 + len(bank), "uuid": connector_uuid(bank), "name": bank},
        "state": None,
        "error": None,
        "error_message": None,
        "fields": None,
        "created": paris(ORDINARY_DAY - timedelta(days=90)),
        "last_update": paris(at),
        "next_try": paris(at + timedelta(days=1)),
        "last_push": None,
        "expire": None,
        "active": True,
        "sources": list(sources) or [source(number * 10, number, at)],
    } | more


def connector_uuid(bank: str) -> str:
    return f"00000000-0000-5000-8000-{bank.encode().hex()[:12]:0<12}"


def account(row: Any, connection_id: int, amount: Any, at: datetime | None, /, **more: Any) -> Record:
    """Return an enabled checking account in euro. A balance that is text is sent as a JSON number with these very digits."""
    code = more.pop("currency", "EUR")
    return {
        "id": row,
        "id_connection": connection_id,
        "id_user": None,
        "id_source": connection_id * 10,
        "id_parent": None,
        "number": None,
        "iban": None,
        "name": "Compte",
        "original_name": "COMPTE",
        "type": "checking",
        "id_type": 2,
        "currency": currency(code) if isinstance(code, str) else code,
        "balance": Decimal(amount) if isinstance(amount, str) else amount,
        "coming": None,
        "display": True,
        "last_update": paris(at),
        "deleted": None,
        "disabled": None,
        "error": None,
        "usage": "PRIV",
        "ownership": "owner",
        "company_name": None,
        "bookmarked": 0,
        "loan": None,
    } | more
