"""Exchange rates from a file in the European Central Bank's format, and conversion of amounts.

Facts: ECB, "Euro foreign exchange reference rates", eurofxref-hist.csv: a line for each working day, with `Date` and a column
for each currency: its units per euro; `N/A` if there is no rate; a comma ends each line. An office may add columns, for coins
or for currencies without an ECB rate.
"""

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path

from babel.numbers import get_currency_precision

from pfo_pipeline.config import Config
from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.errors import PfoError
from pfo_pipeline.report.model import Rate

LONGEST = timedelta(days=7)
"""Maximum age of a rate: over Easter and Christmas the ECB publishes nothing for up to five days."""
LARGEST_BYTES = 32 * 1024 * 1024
"""The whole history of the ECB has about two megabytes."""
EURO = "EUR"

_SHOWN = Context(prec=28)
"""For a displayed rate; amounts are converted by the exact quotient."""
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_NONE = ("", "N/A")
_FORM = "It is to be like the ECB's eurofxref-hist.csv."


class RatesError(PfoError):
    """The rates file cannot be used; the message names the file, the line and the remedy."""


@dataclass(frozen=True)
class Rates:
    """The values of a file's currencies in one of them, the `reference`.

    A rate is the last one known on or before a day, never older than LONGEST. There is no interpolation.
    """

    reference: str
    days: tuple[date, ...]
    """Ascending."""
    per_euro: Mapping[str, tuple[str | None, ...]]
    """By currency, one for each of the days: its units per euro, as written in the file."""

    @classmethod
    def read(cls, path: Path, reference: str) -> "Rates":
        """Read and check the whole file.

        Args:
            reference: The currency to convert into.
        Raises: RatesError.
        """
        rows = _rows(path, _text(path))
        names = next(rows, (0, ()))[1]
        currencies = _currencies(path, names)
        if reference != EURO and reference not in currencies:
            raise RatesError(
                f"{path}: there is no column for the reference currency {reference}. Add one, or choose another currency."
            )
        by_day: dict[date, list[str | None]] = {}
        for line, cells in rows:
            day, values = _of_line(path, line, names, cells)
            if day in by_day:
                raise RatesError(f"{path}, line {line}: {day} is there twice. Take one of the two lines out.")
            by_day[day] = values
        if not by_day:
            raise RatesError(f"{path}: there is no line with rates. {_FORM}")
        days = tuple(sorted(by_day))
        columns = zip(*(by_day[day] for day in days), strict=True)
        return cls(reference, days, dict(zip(currencies, columns, strict=True)))

    def on(self, currency: str, day: date) -> Rate | None:
        """The value of one unit of a currency on a day; None if unknown."""
        if currency == self.reference:
            return Rate(currency, day, Decimal(1))
        place = self._place(currency, day)
        if place is None or day - self.days[place] > LONGEST:
            return None
        worth = self._worth(currency, place)
        value = _SHOWN.divide(Decimal(worth.numerator), Decimal(worth.denominator))
        return Rate(currency, self.days[place], value)

    def why_none(self, currency: str, day: date) -> str:
        """The reason why `on` knows no rate."""
        if currency != EURO and currency not in self.per_euro:
            return "not in the rates file"
        place = self._place(currency, day)
        return f"no rate since {self.days[place]}" if place is not None else f"no rate up to {day}"

    def convert(self, amount: Decimal, currency: str, day: date) -> Decimal | None:
        """Convert an amount to the reference currency, rounded half to even to that currency's decimals; None without a
        rate.
        """
        place = self._place(currency, day)
        if currency == self.reference:
            worth = Fraction(1)
        elif place is None or day - self.days[place] > LONGEST:
            return None
        else:
            worth = self._worth(currency, place)
        digits: int = get_currency_precision(self.reference)
        return Decimal(round(Fraction(amount) * worth * 10**digits)).scaleb(-digits, EXACT)

    def _worth(self, currency: str, place: int) -> Fraction:
        return Fraction(self._euro(self.reference, place) or 0) / Fraction(self._euro(currency, place) or 0)

    def _euro(self, currency: str, place: int) -> str | None:
        return "1" if currency == EURO else self.per_euro[currency][place]

    def _place(self, currency: str, day: date) -> int | None:
        """The last day up to this one on which both the currency and the reference have a value."""
        if currency != EURO and currency not in self.per_euro:
            return None
        for place in range(bisect_right(self.days, day) - 1, -1, -1):
            if self._euro(currency, place) is not None and self._euro(self.reference, place) is not None:
                return place
        return None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise RatesError(
            f"{path}: the rates file cannot be read ({error.strerror}). Put the ECB's eurofxref-hist.csv there."
        ) from None
    if len(content) > LARGEST_BYTES:
        raise RatesError(f"{path}: over {LARGEST_BYTES // 1024**2} MiB is no rates file. {_FORM}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RatesError(
            f"{path}, line {line}: not UTF-8. If it is the ECB's zip file, unpack it; else save it as UTF-8."
        ) from None


def _rows(path: Path, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every non-empty line: its number, and its cells without surrounding blanks."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in lines:
            if any(cells):
                yield lines.line_num, tuple(cell.strip() for cell in cells)
    except csv.Error as error:
        raise RatesError(f"{path}, line {lines.line_num}: not CSV ({error}). {_FORM}") from None


def _currencies(path: Path, names: tuple[str, ...]) -> list[str]:
    if "Date" not in names:
        raise RatesError(f"{path}: its first line names no column Date. {_FORM}")
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise RatesError(f"{path}: two columns have the name {repeated[0]}. Take one of them out.")
    currencies = [name for name in _without_last_comma(names, names) if name != "Date"]
    for place, name in enumerate(currencies, start=2):
        if not _CURRENCY.fullmatch(name):
            raise RatesError(f"{path}: column {place} is not named by a currency's code, such as USD or BTC. {_FORM}")
    if EURO in currencies:
        raise RatesError(f"{path}: every value is per euro, so that there can be no column EUR. Take it out.")
    return currencies


def _of_line(path: Path, line: int, names: tuple[str, ...], cells: tuple[str, ...]) -> tuple[date, list[str | None]]:
    here = f"{path}, line {line}"
    wanted, found = _without_last_comma(names, names), _without_last_comma(cells, names)
    if len(found) != len(wanted):
        raise RatesError(f"{here}: {len(found)} values for {len(wanted)} columns. Give each column one, empty or N/A.")
    by_name = dict(zip(wanted, found, strict=True))
    day = by_name.pop("Date")
    try:
        if not _DAY.fullmatch(day):
            raise ValueError
        parsed = date.fromisoformat(day)
    except ValueError:
        raise RatesError(f"{here}: its Date is not a day such as 2026-11-20. Correct it.") from None
    return parsed, [_value(f"{here}, {name}", cell) for name, cell in by_name.items()]


def _without_last_comma(cells: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """The cells of a line, without the final comma that the ECB's lines have."""
    columns = len(names) - (names[-1] == "")
    return cells[:-1] if len(cells) > columns and cells[-1] == "" else cells


def _value(here: str, cell: str) -> str | None:
    if cell in _NONE:
        return None
    if not _NUMBER.fullmatch(cell):
        raise RatesError(
            f"{here}: not a number such as 1.0837, of at most 18 digits on each side. Correct it, or leave it empty."
        )
    if not cell.strip("0."):
        raise RatesError(f"{here}: a rate of zero. Correct it, or leave it empty where there is none.")
    return cell


def rates_of(config: Config) -> Rates | None:
    """The configured rates; None if not configured. Raises: RatesError."""
    path, reference = config.report.rates, config.report.reference_currency
    return None if path is None or reference is None else Rates.read(config.source.parent / path, reference)
