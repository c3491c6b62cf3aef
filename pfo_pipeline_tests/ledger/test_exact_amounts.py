"""Money stays exact from a Python Decimal to whatever reads the ledger, or is refused; it is never rounded."""

from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Context, Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.tables import BalanceRow, table_of
from pfo_pipeline.ledger.arrow import to_arrow
from pfo_pipeline.ledger.merge import apply
from pfo_pipeline.ledger.reader import Reader, published_reader
from pfo_pipeline.ledger.schema import bring_up_to_date
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import MARCH_31, OFFICE, ask, balance, batch

EXACT = Context(prec=200)
WIDEST = Decimal("9" * 28 + "." + "9" * 10)


def amount(digits: int, scale: int, zeros: int) -> Decimal:
    """`digits` with `scale` decimals, written with so many zeros more at its end."""
    return Decimal(f"{digits}{'0' * zeros}").scaleb(-scale - zeros, context=EXACT)


# Up to 28 digits before the point and 10 after it, however many zeros they are written with.
fitting = st.builds(
    lambda whole, part, zeros: amount(whole * 10**10 + part, 10, zeros) if part else amount(whole, 0, zeros),
    whole=st.integers(-(10**28) + 1, 10**28 - 1),
    part=st.one_of(st.just(0), st.integers(0, 10**10 - 1)),
    zeros=st.integers(0, 60),
).filter(lambda value: value.copy_abs() <= WIDEST)
too_wide = st.one_of(
    st.integers(10**28, 10**40).map(Decimal),
    st.integers(-(10**40), -(10**28)).map(Decimal),
    st.builds(
        lambda digits, scale: Decimal(digits * 10 + 1).scaleb(-scale), st.integers(0, 10**12), st.integers(11, 30)
    ),
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        bring_up_to_date(opened, Path("memory"), OFFICE, MARCH_31)
        yield opened


def stored(con: duckdb.DuckDBPyConnection, amounts: list[Decimal]) -> str:
    """The tenant, a new one, under which the amounts have been merged as acc_000, acc_001, …"""
    loads = con.execute("select count(*) from loads").fetchone()
    assert loads is not None
    tenant = f"tenant-{loads[0]}"
    rows = [balance(value, tenant_id=tenant, account_id=f"acc_{n:03}") for n, value in enumerate(amounts)]
    apply(con, batch(*rows), MARCH_31)
    return tenant


@settings(deadline=None, max_examples=30)
@given(amounts=st.lists(fitting, min_size=1, max_size=30))
@example(
    amounts=[WIDEST, WIDEST.copy_negate(), Decimal("1E-10"), Decimal("-0.0"), Decimal("1E+27"), Decimal("0.1") * 3]
)
def test_every_amount_that_fits_comes_back_digit_for_digit(
    con: duckdb.DuckDBPyConnection, amounts: list[Decimal]
) -> None:
    tenant = stored(con, amounts)

    query = "select current_balance from balances_latest where tenant_id = $1 order by account_id"
    fetched = [value for (value,) in con.execute(query, [tenant]).fetchall()]
    framed = Reader(lambda: nullcontext(con)).frame(tenant, "balances")["current_balance"]
    assert fetched == amounts
    assert framed.dtype == pd.ArrowDtype(pa.decimal128(38, 10))
    assert framed.tolist() == amounts


@settings(deadline=None, max_examples=20)
@given(amounts=st.lists(st.decimals(-(10**20), 10**20, places=10), min_size=1, max_size=30))
def test_sums_are_exact_in_the_database_and_in_pandas(con: duckdb.DuckDBPyConnection, amounts: list[Decimal]) -> None:
    tenant = stored(con, amounts)

    totals = con.execute("select sum(current_balance) from balances_latest where tenant_id = $1", [tenant]).fetchall()

    expected = Decimal(0)
    for value in amounts:
        expected = EXACT.add(expected, value)
    assert totals == [(expected,)]
    assert Reader(lambda: nullcontext(con)).frame(tenant, "balances")["current_balance"].sum() == expected


@settings(deadline=None, max_examples=100)
@given(value=too_wide)
@example(value=Decimal("0.30000000000000004"))
@example(value=Decimal("1E+28"))
@example(value=Decimal("NaN"))
@example(value=Decimal("Infinity"))
def test_an_amount_that_does_not_fit_is_refused_and_not_rounded(value: Decimal) -> None:
    with pytest.raises(pa.ArrowInvalid):
        to_arrow(table_of(BalanceRow), [balance(value)])


def test_a_binary_float_is_not_an_amount() -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        to_arrow(table_of(BalanceRow), [balance(current_balance=0.1)])


def test_one_amount_that_does_not_fit_keeps_its_whole_batch_out(ledger: Ledger) -> None:
    with pytest.raises(pa.ArrowInvalid):
        ledger.merge(batch(balance("1"), balance("1E+28", account_id="acc_2")))

    assert ask(ledger, "select count(*) from balances") == ask(ledger, "select count(*) from loads") == [(0,)]


def test_the_published_copy_gives_pandas_exact_amounts_and_moments_with_a_zone(ledger: Ledger) -> None:
    ledger.merge(batch(balance("123456789012345678.0123456789"), balance("0.1", account_id="acc_2")))
    ledger.publish()

    frame = published_reader(ledger.files.published).frame("smith", "balances")

    assert frame["current_balance"].tolist() == [Decimal("123456789012345678.0123456789"), Decimal("0.1")]
    assert frame["available_balance"].isna().all()
    assert frame["available_balance"].dtype == pd.ArrowDtype(pa.decimal128(38, 10))
    assert frame["as_of"].dtype == pd.ArrowDtype(pa.timestamp("us", tz="UTC"))
    assert frame["as_of"].tolist() == [pd.Timestamp(MARCH_31)] * 2
