"""JSON whose numbers are exact decimals in both directions.

Here: encoding and decoding. Numbers are `int` or `Decimal`, never a binary float.
Not here: which fields a payload has (views.py).
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import NoReturn

JsonObject = dict[str, object]


def dumps(value: object) -> bytes:
    """The UTF-8 JSON text of `value`; a Decimal keeps every digit and never gets an exponent.

    Raises:
        TypeError: the value holds something JSON cannot carry exactly, a float included.
    """
    return "".join(_pieces(value)).encode("utf-8")


def loads(text: str | bytes) -> object:
    """Parse JSON; fractions become Decimal, whole numbers int.

    Raises:
        ValueError: not JSON, or a NaN or infinity in it.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def plain(amount: Decimal) -> Decimal:
    """`amount` without trailing zeros and without an exponent: 8200.00 is sent as 8200."""
    if amount == 0:
        return Decimal(0)
    text = format(amount, "f")
    # On the text, since Decimal.normalize() rounds to the context's 28 digits.
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _pieces(value: object) -> Iterator[str]:
    match value:
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case str():
            yield _text(value)
        case int():
            yield str(value)
        case Decimal():
            if not value.is_finite():
                raise TypeError("JSON has no number for NaN or infinity")
            yield format(value, "f")
        case dict():
            separator = "{"
            for key, item in value.items():
                yield separator + _text(str(key)) + ":"
                yield from _pieces(item)
                separator = ","
            yield "}" if value else "{}"
        case list() | tuple():
            separator = "["
            for item in value:
                yield separator
                yield from _pieces(item)
                separator = ","
            yield "]" if value else "[]"
        case _:
            raise TypeError(f"no exact JSON for {type(value).__name__}")


def _text(text: str) -> str:
    # A lone surrogate is legal in JSON as an escape, but has no UTF-8 form.
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in text)
    return json.dumps(text, ensure_ascii=has_surrogate)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
