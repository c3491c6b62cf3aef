"""An amount as the ledger holds it: exact, or rounded once where what was sent says nothing more than the rounded one.

Facts: banks and connectors compute with binary floats and send what is left of it, such as `83710.79999999999` (seen live);
coins have up to 18 decimals (Ether's smallest unit), the ledger's DECIMAL(38,10) has ten.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from pfo_pipeline.contracts.records import EXACT

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
