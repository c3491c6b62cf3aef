"""Messages on the wire: camelCase, nothing unknown, moments in UTC, money as exact text."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pfo_pipeline.contracts.model import Message
from pfo_pipeline.contracts.operations import (
    GetAccountInput,
    GetBalancesInput,
    GetBalancesOutput,
    ListAccountsInput,
    ListAccountsOutput,
    RefreshBalancesInput,
    RefreshBalancesOutput,
    SyncAccountsInput,
    SyncAccountsOutput,
)
from pfo_pipeline.contracts.records import AccountBalanceRecord, BankAccountRecord, plain

steady = settings(derandomize=True, deadline=None)

ACCOUNT: dict[str, Any] = {
    "id": "acc_0123456789abcdef0123",
    "tenantId": "smith",
    "userId": "jane",
    "connectionId": "7",
    "externalId": "11",
    "institutionId": "338178e6-3d01-564f-9a7b-52ca442459bf",
    "institutionName": "Banque Exemple",
    "institutionLogoUrl": None,
    "iban": "FR7630006000011234567890189",
    "bic": "AGRIFRPP",
    "accountType": "checking",
    "currency": "EUR",
    "displayName": "Compte courant",
    "accountNumberMasked": "*******0189",
    "productCode": None,
    "balance": "7481.01",
    "availableBalance": "-0.0000000001",
    "lastSyncedAt": "2026-03-10T12:00:00Z",
    "createdAt": "2026-03-10T12:00:00Z",
    "updatedAt": "2026-03-10T12:00:00.123456Z",
    "metadata": {"usage": "PRIV", "parentAccountId": None},
}
BALANCE: dict[str, Any] = {
    "id": "acc_0123456789abcdef0123:2026-03-10T12:00:00+00:00:available",
    "accountId": "acc_0123456789abcdef0123",
    "tenantId": "smith",
    "connectionId": "7",
    "balanceType": "available",
    "currentBalance": "9999999999999999999999999999.9999999999",
    "availableBalance": "1000",
    "currency": "JPY",
    "lastUpdatedAt": "2026-03-10T12:00:00Z",
    "createdAt": "2026-03-10T12:00:00Z",
    "metadata": {"availableBasis": "balance+coming"},
}
WIRE_FORMS: list[tuple[type[Message], dict[str, Any]]] = [
    (
        SyncAccountsInput,
        {
            "tenantId": "smith",
            "userId": "jane",
            "connectionId": "7",
            "accountIds": ["11", "12"],
            "forceFullRefresh": True,
            "triggerWorkflows": False,
        },
    ),
    (
        SyncAccountsOutput,
        {"synced": 3, "failed": 1, "errors": ["connection 8"], "nextSyncSuggestedAt": "2026-03-11T03:00:00Z"},
    ),
    (
        ListAccountsInput,
        {
            "tenantId": "smith",
            "userId": "jane",
            "connectionId": "7",
            "includeBalances": True,
            "institutionId": "338178e6-3d01-564f-9a7b-52ca442459bf",
            "cursor": "YWNj",
            "pageSize": 100,
        },
    ),
    (ListAccountsOutput, {"accounts": [ACCOUNT], "nextCursor": "YWNj", "hasMore": True}),
    (
        GetAccountInput,
        {"tenantId": "smith", "accountId": "acc_1", "includeBalances": True, "includeLatestTransactions": False},
    ),
    (
        RefreshBalancesInput,
        {
            "tenantId": "smith",
            "accountId": "acc_1",
            "connectionId": "7",
            "balanceTypes": ["current", "available"],
            "forceRefresh": False,
        },
    ),
    (RefreshBalancesOutput, {"balances": [BALANCE], "refreshedAt": "2026-03-10T12:00:00Z", "errors": ["late"]}),
    (GetBalancesInput, {"tenantId": "smith", "accountId": "acc_1", "balanceTypes": ["current"]}),
    (GetBalancesOutput, {"balances": [BALANCE], "asOf": "2026-03-10T12:00:00Z"}),
    (BankAccountRecord, ACCOUNT),
    (AccountBalanceRecord, BALANCE),
]
each_wire_form = pytest.mark.parametrize(("kind", "wire"), WIRE_FORMS, ids=[kind.__name__ for kind, _ in WIRE_FORMS])

ledger_amounts = st.decimals(
    min_value=-(10**28) + 1,
    max_value=10**28 - 1,
    allow_nan=False,
    allow_infinity=False,
    places=10,
)


@each_wire_form
def test_the_wire_form_survives_a_round_trip(kind: type[Message], wire: dict[str, Any]) -> None:
    message = kind.model_validate(wire)

    assert message.model_dump(mode="json", by_alias=True) == wire
    assert json.loads(message.model_dump_json(by_alias=True)) == wire
    assert kind.model_validate_json(message.model_dump_json(by_alias=True)) == message


@each_wire_form
def test_the_example_above_fills_every_field(kind: type[Message], wire: dict[str, Any]) -> None:
    assert set(wire) == {field.alias for field in kind.model_fields.values()}


@each_wire_form
def test_a_message_is_written_in_python_by_its_snake_case_names(kind: type[Message], wire: dict[str, Any]) -> None:
    message = kind.model_validate(wire)

    assert kind(**{name: getattr(message, name) for name in kind.model_fields}) == message


@each_wire_form
def test_an_unknown_field_is_refused(kind: type[Message], wire: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="userNmae"):
        kind.model_validate(wire | {"userNmae": "jane"})


@each_wire_form
def test_a_message_does_not_change_once_it_is_made(kind: type[Message], wire: dict[str, Any]) -> None:
    message = kind.model_validate(wire)

    with pytest.raises(ValidationError, match="frozen"):
        setattr(message, next(iter(kind.model_fields)), "other")


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_page_holds_between_one_and_a_thousand_accounts(size: int) -> None:
    with pytest.raises(ValidationError, match="page_size"):
        ListAccountsInput(tenant_id="smith", user_id="jane", page_size=size)


def test_a_balance_is_current_or_available_and_nothing_else() -> None:
    with pytest.raises(ValidationError, match="balanceType"):
        AccountBalanceRecord.model_validate(BALANCE | {"balanceType": "closing"})


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="without a time zone"):
        GetBalancesOutput(balances=(), as_of=datetime(2026, 3, 31))  # noqa: DTZ001
    with pytest.raises(ValidationError, match="without a time zone"):
        GetBalancesOutput.model_validate({"balances": [], "asOf": "2026-03-31T00:00:00"})


@steady
@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_a_moment_of_any_offset_is_held_in_utc(wall: datetime, minutes: int) -> None:
    moment = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    held = GetBalancesOutput(balances=(), as_of=moment).as_of

    assert held == moment
    assert held is not None
    assert held.tzinfo is UTC


@steady
@given(ledger_amounts)
def test_an_amount_of_the_ledger_loses_no_digit_on_the_wire(amount: Decimal) -> None:
    record = AccountBalanceRecord.model_validate(BALANCE | {"currentBalance": amount})

    back = AccountBalanceRecord.model_validate_json(record.model_dump_json(by_alias=True))

    assert back.current_balance == amount


@steady
@given(ledger_amounts)
def test_an_amount_is_written_without_exponent_or_idle_zeros(amount: Decimal) -> None:
    text = plain(amount)

    assert Decimal(text) == amount
    assert not set(text) - set("-.0123456789")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("5210.3300000000", "5210.33"), ("5.2E+3", "5200"), ("1E-8", "0.00000001"), ("0.00", "0"), ("100", "100")],
)
def test_an_amount_reads_as_people_write_it(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


def test_a_binary_float_is_no_amount() -> None:
    with pytest.raises(ValidationError, match="binary float"):
        AccountBalanceRecord.model_validate(BALANCE | {"currentBalance": 0.1})


def test_a_json_number_with_a_point_is_no_amount_since_it_was_read_as_a_float() -> None:
    wire = json.dumps(BALANCE | {"currentBalance": "X"}).replace('"X"', "0.12345678901234567890")

    with pytest.raises(ValidationError, match="binary float"):
        AccountBalanceRecord.model_validate_json(wire)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "much"])
def test_what_is_not_a_finite_number_is_no_amount(amount: str) -> None:
    with pytest.raises(ValidationError, match="currentBalance"):
        AccountBalanceRecord.model_validate(BALANCE | {"currentBalance": amount})
