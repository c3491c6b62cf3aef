"""The step refresh-balances: the newest balance of every enabled account, with its own date, exact or quarantined."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pfo_pipeline.ledger.schema import enter
from pfo_pipeline_tests.ledger.samples import opened
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, Household

BALANCES = "select current_balance, available_balance, available_basis from balances_latest order by 1"


@pytest.fixture
def synced(smith: Household) -> Household:
    """Jane has two accounts, 1 and 2, which the ledger knows."""
    smith.connect("jane", "1", "2")
    smith.sync()
    return smith


def figures(household: Household) -> list[Decimal | None]:
    return [account.current_balance for account in household.accounts()]


def test_the_newest_balance_of_each_account_is_recorded_with_the_banks_date(synced: Household) -> None:
    outcome = synced.refresh()

    assert (outcome.batch.synced, outcome.batch.failed, outcome.errors) == (2, 0, ())
    assert figures(synced) == [1, 2]
    last_success = synced.connections()[0].last_success_at
    assert last_success is not None
    assert {account.as_of for account in synced.accounts()} == {last_success - timedelta(seconds=1)}


def test_the_same_refresh_again_adds_nothing(synced: Household) -> None:
    synced.refresh()

    synced.refresh(run_id="run-2")

    assert synced.merged[-2].added("balances") == 2
    assert [count.added for count in synced.merged[-1].counts.values()] == [0] * len(synced.merged[-1].counts)


def test_the_next_days_balance_is_a_further_row(synced: Household) -> None:
    synced.refresh()
    synced.bank.advance(days=1)

    synced.refresh()

    assert synced.ask("select count(*), count(distinct as_of) from balances") == [(4, 2)]
    assert synced.ask("select count(*) from balances_latest") == [(2,)]


@pytest.mark.parametrize("last_update", ["2031-05-01 00:00:00", "1969-07-20 20:17:40"])
def test_an_impossible_date_is_quarantined_and_the_next_balance_is_current(synced: Household, last_update: str) -> None:
    synced.refresh()
    number = int(synced.accounts()[0].source_id)
    synced.bank.change_account(synced.domain, number, balance="7", verbatim={"last_update": last_update})

    outcome = synced.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)
    assert synced.ask("select source_id, split_part(reason, ':', 1) from quarantine") == [(str(number), "last_update")]
    assert figures(synced) == [1, 2]

    synced.bank.change_account(synced.domain, number, verbatim={"last_update": f"{synced.now:%Y-%m-%dT%H:%M:%S+00:00}"})
    synced.refresh()

    assert figures(synced)[0] == 7


def test_a_changed_currency_is_quarantined_until_a_person_accepts_it(synced: Household) -> None:
    synced.refresh()
    changed = synced.accounts()[0]
    synced.bank.change_account(synced.domain, int(changed.source_id), currency="USD", balance="7")
    synced.bank.advance(days=1)

    outcome = synced.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)
    assert synced.accounts()[0].current_balance == 1
    assert synced.ask("select source_id, split_part(reason, ';', 1) from quarantine") == [
        (changed.source_id, "currency: not the one until now")
    ]

    accepting = {"currency_changes": {changed.account_id: "USD"}}
    synced.tenant = synced.tenant.model_copy(update=accepting)
    synced.refresh()

    assert synced.ask("select currency, count(*) from balances group by 1 order by 1") == [("EUR", 3), ("USD", 1)]
    assert synced.accounts()[0].currency == "USD"


def test_the_first_balance_may_have_another_currency_than_the_account(synced: Household) -> None:
    number = int(synced.accounts()[0].source_id)
    synced.bank.change_account(synced.domain, number, currency="USD")

    outcome = synced.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (2, 0)


def test_a_connection_with_a_sync_in_the_future_is_not_healthy(synced: Household) -> None:
    number = int(synced.connections()[0].connection_id)
    synced.bank.change_connection(
        synced.domain, number, verbatim={"last_update": "2031-05-01 00:00:00", "created": "2020-05-01 00:00:00"}
    )

    synced.refresh()

    assert [(c.status, c.last_success_at) for c in synced.connections()] == [("silent", None)]


def test_a_failed_account_of_a_healthy_connection_is_counted_and_keeps_its_balance(synced: Household) -> None:
    account = synced.accounts()[0]
    synced.bank.change_account(synced.domain, int(account.source_id), error="websiteUnavailable")

    outcome = synced.refresh()

    assert outcome.errors == (f"account {account.account_id}: websiteUnavailable",)
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)
    assert synced.ask("select count(*) from balances") == [(2,)]


def test_a_correction_by_the_bank_of_the_same_date_is_a_further_row(synced: Household) -> None:
    synced.refresh()
    number = int(synced.accounts()[0].source_id)
    synced.bank.change_account(synced.domain, number, balance="1.05", moves=False)

    synced.refresh()

    assert figures(synced) == [Decimal("1.05"), 2]
    assert synced.ask("select count(*), count(distinct as_of) from balances") == [(3, 1)]


def test_the_available_balance_is_derived_with_its_basis(smith: Household) -> None:
    accounts: list[Any] = [
        {"balance": "1", "coming": "-0.30"},
        {"balance": "2", "coming": "-0.30", "verbatim": {"coming_balance": None}},
        {"balance": "3", "verbatim": {"coming_balance": None}},
        {"balance": "4", "verbatim": {"coming_balance": "5.5"}},
    ]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)
    smith.sync()

    smith.refresh()

    assert smith.ask(BALANCES) == [
        (1, Decimal("0.70"), "coming_balance"),
        (2, Decimal("1.70"), "balance+coming"),
        (3, None, None),
        (4, Decimal("5.5"), "coming_balance"),
    ]


@pytest.mark.parametrize("as_text", [False, True], ids=["numbers", "texts"])
def test_amounts_are_kept_digit_for_digit(smith: Household, as_text: bool) -> None:
    amounts = ["123456789012345678.1234567891", "-0.0001", "0.1", "0", "9" * 18 + ".99995"]
    accounts: list[Any] = [
        {"balance": amount, "numbers_as_strings": as_text, "verbatim": {"coming_balance": None}} for amount in amounts
    ]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)
    smith.sync()

    smith.refresh()

    assert figures(smith) == [Decimal(amount) for amount in amounts]


def test_zeros_at_the_end_of_an_amount_do_not_stop_a_refresh(synced: Household) -> None:
    """Regression: Arrow took 1.000… for too long a number, and one such amount failed the whole tenant."""
    number = int(synced.accounts()[0].source_id)
    synced.bank.change_account(synced.domain, number, verbatim={"balance": "1." + "0" * 60, "coming_balance": None})

    outcome = synced.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (2, 0)
    assert figures(synced) == [1, 2]


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"balance": "1" + "0" * 18}, "balance", "balance: 10^18 or more"),
    ({"balance": "0.12345678901"}, "balance", "balance: does not fit DECIMAL(38,10) without rounding"),
    ({"currency": None}, "balance", "currency: missing beside a balance"),
    ({"last_update": None}, "balance", "last_update: missing beside a balance, so the figure has no date"),
    ({"balance": {"odd": 1}}, "balance", "balance: not a number"),
    ({"balance": "twelve"}, "balance", "balance: not a number"),
    ({"last_update": 17}, "account", "last_update: not a date"),
]


def test_an_invalid_balance_is_quarantined_counted_once_and_leaves_the_rest(smith: Household) -> None:
    smith.connect("jane", *(str(number) for number in range(len(BROKEN) + 1)))
    smith.sync()
    accounts = smith.accounts()
    for account, (broken, _, _) in zip(accounts[1:], BROKEN, strict=True):
        smith.bank.change_account(smith.domain, int(account.source_id), verbatim=broken)

    outcome = smith.refresh()

    expected = [(a.source_id, record, reason) for a, (_, record, reason) in zip(accounts[1:], BROKEN, strict=True)]
    assert smith.ask("select source_id, record, reason from quarantine order by source_id") == expected
    assert (outcome.batch.synced, outcome.batch.failed) == (1, len(BROKEN))
    assert sorted(outcome.errors) == sorted(
        f"account {a.account_id}: quarantined, {reason}" for a, (*_, reason) in zip(accounts[1:], BROKEN, strict=True)
    )
    assert figures(smith) == [0, *[None] * len(BROKEN)]


def test_an_invalid_balance_leaves_the_previous_one(synced: Household) -> None:
    synced.refresh()
    number = int(synced.accounts()[0].source_id)
    synced.bank.change_account(synced.domain, number, verbatim={"balance": "1e40"})

    synced.refresh()

    assert figures(synced) == [1, 2]


def test_an_unknown_account_is_quarantined_until_it_is_synced(synced: Household) -> None:
    connection_id = int(synced.connections()[0].connection_id)
    number = synced.bank.add_account(synced.domain, connection_id, balance="3", moves=False)

    outcome = synced.refresh()

    assert synced.ask("select source_id, record, reason from quarantine") == [
        (str(number), "balance", "account: not synced yet; run the accounts sync")
    ]
    assert (outcome.batch.synced, outcome.batch.failed) == (2, 1)
    synced.sync()
    assert synced.refresh().batch.failed == 0
    assert figures(synced) == [1, 2, 3]


def test_an_account_without_a_balance_is_reported_and_the_others_are_refreshed(synced: Household) -> None:
    first = synced.accounts()[0]
    synced.bank.change_account(synced.domain, int(first.source_id), balance=None)

    outcome = synced.refresh()

    assert outcome.errors == (f"account {first.account_id}: Powens has no balance yet",)
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)
    assert synced.ask("select count(*) from quarantine") == [(0,)]


def test_an_account_that_is_no_longer_served_is_reported(synced: Household) -> None:
    first = synced.accounts()[0]
    synced.bank.delete_account(synced.domain, int(first.source_id))

    outcome = synced.refresh()

    assert outcome.errors == (
        f"account {first.account_id}: Powens no longer serves it; the next accounts sync records why",
    )
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)


def test_disabled_accounts_are_not_refreshed(smith: Household) -> None:
    accounts: list[Any] = [{"balance": "1", "moves": False}, {"disabled": True, "balance": "2"}]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)
    smith.sync()

    outcome = smith.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (1, 0)
    assert figures(smith) == [1, None]


@pytest.mark.parametrize("state", ["SCARequired", "websiteUnavailable"])
def test_a_balance_of_a_connection_with_an_error_is_kept_and_counted_as_failed(synced: Household, state: str) -> None:
    synced.bank.change_connection(synced.domain, int(synced.connections()[0].connection_id), state=state)

    outcome = synced.refresh()

    assert figures(synced) == [1, 2]
    assert (outcome.batch.synced, outcome.batch.failed) == (0, 2)
    assert sorted(outcome.errors) == sorted(f"account {account.account_id}: {state}" for account in synced.accounts())
    assert [c.state for c in synced.connections()] == [state]


def test_each_list_is_requested_once_for_any_number_of_accounts(synced: Household) -> None:
    synced.connect("jane", "3", "4", "5")
    synced.sync()

    with synced.asked() as asked:
        synced.refresh()

    assert asked == [("jane", ACCOUNTS), ("jane", CONNECTIONS)]


def test_no_bank_is_requested_to_refresh(synced: Household) -> None:
    before = len(synced.bank.journal(synced.domain))

    synced.refresh()

    assert {entry["method"] for entry in synced.bank.journal(synced.domain)[before:]} == {"GET"}


def test_a_tenant_without_accounts_has_nothing_to_refresh(smith: Household) -> None:
    outcome = smith.refresh()

    assert (outcome.batch.synced, outcome.batch.failed) == (0, 0)


@pytest.mark.parametrize(("hours", "is_told"), [(0.5, False), (20, True)])
def test_a_balance_with_a_future_date_is_reported_and_counts_from_its_read(
    smith: Household, hours: float, is_told: bool
) -> None:
    made = smith.connect("jane", "5")
    ahead = (smith.now + timedelta(hours=hours)).astimezone(ZoneInfo("Europe/Paris"))
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"last_update": f"{ahead:%Y-%m-%d %H:%M:%S}"})
    smith.sync()
    outcome = smith.refresh()

    assert outcome.drift.get("account.last_update=(ahead)", 0) == is_told
    [(total,)] = smith.ask("select current_balance from totals")
    with opened(smith.ledger) as con:
        enter(con)
        [(at_once,)] = con.execute(
            "select total from cash_position($at)", {"at": smith.now + timedelta(seconds=1)}
        ).fetchall()
    assert (total, at_once) == (5, 5)
