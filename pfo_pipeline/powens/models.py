"""The objects of Powens: the fields that we use, typed, and the others by name.

The types are tolerant: numbers may be strings, nearly everything may be null, lists are open. mapping.py makes rows of them.
Facts: Powens docs, Connections, Bank accounts, Connectors; official SDK specification; fields seen live by clients.
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
    """Ids are integers; kept as text, so that no arithmetic is ever done on them."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("not a positive integer")
    return str(value)


def id_if_any(value: object) -> str | None:
    """An id as text; None for what is none."""
    try:
        return _id_text(value)
    except ValueError:
        return None


def _type_name(value: object) -> object:
    """A text in live payloads; the documentation's table shows an object with a name."""
    return value.get("name") if isinstance(value, Mapping) else value


def _currency_code(value: object) -> object:
    """ISO 4217's three letters, or a coin's few letters and digits, in capitals."""
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
    """That something is so, and since when; `at` is None where the date that was told is none."""

    at: datetime | None


def _since(value: object) -> Since | None:
    """Powens says by a date that an account is disabled or deleted: the fact holds, whatever the date is worth."""
    if isinstance(value, ToldTwice):
        raise ValueError("told twice")
    is_zero_date = isinstance(value, str) and value.startswith("0000-00-00")  # What a database writes for no date.
    return Since(_moment_if_any(value)) if value and not is_zero_date else None


@dataclass(frozen=True)
class Misfit:
    """A value that cannot be read, and why: the account is kept without its balance."""

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
"""Where no figure hangs on it: what is no date, or one before EARLIEST, must not put the whole record aside."""
SinceIfAny = Annotated[Since | None, BeforeValidator(_since)]
AmountIfAny = Annotated[Decimal | None, BeforeValidator(_amount_if_any)]
"""What is announced only informs: what is no amount must not cost the booked balance."""
FlagIfAny = Annotated[bool | None, WrapValidator(_flag_if_any)]
"""Whether something is so; None for what is neither yes nor no, which must not put the whole record aside."""
AmountOrMisfit = Annotated[Decimal | Misfit | None, BeforeValidator(_amount_or_misfit)]
Id = Annotated[str, BeforeValidator(_id_text)]
IdIfAny = Annotated[str | None, BeforeValidator(id_if_any)]
"""An id that only informs: what is none must not put the whole record aside."""
TypeName = Annotated[str, BeforeValidator(_type_name)]


LONGEST_TEXT = 200
"""In characters. Names at banks have some dozens; one of megabytes would be in every page and run."""


def _text(value: str) -> str:
    """The text, cut and marked as cut where it is too long. JSON can escape half a character, which no database takes."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("not Unicode text")
    return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"


def text_if_any(value: object) -> str | None:
    """A text as we keep it; None for what is none."""
    try:
        return _text(value) if isinstance(value, str) else None
    except ValueError:
        return None


TextIfAny = Annotated[str | None, BeforeValidator(text_if_any)]
"""A text that only informs: what is none must not put the whole record aside."""


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
        """Whether nothing says that it is disabled; what cannot be read does not."""
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
        """`error` is a deprecated copy of `state`: read where that is all there is."""
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
