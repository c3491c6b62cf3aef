"""Balances at the end of each day: the ends of days, carried balances, and the same in the reference currency."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.report.model import CashPage, History
from pfo_pipeline.report.rates import Rates
from pfo_pipeline.report.totals import days_up_to, ends_of, start_of
from pfo_pipeline_tests.ledger.samples import connection, user
from pfo_pipeline_tests.report.ledgers import DAY, HOUR, HUGE, NOW, LoadedLedger, figure, linked, page_of, written

PARIS = ZoneInfo("Europe/Paris")
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[LoadedLedger]:
    """Account 1, without a balance."""
    with written(tmp_path) as loaded:
        loaded.load(NOW - 20 * DAY, user(), connection(), linked(1))
        yield loaded


def history(page: CashPage, currency: str = "EUR") -> History:
    [found] = [history for history in page.history if history.currency == currency]
    return found


def last_totals(history: History, days: int) -> dict[date, Decimal | None]:
    return dict(zip(history.days[-days:], history.totals[-days:], strict=True))


@pytest.mark.parametrize(
    ("day", "zone", "begins"),
    [
        (date(2026, 3, 29), "Europe/Paris", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (date(2026, 3, 30), "Europe/Paris", datetime(2026, 3, 29, 22, tzinfo=UTC)),  # A day of 23 hours.
        (date(2026, 10, 26), "Europe/Paris", datetime(2026, 10, 25, 23, tzinfo=UTC)),  # One of 25.
        (date(2026, 3, 8), "America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),  # It begins at 1:00.
        (date(2026, 11, 1), "America/Havana", datetime(2026, 11, 1, 4, tzinfo=UTC)),  # Midnight occurs twice.
        (date(2026, 4, 10), "Asia/Kathmandu", datetime(2026, 4, 9, 18, 15, tzinfo=UTC)),
    ],
)
def test_a_day_begins_by_the_local_clock(day: date, zone: str, begins: datetime) -> None:
    assert start_of(day, ZoneInfo(zone)) == begins


def test_a_year_of_days_ends_with_the_local_day_of_the_page() -> None:
    moment = datetime(2026, 4, 9, 22, 30, tzinfo=UTC)

    days = days_up_to(moment, PARIS)

    assert (len(days), days[0], days[-1]) == (365, date(2025, 4, 11), date(2026, 4, 10))
    assert days_up_to(moment, ZoneInfo("UTC"))[-1] == date(2026, 4, 9)


def test_days_have_no_gap_and_the_last_ends_at_the_pages_time() -> None:
    days = days_up_to(NOW, PARIS)

    ends = ends_of(days, PARIS, NOW)

    assert ends[-1] == NOW
    assert [end + MICROSECOND for end in ends[:-1]] == [start_of(day, PARIS) for day in days[1:]]
    lengths = {later - earlier for earlier, later in pairwise(ends[:-1])}
    assert lengths == {23 * HOUR, 24 * HOUR, 25 * HOUR}


def test_a_balance_counts_from_its_local_day(loaded: LoadedLedger) -> None:
    """Around the change to summer time of 29 March in Paris."""
    loaded.load(
        NOW - HOUR,
        figure(1, "1.00", datetime(2026, 3, 28, 22, 59, 59, 999999, tzinfo=UTC)),
        figure(1, "2.00", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        figure(1, "3.00", datetime(2026, 3, 29, 21, 59, 59, 999999, tzinfo=UTC)),
        figure(1, "4.00", datetime(2026, 3, 29, 22, tzinfo=UTC)),
    )

    found = last_totals(history(loaded.page()), 15)

    assert found[date(2026, 3, 27)] is None
    assert found[date(2026, 3, 28)] == Decimal("1.00")
    assert found[date(2026, 3, 29)] == Decimal("3.00")
    assert found[date(2026, 3, 30)] == Decimal("4.00")
    assert found[date(2026, 4, 9)] == Decimal("4.00")


def test_balances_from_before_the_first_day_are_carried_into_it(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "5.00", NOW - 900 * DAY), figure(1, "6.00", NOW - 700 * DAY))

    assert set(history(loaded.page()).totals) == {Decimal("6.00")}


def test_the_last_total_is_the_pages_own_even_if_a_bank_dates_ahead(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "5.00", NOW - DAY), figure(1, "6.00", NOW + 2 * DAY))

    newest, as_of_now = loaded.page(), loaded.page(as_of=NOW)

    assert [amount.total for amount in newest.cash] == [Decimal(6)]
    assert history(newest).totals[-2:] == (Decimal(5), Decimal(6))
    assert [amount.total for amount in as_of_now.cash] == [Decimal(6)]
    assert history(as_of_now).totals[-2:] == (Decimal(5), Decimal(6))


def test_the_past_is_shown_as_known_now_or_at_the_known_time(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 5 * DAY, figure(1, "5.00", NOW - 6 * DAY))
    loaded.load(NOW - HOUR, figure(1, "4.00", NOW - 6 * DAY))

    assert last_totals(history(loaded.page()), 7)[date(2026, 4, 4)] == Decimal(4)
    assert last_totals(history(loaded.page(known_at=NOW - DAY)), 7)[date(2026, 4, 4)] == Decimal(5)


@pytest.mark.parametrize("hidden", ["disabled_at", "deleted_at"])
def test_an_account_counts_until_the_day_on_which_it_was_hidden(loaded: LoadedLedger, hidden: str) -> None:
    loaded.load(NOW - 5 * DAY, figure(1, "5.00", NOW - 9 * DAY))
    loaded.load(NOW - 2 * DAY, linked(1, **{hidden: NOW - 3 * DAY}))

    page = loaded.page()

    assert [history(page).totals[place] for place in (-6, -5, -4, -1)] == [
        Decimal(5),
        Decimal(5),
        Decimal(0),
        Decimal(0),
    ]
    assert page.cash == ()


def test_a_joined_account_counts_once_with_each_days_newest_balance(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, figure(1, "5.00", NOW - 9 * DAY), figure(1, "6.00", NOW - 5 * DAY))
    loaded.load(NOW - 3 * DAY, linked(2), figure(2, "5.50", NOW - 7 * DAY), figure(2, "6.50", NOW - 3 * DAY))
    loaded.load(NOW - 2 * DAY, IdentityRow("smith", "acc_2", "acc_1", "iban", "evidence"))

    found = history(loaded.page()).totals[-11:]

    expected = ["5", "5", "5.5", "5.5", "6", "6", "6.5", "6.5", "6.5", "6.5"]
    assert found == (None, *map(Decimal, expected))


def test_liabilities_are_in_no_history(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 5 * DAY, linked(2, account_type="loan"), figure(2, "-900.00", NOW - 6 * DAY))

    assert loaded.page().history == ()


def test_an_account_joined_as_a_loan_is_not_cash_on_any_day(loaded: LoadedLedger) -> None:
    """A regression: a class was excluded before the class of the joined account was known, so the total differed."""
    loaded.load(NOW - 19 * DAY, figure(1, "10.00", NOW - 19 * DAY))
    loaded.load(
        NOW - 3 * DAY,
        linked(2, account_type="loan"),
        figure(2, "-500.00", NOW - 3 * DAY),
        IdentityRow("smith", "acc_2", "acc_1", "a decision", "operator"),
    )

    page = loaded.page()

    assert page.cash == ()
    assert list(last_totals(history(page), 5).values()) == [Decimal("10.00"), *[Decimal(0)] * 4]


def test_sums_have_more_digits_than_the_ledgers_type(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 5 * DAY, linked(2), figure(1, HUGE, NOW - 6 * DAY), figure(2, HUGE, NOW - 6 * DAY))

    page = loaded.page()

    assert str(history(page).totals[-1]) == "19999999999999999999999999999.9999999998"
    assert page.cash[0].total == history(page).totals[-1]


def test_negative_fractions_are_summed_exactly(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 5 * DAY, linked(2), figure(1, "-0.0000000001", NOW - 6 * DAY), figure(2, "-1.5", NOW - 6 * DAY))

    assert history(loaded.page()).totals[-1] == Decimal("-1.5000000001")


class TestInTheReferenceCurrency:
    RATES = Rates(
        "EUR",
        tuple(date(2026, 4, 1) + n * DAY for n in range(10)),
        {"USD": (None, "2", "2", "2", "4", "4", "4", "4", "4", "5"), "GBP": (*["0.5"] * 2, *[None] * 8)},
    )

    def found(self, loaded: LoadedLedger) -> CashPage:
        return page_of(loaded.reader(), rates=self.RATES)

    def test_each_day_is_converted_by_its_own_rate(self, loaded: LoadedLedger) -> None:
        loaded.load(NOW - DAY, figure(1, "1.00", NOW - 9 * DAY))
        loaded.load(NOW - DAY, linked(2, currency="USD"), figure(2, "10.01", NOW - 8 * DAY, currency="USD"))

        page = self.found(loaded)

        assert page.reference_history is not None
        assert page.reference is not None
        expected = ["1.00", *["6.00"] * 3, *["3.50"] * 5, "3.00"]
        assert page.reference_history.totals[-11:] == (None, *map(Decimal, expected))
        assert page.reference.cash == Decimal("3.00")

    def test_a_day_with_a_balance_but_no_rate_has_no_total(self, loaded: LoadedLedger) -> None:
        loaded.load(NOW - DAY, figure(1, "1.00", NOW - 11 * DAY))
        loaded.load(NOW - DAY, linked(2, currency="USD"), figure(2, "10.00", NOW - 10 * DAY, currency="USD"))

        page = self.found(loaded)

        assert page.reference_history is not None
        assert page.reference_history.days[-12] == date(2026, 3, 30)
        assert page.reference_history.totals[-12:-7] == (Decimal(1), None, None, Decimal(6), Decimal(6))

    def test_a_currency_without_a_rate_now_is_left_out_of_all_days(self, loaded: LoadedLedger) -> None:
        loaded.load(NOW - DAY, figure(1, "1.00", NOW - 9 * DAY))
        loaded.load(NOW - DAY, linked(2, currency="GBP"), figure(2, "10.00", NOW - 9 * DAY, currency="GBP"))

        page = self.found(loaded)

        assert page.reference is not None
        assert page.reference_history is not None
        assert [(u.currency, u.why) for u in page.reference.without] == [("GBP", "no rate since 2026-04-02")]
        assert set(page.reference_history.totals) == {None, Decimal("1.00")}

    def test_a_former_currency_counts_in_its_days(self, loaded: LoadedLedger) -> None:
        loaded.load(NOW - DAY, figure(1, "1.00", NOW - 9 * DAY))
        loaded.load(NOW - DAY, linked(2, currency="GBP", deleted_at=NOW - 6 * DAY))
        loaded.load(NOW - DAY, figure(2, "10.00", NOW - 9 * DAY, currency="GBP"))

        page = self.found(loaded)

        assert page.reference_history is not None
        assert page.reference_history.totals[-11:-5] == (None, *map(Decimal, ["21", "21", "21", "1", "1"]))

    def test_without_rates_there_is_no_history_in_the_reference_currency(self, loaded: LoadedLedger) -> None:
        loaded.load(NOW - DAY, linked(2, currency="XAU"), figure(2, "10.00", NOW - 9 * DAY, currency="XAU"))

        page = self.found(loaded)

        assert page.reference is not None
        assert page.reference.cash == 0
        assert page.reference_history is None
