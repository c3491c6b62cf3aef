"""Map Powens answers to canonical rows.

Facts: Powens docs, Bank accounts, Connections, Balances; naive datetimes are Europe/Paris wall time (values.py).
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.contracts.tables import AccountRow, BalanceRow, ConnectionRow, QuarantineRow
from pfo_pipeline.powens.auth import reconnect_link
from pfo_pipeline.powens.models import Account, Connection, Misfit, Since, Wire, id_if_any, text_if_any
from pfo_pipeline.powens.states import FailingSource, Situation, read_state
from pfo_pipeline.powens.values import StoredAmount, digest, kept, record_id
from pfo_pipeline.redaction import word

UNKNOWN = "unknown"
_LOGIN_MAY_BE_OPEN = ("webauthRequired", "SCARequired", "additionalInformationNeeded", "decoupled", "validating")

W = TypeVar("W", bound=Wire)

_AHEAD = timedelta(days=1)
"""Tolerance for a clock elsewhere that is ahead of ours. A balance with a later date would stay the newest for that long."""
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def parse(kind: type[W], tenant_id: str, user_id: str, record: Mapping[str, Any]) -> W | QuarantineRow:
    """Parse a record. If it is invalid, return a quarantine row that names each field and the rule it breaks."""
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        reasons = sorted({f"{_where(issue['loc'])}: {_rule(issue)}" for issue in error.errors()})
        return quarantined(tenant_id, user_id, kind.__name__.lower(), record, "; ".join(reasons))


def quarantined(
    tenant_id: str, user_id: str, record_name: str, record: Mapping[str, Any], reason: str
) -> QuarantineRow:
    """The quarantine row of a record, with the fields that can be read."""
    number = record_id(record)
    source_id = None if number is None else str(number)
    connector = record.get("connector")
    return QuarantineRow(
        tenant_id,
        record_name,
        source_id,
        reason,
        digest(record),
        user_id=user_id,
        connection_id=source_id if record_name == "connection" else id_if_any(record.get("id_connection")),
        institution_name=text_if_any(connector.get("name")) if isinstance(connector, Mapping) else None,
        state="open",
    )


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if not isinstance(part, int))


def _rule(issue: Any) -> str:
    return str(issue["msg"]).removeprefix("Value error, ").lower()


def account_id(tenant: Tenant, source_id: str) -> str:
    """The initial id of an account. It is always the same for the same account of the same Powens domain."""
    seed = f"powens|{tenant.id}|{tenant.domain}|{source_id}"
    return "acc_" + hashlib.sha256(seed.encode()).hexdigest()[:20]


def situation(connection: Connection, now: datetime) -> Situation:
    failing = tuple(
        FailingSource(s.state, _not_ahead(s.last_update, now), s.next_try)
        for s in connection.sources or ()
        if s.state and s.is_in_use
    )
    return read_state(
        connection.state,
        failing,
        active=connection.active is not False,
        last_success_at=_not_ahead(connection.last_update, now),
        created_at=_not_ahead(connection.created, now),
        next_try_at=connection.next_try,
        now=now,
    )


def _not_ahead(moment: datetime | None, now: datetime) -> datetime | None:
    """The moment if it is past; else None, because a future date would look like a success until then."""
    return moment if moment is not None and moment <= now + _AHEAD else None


def connection_row(
    tenant: Tenant, user_id: str, connection: Connection, record: Mapping[str, Any], now: datetime
) -> ConnectionRow:
    stands = situation(connection, now)
    institution_id, institution_name = _institution(connection)
    return ConnectionRow(
        tenant_id=tenant.id,
        connection_id=connection.id,
        user_id=user_id,
        institution_id=institution_id,
        institution_name=institution_name,
        state=stands.state,
        status=stands.status,
        who_acts=stands.who_acts,
        remedy=stands.remedy,
        link=reconnect_link(tenant, connection.id) if stands.who_acts == "member" else None,
        active=connection.active is not False,
        created_at=connection.created,
        last_success_at=_not_ahead(connection.last_update, now),
        next_try_at=connection.next_try,
        consent_expires_at=_consent_end(connection),
        payload_digest=digest(record),
    )


def _consent_end(connection: Connection) -> datetime | None:
    """The earliest end of access of the sources in use.

    If no source has one, and no login is open, use the connection's own date. That date is the latest of its sources' dates;
    while
    a login is open it is the moment when the login expires, mostly in some hours (Powens docs, Connections; seen live).
    """
    ends = [s.access_expire for s in connection.sources or () if s.access_expire and s.is_in_use]
    if ends:
        return min(ends)
    return None if connection.state in _LOGIN_MAY_BE_OPEN else connection.expire


def _institution(connection: Connection) -> tuple[str, str]:
    connector = connection.connector
    uuid = connection.connector_uuid or (connector.uuid if connector else None)
    return uuid or UNKNOWN, (connector.name if connector else None) or UNKNOWN


class Hidden(Protocol):
    """An account as the ledger had it before."""

    @property
    def disabled_at(self) -> datetime | None: ...

    @property
    def deleted_at(self) -> datetime | None: ...


def account_row(
    tenant: Tenant,
    user_id: str,
    account: Account,
    connection: Connection,
    record: Mapping[str, Any],
    now: datetime,
    known: Hidden | None = None,
) -> AccountRow:
    """Map an account to a row.

    Args:
        known: The account as the ledger has it; required if `lacks_a_date`.
    """
    institution_id, institution_name = _institution(connection)
    return AccountRow(
        tenant_id=tenant.id,
        account_id=account_id(tenant, account.id),
        user_id=user_id,
        connection_id=connection.id,
        source_id=account.id,
        institution_id=institution_id,
        institution_name=institution_name,
        account_type=word(account.type) if account.type else UNKNOWN,
        currency=account.currency.id if account.currency else None,
        display_name=account.name or account.original_name or f"Account {account.id}",
        number=account.number,
        iban=account.iban,
        bic=account.bic,
        usage=word(account.usage) if account.usage else None,
        ownership=word(account.ownership) if account.ownership else None,
        parent_account_id=account_id(tenant, account.id_parent) if account.id_parent else None,
        disabled_at=_hidden_at(account.disabled, known.disabled_at if known else None, now),
        deleted_at=_hidden_at(account.deleted, known.deleted_at if known else None, now),
        provider_updated_at=account.last_update,
        payload_digest=digest(record),
        is_crypto=True if account.currency and account.currency.crypto is True else None,
        connection_source_id=account.id_source,
        ended_by="bank" if account.deleted else None,
        trouble=word(account.error) if account.error else None,
    )


def lacks_a_date(account: Account, now: datetime) -> bool:
    """Whether the account is hidden and Powens gives no date for it."""
    return any(since and _not_ahead(since.at, now) is None for since in (account.disabled, account.deleted))


def _hidden_at(since: Since | None, known: datetime | None, now: datetime) -> datetime | None:
    """The date since when an account is hidden: Powens' date, or if that is not a past date, the date when we first saw it
    hidden.

    A future date would count the account until then; a date long ago would remove it from days on which it existed.
    """
    if since is None:
        return None
    return _not_ahead(since.at, now) or _not_ahead(known, now) or now


def booked_balance(account: Account, record: Mapping[str, Any], now: datetime) -> StoredAmount | str | None:
    """The booked balance of an account, in the ledger's form.

    Returns:
        The amount; None if Powens has no balance yet; or the reason why the balance cannot be stored.
    """
    if account.balance is None:
        return None
    if isinstance(account.balance, Misfit):
        return f"balance: {account.balance.reason}"
    if account.currency is None:
        return "currency: missing beside a balance"
    if account.last_update is None:
        return "last_update: missing beside a balance, so the figure has no date"
    if account.last_update > now + _AHEAD:
        return "last_update: more than a day in the future"
    if account.last_update < _EARLIEST:
        return "last_update: before 1970"
    return _kept(account, "balance", account.balance, record)


def balance_row(
    tenant: Tenant, account: Account, connection_id: str, record: Mapping[str, Any], now: datetime
) -> BalanceRow | str | None:
    """The balances of an account as a row.

    Returns:
        The row; None if Powens has no balance yet; or the reason why the balance cannot be stored.
    """
    booked = booked_balance(account, record, now)
    if not isinstance(booked, StoredAmount):
        return booked
    assert account.last_update is not None
    assert account.currency is not None
    available, basis = _available(account, booked.amount, record)
    return BalanceRow(
        tenant_id=tenant.id,
        account_id=account_id(tenant, account.id),
        as_of=account.last_update,
        connection_id=connection_id,
        source_id=account.id,
        currency=account.currency.id,
        current_balance=booked.amount,
        available_balance=available,
        available_basis=basis,
        payload_digest=digest(record),
        rounded_from=booked.text,
    )


def _available(account: Account, booked: Decimal, record: Mapping[str, Any]) -> tuple[Decimal | None, str | None]:
    """The available balance and its basis. Powens gives none, so we add the announced amount to the booked balance.

    Both are None if nothing is announced, or if the ledger cannot store the announced amount.
    """
    name = "coming" if account.coming_balance is None else "coming_balance"
    sent: Decimal | None = getattr(account, name)
    announced = None if sent is None else _kept(account, name, sent, record)
    if announced is None or isinstance(announced, str):
        return None, None
    if name == "coming_balance":
        return announced.amount, "coming_balance"
    return EXACT.add(booked, announced.amount), "balance+coming"


def _kept(account: Account, name: str, sent: Decimal, record: Mapping[str, Any]) -> StoredAmount | str:
    """One of an account's amounts in the ledger's form, or the reason why it cannot be stored."""
    currency = account.currency
    found = kept(
        sent,
        currency.id if currency else "",
        is_number=not isinstance(record.get(name), str),
        is_crypto=currency is not None and currency.crypto is True,
    )
    return f"{name}: {found}" if isinstance(found, str) else found
