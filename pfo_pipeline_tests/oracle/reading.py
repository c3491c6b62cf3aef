"""Read the bytes of an answer, by the judge's own reading of the documentation."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any
from zoneinfo import ZoneInfo

from pfo_pipeline_tests.oracle.classes import class_of, class_that_binds

_PARIS = ZoneInfo("Europe/Paris")
_DECIMALS_OF_CURRENCY = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3, "TND": 3}
_DECIMALS_OF_LEDGER = 10
_NOISE = Decimal("0.000001")
_TOO_MUCH = Decimal(10) ** 18
_MASKS = re.compile(r"[*•●#Xx]")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")


@dataclass(frozen=True)
class Amount:
    """A balance; None if the bank's side sends none."""

    value: Decimal | None
    is_readable: bool = True


@dataclass(frozen=True)
class Row:
    """A linked account as one answer shows it."""

    id: int
    connection: int | None
    source: int | None
    parent: int | None
    number: str | None
    iban: str | None
    name: str
    type: str | None
    is_crypto: bool
    currency: str | None
    amount: Amount
    updated: datetime | None
    is_disabled: bool
    is_deleted: bool

    @property
    def is_listed(self) -> bool:
        return not self.is_disabled and not self.is_deleted

    @property
    def whole_number(self) -> str | None:
        return self.number if self.number and is_whole(self.number) else None

    @property
    def class_name(self) -> str:
        return class_of(self.type, is_crypto=self.is_crypto)

    @property
    def binding_class(self) -> str | None:
        return class_that_binds(self.type, is_crypto=self.is_crypto)


@dataclass(frozen=True)
class ConnectionRow:
    id: int
    bank: str
    source_names: Mapping[int, str]


@dataclass(frozen=True)
class Accounts:
    """A list of accounts."""

    rows: tuple[Row, ...]
    unreadable: tuple[int | None, ...]
    """For each row that names no account, its connection, if readable."""
    is_full: bool
    """Whether hidden accounts were requested as well."""


@dataclass(frozen=True)
class Connections:
    rows: tuple[ConnectionRow, ...]
    unreadable: int


def accounts_in(status: int, body: bytes, *, is_full: bool) -> Accounts | None:
    """Return the list in an answer; None if it has none. An answer that a user has no account is an empty list."""
    said = _json(body)
    if not isinstance(said, Mapping):
        return None
    if status in (400, 409) and said.get("code") == "noAccount":
        return Accounts((), (), is_full)
    rows = said.get("accounts")
    if status != 200 or not isinstance(rows, list):
        return None
    found: dict[int, Row] = {}
    lost = []
    for said_row in rows:
        row = _row(said_row)
        if row is None:
            lost.append(_id(said_row.get("id_connection")) if isinstance(said_row, Mapping) else None)
        elif row.id not in found or _newer(row, found[row.id]):
            found[row.id] = row
    return Accounts(tuple(found.values()), tuple(lost), is_full)


def connections_in(status: int, body: bytes) -> Connections | None:
    said = _json(body)
    if status != 200 or not isinstance(said, Mapping) or not isinstance(said.get("connections"), list):
        return None
    read = [_connection(row) for row in said["connections"]]
    return Connections(tuple(row for row in read if row is not None), read.count(None))


def is_whole(number: str) -> bool:
    """Whether a number identifies an account: unmasked, six digits at least, not all the same."""
    digits = re.findall("[0-9]", number)
    return not _MASKS.search(number) and len(digits) >= 6 and len(set(digits)) > 1


def is_masked(number: str) -> bool:
    return bool(_MASKS.search(number))


def moment(value: Any) -> datetime | None:
    """Parse a time as the bank's side writes it: wall time of Paris, unless an offset is given."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=_PARIS)).astimezone(UTC)


def amount(value: Any, code: str | None, precision: Any) -> Amount:
    """Parse a balance exactly. The noise of a binary float is rounded away for a number, never for a text."""
    if value is None:
        return Amount(None)
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return Amount(None, is_readable=False)
    with localcontext() as context:
        context.prec = 400
        try:
            exact = Decimal(value)
            if not exact.is_finite() or abs(exact) >= _TOO_MUCH:
                return Amount(None, is_readable=False)
            decimals = precision if isinstance(precision, int) else _DECIMALS_OF_CURRENCY.get(code or "", 2)
            rounded = round(exact, min(decimals, _DECIMALS_OF_LEDGER))
            is_noise = not isinstance(value, str) and abs(exact - rounded) <= _NOISE
            if exact == rounded or is_noise or decimals >= _DECIMALS_OF_LEDGER:
                return Amount(rounded)
        except InvalidOperation:
            pass
    return Amount(None, is_readable=False)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=_decimal, parse_int=_decimal)
    except ValueError:
        return None


def _decimal(digits: str) -> Any:
    """Parse a number with its digits; return a list, which is not an amount, if no decimal can hold it."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return [digits]


def _id(value: Any) -> int | None:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _row(row: Any) -> Row | None:
    number_of_row = _id(row.get("id")) if isinstance(row, Mapping) else None
    if number_of_row is None:
        return None
    money = row.get("currency") if isinstance(row.get("currency"), Mapping) else {}
    code = _text(money.get("id"))
    code = code.upper() if code else None
    decimals = _id(money.get("precision"))
    return Row(
        id=number_of_row,
        connection=_id(row.get("id_connection")),
        source=_id(row.get("id_source")),
        parent=_id(row.get("id_parent")),
        number=_compact(row.get("number")),
        iban=_iban(row.get("iban")),
        name=(_text(row.get("original_name")) or _text(row.get("name")) or "").casefold(),
        type=_type(row.get("type")),
        is_crypto=money.get("crypto") is True,
        currency=code,
        amount=amount(row.get("balance"), code, decimals),
        updated=moment(row.get("last_update")),
        is_disabled=_is_stamped(row.get("disabled")),
        is_deleted=_is_stamped(row.get("deleted")),
    )


def _connection(row: Any) -> ConnectionRow | None:
    number = _id(row.get("id")) if isinstance(row, Mapping) else None
    if number is None:
        return None
    connector = row.get("connector") if isinstance(row.get("connector"), Mapping) else {}
    bank = row.get("connector_uuid") or connector.get("uuid") or row.get("id_connector")
    sources = row.get("sources") if isinstance(row.get("sources"), list) else []
    names = {_id(s.get("id")): _text(s.get("name")) for s in sources if isinstance(s, Mapping)}
    return ConnectionRow(number, str(bank), {key: name for key, name in names.items() if key is not None and name})


def _is_stamped(value: Any) -> bool:
    """Whether a stamp is set. Some databases write dates of zeros for none."""
    return bool(value) and not str(value).startswith("0000-")


def _newer(one: Row, other: Row) -> bool:
    return one.updated is not None and (other.updated is None or one.updated > other.updated)


def _type(value: Any) -> str | None:
    return _text(value.get("name")) if isinstance(value, Mapping) else _text(value)


def _compact(value: Any) -> str | None:
    text = _text(value)
    return re.sub(r"\s", "", text).upper() if text else None


def _iban(value: Any) -> str | None:
    text = _compact(value)
    return text if text and _IBAN.fullmatch(text) and "XXX" not in text else None
