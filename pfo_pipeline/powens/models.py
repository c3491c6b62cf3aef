"""The objects of Powens: the fields that we use are typed, the others are kept by name.

The types are tolerant: numbers may be strings, nearly everything may be null, lists are open. mapping.py makes rows of them.
Facts: Powens docs, Connections, Bank accounts, Connectors; official SDK specification; fields that clients saw live.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from pfo_pipeline.powens.values import EARLIEST, ParisMoment, ToldTwice, to_amount, to_utc


def _id_text(value: object) -> str:
    """The id as text. Ids are integers; text prevents arithmetic on them."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("not a positive integer")
    return str(value)


def id_if_any(value: object) -> str | None:
    """The id as text; None if it is not valid."""
    try:
        return _id_text(value)
    except ValueError:
        return None


def _type_name(value: object) -> object:
    """The type's name: a text in live answers, an object with a name in the documentation's table."""
    return value.get("name") if isinstance(value, Mapping) else value


def _currency_code(value: object) -> object:
    """A currency code in capitals: three letters of ISO 4217, or a few letters and digits of a coin."""
    if isinstance(value, str) and not (value.isascii() and value.isalnum() and 2 <= len(value) <= 12):
        raise ValueError("not a currency code")
    return value.upper() if isinstance(value, str) else value


def _moment_if_any(value: object) -> datetime | None:
    try:
        moment = to_utc(value)
    except ValueError:
        return None
    return moment if moment > EARLIEST else None


@dataclass(frozen=True)
class Since:
    """A fact and the date since when it holds; `at` is None if Powens' date is not valid."""

    at: datetime | None


def _since(value: object) -> Since | None:
    """Read a date that says that an account is disabled or deleted. The fact holds even if the date is not valid."""
    if isinstance(value, ToldTwice):
        raise ValueError("told twice")
    is_zero_date = isinstance(value, str) and value.startswith("0000-00-00")  # A database writes this for "no date".
    return Since(_moment_if_any(value)) if value and not is_zero_date else None


@dataclass(frozen=True)
class Misfit:
    """A balance that cannot be read, and the reason. The account is kept without its balance."""

    reason: str


def _amount_or_misfit(value: object) -> Decimal | Misfit | None:
    try:
        return None if value is None else to_amount(value)
    except ValueError as error:
        return Misfit(str(error))


def _amount_if_any(value: object) -> Decimal | None:
    try:
        return to_amount(value)
    except ValueError:
        return None


def _flag_if_any(value: object, read: ValidatorFunctionWrapHandler) -> bool | None:
    try:
        flag: bool = read(value)
    except ValidationError:
        return None
    return flag


MomentIfAny = Annotated[datetime | None, BeforeValidator(_moment_if_any)]
"""A date that no balance depends on: an invalid one, or one before EARLIEST, must not quarantine the record."""
SinceIfAny = Annotated[Since | None, BeforeValidator(_since)]
AmountIfAny = Annotated[Decimal | None, BeforeValidator(_amount_if_any)]
"""An announced amount: an invalid one must not cost the booked balance."""
FlagIfAny = Annotated[bool | None, WrapValidator(_flag_if_any)]
"""A flag; None if the value is neither true nor false, which must not quarantine the record."""
AmountOrMisfit = Annotated[Decimal | Misfit | None, BeforeValidator(_amount_or_misfit)]
Id = Annotated[str, BeforeValidator(_id_text)]
IdIfAny = Annotated[str | None, BeforeValidator(id_if_any)]
"""An id for information only: an invalid one must not quarantine the record."""
TypeName = Annotated[str, BeforeValidator(_type_name)]


LONGEST_TEXT = 200
"""In characters. Bank names have some dozens; a name of megabytes would be in every page and run."""


def _text(value: str) -> str:
    """The text, shortened with an ellipsis if too long. A JSON escape can be half a character, which no database accepts."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("not Unicode text")
    return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"


def text_if_any(value: object) -> str | None:
    """The text as we store it; None if it is not valid."""
    try:
        return _text(value) if isinstance(value, str) else None
    except ValueError:
        return None


TextIfAny = Annotated[str | None, BeforeValidator(text_if_any)]
"""A text for information only: an invalid one must not quarantine the record."""


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _is_kept_as(cls, value: object) -> object:
        return _text(value) if isinstance(value, str) else value


class Currency(Wire):
    id: Annotated[str, BeforeValidator(_currency_code)]
    crypto: Any = None


class Connector(Wire):
    uuid: str | None = None
    name: TextIfAny = None


class Source(Wire):
    name: TextIfAny = None
    state: str | None = None
    disabled: Any = None
    last_update: MomentIfAny = None
    next_try: MomentIfAny = None
    access_expire: MomentIfAny = None

    @property
    def is_in_use(self) -> bool:
        """Whether nothing says that the source is disabled; a value that cannot be read does not say it."""
        return isinstance(self.disabled, ToldTwice) or _since(self.disabled) is None


class Connection(Wire):
    id: Id
    state: str | None = None
    connector_uuid: str | None = None
    connector: Connector | None = None
    created: MomentIfAny = None
    last_update: MomentIfAny = None
    next_try: MomentIfAny = None
    expire: MomentIfAny = None
    active: FlagIfAny = None
    sources: tuple[Source, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _state_by_its_old_name(cls, record: object) -> object:
        """Use `error`, a deprecated copy of `state`, if there is no `state`."""
        if isinstance(record, Mapping) and "state" not in record and record.get("error") is not None:
            return {**record, "state": record["error"]}
        return record


class Account(Wire):
    id: Id
    id_connection: Id | None = None
    id_source: IdIfAny = None
    id_parent: Id | None = None
    type: TypeName | None = None
    number: str | None = None
    iban: str | None = None
    bic: TextIfAny = None
    name: TextIfAny = None
    original_name: TextIfAny = None
    currency: Currency | None = None
    balance: AmountOrMisfit = None
    coming: AmountIfAny = None
    coming_balance: AmountIfAny = None
    last_update: ParisMoment | None = None
    disabled: SinceIfAny = None
    deleted: SinceIfAny = None
    usage: TextIfAny = None
    ownership: TextIfAny = None
    error: TextIfAny = None
