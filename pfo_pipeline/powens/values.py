"""Amounts, times and JSON of Powens as Python values: no digit is lost, and times are UTC.

Facts: Powens docs, API design (JSON numbers); `last_update` and similar fields are naive Europe/Paris wall time, as found in
production by Formance's connector; some connectors send offsets, so both are read. Banks and connectors compute with binary
floats and send the result, such as `83710.79999999999` (seen live). Coins have up to 18 decimals; the ledger's DECIMAL(38,10)
has ten.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator

from pfo_pipeline.contracts.records import EXACT

PARIS = ZoneInfo("Europe/Paris")
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(8999, 12, 31, tzinfo=UTC)
"""The dates that we keep; one told beyond them is kept as the bound. Banks write `9999-12-31` for never, and Python's years
end there: in a time zone to the east, or a day later, it is no date any more. A page is asked of the same years
(report/gathering.py).
"""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
MAX_NUMBER_LENGTH = 200
# Far beyond any amount, and small enough for exact arithmetic (mapping.py).
_MAX_EXPONENT = 999
MAX_DEPTH = 100
"""Powens' own records nest less than ten deep. Far from Python's recursion limit, wherever a record is gone through."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


_NO_NUMBER = Decimal("NaN")
"""Stands for a number that no field accepts, so that one record is put aside for it and not the list that it is in."""


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text) if len(text) <= MAX_NUMBER_LENGTH else _NO_NUMBER
    except InvalidOperation:  # An exponent that no Decimal has.
        return _NO_NUMBER


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= MAX_NUMBER_LENGTH else _NO_NUMBER


class ToldTwice:
    """Stands for a value that one object gives in two ways: no field accepts it, and which of them holds nobody knows."""

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
    """Numbers with a point or exponent become Decimal, others int; no binary float on the way.

    NaN and Infinity, which JSON has not, and numbers of a size that nothing has become a Decimal that no field accepts, so
    that one record is put aside; a key that one object has twice with different values becomes ToldTwice, likewise.

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
    """How deeply objects and lists are nested in a JSON text."""
    # Without its escapes, every other part between quotation marks is outside of a text.
    outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def to_amount(value: object) -> Decimal:
    """An exact amount from a JSON number or a numeric string.

    Raises: ValueError: anything else, NaN and Infinity included.
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
    """A moment from `YYYY-MM-DD HH:MM:SS`, read as Europe/Paris wall time unless it carries an offset.

    The hour that October repeats is read as its first pass (summer time): Powens gives nothing to tell the two apart,
    so a figure taken in the second pass is dated up to one hour early. An hour that March skips is read with the offset
    that held before it. A date beyond EARLIEST or LATEST is that bound.

    Raises: ValueError: not such a text, or a date that does not exist.
    """
    if not isinstance(value, str):
        raise ValueError("not a date")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("not a date") from None
    if not EARLIEST.year <= moment.year <= LATEST.year:  # At the calendar's ends no time zone can be applied.
        return EARLIEST if moment.year < EARLIEST.year else LATEST
    moment = (moment.replace(tzinfo=PARIS) if moment.tzinfo is None else moment).astimezone(UTC)
    return min(max(moment, EARLIEST), LATEST)


def digest(record: object) -> str:
    """SHA-256 of a record's canonical JSON: keys sorted, numbers as they were written."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


ParisMoment = Annotated[datetime, BeforeValidator(to_utc)]


SCALE = 10
LIMIT = Decimal(10) ** 18
"""Amounts of so much and more are no amounts of money, and sums of what is below fit 28 digits before the point."""
NOISE = Decimal("0.000001")
"""How far from a whole number of cents the noise of a binary float is at most; amounts below 10^9 are exact to that."""


@dataclass(frozen=True)
class Kept:
    """An amount that the ledger can hold, in units of its currency; `text` is what was sent where it was rounded."""

    amount: Decimal
    text: str | None = None


def kept(sent: Decimal, currency: str, *, is_number: bool, is_crypto: bool) -> Kept | str:
    """The amount as the ledger holds it, or why it cannot.

    Args:
        is_number: Sent as a JSON number. A text was written digit by digit: nothing of it is noise.
        is_crypto: Whether Powens says that the currency is a coin. A code that is no money's is taken for a coin's, too.
    """
    if sent.copy_abs() >= LIMIT:
        return "10^18 or more"
    is_coin = is_crypto or not _is_money(currency)
    if is_number and not is_coin and _decimals(sent) > (usual := _usual_decimals(currency)):
        rounded = _rounded(sent, usual)
        if EXACT.subtract(rounded, sent).copy_abs() <= NOISE:
            return Kept(rounded, str(sent))
    if _decimals(sent) <= SCALE:
        return Kept(sent)
    if is_coin:
        return Kept(_rounded(sent, SCALE), str(sent))
    return "does not fit DECIMAL(38,10) without rounding"


def _decimals(amount: Decimal) -> int:
    """How many digits it has after the point, idle zeros left out."""
    exponent = amount.normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, EXACT)


def _is_money(currency: str) -> bool:
    """Whether CLDR knows the code as one of ISO 4217, of today or of the past."""
    from babel.numbers import is_currency  # As below.

    return is_currency(currency)


def _usual_decimals(currency: str) -> int:
    """As CLDR has it."""
    from babel.numbers import get_currency_precision  # Its tables take longer to load than an answer of Powens.

    return get_currency_precision(currency)
