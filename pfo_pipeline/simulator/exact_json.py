"""JSON whose numbers are exact decimals in both directions.

Numbers are `int` or `Decimal`, never a binary float.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import NoReturn

JsonObject = dict[str, object]

_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN = json.JSONEncoder(ensure_ascii=False).encode
_ESCAPED = json.JSONEncoder().encode


def dumps(value: object) -> bytes:
    """The UTF-8 JSON text of `value`; a Decimal keeps every digit and has no exponent.

    Raises:
        TypeError: the value contains something that JSON cannot represent exactly, including a float.
    """
    pieces: list[str] = []
    _write(value, pieces.append)
    return "".join(pieces).encode("utf-8")


def loads(text: str | bytes) -> object:
    """Parse JSON; fractions become Decimal, whole numbers int.

    Raises:
        ValueError: not JSON, or it contains NaN or infinity.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def plain(amount: Decimal) -> Decimal:
    """`amount` without trailing zeros and without an exponent: 8200.00 is sent as 8200."""
    if amount == 0:
        return Decimal(0)
    text = format(amount, "f")
    # As text, because Decimal.normalize() rounds to the context's 28 digits.
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _write(value: object, write: Callable[[str], None]) -> None:
    match value:
        case None:
            write("null")
        case bool():
            write("true" if value else "false")
        case str():
            write(_text(value))
        case int():
            write(str(value))
        case Decimal():
            if not value.is_finite():
                raise TypeError("JSON has no number for NaN or infinity")
            write(format(value, "f"))
        case dict():
            separator = "{"
            for key, item in value.items():
                write(f"{separator}{_text(str(key))}:")
                _write(item, write)
                separator = ","
            write("}" if value else "{}")
        case list() | tuple():
            separator = "["
            for item in value:
                write(separator)
                _write(item, write)
                separator = ","
            write("]" if value else "[]")
        case _:
            raise TypeError(f"no exact JSON for {type(value).__name__}")


def _text(text: str) -> str:
    # A lone surrogate is legal in JSON as an escape, but has no UTF-8 form.
    return _ESCAPED(text) if _SURROGATE.search(text) else _PLAIN(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
