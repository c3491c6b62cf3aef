"""Randomness as a pure function of the seed and a key.

There is no generator state, so the answer for one day never depends on earlier requests for other days: a restarted simulator
reaches the same balances.
"""

import base64
import hashlib
from decimal import ROUND_HALF_EVEN, Decimal


def roll(*key: object) -> int:
    """A number in [0, 2**64), the same for the same key."""
    return int.from_bytes(_digest(key, 8), "big")


def pick(low: int, high: int, *key: object) -> int:
    """A whole number in [low, high], the same for the same key."""
    return low + roll(*key) % (high - low + 1)


def swing(scale: Decimal, precision: int, *key: object) -> Decimal:
    """An amount in [-scale, scale], rounded to `precision` decimal places."""
    fraction = Decimal(pick(-10_000, 10_000, *key)) / 10_000
    return (scale * fraction).quantize(Decimal(1).scaleb(-precision), ROUND_HALF_EVEN)


def secret(*key: object) -> str:
    """A token of 64 characters in the standard base64 alphabet, which includes `/` and `+`."""
    return base64.b64encode(_digest(key, 48)).decode("ascii")


def _digest(key: tuple[object, ...], size_bytes: int) -> bytes:
    text = "\x1f".join(str(part) for part in key)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=size_bytes).digest()
