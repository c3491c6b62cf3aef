"""Money stays exact from the text of an answer to every reader of the ledger, or is refused; it is never rounded."""

from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.contracts.tables import BalanceRow, LedgerRow, QuarantineRow, table_of
from pfo_pipeline.ledger.merge import apply, to_arrow
from pfo_pipeline.ledger.reader import Reader, open_published, published_reader
from pfo_pipeline.ledger.schema import bring_up_to_date
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.powens.mapping import balance_row, parse, quarantined
from pfo_pipeline.powens.models import Account
from pfo_pipeline.powens.values import parse_json
from pfo_pipeline_tests.ledger.samples import MARCH_31, OFFICE, a_ledger, ask, balance, batch

EXACT = Context(prec=200)
WIDEST = Decimal("9" * 28 + "." + "9" * 10)


def amount(digits: int, scale: int, zeros: int) -> Decimal:
    """Return `digits` with `scale` decimals and this many zeros appended."""
    return Decimal(f"{digits}{'0' * zeros}").scaleb(-scale - zeros, context=EXACT)


# Up to 28 digits before the point and 10 after it, with any number of zeros.
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
    """Merge the amounts as acc_000, acc_001, … and return their new tenant."""
    loads = con.execute("select count(*) from loads").fetchone()
    assert loads is not None
    tenant = f"tenant-{loads[0]}"
    rows = [balance(value, tenant_id=tenant, account_id=f"acc_{n:03}") for n, value in enumerate(amounts)]
    apply(con, batch(*rows), MARCH_31)
    return tenant


@settings(deadline=None, max_examples=30, derandomize=True)
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


@settings(deadline=None, max_examples=20, derandomize=True)
@given(amounts=st.lists(st.decimals(-(10**20), 10**20, places=10), min_size=1, max_size=30))
def test_sums_are_exact_in_the_database_and_in_pandas(con: duckdb.DuckDBPyConnection, amounts: list[Decimal]) -> None:
    tenant = stored(con, amounts)

    totals = con.execute("select sum(current_balance) from balances_latest where tenant_id = $1", [tenant]).fetchall()

    expected = Decimal(0)
    for value in amounts:
        expected = EXACT.add(expected, value)
    assert totals == [(expected,)]
    assert Reader(lambda: nullcontext(con)).frame(tenant, "balances")["current_balance"].sum() == expected


@settings(deadline=None, max_examples=100, derandomize=True)
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


def test_one_amount_that_does_not_fit_refuses_its_whole_batch(ledger: Ledger) -> None:
    with pytest.raises(pa.ArrowInvalid):
        ledger.merge(batch(balance("1"), balance("1E+28", account_id="acc_2")))

    assert ask(ledger, "select count(*) from balances") == ask(ledger, "select count(*) from loads") == [(0,)]


def test_pandas_gets_exact_amounts_and_aware_times_from_the_published_copy(ledger: Ledger) -> None:
    ledger.merge(batch(balance("123456789012345678.0123456789"), balance("0.1", account_id="acc_2")))
    ledger.publish()

    frame = published_reader(ledger.files.published).frame("smith", "balances")

    assert frame["current_balance"].tolist() == [Decimal("123456789012345678.0123456789"), Decimal("0.1")]
    assert frame["available_balance"].isna().all()
    assert frame["available_balance"].dtype == pd.ArrowDtype(pa.decimal128(38, 10))
    assert frame["as_of"].dtype == pd.ArrowDtype(pa.timestamp("us", tz="UTC"))
    assert frame["as_of"].tolist() == [pd.Timestamp(MARCH_31)] * 2


#
# From here on: the whole way, from the text of a bank's answer to an analyst's tools.

AWKWARD = (
    "1E+3", "-0.0", "0", "1e-8", "1e-10", "123456789012345.67", "0.1", "0.30", "-1", "9007199254740993", "1E+17", "-1.50e1",
    "999999999999999999.9999999999", "0.10000000000000000000000000", "0.30000000000000004", "83710.79999999999", "10.555",
    '"1.10"', '"-.5"', '"1E+3"', '"+7."', '"1e-8"',
)  # fmt: skip
TOO_WIDE = (
    "1E+28", "-1E+18", "0.12345678901", '"0.30000000000000004"', "99999999999999999999999999999", "1e999",
    '"1E+400"', '"1e-300"',
)  # fmt: skip
NO_AMOUNTS = (
    "NaN", "Infinity", "-Infinity",
    '"NaN"', '"Infinity"', '"-Infinity"', '"inf"', '"sNaN"', '"1,5"', '""', '" 1"', '"0x10"', '"1_000"', "true", "[]",
    '{"value": 1}', '"1E+9999"', '"\u0661"',
)  # fmt: skip


def worth(text: str) -> Fraction:
    """Return the value of a JSON number, or of a text with one, by rationals, independently of the product's own way."""
    return Fraction(text.strip('"').rstrip("."))


def kept_of(text: str) -> Fraction | None:
    """Return the amount in euro that the ledger must have; None for a quarantined one.

    It is below 10^18, with up to ten decimals; a number within 0.000001 of a whole number of cents is that number.
    """
    value = worth(text)
    if abs(value) >= 10**18:
        return None
    cents = round(value, 2)
    if not text.startswith('"') and abs(value - cents) <= Fraction(1, 10**6):
        return cents
    return value if (value * 10**10).denominator == 1 else None


def balances_at(amounts: list[str]) -> bytes:
    """Return an answer of Powens with one account for each amount, numbered from 1."""
    accounts = ", ".join(
        f'{{"id": {number}, "id_connection": 7, "currency": {{"id": "EUR"}}, "last_update": "2026-03-31 07:00:00", '
        f'"balance": {amount}, "coming_balance": {amount}}}'
        for number, amount in enumerate(amounts, 1)
    )
    return f'{{"accounts": [{accounts}]}}'.encode()


def rows_of(tenant_id: str, answer: bytes) -> list[LedgerRow]:
    """Return the rows that the refresh makes of an answer: a balance, or the reason why there is none."""
    tenant = Tenant(id=tenant_id, domain=f"{tenant_id}-sandbox", users=(User(id="jane", token="env:NONE"),))
    rows: list[LedgerRow] = []
    for record in parse_json(answer)["accounts"]:
        found: Account | BalanceRow | QuarantineRow | str | None = parse(Account, tenant_id, "jane", record)
        if isinstance(found, Account):
            found = balance_row(tenant, found, "7", record, MARCH_31)
        assert found is not None
        assert not isinstance(found, Account)
        rows.append(quarantined(tenant_id, "jane", "balance", record, found) if isinstance(found, str) else found)
    return rows


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger to which each example adds its own tenant."""
    return a_ledger(tmp_path_factory.mktemp("shelf") / "data")


def published(ledger: Ledger, amounts: list[str]) -> str:
    """Merge and publish the answer, and return its new tenant."""
    tenant = f"tenant-{len(ledger.reader().tenants())}"
    ledger.merge(batch(*rows_of(tenant, balances_at(amounts)), tenant_id=tenant))
    ledger.publish()
    return tenant


_FIGURES = "select source_id, current_balance, available_balance from balances_latest where tenant_id = $tenant"

whole_part = st.one_of(st.just("0"), st.from_regex(r"[1-9][0-9]{0,29}", fullmatch=True))
decimals = st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,14}", fullmatch=True))
exponent = st.one_of(st.just(""), st.from_regex(r"[eE][+-]?[0-9]{1,2}", fullmatch=True))
number_text = st.builds("{}{}{}{}".format, st.sampled_from(["", "-"]), whole_part, decimals, exponent)
json_amount = st.one_of(number_text, number_text.map('"{}"'.format))


@settings(deadline=None, max_examples=12, derandomize=True)
@given(amounts=st.lists(json_amount, min_size=1, max_size=60))
@example(amounts=[*AWKWARD, *TOO_WIDE])
def test_what_a_bank_writes_is_what_an_analyst_reads_in_sql_arrow_and_pandas(shelf: Ledger, amounts: list[str]) -> None:
    tenant = published(shelf, amounts)

    output = {str(number): kept_of(text) for number, text in enumerate(amounts, 1)}
    kept = {source: value for source, value in output.items() if value is not None}
    with open_published(shelf.files.published) as con:
        fetched = con.execute(_FIGURES, {"tenant": tenant}).fetchall()
        arrow = con.sql(_FIGURES, params={"tenant": tenant}).to_arrow_table()
        aside = con.execute(
            "select source_id, reason from quarantine where tenant_id = $tenant", {"tenant": tenant}
        ).fetchall()
    assert {source: Fraction(amount) for source, amount, _ in fetched} == kept
    assert {source: Fraction(available) for source, _, available in fetched} == kept
    # Nothing is lost: a record that is not kept is quarantined, with the reason, under its own id.
    assert sorted([source for source, *_ in fetched] + [source for source, _ in aside]) == sorted(output)
    assert {reason.partition(": ")[2] for _, reason in aside} <= {
        "does not fit DECIMAL(38,10) without rounding",
        "10^18 or more",
        "not of a size that an amount has",
    }

    frame = arrow.to_pandas(types_mapper=pd.ArrowDtype)
    assert frame["current_balance"].dtype == pd.ArrowDtype(pa.decimal128(38, 10))
    assert dict(zip(frame["source_id"], map(Fraction, frame["current_balance"]), strict=True)) == kept
    back = pa.Table.from_pandas(frame, preserve_index=False)
    assert back.column("current_balance").combine_chunks() == arrow.column("current_balance").combine_chunks()
    with duckdb.connect() as con:
        con.register("back", back)
        assert sorted(
            con.execute("select source_id, current_balance, available_balance from back").fetchall()
        ) == sorted(fetched)


def test_an_invalid_amount_is_quarantined_and_the_rest_continues(shelf: Ledger) -> None:
    tenant = published(shelf, [*NO_AMOUNTS, "1.5"])

    with open_published(shelf.files.published) as con:
        parameters = {"tenant": tenant}
        kept = con.execute(_FIGURES, parameters).fetchall()
        aside = con.execute(
            "select source_id::int, reason from quarantine where tenant_id = $tenant order by 1", parameters
        ).fetchall()
    assert kept == [(str(len(NO_AMOUNTS) + 1), Decimal("1.5"), Decimal("1.5"))]
    assert [source for source, _ in aside] == list(range(1, len(NO_AMOUNTS) + 1))
    for _, reason in aside:
        assert reason.startswith("balance: not ")
