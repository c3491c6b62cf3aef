"""Rates in the ECB's format: the rate of a day, the value of an amount, and refused files."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.report.rates import LARGEST_BYTES, Rates, RatesError

FRIDAY = date(2026, 11, 20)
DAY = timedelta(days=1)
ECB = """\
Date,USD,JPY,CHF,ISK,
2026-11-20,1.0800,160.00,0.9300,N/A,
2026-11-19,1.0900,161.00,0.9310,N/A,
2026-11-18,1.1000,N/A,0.9320,150.1,
"""

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: str | bytes) -> Path:
        path = tmp_path / "rates.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def test_a_rate_is_the_value_of_one_unit_on_its_own_day(write: Write) -> None:
    rates = Rates.read(write(ECB), "EUR")

    dollar = rates.on("USD", FRIDAY - DAY)

    assert dollar is not None
    assert (dollar.currency, dollar.day) == ("USD", date(2026, 11, 19))
    assert dollar.value == Decimal("0.9174311926605504587155963303")  # 1 / 1.09


def test_cross_rates_go_through_the_euro(write: Write) -> None:
    rates = Rates.read(write(ECB), "CHF")

    found = rates.on("USD", FRIDAY)

    assert found is not None
    assert found.value == Decimal("0.8611111111111111111111111111")  # 0.93 / 1.08
    assert rates.convert(Decimal(100), "USD", FRIDAY) == Decimal("86.11")
    assert rates.convert(Decimal(100), "EUR", FRIDAY) == Decimal("93.00")


def test_the_reference_currency_is_itself_on_any_day(write: Write) -> None:
    rates = Rates.read(write(ECB), "CHF")

    assert rates.convert(Decimal("12.345"), "CHF", date(1990, 1, 1)) == Decimal("12.34")


@pytest.mark.parametrize(("later", "is_known"), [(0, True), (1, True), (7, True), (8, False)])
def test_a_rate_holds_for_seven_days_and_no_longer(write: Write, later: int, is_known: bool) -> None:
    rates = Rates.read(write(ECB), "EUR")
    day = FRIDAY + later * DAY

    found = rates.on("USD", day)

    assert (found is not None) is is_known
    assert (rates.convert(Decimal(1), "USD", day) is not None) is is_known
    assert found is None or found.day == FRIDAY


def test_the_reason_for_a_missing_rate_is_reported(write: Write) -> None:
    rates = Rates.read(write(ECB), "EUR")

    assert rates.why_none("USD", FRIDAY + 8 * DAY) == "no rate since 2026-11-20"
    assert rates.why_none("ISK", FRIDAY + 30 * DAY) == "no rate since 2026-11-18"
    assert rates.why_none("USD", date(2026, 11, 1)) == "no rate up to 2026-11-01"
    assert rates.why_none("TND", FRIDAY) == "not in the rates file"


def test_a_day_without_a_rate_uses_the_last_one_and_never_a_later_one(write: Write) -> None:
    rates = Rates.read(write(ECB), "EUR")

    krona = rates.on("ISK", FRIDAY)

    assert krona is not None
    assert krona.day == date(2026, 11, 18)
    assert rates.on("JPY", date(2026, 11, 18)) is None


def test_a_cross_rate_uses_one_day_on_which_both_are_known(write: Write) -> None:
    found = Rates.read(write(ECB), "ISK").on("USD", FRIDAY)

    assert found is not None
    assert found.day == date(2026, 11, 18)
    assert found.value == Decimal("136.4545454545454545454545455")  # 150.1 / 1.10


def test_columns_of_the_office_are_rates_too(write: Write) -> None:
    rates = Rates.read(write("Date,USD,BTC,TND\n2026-11-20,1.08,0.000011,3.4\n"), "EUR")

    assert rates.convert(Decimal("0.12345678"), "BTC", FRIDAY) == Decimal("11223.34")
    assert rates.convert(Decimal("1234.567"), "TND", FRIDAY) == Decimal("363.11")


@pytest.mark.parametrize(
    ("amount", "worth"), [("0.01", "0.00"), ("0.03", "0.02"), ("0.05", "0.02"), ("-0.03", "-0.02"), ("0.07", "0.04")]
)
def test_halves_are_rounded_to_the_even_cent(write: Write, amount: str, worth: str) -> None:
    rates = Rates.read(write("Date,USD\n2026-11-20,2\n"), "EUR")

    assert rates.convert(Decimal(amount), "USD", FRIDAY) == Decimal(worth)


@pytest.mark.parametrize(("reference", "worth"), [("JPY", "1600000"), ("EUR", "10000.00"), ("TND", "34000.000")])
def test_amounts_have_the_decimals_of_the_reference_currency(write: Write, reference: str, worth: str) -> None:
    rates = Rates.read(write("Date,JPY,TND\n2026-11-20,160,3.4\n"), reference)

    assert str(rates.convert(Decimal(10000), "EUR", FRIDAY)) == worth


@given(
    amount=st.decimals(min_value="-1e27", max_value="1e27", places=10),
    euro_in_dollars=st.integers(1, 10**9),
    euro_in_francs=st.integers(1, 10**9),
)
def test_no_conversion_is_off_by_more_than_half_of_the_last_decimal(
    amount: Decimal, euro_in_dollars: int, euro_in_francs: int
) -> None:
    rates = Rates("CHF", (FRIDAY,), {"USD": (f"{euro_in_dollars}.5",), "CHF": (f"{euro_in_francs}.25",)})
    exact = Fraction(amount) * (euro_in_francs + Fraction(1, 4)) / (euro_in_dollars + Fraction(1, 2))

    found = rates.convert(amount, "USD", FRIDAY)

    assert found is not None
    assert abs(Fraction(found) - exact) <= Fraction(1, 200)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + ECB.encode(),
        ECB.replace("\n", "\r\n"),
        ECB.replace(",\n", "\n"),
        ECB.replace(",", ", "),
        ECB.replace("N/A", ""),
        ECB + "\n\n",
        "\n".join([ECB.splitlines()[0], *reversed(ECB.splitlines()[1:])]),
        '"Date","USD","CHF"\n"2026-11-20","1.0800","0.93"\n',
    ],
    ids=["BOM", "CRLF", "no last comma", "blanks", "empty for none", "empty lines", "oldest first", "quoted"],
)
def test_files_that_differ_only_in_form_are_read_alike(write: Write, content: str | bytes) -> None:
    found = Rates.read(write(content), "CHF").convert(Decimal(100), "USD", FRIDAY)

    assert found == Decimal("86.11")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"rates\.csv: its first line names no column Date"),
        ("<html><body>404</body></html>", "names no column Date"),
        ("Day,USD\n2026-11-20,1.08\n", "names no column Date"),
        ("Date,USD\n", "no line with rates"),
        ("Date,USD,USD\n2026-11-20,1,1\n", "two columns have the name USD"),
        ("Date,USD,Date\n2026-11-20,1,2026-11-20\n", "two columns have the name Date"),
        ("Date,USD,,JPY\n2026-11-20,1,,2\n", "column 3 is not named by a currency's code"),
        ("Date,dollar\n2026-11-20,1\n", "column 2 is not named by a currency's code"),
        ("Date,EUR\n2026-11-20,1\n", "there can be no column EUR"),
        ("Date,USD\n2026-11-20,1.08\n20 November 2026,1.08\n", "line 3: its Date is not a day"),
        ("Date,USD\n2026-02-30,1.08\n", "line 2: its Date is not a day"),
        ("Date,USD\n20261120,1.08\n", "line 2: its Date is not a day"),
        ("Date,USD\n2026-11-20,1.08\n2026-11-20,1.09\n", "line 3: 2026-11-20 is there twice"),
        ("Date,USD,JPY\n2026-11-20,1.08\n", "line 2: 2 values for 3 columns"),
        ("Date,USD\n2026-11-20,1.08,1.09\n", "line 2: 3 values for 2 columns"),
        ("Date,USD,\n2026-11-20,1,08,\n", "line 2: 3 values for 2 columns"),
        ("Date,USD\n\n2026-11-20,1.08 USD\n", "line 3, USD: not a number"),
        ("Date,USD\n2026-11-20,-1.08\n", "line 2, USD: not a number"),
        ("Date,USD\n2026-11-20,1e5\n", "line 2, USD: not a number"),
        ("Date,USD\n2026-11-20,NaN\n", "line 2, USD: not a number"),
        ('Date,USD\n2026-11-20,"1,08"\n', "line 2, USD: not a number"),
        ("Date,USD\n2026-11-20,1٫08\n", "line 2, USD: not a number"),
        ("Date,USD\n2026-11-20,0.00\n", "line 2, USD: a rate of zero"),
        ("Date,USD\n2026-11-20," + "1" * 400 + "\n", "line 2, USD: not a number"),
        ('Date,USD\n2026-11-20,"1.08\n', r"not CSV"),
        (b"Date,USD\n2026-11-20,1.08\n2026-11-19,\xff\n", "line 3: not UTF-8"),
        (b"PK\x03\x04\x90\xff", "not UTF-8"),
        (b" " * (LARGEST_BYTES + 1), "over 32 MiB is no rates file"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(RatesError, match=message) as refused:
        Rates.read(write(content), "EUR")

    assert "rates.csv" in str(refused.value)
    assert len(str(refused.value)) < 400


def test_digits_of_other_scripts_are_not_numbers(write: Write) -> None:
    with pytest.raises(RatesError, match="line 2, USD: not a number"):
        Rates.read(write("Date,USD\n2026-11-20,١\n"), "EUR")


def test_a_reference_currency_needs_a_column(write: Write) -> None:
    with pytest.raises(RatesError, match=r"no column for the reference currency GBP\. Add one"):
        Rates.read(write(ECB), "GBP")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RatesError, match=r"none\.csv: the rates file cannot be read \(No such file or directory\)"):
        Rates.read(tmp_path / "none.csv", "EUR")


def test_a_folder_is_not_a_rates_file(tmp_path: Path) -> None:
    with pytest.raises(RatesError, match="cannot be read"):
        Rates.read(tmp_path, "EUR")
