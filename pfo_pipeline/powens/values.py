"""Amounts, times and JSON of Powens as Python values: no digit is lost, and times are UTC.

Facts: Powens docs, API design (JSON numbers); `last_update` and similar fields are naive Europe/Paris wall time, as Formance's
connector found in production; some connectors send offsets, so we read both. Banks and connectors compute with binary floats
and send the result, such as `83710.79999999999` (seen live). Coins have up to 18 decimals; the ledger's DECIMAL(38,10) has
ten.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator

from pfo_pipeline.contracts.records import EXACT

PARIS = ZoneInfo("Europe/Paris")
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(8999, 12, 31, tzinfo=UTC)
"""Range of the dates that we store; a date outside becomes the nearest bound. Banks write `9999-12-31` for never. Python's
years
end there, so the date is invalid in a time zone to the east or one day later. The cash page accepts the same years
(report/build.py).
"""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
MAX_NUMBER_LENGTH = 200
# Far larger than any amount, and small enough for exact arithmetic (mapping.py).
_MAX_EXPONENT = 999
MAX_DEPTH = 100
"""Powens' own records nest less than ten deep. This is far below Python's recursion limit, wherever a record is traversed."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


_NO_NUMBER = Decimal("NaN")
"""A number that no field accepts, so that only its record is quarantined and not the whole list."""


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text) if len(text) <= MAX_NUMBER_LENGTH else _NO_NUMBER
    except InvalidOperation:  # No Decimal has such an exponent.
        return _NO_NUMBER


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= MAX_NUMBER_LENGTH else _NO_NUMBER


class ToldTwice:
    """A value that one object gives twice with different content: no field accepts it, because either may be right."""

    def __str__(self) -> str:
        return "told twice"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    last = dict(pairs)
    if len(last) == len(pairs):
        return last
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = value if found.get(name, value) == value else ToldTwice()
    return found


def parse_json(body: bytes) -> Any:
    """Parse JSON without binary floats: numbers with a point or exponent become Decimal, others int.

    NaN, Infinity (both not JSON) and numbers that are too long become a Decimal that no field accepts, so that only one record
    is
    quarantined. A key that one object has twice with different values becomes ToldTwice, for the same reason.

    Raises:
        ValueError: invalid UTF-8, not JSON, nested deeper than MAX_DEPTH.
    """
    if _depth(body) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return json.loads(
        body.decode("utf-8"),
        parse_float=_exact,
        parse_int=_integer,
        parse_constant=Decimal,
        object_pairs_hook=_object,
    )


def _depth(body: bytes) -> int:
    """Nesting depth of objects and lists in a JSON text."""
    # Without escapes, every second part between quotation marks is outside of a string.
    outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def to_amount(value: object) -> Decimal:
    """An exact amount from a JSON number or a numeric string.

    Raises: ValueError: anything else, including NaN and Infinity.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError("not a number")
    if isinstance(value, str) and not _is_numeric(value):
        raise ValueError("not a number")
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError("not a finite number")
    if abs(amount.adjusted()) > _MAX_EXPONENT:
        raise ValueError("not of a size that an amount has")
    return amount


def _is_numeric(text: str) -> bool:
    return len(text) <= MAX_NUMBER_LENGTH and _NUMBER.fullmatch(text) is not None


def to_utc(value: object) -> datetime:
    """A UTC datetime from `YYYY-MM-DD HH:MM:SS`, read as Europe/Paris wall time unless it has an offset.

    The hour that October repeats is read as its first pass (summer time): Powens does not distinguish the two passes, so a
    balance
    of the second pass is dated up to one hour early. An hour that March skips is read with the offset before the change. A
    date
    outside EARLIEST and LATEST becomes the nearest bound.

    Raises: ValueError: not such a text, or a date that does not exist.
    """
    if not isinstance(value, str):
        raise ValueError("not a date")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("not a date") from None
    if not EARLIEST.year <= moment.year <= LATEST.year:  # At the calendar's ends time zones overflow.
        return EARLIEST if moment.year < EARLIEST.year else LATEST
    moment = (moment.replace(tzinfo=PARIS) if moment.tzinfo is None else moment).astimezone(UTC)
    return min(max(moment, EARLIEST), LATEST)


def record_id(record: Mapping[str, Any]) -> int | None:
    """A record's own id; None where it has none that could be one."""
    value = record.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def digest(record: object) -> str:
    """SHA-256 of a record's canonical JSON: keys sorted, numbers as they were written."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


ParisMoment = Annotated[datetime, BeforeValidator(to_utc)]


SCALE = 10
LIMIT = Decimal(10) ** 18
"""No real balance is this large, and sums of smaller amounts fit 28 digits before the point."""
NOISE = Decimal("0.000001")
"""Largest difference from a whole number of cents that binary floats cause; amounts below 10^9 are exact to this."""


@dataclass(frozen=True)
class StoredAmount:
    """An amount that the ledger can store, in units of its currency; `text` is the original if the amount was rounded."""

    amount: Decimal
    text: str | None = None


def kept(sent: Decimal, currency: str, *, is_number: bool, is_crypto: bool) -> StoredAmount | str:
    """The amount in the ledger's form, or the reason why it cannot be stored.

    Args:
        is_number: Sent as a JSON number. A text was written digit by digit, so it has no float noise.
        is_crypto: Whether Powens says that the currency is a coin. A code that is not a currency code counts as a coin too.
    """
    if sent.copy_abs() >= LIMIT:
        return "10^18 or more"
    is_coin = is_crypto or not _is_money(currency)
    if is_number and not is_coin and _decimals(sent) > (usual := _usual_decimals(currency)):
        rounded = _rounded(sent, usual)
        if EXACT.subtract(rounded, sent).copy_abs() <= NOISE:
            return StoredAmount(rounded, str(sent))
    if _decimals(sent) <= SCALE:
        return StoredAmount(sent)
    if is_coin:
        return StoredAmount(_rounded(sent, SCALE), str(sent))
    return "does not fit DECIMAL(38,10) without rounding"


def _decimals(amount: Decimal) -> int:
    """Number of digits after the point, without trailing zeros."""
    exponent = amount.normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, EXACT)


def _is_money(currency: str) -> bool:
    """Whether CLDR knows the code as a current or past code of ISO 4217."""
    from babel.numbers import is_currency  # imported late, as below

    return is_currency(currency)


def _usual_decimals(currency: str) -> int:
    """Usual number of decimals in CLDR."""
    from babel.numbers import get_currency_precision  # Its tables take longer to load than a Powens answer.

    return get_currency_precision(currency)
