"""Words, amounts, days and times in a cash page's form: amounts and dates by a locale, sentences in English.

Amounts are never rounded. Names from banks and people are text: characters that could mislead a browser or a reader are
neutralised here; characters of HTML are escaped by the template.
"""

import re
import unicodedata
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, localcontext
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import NumberPattern, get_currency_name, get_currency_precision, parse_pattern

from pfo_pipeline.contracts.records import EXACT, plain
from pfo_pipeline.errors import PfoError
from pfo_pipeline.operations.coverage import REASONS

MINUS, NONE = "\N{MINUS SIGN}", "\N{EM DASH}"
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Format characters that only join: emoji and several scripts use them."""
_QUOTED = Context(prec=6)
_KINDS = {
    "lifeinsurance": "life insurance",
    "consumercredit": "consumer credit",
    "revolvingcredit": "revolving credit",
    "livret_a": "Livret A",
    "livret_b": "Livret B",
    "madelin": "Madelin",
    "perco": "PERCO",
    **{name: name.upper() for name in ("cat", "cel", "csl", "ldds", "lep", "pea", "pee", "pel", "per", "perp", "rsp")},
}
"""Powens' account types that are not words, and names and short forms with capitals."""
_DIRECTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, formats (including changes of direction), surrogates and line ends."""


class NotWritable(PfoError):
    """The locale or the time zone of a cash page is unknown."""


@dataclass(frozen=True)
class Wording:
    """The format of one page: `locale` such as `en_GB`, `timezone` such as `Europe/Paris`."""

    locale: Locale
    zone: ZoneInfo

    @classmethod
    def of(cls, locale: str, timezone: str) -> "Wording":
        """Raises: NotWritable: Babel knows no such locale, or the system no such time zone."""
        try:
            known = Locale.parse(locale.replace("-", "_"))
        except (UnknownLocaleError, ValueError, TypeError):
            raise NotWritable(
                f"The locale {locale!r} of the cash page is not known. Give one such as en_GB, fr_FR or de_CH."
            ) from None
        try:
            return cls(known, ZoneInfo(timezone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise NotWritable(
                f"The time zone {timezone!r} of the cash page is not known. Give one such as Europe/Paris or UTC."
            ) from None

    def amount(self, value: Decimal | None, currency: str | None) -> str:
        """With the currency's usual decimals, or all decimals of the amount: never rounded."""
        return NONE if value is None else self._number(value, get_currency_precision(currency or ""))

    def difference(self, value: Decimal, currency: str) -> str:
        """An amount with its sign, if it is not zero."""
        return ("+" if value > 0 else "") + self.amount(value, currency)

    def rate(self, value: Decimal) -> str:
        """With six significant digits, as rates are quoted; the exact rate is kept in the page's data."""
        return self._number(_QUOTED.plus(value), 0)

    def day(self, value: date) -> str:
        """The day; of a datetime, the day in the page's time zone."""
        return format_date(self._local(value), "medium", locale=self.locale)

    def month(self, value: date) -> str:
        return format_date(value, "LLL", locale=self.locale)

    def moment(self, value: datetime) -> str:
        local = value.astimezone(self.zone)
        return f"{format_date(local, 'medium', locale=self.locale)}, {format_time(local, 'short', locale=self.locale)}"

    def long_moment(self, value: datetime) -> str:
        local = value.astimezone(self.zone)
        return f"{format_date(local, 'full', locale=self.locale)}, {format_time(local, 'short', locale=self.locale)}"

    def local_day(self, value: datetime) -> date:
        return value.astimezone(self.zone).date()

    def _local(self, value: date) -> date:
        return value.astimezone(self.zone) if isinstance(value, datetime) else value

    def _number(self, value: Decimal, least_decimals: int) -> str:
        digits = len(plain(value).partition(".")[2])
        pattern = copy(self._pattern)
        pattern.frac_prec = (least_decimals, max(digits, least_decimals))
        with localcontext(EXACT):  # Babel uses the current context, which would round at 28 digits.
            written = pattern.apply(value.copy_abs(), self.locale)
        return f"{MINUS}{written}" if value < 0 else written

    @cached_property
    def _pattern(self) -> NumberPattern:
        """The locale's own pattern, with its groups: `#,##0.###` or `#,##,##0.###`."""
        return parse_pattern(self.locale.decimal_formats[None].pattern)


def text(value: str) -> str:
    """One line of text. Characters that change the direction, hide text or act as controls become replacement characters."""
    return "".join(_harmless(character) for character in value)


def _harmless(character: str) -> str:
    if character in "\t\n\r\v\f\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}":
        return " "
    if unicodedata.category(character) in _DIRECTING and character not in _JOINERS:
        return "\N{REPLACEMENT CHARACTER}"
    return character


def link(value: str | None) -> str | None:
    """The address if a browser may follow it: http or https, with visible characters only."""
    return value if value and re.fullmatch(r"https?://[\x21-\x7e]+", value, re.IGNORECASE) else None


def kind(account_type: str) -> str:
    return _KINDS.get(account_type, account_type.replace("_", " "))


def class_name(account_class: str) -> str:
    return {"card": "cards", "loan": "loans"}.get(account_class, account_class)


def reason(why: str) -> str:
    """The reason, in words, why a linked account is not counted."""
    return REASONS.get(why, why)


def iso(value: date) -> str:
    """For machines: a day, or a time in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value.isoformat()


def exact(value: datetime) -> str:
    """To the microsecond, in UTC, so that the same page can be requested again."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def age(length: timedelta) -> str:
    """One number and its unit, rounded down."""
    minutes = max(0, length // timedelta(minutes=1))
    for unit, size, least in (("day", 1440, 2), ("hour", 60, 1), ("minute", 1, 1)):
        if minutes >= least * size:
            return count(minutes // size, unit)
    return "just now"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def currency_name(code: str) -> str:
    """In English; empty if the code is not in ISO 4217."""
    name = get_currency_name(code, locale="en")
    return "" if name == code else name
