"""The state at any time, as known at another. Queried like an analyst does, from the published file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
    opened,
)

Ask = Callable[..., list[tuple[Any, ...]]]

APRIL_5 = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
APRIL_9 = datetime(2026, 4, 9, 12, 0, tzinfo=UTC)


def tell(ledger: Ledger, clock: SetClock) -> Path:
    """31 March was reported as 10.00 on 5 April and as 12.50 on 9 April; account 2 was found on 9 April."""
    clock.now = APRIL_5
    ledger.merge(batch(account("acc_1"), balance("7.00", MARCH_30), balance("10.00", MARCH_31)))
    clock.now = APRIL_9
    ledger.merge(batch(account("acc_2", source_id="71"), balance("12.50", MARCH_31)))
    ledger.merge(batch(balance("99.00", APRIL_1, account_id="acc_2", source_id="71", currency="USD")))
    return ledger.publish().path


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Queries of that ledger's published copy."""
    clock = SetClock()
    path = tell(a_ledger(tmp_path_factory.mktemp("moments") / "data", clock=clock), clock)

    def asked(query: str, **parameters: object) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute("use ledger.ledger")
            return con.execute(query, parameters or None).fetchall()

    return asked


def test_what_we_believed_on_5_april_about_31_march_is_one_query(ask: Ask) -> None:
    query = "select account_id, current_balance from balances_as_of($at, known_at := $known_at)"

    assert ask(query, at=MARCH_31, known_at=APRIL_5) == [("acc_1", Decimal("10.00"))]
    assert ask(query, at=MARCH_31, known_at=APRIL_9) == [("acc_1", Decimal("12.50"))]
    assert ask(query, at=MARCH_30, known_at=APRIL_9) == [("acc_1", Decimal("7.00"))]


def test_without_known_at_everything_known_now_counts(ask: Ask) -> None:
    found = ask("select account_id, current_balance from balances_as_of($at) order by all", at=APRIL_9)

    assert found == [("acc_1", Decimal("12.50")), ("acc_2", Decimal("99.00"))]


def test_rows_recorded_after_the_ledger_was_created_are_known_too(ledger: Ledger, clock: SetClock) -> None:
    """Regression: a default of now() was the time when the macro was made."""
    clock.now = datetime(2100, 1, 1, tzinfo=UTC)
    ledger.merge(batch(account(), balance("10.00", MARCH_31)))
    with duckdb.connect(str(ledger.publish().path), read_only=True) as con:
        con.execute("use ledger.ledger")

        assert con.execute("select count(*) from balances_as_of(now())").fetchall() == [(1,)]
        assert con.execute("select total from cash_position(now())").fetchall() == [(Decimal("10.00"),)]


def test_before_the_first_figure_there_is_none(ask: Ask) -> None:
    assert ask("from balances_as_of($at)", at=MARCH_30 - timedelta(seconds=1)) == []
    assert ask("from balances_as_of($at, known_at := $known_at)", at=APRIL_9, known_at=MARCH_31) == []


def test_an_account_exists_from_its_first_recording(ask: Ask) -> None:
    query = "select account_id from accounts_as_of($at) order by all"

    assert ask(query, at=MARCH_31) == []
    assert ask(query, at=APRIL_5) == [("acc_1",)]
    assert ask(query, at=APRIL_9 + timedelta(hours=1)) == [("acc_1",), ("acc_2",)]


def test_cash_is_summed_by_currency_and_never_across(ask: Ask) -> None:
    query = "select tenant_id, currency, total, accounts from cash_position($at, known_at := $known_at) order by all"
    later = APRIL_9 + timedelta(hours=1)

    assert ask(query, at=APRIL_9, known_at=later) == [
        ("smith", "EUR", Decimal("12.50"), 1),
        ("smith", "USD", Decimal("99.00"), 1),
    ]
    assert ask(query, at=APRIL_9, known_at=APRIL_5) == [("smith", "EUR", Decimal("10.00"), 1)]


def test_an_account_that_two_users_have_linked_counts_once_in_totals(ledger: Ledger) -> None:
    joint, its_copy = account("acc_1"), account("acc_2", user_id="john", source_id="71")
    loan = account("acc_3", source_id="72", iban=None, account_type="loan")
    ledger.merge(batch(joint, its_copy, loan, IdentityRow("smith", "acc_2", "acc_1", "iban", "evidence")))
    ledger.merge(
        batch(
            balance("10.00", MARCH_30, account_id="acc_1"),
            balance("12.00", MARCH_31, account_id="acc_2", source_id="71"),
            balance("-500.00", MARCH_31, account_id="acc_3", source_id="72"),
        )
    )

    [total] = ledger.reader().totals("smith")

    assert (total.currency, total.accounts, total.oldest_as_of) == ("EUR", 1, MARCH_31)
    assert (total.current_balance, total.loans) == (Decimal("12.00"), Decimal("-500.00"))


def test_an_account_that_the_bank_deleted_counts_until_then(ledger: Ledger, clock: SetClock) -> None:
    tell(ledger, clock)
    clock.now = APRIL_9 + timedelta(days=1)
    ledger.merge(batch(account("acc_1", deleted_at=APRIL_9)))
    path = ledger.publish().path
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("use ledger.ledger")
        currencies = "select currency from cash_position($at, known_at := $known) order by all"
        later = APRIL_9 + timedelta(days=2)

        before = con.execute(currencies, {"at": APRIL_5, "known": later}).fetchall()
        after = con.execute(currencies, {"at": later, "known": later}).fetchall()

    assert before == [("EUR",), ("USD",)]
    assert after == [("USD",)]


def test_the_history_of_an_account_shows_what_was_corrected_and_when(ask: Ask) -> None:
    found = ask("select as_of, current_balance, superseded_at is not null from balance_history($id)", id="acc_1")

    assert [(moment, amount, corrected) for moment, amount, corrected in found] == [
        (MARCH_30, Decimal("7.00"), False),
        (MARCH_31, Decimal("10.00"), True),
        (MARCH_31, Decimal("12.50"), False),
    ]


def test_a_restatement_shows_before_now_and_the_difference(ask: Ask) -> None:
    query = "select account_id, as_of, said_before, says_now, difference, run_id from restatements($since)"

    assert ask(query, since=APRIL_5) == [
        ("acc_1", MARCH_31, Decimal("10.00"), Decimal("12.50"), Decimal("2.50"), "run-1")
    ]
    assert ask(query, since=APRIL_9 + timedelta(hours=1)) == []


RESTATED = "select currency_before, said_before, currency, says_now, difference from restatements($since)"


def restated(ledger: Ledger, clock: SetClock, *output: tuple[int, str, str]) -> list[tuple[Any, ...]]:
    """Return restatements since 9 April, from balances of one date: the day of recording, amount, currency."""
    for day, amount, currency in output:
        clock.now = APRIL_9 + timedelta(days=day - 9)
        ledger.merge(batch(balance(amount, MARCH_31, currency=currency)))
    with duckdb.connect(str(ledger.publish().path), read_only=True) as con:
        con.execute("use ledger.ledger")
        return con.execute(RESTATED, {"since": APRIL_9 - timedelta(hours=1)}).fetchall()


def test_a_reverted_correction_is_not_a_restatement(ledger: Ledger, clock: SetClock) -> None:
    assert restated(ledger, clock, (5, "10", "EUR"), (9, "12", "EUR"), (10, "10", "EUR")) == []


def test_a_balance_first_recorded_since_is_not_a_restatement(ledger: Ledger, clock: SetClock) -> None:
    assert restated(ledger, clock, (9, "100", "EUR"), (10, "90", "EUR")) == []


def test_the_first_and_last_of_several_corrections_are_compared(ledger: Ledger, clock: SetClock) -> None:
    found = restated(ledger, clock, (4, "9", "EUR"), (5, "10", "EUR"), (9, "12", "EUR"), (10, "13", "EUR"))

    assert found == [("EUR", 10, "EUR", 13, 3)]


@pytest.mark.parametrize("amount", ["3300", "20"])
def test_another_currency_is_a_restatement_without_a_difference(ledger: Ledger, clock: SetClock, amount: str) -> None:
    found = restated(ledger, clock, (5, "20", "EUR"), (10, amount, "JPY"))

    assert found == [("EUR", 20, "JPY", Decimal(amount), None)]


def test_freshness_is_the_age_of_each_enabled_accounts_newest_balance(ask: Ask) -> None:
    found = ask("select account_id, age from freshness($at)", at=APRIL_1 + timedelta(days=2))

    assert found == [("acc_1", timedelta(days=3)), ("acc_2", timedelta(days=2))]


@given(
    output=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(-999, 999)), min_size=1, max_size=12),
    at=st.integers(0, 5),
    known=st.integers(0, 5),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_moment_is_what_replaying_the_figures_up_to_it_gives(
    output: list[tuple[int, int, int]], at: int, known: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Balances are (day recorded, day of the balance, amount), in the order of recording."""
    clock = SetClock()
    ledger = a_ledger(tmp_path_factory.mktemp("replay") / "data", clock=clock)
    believed: dict[int, int] = {}
    with opened(ledger):
        for learnt, day, amount in sorted(output, key=lambda figure: figure[0]):
            clock.now = APRIL_5 + timedelta(days=learnt)
            ledger.merge(batch(balance(f"{amount}.00", MARCH_31 + timedelta(days=day))))
            if learnt <= known and day <= at:
                believed[day] = amount
    expected = [Decimal(believed[max(believed)])] if believed else []

    with duckdb.connect(str(ledger.publish().path), read_only=True) as con:
        con.execute("use ledger.ledger")
        found = con.execute(
            "select current_balance from balances_as_of($at, known_at := $known)",
            # Loads of one day follow each other by microseconds.
            {"at": MARCH_31 + timedelta(days=at), "known": APRIL_5 + timedelta(days=known, seconds=1)},
        ).fetchall()

    assert [amount for (amount,) in found] == expected


def test_a_row_of_an_impossible_size_does_not_break_other_tenants_totals(tmp_path: Path) -> None:
    """An early release accepted such rows; DuckDB's own sum of them fails, or overflows, for every tenant."""
    ledger = a_ledger(tmp_path, clock=SetClock())
    for tenant, amounts in (("smith", ("9.99e27", "9.99e27")), ("jones", ("5", "7"))):
        for number, amount in enumerate(amounts):
            own = {"source_id": str(number), "tenant_id": tenant}
            known = account(f"acc_{number}", iban=None, number=None, **own)
            ledger.merge(batch(known, balance(amount, MARCH_31, account_id=known.account_id, **own), tenant_id=tenant))

    with opened(ledger) as con:
        con.execute("use ledger")
        for query in ("current_balance from totals", "cash from totals", "total from cash_position('infinity')"):
            assert dict(con.execute(f"select tenant_id, {query}").fetchall()) == {"smith": None, "jones": 12}, query
        assert con.execute("select count(*) from coverage where counted").fetchall() == [(4,)]
