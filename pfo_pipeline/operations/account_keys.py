"""What of a linked account tells which account it is: strong keys decide, weak keys propose.

An IBAN, or a whole number with its institution, is a strong key. A masked or short number and a name are weak ones: banks and
their APIs mask numbers, and names are common words.
"""

import re

_SEPARATORS = re.compile(r"[\s.\-/_]+")
_MASK = re.compile(r"[*•#?…·]|[Xx]{2,}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")
_WHOLE_DIGITS = 6
_TAIL_DIGITS = 4


def plain_iban(text: str | None) -> str | None:
    """The IBAN in one form; None where there is none, or where a part of it is masked."""
    if not text or _MASK.search(text):
        return None
    iban = _SEPARATORS.sub("", text).upper()
    return iban if _IBAN.fullmatch(iban) and len(set(iban[4:])) > 1 else None


def plain_number(text: str | None) -> str | None:
    """The number without separators, masks kept; None where there is none."""
    return _SEPARATORS.sub("", text).upper() or None if text else None


def whole_number(number: str | None) -> str | None:
    """The number without leading zeros if it is whole: no mask, at least six digits, not all the same; else None.

    Args:
        number: As `plain_number` gives it.
    """
    if number is None or _MASK.search(number):
        return None
    digits = [character for character in number if character.isdigit()]
    return number.lstrip("0") if len(digits) >= _WHOLE_DIGITS and len(set(digits)) > 1 else None


def weak_number(number: str | None) -> str | None:
    """The end of a number, by which a masked or short one may be that of another account; the mask where all is masked."""
    if number is None:
        return None
    digits = "".join(character for character in number if character.isdigit())
    return digits[-_TAIL_DIGITS:] if len(digits) >= _TAIL_DIGITS else number


def do_numbers_differ(one: str | None, other: str | None) -> bool:
    """Whether two numbers, as `plain_number` gives them, are of two accounts.

    Two whole numbers differ unless one ends with the other: a source may show a number with its branch before it. Two short
    numbers differ unless they are equal but for leading zeros. A masked number differs from none.
    """
    first, second = whole_number(one), whole_number(other)
    if first and second:
        return not (first.endswith(second) or second.endswith(first))
    if not one or not other or first or second or _MASK.search(one) or _MASK.search(other):
        return False
    return one.lstrip("0") != other.lstrip("0")
