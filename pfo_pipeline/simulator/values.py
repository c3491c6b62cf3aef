"""Parses a test's values for the admin routes."""

from datetime import datetime
from decimal import Decimal, InvalidOperation

from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paris_time import from_text


class FieldReader:
    """Takes keys from a JSON object; `done` refuses the remaining ones."""

    def __init__(self, values: JsonObject) -> None:
        self._values = dict(values)

    def has(self, key: str) -> bool:
        """Whether the key is present and not yet taken; its value may be null."""
        return key in self._values

    def take(self, key: str, default: object = None) -> object:
        """The raw value."""
        return self._values.pop(key, default)

    def rest(self) -> JsonObject:
        """All keys that were not taken."""
        return dict(self._values)

    def done(self) -> None:
        """Raises:
        ValueError: a key was not taken, so probably misspelt.
        """
        if self._values:
            raise ValueError(f"{', '.join(sorted(self._values))}: unknown")

    def text(self, key: str, default: str | None = "") -> str | None:
        """A string; the key is mandatory unless the default is null."""
        value = self._values.pop(key, default)
        if value is None and default is None:
            return None
        if not isinstance(value, str) or (default == "" and not value):
            raise ValueError(f"{key}: a string is needed")
        return value

    def whole(self, key: str, default: int | None) -> int | None:
        """A whole number or null."""
        value = self._values.pop(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{key}: a whole number is needed")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            raise ValueError(f"{key}: true or false is needed")
        return value

    def wholes(self, key: str) -> list[int]:
        """A list of whole numbers, empty by default."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise ValueError(f"{key}: a list of whole numbers is needed")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of strings."""
        value = self._values.pop(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{key}: a list of strings is needed")
        return tuple(value)

    def decimal(self, key: str, default: int) -> Decimal:
        """A number, exact."""
        value = exact(self._values.pop(key, default))
        if value is None:
            raise ValueError(f"{key}: a number is needed")
        return value


def exact(value: object) -> Decimal | None:
    """A finite amount from a number or a numeric string; null for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def moment(value: object) -> datetime | None:
    """An aware moment from text; null for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return from_text(value)
    except ValueError:
        return None
