"""Undocumented fields and values are accepted and reported, as words and never with personal data."""

from typing import Any

import pytest

from pfo_pipeline.contracts.tables import QuarantineRow
from pfo_pipeline.powens.mapping import parse
from pfo_pipeline.powens.models import Account, Connection
from pfo_pipeline.powens.schema_drift import (
    KNOWN_ACCOUNT_TYPES,
    NO_AMOUNT,
    NO_DATE,
    account_drift,
    connection_drift,
    misfits,
    unread_fields,
)
from pfo_pipeline.powens.states import KNOWN_STATES

# As documented, with the extra fields seen live.
ACCOUNT: dict[str, Any] = {
    "id": 17,
    "id_connection": 38,
    "id_user": 7,
    "id_source": 11,
    "id_parent": None,
    "number": "3002900000",
    "webid": "3002900000",
    "original_name": "Compte chèque",
    "name": "Compte chèque",
    "balance": "7481.01",
    "coming": None,
    "coming_balance": "7481.01",
    "formatted_balance": "7 481,01 €",
    "display": True,
    "last_update": "2026-03-10 12:00:00",
    "deleted": None,
    "disabled": None,
    "iban": "FR7630006000011234567890189",
    "bic": None,
    "currency": {"id": "EUR", "name": "Euro", "symbol": "€", "precision": 2, "prefix": False, "crypto": False},
    "type": "checking",
    "id_type": 2,
    "bookmarked": 0,
    "error": None,
    "usage": "PRIV",
    "ownership": "owner",
    "company_name": None,
    "loan": None,
    "opening_date": None,
    "information": {},
    "valuation": None,
    "diff": None,
    "diff_percent": None,
    "prev_diff": None,
    "prev_diff_percent": None,
    "calculated": [],
}
CONNECTION: dict[str, Any] = {
    "id": 38,
    "id_user": 7,
    "id_connector": 40,
    "id_provider": 40,
    "id_bank": 40,
    "connector_uuid": "338178e6-3d01-564f-9a7b-52ca442459bf",
    "state": None,
    "error": None,
    "error_message": None,
    "fields": None,
    "created": "2026-01-01 12:00:00",
    "last_update": "2026-03-10 12:00:00",
    "next_try": None,
    "last_push": None,
    "expire": None,
    "active": True,
    "connector": {"uuid": "338178e6-3d01-564f-9a7b-52ca442459bf", "name": "Banque Exemple", "slug": "BEX"},
    "sources": [{"id": 1, "name": "openapi", "state": None, "disabled": None, "access_expire": None}],
    "accounts": [],
}


def drift_of_account(**changes: object) -> set[tuple[str, str]]:
    return account_drift(Account.model_validate(ACCOUNT | changes))


def drift_of_connection(**changes: object) -> set[tuple[str, str]]:
    return connection_drift(Connection.model_validate(CONNECTION | changes))


def test_documented_fields_and_fields_seen_live_are_not_drift() -> None:
    assert drift_of_account() == set()
    assert drift_of_connection() == set()


@pytest.mark.parametrize("account_type", sorted(KNOWN_ACCOUNT_TYPES))
def test_a_documented_account_type_is_not_drift(account_type: str) -> None:
    assert drift_of_account(type=account_type) == set()


@pytest.mark.parametrize("state", sorted(KNOWN_STATES))
def test_a_documented_state_is_not_drift(state: str) -> None:
    assert drift_of_connection(state=state, sources=[{"state": state}]) == set()


def test_a_missing_value_is_not_drift() -> None:
    assert drift_of_account(type=None, usage=None, ownership=None) == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"type": "piggy_bank"}, {("account.type", "piggy_bank")}),
        ({"usage": "GOV"}, {("account.usage", "GOV")}),
        ({"error": "eclipse"}, {("account.error", "eclipse")}),
        ({"ownership": "heir"}, {("account.ownership", "heir")}),
        ({"refresh_tier": "gold"}, {("account.refresh_tier", "")}),
        ({"type": "piggy_bank", "aura": 1}, {("account.type", "piggy_bank"), ("account.aura", "")}),
    ],
)
def test_drift_of_an_account_is_reported_by_field(changes: dict[str, object], found: set[tuple[str, str]]) -> None:
    assert drift_of_account(**changes) == found


def test_drift_of_a_connection_is_reported_by_field() -> None:
    found = drift_of_connection(state="quantumRequired", sources=[{"state": "sleepy"}, {"state": "bug"}], mood="blue")

    assert found == {
        ("connection.state", "quantumRequired"),
        ("connection.state", "sleepy"),
        ("connection.mood", ""),
    }


def test_drift_within_a_record_is_reported_by_field() -> None:
    connector = CONNECTION["connector"] | {"mood": 1}
    sources = [CONNECTION["sources"][0] | {"mood": 1}, {"mood": 2}]

    assert drift_of_connection(connector=connector, sources=sources) == {("connector.mood", ""), ("source.mood", "")}
    assert drift_of_account(currency=ACCOUNT["currency"] | {"mood": 1}) == {("currency.mood", "")}


@pytest.mark.parametrize(
    "key",
    [
        "available_transfer_mechanisms",
        "transfer_beneficiary_types",
        "transfer_execution_date_types",
        "documents_type",
    ],
)
def test_fields_of_live_connectors_are_not_drift(key: str) -> None:
    assert drift_of_connection(connector=CONNECTION["connector"] | {key: []}) == set()


def test_a_quarantined_record_is_reported_by_its_wrong_fields() -> None:
    row = parse(Account, "smith", "jane", ACCOUNT | {"iban": 5, "currency": {"id": 5}})

    assert isinstance(row, QuarantineRow)
    assert misfits("account", row) == {
        ("account.iban", "(does not fit)"),
        ("account.currency.id", "(does not fit)"),
    }


def test_an_unreadable_date_or_announced_amount_is_reported_by_field() -> None:
    none = "0000-00-00 00:00:00"
    source = CONNECTION["sources"][0]
    connection = CONNECTION | {"created": none, "last_update": 5, "next_try": "soon", "expire": "0001-01-01 00:00:00"}
    connection |= {
        "sources": [source, source | {"last_update": none, "next_try": none, "access_expire": none, "disabled": none}]
    }
    account = ACCOUNT | {"disabled": "0001-01-01 00:00:00", "deleted": True, "coming": "soon", "coming_balance": [1]}

    assert unread_fields(Connection.model_validate(connection), connection) == {
        *((f"connection.{name}", NO_DATE) for name in ("created", "last_update", "next_try", "expire")),
        *((f"source.{name}", NO_DATE) for name in ("last_update", "next_try", "access_expire")),
    }
    assert unread_fields(Account.model_validate(account), account) == {
        ("account.disabled", NO_DATE),
        ("account.deleted", NO_DATE),
        ("account.coming", NO_AMOUNT),
        ("account.coming_balance", NO_AMOUNT),
    }


@pytest.mark.parametrize("expire", [None, "2026-07-01 14:00:00", "9999-12-31 23:59:59"])
def test_a_readable_or_missing_date_is_not_drift(expire: str | None) -> None:
    connection = CONNECTION | {"expire": expire, "sources": None}
    account = ACCOUNT | {"disabled": "2026-03-10 12:00:00", "deleted": expire}

    assert unread_fields(Connection.model_validate(connection), connection) == set()
    assert unread_fields(Account.model_validate(account), account) == set()


@pytest.mark.parametrize(
    "word", ["FR7630006000011234567890189 x", "Jane Smith", "jane@smith.example", "1234567890", "a" * 41, "", "é"]
)
def test_a_value_that_is_not_a_word_may_be_personal_and_is_not_kept(word: str) -> None:
    assert drift_of_account(type=word) == {("account.type", "(not a word)")}
    assert drift_of_account(**{word: 1}) == {("account.(not a word)", "")}


def test_values_of_unknown_fields_are_never_kept() -> None:
    assert "secret" not in str(drift_of_account(aura={"secret": "secret"}))
