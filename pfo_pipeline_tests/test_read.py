"""The ledger as a Python program or a notebook reads it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pfo_pipeline.ledger.errors import LedgerMissing
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.read import Published, ReadError
from pfo_pipeline_tests.ledger.samples import MARCH_31, SetClock, a_ledger, account, balance, batch, connection

EXACT = Decimal("12345678901234567890.0123456789")
APRIL_30 = MARCH_31 + timedelta(days=30)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def output(tmp_path: Path, clock: SetClock) -> Ledger:
    """Two tenants; the account of one has a figure of March, corrected in April, and one of April."""
    ledger = a_ledger(tmp_path, clock=clock)
    ledger.merge(batch(account(), balance("10.00")))
    ledger.merge(batch(account(tenant_id="jones"), balance("5", tenant_id="jones"), tenant_id="jones"))
    clock.advance(days=30)
    ledger.merge(batch(account(), balance("11.50"), balance(EXACT, as_of=APRIL_30)))
    ledger.publish()
    return ledger


@pytest.fixture
def published(output: Ledger) -> Published:
    return Published(output.files.published)


def test_amounts_and_moments_stay_what_they_are(published: Published) -> None:
    frame = published.positions(tenant="smith")

    assert str(frame["current_balance"].dtype) == "decimal128(38, 10)[pyarrow]"
    assert str(frame["as_of"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert list(frame["current_balance"]) == [EXACT]
    assert published.table("select current_balance from positions where tenant_id = 'smith'")[
        "current_balance"
    ].to_pylist() == [EXACT]


def test_a_tenant_is_chosen_or_all_are_shown(published: Published) -> None:
    assert set(published.positions()["tenant_id"]) == {"smith", "jones"}
    assert set(published.totals(tenant="jones")["tenant_id"]) == {"jones"}
    assert list(published.accounts(tenant="jones")["account_id"]) == ["acc_1"]
    assert published.positions(tenant="nobody").empty


def test_any_moment_is_shown_as_it_is_known_now_or_was_known_then(published: Published, clock: SetClock) -> None:
    then = clock.now - timedelta(days=1)

    def amounts(**moments: datetime) -> list[Decimal]:
        return list(published.balances(tenant="smith", **moments)["current_balance"])

    assert amounts() == [EXACT]
    assert amounts(as_of=APRIL_30 - timedelta(days=1)) == [Decimal("11.5")]
    assert amounts(as_of=APRIL_30, known_at=then) == [Decimal(10)]
    assert list(published.cash(tenant="smith", as_of=APRIL_30, known_at=then)["total"]) == [Decimal(10)]
    assert published.accounts(known_at=MARCH_31 - timedelta(days=9)).empty


def test_the_next_call_shows_what_was_published_meanwhile(output: Ledger, published: Published) -> None:
    before = published.totals(tenant="jones")

    output.merge(batch(balance("7", tenant_id="jones", as_of=APRIL_30), tenant_id="jones"))
    output.publish()

    assert list(before["current_balance"]) == [5]
    assert list(published.totals(tenant="jones")["current_balance"]) == [7]


def test_a_query_has_parameters_and_its_mistakes_are_told(published: Published) -> None:
    assert list(published.frame("select $one::int as n", {"one": 1})["n"]) == [1]
    for query, reason in (("from nowhere", "nowhere"), ("delete from balances", "read-only")):
        with pytest.raises(ReadError, match=reason):
            published.frame(query)


@pytest.mark.parametrize("name", ["as_of", "known_at"])
def test_a_moment_without_a_time_zone_is_refused(published: Published, name: str) -> None:
    naive: dict[str, Any] = {name: datetime(2026, 3, 31)}  # noqa: DTZ001
    aware: dict[str, Any] = {name: datetime(2999, 1, 1, tzinfo=UTC)}

    with pytest.raises(ReadError, match=f"^{name}: .* has no time zone"):
        published.balances(**naive)
    assert len(published.balances(**aware)) == 2


def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="no ledger at"):
        Published(tmp_path / "none.duckdb").positions()


def test_a_new_publication_is_shown_though_the_process_holds_an_old_one_open(tmp_path: Path) -> None:
    """DuckDB keeps a file that was connected to by its path for as long as a connection to it is open."""
    ledger = a_ledger(tmp_path, clock=SetClock(datetime(2026, 3, 1, tzinfo=UTC)))
    ledger.merge(batch(account(), connection(), balance("1", datetime(2026, 2, 1, tzinfo=UTC))))
    ledger.publish()
    path = ledger.files.published
    with duckdb.connect(str(path), read_only=True) as by_path, duckdb.connect() as attached:
        attached.execute(f"attach '{path}' as bank (read_only)")
        ledger.merge(batch(balance("2", datetime(2026, 2, 2, tzinfo=UTC))))
        ledger.publish()

        assert list(Published(path).totals()["current_balance"]) == [Decimal(2)]
        with duckdb.connect() as again:
            again.execute(f"attach '{path}' as bank (read_only)")
            again.execute("use bank.ledger")
            assert again.execute("select current_balance from totals").fetchall() == [(Decimal(2),)]
        for held, name in ((by_path, "ledger"), (attached, "bank")):
            held.execute(f"use {name}.ledger")
            assert held.execute("select current_balance from totals").fetchall() == [(Decimal(1),)]
