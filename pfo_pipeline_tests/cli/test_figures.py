"""Amounts, moments and ages as people read them: exact, never rounded."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.cli.output import age, amount, moment, until

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "currency", "written"),
    [
        ("182340500", "JPY", "182 340 500"),
        ("182340500.5", "JPY", "182 340 500.5"),
        ("1234.5", "EUR", "1 234.50"),
        ("1234", "EUR", "1 234.00"),
        ("48210.375", "TND", "48 210.375"),
        ("12.34567891", "BTC", "12.34567891"),
        ("12.3456789100", "EUR", "12.34567891"),
        ("-0.01", "EUR", "-0.01"),
        ("-1234567.891", "EUR", "-1 234 567.891"),
        ("9999999999999999999999999999.9999999999", "EUR", "9 999 999 999 999 999 999 999 999 999.9999999999"),
        ("1E+3", "EUR", "1 000.00"),
        ("0", "EUR", "0.00"),
        ("5", None, "5.00"),
    ],
)
def test_an_amount_has_its_currencys_decimals_or_all_that_it_has(
    value: str, currency: str | None, written: str
) -> None:
    assert amount(Decimal(value), currency) == written


def test_no_amount_is_a_dash() -> None:
    assert amount(None, "EUR") == "—"


@given(
    value=st.decimals(
        min_value=Decimal("-1e27"), max_value=Decimal("1e27"), places=10, allow_nan=False, allow_infinity=False
    ),
    currency=st.sampled_from(["EUR", "JPY", "TND", "BTC", "CLF", "XYZ"]),
)
def test_what_is_written_is_the_amount_itself(value: Decimal, currency: str) -> None:
    assert Decimal(amount(value, currency).replace(" ", "")) == value


@pytest.mark.parametrize(
    ("old", "printed"),
    [
        (timedelta(0), "fresh (0 h)"),
        (timedelta(hours=47, minutes=59), "fresh (47 h)"),
        (timedelta(hours=48), "fresh (2 d)"),
        (timedelta(hours=48, seconds=1), "stale (2 d)"),
        (timedelta(days=23), "stale (23 d)"),
        (timedelta(seconds=-1), "in the future"),
        (timedelta(days=-400), "in the future"),
    ],
)
def test_an_age_is_told_in_hours_and_then_in_days(old: timedelta, printed: str) -> None:
    assert age(NOW - old, NOW, timedelta(hours=48)) == printed


def test_no_figure_has_no_age() -> None:
    assert age(None, NOW, timedelta(hours=48)) == "no figure"


def test_a_moment_is_written_in_utc() -> None:
    assert moment(NOW) == "2026-03-10 12:00Z"
    assert moment(None) == "—"


@pytest.mark.parametrize(
    ("left", "written"),
    [
        (timedelta(days=10, hours=3), "2026-03-20 15:00Z (10 d)"),
        (timedelta(hours=3), "2026-03-10 15:00Z (0 d)"),
        (timedelta(0), "2026-03-10 12:00Z (over)"),
        (timedelta(days=-3), "2026-03-07 12:00Z (over)"),
    ],
)
def test_what_is_to_come_has_its_days_left(left: timedelta, written: str) -> None:
    assert until(NOW + left, NOW) == written


def test_what_never_ends_is_a_dash() -> None:
    assert until(None, NOW) == "—"
