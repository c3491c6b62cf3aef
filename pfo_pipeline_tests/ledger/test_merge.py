"""Rows that a merge writes: none twice, none partly, none lost, in any order of arrival."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.tables import BalanceRow, IdentityRow, table_of
from pfo_pipeline.ledger.merge import Batch, DuplicateKeys, TableCount, apply
from pfo_pipeline.ledger.schema import bring_up_to_date
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    OFFICE,
    SetClock,
    account,
    ask,
    balance,
    batch,
    connection,
    drift,
    event,
    everything_in,
    put_aside,
    user,
)

HISTORY = "select as_of, current_balance from balances order by load_id, as_of"
LATEST = "select account_id, as_of, current_balance from balances_latest order by all"


@pytest.fixture
def ledger(loaded: Ledger) -> Ledger:
    return loaded


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A ledger in memory, for hundreds of examples; each uses its own tenant."""
    with duckdb.connect() as opened:
        bring_up_to_date(opened, Path("memory"), OFFICE, MARCH_31)
        yield opened


def test_an_earlier_run_does_not_overwrite_a_persons_decision(ledger: Ledger) -> None:
    split = IdentityRow("smith", "acc_2", "acc_2", "decision", "operator")
    proposed = IdentityRow("smith", "acc_2", "acc_1", "name", "proposed")
    evidence = IdentityRow("smith", "acc_2", "acc_1", "iban", "evidence")
    ledger.merge(batch(proposed))
    ledger.merge(batch(split))

    late = [ledger.merge(batch(row)).added("identities") for row in (proposed, evidence)]
    again = ledger.merge(batch(IdentityRow("smith", "acc_2", "acc_1", "decision", "operator"))).added("identities")

    assert (late, again) == ([0, 0], 1)


def test_the_same_batch_again_adds_nothing(ledger: Ledger) -> None:
    everything = batch(balance(), account(), connection(), user(), put_aside(), drift())
    ledger.merge(everything)

    again = ledger.merge(everything)

    assert set(again.counts.values()) == {TableCount(offered=1, added=0)}
    assert again.unchanged("balances") == 1
    assert ask(ledger, "select count(*) from balances") == [(1,)]


def test_a_balance_that_returns_to_an_earlier_value_is_recorded_again(ledger: Ledger) -> None:
    for amount in ("1", "2", "1"):
        ledger.merge(batch(balance(amount)))

    assert ask(ledger, HISTORY) == [(MARCH_31, 1), (MARCH_31, 2), (MARCH_31, 1)]
    assert ask(ledger, LATEST) == [("acc_1", MARCH_31, 1)]


def test_an_account_renamed_back_and_forth_keeps_every_version(ledger: Ledger, clock: SetClock) -> None:
    for name in ("Old", "New", "Old"):
        clock.advance(days=1)
        ledger.merge(batch(account(display_name=name)))

    versions = ask(ledger, "select display_name, superseded_at - recorded_at from accounts_history order by load_id")

    assert versions == [("Old", timedelta(days=1)), ("New", timedelta(days=1)), ("Old", None)]
    assert ask(ledger, "select display_name from accounts_latest") == [("Old",)]


def test_a_correction_of_one_date_adds_a_row_and_keeps_the_first(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(balance("100", MARCH_31)))
    learnt = clock.now
    clock.advance(days=2)

    ledger.merge(batch(balance("98.50", MARCH_31)))

    assert ask(ledger, "select current_balance, recorded_at from balances order by load_id") == [
        (Decimal(100), learnt),
        (Decimal("98.50"), learnt + timedelta(days=2)),
    ]
    assert ask(ledger, LATEST) == [("acc_1", MARCH_31, Decimal("98.50"))]


def test_a_late_older_balance_is_kept_but_never_current(ledger: Ledger) -> None:
    ledger.merge(batch(balance("200", MARCH_31)))

    ledger.merge(batch(balance("100", MARCH_30)))

    assert ask(ledger, HISTORY) == [(MARCH_31, 200), (MARCH_30, 100)]
    assert ask(ledger, LATEST) == [("acc_1", MARCH_31, 200)]


def test_of_several_dates_in_one_batch_the_newest_is_current(ledger: Ledger) -> None:
    ledger.merge(batch(balance("3", APRIL_1), balance("1", MARCH_30), balance("2", MARCH_31)))

    assert ask(ledger, LATEST) == [("acc_1", APRIL_1, 3)]


def test_a_payload_that_differs_only_in_unstored_fields_adds_nothing(ledger: Ledger) -> None:
    ledger.merge(batch(balance(payload_digest="before")))

    merged = ledger.merge(batch(balance(payload_digest="after")))

    assert merged.added("balances") == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "12.00"), ("12.00", None), ("12.00", "12.01")],
)
def test_a_null_is_a_value_like_any_other(ledger: Ledger, before: str | None, after: str | None) -> None:
    first, second = (Decimal(amount) if amount else None for amount in (before, after))
    ledger.merge(batch(balance(available_balance=first)))
    ledger.merge(batch(balance(available_balance=first)))

    ledger.merge(batch(balance(available_balance=second)))

    assert ask(ledger, "select available_balance from balances order by load_id") == [(first,), (second,)]
    assert ask(ledger, "select available_balance from balances_latest") == [(second,)]


def test_tenants_with_the_same_ids_have_separate_histories(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1"), account()))

    merged = ledger.merge(batch(balance("1", tenant_id="jones"), account(tenant_id="jones")))

    assert merged.added("balances") == merged.added("accounts") == 1
    assert ask(ledger, "select tenant_id, current_balance from balances_latest order by 1") == [
        ("jones", 1),
        ("smith", 1),
    ]


def test_a_batch_cannot_hold_rows_of_another_tenant() -> None:
    with pytest.raises(AssertionError, match="a batch of smith holds rows of"):
        batch(balance(), balance(tenant_id="jones"), tenant_id="smith")


@pytest.mark.parametrize(
    "rows",
    [
        (balance("1"), balance("2")),
        (account(display_name="A"), account(display_name="B")),
        (put_aside(source_id=None), put_aside(source_id=None)),
    ],
    ids=["balances", "accounts", "quarantine without an id"],
)
def test_the_same_key_twice_is_refused_and_nothing_is_written(
    ledger: Ledger, rows: tuple[BalanceRow, BalanceRow]
) -> None:
    with pytest.raises(DuplicateKeys, match="more than once"):
        ledger.merge(batch(user(), *rows, telemetry=(event(),)))

    assert everything_in(ledger) == {}


def test_a_row_that_the_database_refuses_fails_the_whole_batch(ledger: Ledger) -> None:
    with pytest.raises(duckdb.ConstraintException):
        ledger.merge(batch(account(), balance(), user(status=None), telemetry=(event(),)))

    assert everything_in(ledger) == {}


def test_a_batch_merges_after_one_that_failed(ledger: Ledger) -> None:
    with pytest.raises(duckdb.ConstraintException):
        ledger.merge(batch(balance(), user(status=None)))

    merged = ledger.merge(batch(balance()))

    assert (merged.load_id, merged.added("balances")) == (1, 1)


def test_an_empty_batch_adds_only_its_load(ledger: Ledger) -> None:
    merged = ledger.merge(batch(synced=0))

    assert merged.counts == {}
    assert everything_in(ledger) == {"loads": 1, "chain": 1, "seals": 2}


def test_a_quarantined_record_is_stored_once_and_counted_each_time(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.merge(batch(put_aside("70"), put_aside(None, "d-4"), put_aside(None, "d-5"), failed=3))

    assert ask(ledger, "select source_id, payload_digest, load_id from quarantine order by 2") == [
        ("70", "d-3", 1),
        (None, "d-4", 1),
        (None, "d-5", 1),
    ]
    assert ask(ledger, "select load_id, quarantined, failed, added from loads order by 1") == [
        (1, 3, 3, 3),
        (2, 3, 3, 0),
    ]


def test_drift_is_recorded_once(ledger: Ledger) -> None:
    ledger.merge(batch(drift("vault"), drift("", "account.aura")))

    ledger.merge(batch(drift("vault"), drift("", "account.aura"), drift("chest")))

    assert ask(ledger, "select field, value, load_id from drift order by all") == [
        ("account.aura", "", 1),
        ("account.type", "chest", 2),
        ("account.type", "vault", 1),
    ]


def test_recorded_times_never_run_backwards_even_if_the_clock_does(ledger: Ledger, clock: SetClock) -> None:
    first = ledger.merge(batch(balance("1")))
    clock.advance(days=-3)

    second = ledger.merge(batch(balance("2")))
    third = ledger.merge(batch(balance("3")))

    assert first.recorded_at < second.recorded_at < third.recorded_at
    assert ask(ledger, "select recorded_at from balances order by load_id") == [
        (first.recorded_at,),
        (second.recorded_at,),
        (third.recorded_at,),
    ]
    assert ask(ledger, "select current_balance from balances_latest") == [(3,)]


def test_every_row_has_its_provenance(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(balance(), account(), connection(), user(), put_aside(), drift(), run_id="run-9"))

    provenance = "load_id, recorded_at, run_id, operation"
    for table in ("balances", "balances_current", "accounts", "connections", "users", "quarantine", "drift"):
        answer = ask(ledger, f"select {provenance} from {table}")  # noqa: S608
        assert answer == [(1, clock.now, "run-9", "openbanking.balances.refresh")], table


def test_a_load_is_logged_with_its_counts(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(balance("1"), synced=1))

    ledger.merge(
        batch(balance("1"), balance("2", APRIL_1), attempt=2, complete=False, synced=2, failed=1, run_id="run-2")
    )

    log = "select load_id, tenant_id, run_id, attempt, complete, offered, added, synced, failed from loads order by 1"
    assert ask(ledger, log) == [
        (1, "smith", "run-1", 1, True, 1, 1, 1, 0),
        (2, "smith", "run-2", 2, False, 2, 1, 2, 1),
    ]


def test_the_attempts_of_a_run_are_one_row_for_the_operator(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1"), complete=False, synced=1, failed=1))
    ledger.merge(batch(balance("1"), balance("2", account_id="acc_2"), attempt=2, synced=2))

    runs = ask(ledger, "select run_id, tenant_id, attempts, complete, added, synced, failed from runs")

    assert runs == [("run-1", "smith", 2, True, 2, 2, 0)]


def test_events_are_stored_with_their_load(ledger: Ledger) -> None:
    output = event(accountId="acc_1", refreshedAt="2026-03-31T05:00:00+00:00", balanceCount=2)

    ledger.merge(batch(balance(), telemetry=(output, output), run_id="run-3"))

    stored = ask(ledger, "select event, tenant_id, emitted_at, properties, load_id, run_id from telemetry")
    assert [(*row[:3], json.loads(row[3]), *row[4:]) for row in stored] == [
        ("openbanking.balances.refreshed", "smith", MARCH_31, dict(output.properties), 1, "run-3")
    ] * 2


def a_batch_of(tenant: str, figures: list[tuple[str, int, int]], con: duckdb.DuckDBPyConnection) -> int:
    """Merge balances of (account, day, amount), and return the number of added rows."""
    rows = [
        balance(Decimal(amount), MARCH_30 + timedelta(days=day), tenant_id=tenant, account_id=account_id)
        for account_id, day, amount in figures
    ]
    merged = apply(con, Batch(tenant, "run", "op", "1.0.0", 1, True, 0, 0, {BalanceRow: tuple(rows)}), MARCH_31)
    return merged.added("balances")


def a_new_tenant(con: duckdb.DuckDBPyConnection) -> str:
    loads = con.execute("select count(*) from loads").fetchone()
    assert loads is not None
    return f"tenant-{loads[0]}"


def current(con: duckdb.DuckDBPyConnection, tenant: str) -> dict[str, tuple[datetime, Decimal]]:
    rows = con.execute(
        "select account_id, as_of, current_balance from balances_latest where tenant_id = ?", [tenant]
    ).fetchall()
    return {account_id: (as_of.astimezone(UTC), amount) for account_id, as_of, amount in rows}


accounts = st.sampled_from(["acc_1", "acc_2", "acc_3"])
days = st.integers(0, 4)
amounts = st.integers(0, 3)
keys = st.tuples(accounts, days)


@settings(deadline=None, max_examples=30)
@given(facts=st.dictionaries(keys, amounts, min_size=1, max_size=12), data=st.data())
def test_any_order_of_arrival_ends_in_the_same_latest_state(
    con: duckdb.DuckDBPyConnection, facts: dict[tuple[str, int], int], data: st.DataObject
) -> None:
    figures = [(account_id, day, amount) for (account_id, day), amount in facts.items()]
    arrival = data.draw(st.permutations(figures))
    cut = data.draw(st.integers(0, len(figures)))
    tenant = a_new_tenant(con)

    for part in (arrival[:cut], arrival[cut:], arrival[: cut // 2]):
        a_batch_of(tenant, part, con)

    newest = {account_id: max(d for a, d in facts if a == account_id) for account_id, _ in facts}
    assert current(con, tenant) == {
        account_id: (MARCH_30 + timedelta(days=day), Decimal(facts[account_id, day]))
        for account_id, day in newest.items()
    }


@settings(deadline=None, max_examples=30)
@given(batches=st.lists(st.dictionaries(keys, amounts, max_size=5), min_size=1, max_size=6))
def test_a_row_is_added_exactly_when_it_differs_from_the_newest_of_its_key(
    con: duckdb.DuckDBPyConnection, batches: list[dict[tuple[str, int], int]]
) -> None:
    tenant = a_new_tenant(con)
    known: dict[tuple[str, int], int] = {}

    for facts in batches:
        added = a_batch_of(tenant, [(*key, amount) for key, amount in facts.items()], con)

        assert added == len(facts.items() - known.items())
        known |= facts
    newest = {account_id: max(d for a, d in known if a == account_id) for account_id, _ in known}
    assert current(con, tenant) == {
        account_id: (MARCH_30 + timedelta(days=day), Decimal(known[account_id, day]))
        for account_id, day in newest.items()
    }


def test_the_current_table_is_the_newest_of_the_history(ledger: Ledger) -> None:
    for amount, as_of in (("1", MARCH_31), ("2", MARCH_30), ("3", MARCH_31), ("4", APRIL_1), ("5", MARCH_31)):
        ledger.merge(batch(balance(amount, as_of), balance(amount, as_of, account_id="acc_2")))

    columns = ", ".join(column.name for column in table_of(BalanceRow).columns)
    newest = f"""
    select {columns} from balances
    qualify row_number() over (partition by tenant_id, account_id order by as_of desc, load_id desc) = 1 order by all
    """  # noqa: S608
    assert ask(ledger, newest) == ask(ledger, f"select {columns} from balances_latest order by all")  # noqa: S608
