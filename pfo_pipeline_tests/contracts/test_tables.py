"""The ledger's tables as the contracts describe them: keys, facts, what is personal, what is money."""

from dataclasses import fields

import pytest

from pfo_pipeline.contracts.tables import (
    PROVENANCE,
    AccountRow,
    BalanceRow,
    ConnectionRow,
    DriftRow,
    QuarantineRow,
    Table,
    UserRow,
    table_of,
    tables,
)

each_table = pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)


def test_there_are_eleven_tables() -> None:
    assert [table.qualified_name for table in tables()] == [
        "ledger.tenants",
        "ledger.users",
        "ledger.connections",
        "ledger.accounts",
        "ledger.balances",
        "ledger.quarantine",
        "ledger.drift",
        "ledger.identities",
        "ledger.account_decisions",
        "ledger.account_proposals",
        "ledger.account_changes",
    ]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (UserRow, "tenant_id user_id"),
        (ConnectionRow, "tenant_id connection_id"),
        (AccountRow, "tenant_id account_id"),
        (BalanceRow, "tenant_id account_id as_of"),
        (QuarantineRow, "tenant_id record user_id source_id payload_digest"),
        (DriftRow, "tenant_id field value"),
    ],
)
def test_a_row_is_known_by_its_key(row: type, key: str) -> None:
    assert table_of(row).key == tuple(key.split())


def test_a_change_in_any_fact_of_a_balance_makes_a_new_row() -> None:
    assert table_of(BalanceRow).facts == (
        "connection_id",
        "source_id",
        "currency",
        "current_balance",
        "available_balance",
        "available_basis",
    )


def test_what_is_only_noted_once_has_no_facts() -> None:
    assert table_of(DriftRow).facts == ()


@each_table
def test_every_column_is_key_fact_or_proof_of_where_it_is_from(table: Table) -> None:
    names = {column.name for column in table.columns}
    proof = {"payload_digest", "provider_updated_at", "link", "rounded_from"} & names

    assert names == {*table.key, *table.facts} | proof
    assert not set(table.key) & set(table.facts)
    assert not set(table.facts) & proof


@each_table
def test_every_row_belongs_to_a_tenant(table: Table) -> None:
    assert table.columns[0].name == table.key[0] == "tenant_id"
    assert not table.columns[0].nullable


@each_table
def test_every_table_and_column_says_what_it_means(table: Table) -> None:
    assert table.description.endswith(".")
    assert all(column.description.endswith(".") for column in table.columns)


@pytest.mark.parametrize("row", [UserRow, ConnectionRow, AccountRow, BalanceRow, QuarantineRow, DriftRow])
def test_a_column_is_nullable_exactly_where_its_field_may_be_none(row: type) -> None:
    may_be_none = {field.name: "None" in str(field.type) for field in fields(row)}

    assert {column.name: column.nullable for column in table_of(row).columns} == may_be_none


def test_amounts_are_exact_decimals_and_nothing_else_is() -> None:
    decimals = {(t.name, c.name) for t in tables() for c in t.columns if c.type == "decimal(38,10)"}

    assert decimals == {("balances", "current_balance"), ("balances", "available_balance")}


def test_only_names_and_numbers_of_accounts_are_personal() -> None:
    personal = {(t.name, c.name) for t in tables() for c in t.columns if c.personal}

    assert personal == {("accounts", name) for name in ("display_name", "number", "iban", "bic")}


def test_every_row_can_be_traced_to_its_load_run_and_operation() -> None:
    assert [column.name for column in PROVENANCE] == ["load_id", "recorded_at", "run_id", "operation"]
    assert not any(column.nullable for column in PROVENANCE)
