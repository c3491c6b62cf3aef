"""The command operations alone, for one connection or one account, as an operator may call them."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from pfo_pipeline.contracts.operations import (
    ListAccountsInput,
    RefreshBalancesInput,
    RefreshBalancesOutput,
    SyncAccountsInput,
    SyncAccountsOutput,
)
from pfo_pipeline.contracts.tables import AccountRow, BalanceRow, ConnectionRow, LedgerRow
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.queries import fetch_accounts, fetch_balances, list_accounts
from pfo_pipeline.operations.refresh import NoBalance, refresh_balances
from pfo_pipeline.operations.sync import CommandContext, sync_accounts
from pfo_pipeline.powens.errors import ServerFault
from pfo_pipeline_tests.ledger.samples import account, balance, batch
from pfo_pipeline_tests.operations.household import ACCOUNTS, Household

T = TypeVar("T")


def called(household: Household, call: Callable[[CommandContext], Coroutine[Any, Any, T]]) -> T:
    """Run one operation with its own session."""

    async def whole() -> T:
        async with household.banking.session(household.tenant, "by hand") as bank:
            return await call(household.command(bank))

    return asyncio.run(whole())


def synced(household: Household, **request: Any) -> tuple[SyncAccountsOutput, list[LedgerRow]]:
    asked = SyncAccountsInput(**{"tenant_id": "smith", "user_id": "jane"} | request)
    return called(household, lambda context: sync_accounts(context, asked))


def refreshed(household: Household, **request: Any) -> tuple[RefreshBalancesOutput, list[LedgerRow]]:
    account = household.accounts()[0]
    asked = RefreshBalancesInput(tenant_id="smith", account_id=account.account_id, **request)
    return called(household, lambda context: refresh_balances(context, asked, account))


def test_one_connection_is_synced_and_the_others_are_unchanged(smith: Household) -> None:
    wanted, _ = smith.connect("jane", "1", "2"), smith.connect("jane", "3")

    output, rows = synced(smith, connection_id=str(wanted.id))

    assert (output.synced, output.failed, output.errors) == (2, 0, None)
    assert [type(row) for row in rows] == [ConnectionRow, AccountRow, AccountRow]
    assert {row.source_id for row in rows if isinstance(row, AccountRow)} == {str(n) for n in wanted.account_ids}


def test_a_sync_suggests_the_time_of_the_next_one(smith: Household) -> None:
    made = smith.connect("jane", "1")

    output, rows = synced(smith, connection_id=str(made.id))

    (connection,) = [row for row in rows if isinstance(row, ConnectionRow)]
    assert output.next_sync_suggested_at == connection.next_try_at is not None


def test_only_requested_accounts_are_synced(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    _, rows = synced(smith, connection_id=str(made.id))
    wanted = next(row.account_id for row in rows if isinstance(row, AccountRow))

    output, rows = synced(smith, connection_id=str(made.id), account_ids=(wanted,))

    assert output.synced == 1
    assert [row.account_id for row in rows if isinstance(row, AccountRow)] == [wanted]


def test_a_connection_with_an_error_is_reported_with_its_state(smith: Household) -> None:
    made = smith.connect("jane", "1", "2", state="wrongpass")

    output, rows = synced(smith, connection_id=str(made.id))

    assert (output.synced, output.failed) == (0, 2)
    assert output.errors == (f"connection {made.id}: wrongpass",)
    assert len(rows) == 3


def test_an_unknown_connection_is_refused(smith: Household) -> None:
    with pytest.raises(OperationRefused, match="User jane of tenant smith has no connection 5"):
        synced(smith, connection_id="5")


@pytest.mark.parametrize("user_id", ["john", None])
def test_an_unknown_user_is_refused_and_the_known_ones_are_listed(smith: Household, user_id: str | None) -> None:
    with pytest.raises(OperationRefused, match=r"Tenant smith has no user .*\. Known users: jane\."):
        synced(smith, user_id=user_id, connection_id="5")


def test_a_failed_call_keeps_its_error_class(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.bank.fault("status", status=502, path=ACCOUNTS)

    with pytest.raises(ServerFault):
        synced(smith, connection_id=str(made.id))


def test_one_balance_is_read_as_it_is_now(smith: Household) -> None:
    smith.connect("jane", "12.30", "5")
    smith.sync()

    output, rows = refreshed(smith)

    assert [(b.balance_type, b.current_balance, b.available_balance) for b in output.balances] == [
        ("current", Decimal("12.3"), None),
        ("available", Decimal("12.3"), Decimal("12.3")),
    ]
    assert (output.refreshed_at, output.errors) == (smith.now, None)
    assert [type(row) for row in rows] == [BalanceRow]


def test_only_requested_balance_types_are_returned(smith: Household) -> None:
    smith.connect("jane", "1")
    smith.sync()

    output, rows = refreshed(smith, balance_types=("available",))

    assert [balance.balance_type for balance in output.balances] == ["available"]
    assert len(rows) == 1


def test_a_balance_of_a_connection_with_an_error_is_returned_with_its_state(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.sync()
    smith.bank.change_connection(smith.domain, made.id, state="SCARequired")

    output, _ = refreshed(smith)

    assert output.errors == (f"account {smith.accounts()[0].account_id}: SCARequired",)


def test_a_balance_whose_connection_is_gone_is_returned_with_that_error(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.sync()
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"id_connection": 999_999})

    output, _ = refreshed(smith)

    assert output.errors == (f"account {smith.accounts()[0].account_id}: its connection is gone",)


def test_a_quarantined_balance_is_returned_with_the_refusal(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.sync()
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": "1e40"})

    with pytest.raises(NoBalance, match=r"quarantined, balance: 10\^18 or more") as none:
        refreshed(smith)

    assert [row.tenant_id for row in none.value.rows] == ["smith"]


def test_the_accounts_read_back_are_those_of_every_member(family: Household) -> None:
    for member in ("jane", "john"):
        family.connect(member, *(str(number) for number in range(120)))
    family.connect("jane", *(str(number) for number in range(100)))
    family.sync()
    family.refresh()

    accounts = fetch_accounts(family.query(), family.tenant)

    assert accounts.records == 340
    assert accounts.tenant_id == "smith"
    assert accounts.oldest_as_of is not None
    assert accounts.newest_as_of is not None
    assert accounts.oldest_as_of <= accounts.newest_as_of < family.now


def test_accounts_on_more_than_one_page_are_all_read_back(smith: Household) -> None:
    oldest, newest = smith.now - timedelta(days=9), smith.now - timedelta(days=1)
    ids = [f"acc_{number:04}" for number in range(2_001)]
    dates = {ids[0]: newest, ids[-1]: oldest}
    figures = [balance("1", dates.get(each, newest), account_id=each, source_id=each) for each in ids]
    smith.ledger.merge(batch(*(account(each, source_id=each) for each in ids), *figures))

    for fetch in (fetch_accounts, fetch_balances):
        snapshot = fetch(smith.query(), smith.tenant)

        assert (snapshot.records, snapshot.oldest_as_of, snapshot.newest_as_of) == (2_001, oldest, newest)


def test_a_page_has_200_accounts_by_default(smith: Household) -> None:
    smith.ledger.merge(batch(*(account(f"acc_{number:03}", source_id=str(number)) for number in range(201))))

    page = list_accounts(smith.query(), ListAccountsInput(tenant_id="smith", user_id="jane"))

    assert (len(page.accounts), page.has_more) == (200, True)


def test_the_balances_read_back_are_those_of_the_enabled_accounts(smith: Household) -> None:
    accounts: list[Any] = [{"balance": "1"}, {"balance": "2", "disabled": True}, {"balance": None}]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)
    smith.sync()
    smith.refresh()

    snapshot = fetch_balances(smith.query(), smith.tenant)

    assert snapshot.records == 2
    assert snapshot.oldest_as_of == snapshot.newest_as_of == smith.accounts()[0].as_of


def test_a_tenant_with_nothing_is_an_empty_snapshot(smith: Household) -> None:
    for fetch in (fetch_accounts, fetch_balances):
        snapshot = fetch(smith.query(), smith.tenant)

        assert (snapshot.records, snapshot.oldest_as_of, snapshot.newest_as_of) == (0, None, None)
