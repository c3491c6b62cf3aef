"""Lists, accounts and balances as a reader requests them: paged, filtered, exact, and of one tenant only."""

import base64
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.operations import (
    GetAccountInput,
    GetBalancesInput,
    GetBalancesOutput,
    ListAccountsInput,
    ListAccountsOutput,
)
from pfo_pipeline.contracts.records import BalanceType, BankAccountRecord
from pfo_pipeline.ledger.merge import apply
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.schema import bring_up_to_date
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.queries import QueryContext, get_account, get_balances, list_accounts
from pfo_pipeline_tests.ledger.samples import APRIL_1, MARCH_30, MARCH_31, account, balance, batch, connection

FIRST_SEEN = MARCH_30
LAST_CHANGED = MARCH_31


@pytest.fixture(scope="module")
def context() -> Iterator[QueryContext]:
    """Reads of tenant smith: Jane has acc_1 to acc_5, John acc_6; tenant jones has the same ids and one more."""
    with duckdb.connect() as con:
        bring_up_to_date(con, Path("memory"), "willow", MARCH_30)
        apply(
            con,
            batch(
                connection(),
                *(account(f"acc_{n}", display_name="First") for n in (1, 2)),
                account("acc_3", connection_id="8", institution_id="b-2"),
                account("acc_4", disabled_at=MARCH_31),
                account("acc_5", number="12", iban=None, ownership="co-owner", parent_account_id="acc_1"),
                account("acc_6", user_id="john", currency=None),
                balance("10.50", APRIL_1, available_balance=Decimal("9.25"), available_basis="balance+coming"),
                balance("-0.01", MARCH_31, account_id="acc_2"),
                balance("7", MARCH_31, account_id="acc_4"),
            ),
            FIRST_SEEN,
        )
        apply(con, batch(account("acc_1", display_name="Second")), LAST_CHANGED)
        jones = [account(f"acc_{n}", tenant_id="jones", display_name="Jones", deleted_at=None) for n in (1, 7)]
        apply(con, batch(*jones, balance("999", tenant_id="jones")), MARCH_31)
        yield QueryContext("smith", "user", Reader(lambda: nullcontext(con)))


def listed(context: QueryContext, **request: Any) -> ListAccountsOutput:
    return list_accounts(context, ListAccountsInput(**{"tenant_id": "smith", "user_id": "jane"} | request))


def ids(output: ListAccountsOutput) -> list[str]:
    return [record.id for record in output.accounts]


def one(context: QueryContext, account_id: str, **request: Any) -> BankAccountRecord:
    return get_account(context, GetAccountInput(tenant_id="smith", account_id=account_id, **request))


def balances(context: QueryContext, account_id: str, *types: BalanceType) -> GetBalancesOutput:
    return get_balances(
        context, GetBalancesInput(tenant_id="smith", account_id=account_id, balance_types=types or None)
    )


def test_a_list_has_the_users_enabled_accounts_by_id(context: QueryContext) -> None:
    output = listed(context)

    assert ids(output) == ["acc_1", "acc_2", "acc_3", "acc_5"]
    assert (output.has_more, output.next_cursor) == (False, None)


@settings(deadline=None, max_examples=6)
@given(size=st.integers(1, 6))
def test_pages_of_any_size_join_to_the_whole_list(context: QueryContext, size: int) -> None:
    found: list[str] = []
    cursor, more = None, True
    while more:
        page = listed(context, page_size=size, cursor=cursor)
        assert 1 <= len(page.accounts) <= size
        found += ids(page)
        cursor, more = page.next_cursor, bool(page.has_more)
        assert (cursor is not None) == more

    assert found == ids(listed(context))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"connection_id": "8"}, ["acc_3"]),
        ({"institution_id": "b-1"}, ["acc_1", "acc_2", "acc_5"]),
        ({"institution_id": "b-1", "connection_id": "8"}, []),
        ({"user_id": "john"}, ["acc_6"]),
        ({"user_id": "nobody"}, []),
    ],
)
def test_a_list_can_be_narrowed(context: QueryContext, filters: dict[str, str], expected: list[str]) -> None:
    assert ids(listed(context, **filters)) == expected


def test_a_filter_applies_to_the_next_page_too(context: QueryContext) -> None:
    first = listed(context, institution_id="b-1", page_size=2)

    second = listed(context, institution_id="b-1", page_size=2, cursor=first.next_cursor)

    assert (ids(first), ids(second)) == (["acc_1", "acc_2"], ["acc_5"])


@pytest.mark.parametrize(
    "cursor",
    ["", "acc_1", "not base64!", "é", base64.b64encode(b"\xff\xfe").decode(), base64.b64encode(b"acc_1").decode()],
)
def test_a_cursor_that_this_list_did_not_return_is_refused(context: QueryContext, cursor: str) -> None:
    with pytest.raises(OperationRefused, match="is not a cursor of this list; take nextCursor of the page before"):
        listed(context, cursor=cursor)


def test_a_cursor_of_another_tenant_shows_nothing_of_that_tenant(context: QueryContext) -> None:
    theirs = QueryContext("jones", "user", context.reader)
    cursor = listed(theirs, tenant_id="jones", page_size=1).next_cursor

    assert ids(listed(context, cursor=cursor)) == ["acc_2", "acc_3", "acc_5"]


def test_balances_are_in_the_list_on_request(context: QueryContext) -> None:
    without = listed(context).accounts[0]
    with_them = listed(context, include_balances=True).accounts

    assert (without.balance, without.available_balance) == (None, None)
    assert [(record.balance, record.available_balance) for record in with_them] == [
        (Decimal("10.50"), Decimal("9.25")),
        (Decimal("-0.01"), None),
        (None, None),
        (None, None),
    ]


def test_an_account_is_returned_complete_with_its_number_masked(context: QueryContext) -> None:
    record = one(context, "acc_1", include_balances=True)

    assert record.model_dump(by_alias=True, exclude_none=True) == {
        "id": "acc_1",
        "tenantId": "smith",
        "userId": "jane",
        "connectionId": "7",
        "externalId": "70",
        "institutionId": "b-1",
        "institutionName": "Banque Exemple",
        "iban": "FR7699999000820000011200012",
        "bic": "BEXAFRPPXXX",
        "accountType": "checking",
        "currency": "EUR",
        "displayName": "Second",
        "accountNumberMasked": "*******0112",
        "balance": Decimal("10.50"),
        "availableBalance": Decimal("9.25"),
        "lastSyncedAt": APRIL_1,
        "createdAt": FIRST_SEEN,
        "updatedAt": LAST_CHANGED,
        "metadata": {
            "accountClass": "cash",
            "usage": "PRIV",
            "ownership": "owner",
            "parentAccountId": None,
            "disabledAt": None,
            "deletedAt": None,
        },
    }


def test_a_short_number_is_masked_completely(context: QueryContext) -> None:
    assert one(context, "acc_5").account_number_masked == "**"


def test_a_hidden_account_can_be_read_by_its_id_and_is_marked_as_hidden(context: QueryContext) -> None:
    record = one(context, "acc_4")

    assert record.metadata is not None
    assert record.metadata["disabledAt"] == MARCH_31.isoformat()


def test_an_account_without_a_balance_was_last_synced_with_its_connection(context: QueryContext) -> None:
    assert one(context, "acc_5").last_synced_at == MARCH_31
    assert one(context, "acc_3").last_synced_at == FIRST_SEEN


@pytest.mark.parametrize("account_id", ["acc_9", "acc_7", "", "' or true --"])
def test_an_account_that_the_tenant_does_not_have_is_refused(context: QueryContext, account_id: str) -> None:
    with pytest.raises(OperationRefused, match="Tenant smith has no account"):
        one(context, account_id)
    with pytest.raises(OperationRefused, match="Tenant smith has no account"):
        balances(context, account_id)


def test_transactions_are_refused_while_there_are_none(context: QueryContext) -> None:
    with pytest.raises(OperationRefused, match="leave includeLatestTransactions out"):
        one(context, "acc_1", include_latest_transactions=True)


def test_current_and_available_are_two_balances(context: QueryContext) -> None:
    output = balances(context, "acc_1")

    assert output.as_of == APRIL_1
    current, available = output.balances
    assert (current.balance_type, current.current_balance, current.available_balance) == (
        "current",
        Decimal("10.50"),
        None,
    )
    assert (available.balance_type, available.current_balance, available.available_balance) == (
        "available",
        Decimal("10.50"),
        Decimal("9.25"),
    )
    assert (current.metadata, available.metadata) == (
        {"accountClass": "cash"},
        {"accountClass": "cash", "availableBasis": "balance+coming"},
    )
    assert {record.last_updated_at for record in output.balances} == {APRIL_1}
    assert {record.created_at for record in output.balances} == {FIRST_SEEN}
    assert current.id != available.id


@pytest.mark.parametrize(
    ("account_id", "types", "expected"),
    [
        ("acc_1", ("current",), ["current"]),
        ("acc_1", ("available",), ["available"]),
        ("acc_1", ("available", "current"), ["available", "current"]),
        ("acc_2", (), ["current"]),
        ("acc_2", ("available",), []),
        ("acc_3", (), []),
    ],
)
def test_only_requested_and_known_balance_types_are_returned(
    context: QueryContext, account_id: str, types: tuple[BalanceType, ...], expected: list[str]
) -> None:
    assert [record.balance_type for record in balances(context, account_id, *types).balances] == expected


def test_an_account_without_a_balance_has_no_date_either(context: QueryContext) -> None:
    assert balances(context, "acc_3").as_of is None


def test_no_query_answers_for_another_tenant(context: QueryContext) -> None:
    for call in (
        lambda: list_accounts(context, ListAccountsInput(tenant_id="jones", user_id="jane")),
        lambda: get_account(context, GetAccountInput(tenant_id="jones", account_id="acc_1")),
        lambda: get_balances(context, GetBalancesInput(tenant_id="jones", account_id="acc_1")),
    ):
        with pytest.raises(OperationRefused, match="This read is for tenant smith; it may not see another"):
            call()


def test_records_have_times_in_utc(context: QueryContext) -> None:
    record = one(context, "acc_1")

    assert {record.created_at.tzinfo, record.updated_at.tzinfo, record.last_synced_at.tzinfo} == {UTC}
