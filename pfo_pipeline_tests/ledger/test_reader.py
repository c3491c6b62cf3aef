"""Reads for one tenant: the newest state, exact and in UTC, and never a row of another tenant."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pfo_pipeline.ledger.reader import Reader, published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_31,
    REFRESH,
    SetClock,
    account,
    balance,
    batch,
    connection,
    user,
)


def ids(reader: Reader, tenant_id: str = "smith", **filters: str | int | bool) -> list[str]:
    return [found.account_id for found in reader.accounts(tenant_id, **filters)]  # type: ignore[arg-type]


def test_an_account_is_read_with_its_newest_balance_and_connection(loaded: Ledger, clock: SetClock) -> None:
    loaded.merge(batch(account(), connection(), balance("1")))
    first = clock.now
    clock.advance(days=1)
    loaded.merge(
        batch(
            account(display_name="Joint"),
            connection(status="needs-person", state="SCARequired", who_acts="member", remedy="Confirm."),
            balance("2.50", APRIL_1, available_balance=Decimal("2.40"), available_basis="coming_balance"),
        )
    )

    (found,) = loaded.reader().accounts("smith")

    assert (found.display_name, found.current_balance, found.as_of) == ("Joint", Decimal("2.50"), APRIL_1)
    assert (found.available_balance, found.available_basis) == (Decimal("2.40"), "coming_balance")
    assert (found.created_at, found.updated_at, found.balance_recorded_at) == (first, clock.now, clock.now)
    assert (found.connection_status, found.last_success_at) == ("needs-person", MARCH_31)
    assert found.is_enabled


def test_an_account_without_a_balance_or_connection_is_read_with_nulls(loaded: Ledger) -> None:
    loaded.merge(batch(account(currency=None)))

    (found,) = loaded.reader().accounts("smith")

    assert (found.currency, found.current_balance, found.as_of, found.connection_status) == (None, None, None, None)


def test_times_are_in_utc(loaded: Ledger) -> None:
    loaded.merge(batch(account(), balance(), connection(), user()))
    reader = loaded.reader()

    moments = [
        reader.accounts("smith")[0].as_of,
        reader.accounts("smith")[0].created_at,
        reader.connections("smith")[0].next_try_at,
        reader.users("smith")[0].recorded_at,
    ]

    assert [moment.tzinfo for moment in moments if moment] == [UTC] * 4


def test_accounts_can_be_filtered_and_come_in_order(loaded: Ledger) -> None:
    loaded.merge(
        batch(
            account("acc_3", user_id="jane", connection_id="7", institution_id="b-1"),
            account("acc_1", user_id="jane", connection_id="8", institution_id="b-2"),
            account("acc_2", user_id="john", connection_id="9", institution_id="b-1"),
        )
    )
    reader = loaded.reader()

    assert ids(reader) == ["acc_1", "acc_2", "acc_3"]
    assert ids(reader, user_id="jane") == ["acc_1", "acc_3"]
    assert ids(reader, connection_id="9") == ["acc_2"]
    assert ids(reader, institution_id="b-1") == ["acc_2", "acc_3"]
    assert ids(reader, institution_id="b-1", user_id="jane") == ["acc_3"]
    assert ids(reader, account_id="acc_2") == ["acc_2"]
    assert ids(reader, account_id="acc_9") == []


def test_pages_of_accounts_join_without_gap_or_overlap(loaded: Ledger) -> None:
    loaded.merge(batch(*(account(f"acc_{number}") for number in range(5))))
    reader = loaded.reader()

    first = ids(reader, limit=2)
    second = ids(reader, limit=2, after=first[-1])
    third = ids(reader, limit=2, after=second[-1])

    assert first + second + third == [f"acc_{number}" for number in range(5)]
    assert ids(reader, after="acc_4") == []


def test_hidden_accounts_come_only_when_asked_for(loaded: Ledger) -> None:
    loaded.merge(batch(account("acc_1"), account("acc_2", disabled_at=MARCH_31), account("acc_3", deleted_at=MARCH_31)))
    reader = loaded.reader()

    assert ids(reader) == ["acc_1"]
    assert ids(reader, include_hidden=True) == ["acc_1", "acc_2", "acc_3"]
    assert [found.is_enabled for found in reader.accounts("smith", include_hidden=True)] == [True, False, False]


def test_an_account_that_was_hidden_comes_back_when_it_is_enabled(loaded: Ledger) -> None:
    loaded.merge(batch(account(disabled_at=MARCH_31)))

    loaded.merge(batch(account()))

    assert ids(loaded.reader()) == ["acc_1"]


def test_users_and_connections_are_read_in_their_newest_state(loaded: Ledger, clock: SetClock) -> None:
    loaded.merge(batch(user(status="unreachable", code="timeout"), connection(status="temporary")))
    clock.advance(hours=1)
    loaded.merge(batch(user(), connection()))

    reader = loaded.reader()

    assert [(u.user_id, u.status, u.code, u.recorded_at) for u in reader.users("smith")] == [
        ("jane", "ok", None, clock.now)
    ]
    assert [(c.connection_id, c.status) for c in reader.connections("smith")] == [("7", "healthy")]


def test_failures_are_those_of_the_newest_complete_load(loaded: Ledger) -> None:
    reader = loaded.reader()
    assert reader.failed_last("smith", REFRESH) == 0
    loaded.merge(batch(balance("1"), failed=3))
    loaded.merge(batch(balance("2"), failed=1, complete=False))
    loaded.merge(batch(balance("3"), failed=7, operation="openbanking.accounts.sync"))
    loaded.merge(batch(balance("4", tenant_id="jones"), failed=9))

    assert reader.failed_last("smith", REFRESH) == 3

    loaded.merge(batch(balance("5"), failed=0))
    assert reader.failed_last("smith", REFRESH) == 0


@pytest.fixture
def two_houses(ledger: Ledger) -> Ledger:
    """Two tenants with the same ids; everything of Jones has Jones in its text or is 31337."""
    ledger.merge(batch(account(), connection(), user(), balance("1"), failed=1))
    ledger.merge(
        batch(
            account(tenant_id="jones", institution_name="Jones Bank", display_name="Jones"),
            account("acc_2", tenant_id="jones", institution_name="Jones Bank", display_name="Jones"),
            connection(tenant_id="jones", institution_name="Jones Bank"),
            connection("9", tenant_id="jones", institution_name="Jones Bank"),
            user(tenant_id="jones", status="refused", remedy="Jones"),
            user("jim", tenant_id="jones", remedy="Jones"),
            balance("31337", tenant_id="jones"),
            balance("31337", APRIL_1, tenant_id="jones"),
            balance("31337", tenant_id="jones", account_id="acc_2"),
            failed=31337,
        )
    )
    ledger.publish()
    return ledger


@pytest.mark.parametrize("home", ["primary", "published"])
def test_no_read_returns_a_row_of_another_tenant(two_houses: Ledger, home: str) -> None:
    reader = two_houses.reader() if home == "primary" else published_reader(two_houses.files.published)

    answers: dict[str, Sequence[object]] = {
        "accounts": reader.accounts("smith", include_hidden=True),
        "one account": reader.accounts("smith", account_id="acc_1"),
        "one user": reader.accounts("smith", user_id="jane"),
        "one connection": reader.accounts("smith", connection_id="7"),
        "one institution": reader.accounts("smith", institution_id="b-1"),
        "connections": reader.connections("smith"),
        "users": reader.users("smith"),
        "failures": [reader.failed_last("smith", REFRESH)],
        "accounts frame": reader.frame("smith", "accounts").to_dict("records"),
        "balances frame": reader.frame("smith", "balances").to_dict("records"),
    }

    assert {name: len(answer) for name, answer in answers.items()} == dict.fromkeys(answers, 1)
    assert not [name for name, answer in answers.items() if "jones" in str(answer).lower() or "31337" in str(answer)]


def test_an_unknown_tenant_has_nothing(two_houses: Ledger) -> None:
    reader = two_houses.reader()

    assert reader.accounts("nobody", include_hidden=True) == []
    assert reader.connections("nobody") == []
    assert reader.users("nobody") == []
    assert reader.failed_last("nobody", REFRESH) == 0
    assert reader.frame("nobody", "accounts").empty
    assert reader.frame("nobody", "balances").empty


def test_a_tenant_is_a_value_and_never_a_piece_of_sql(two_houses: Ledger) -> None:
    assert ids(two_houses.reader(), "smith' or 'a' = 'a") == []


def test_the_tenants_that_have_a_load_are_listed(two_houses: Ledger, tmp_path: Path) -> None:
    assert two_houses.reader().tenants() == ["jones", "smith"]


def test_an_account_was_first_seen_when_its_own_tenant_saw_it(loaded: Ledger, clock: SetClock) -> None:
    loaded.merge(batch(account(tenant_id="jones")))
    clock.advance(days=1)

    loaded.merge(batch(account()))

    assert loaded.reader().accounts("smith")[0].created_at == clock.now
    assert loaded.reader().accounts("jones")[0].created_at == clock.now - timedelta(days=1)


def test_totals_by_day_include_an_account_without_news_and_no_loans(loaded: Ledger, clock: SetClock) -> None:
    loaded.merge(
        batch(
            account(),
            account("acc_2", source_id="71"),
            account("acc_3", source_id="72", account_type="loan"),
            balance("10.25", clock.now - timedelta(days=300)),
            balance("1", clock.now - timedelta(days=2), account_id="acc_2"),
            balance("2.50", clock.now - timedelta(hours=1), account_id="acc_2"),
            balance("-99", clock.now - timedelta(days=1), account_id="acc_3"),
        )
    )

    (found,) = loaded.reader().totals_by_day("smith", clock.now, 4)

    assert (found.currency, found.totals) == (
        "EUR",
        [Decimal(amount) for amount in ("10.25", "11.25", "11.25", "12.75")],
    )
