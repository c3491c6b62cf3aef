"""The contracts say what the five specification documents say, word for word.

The expected values are typed here as they stand in the documents, not computed from the code. What no document shows
(`accounts.list`, `accounts.get`, fields of messages, event keys) is typed as in the public ContractSpec sources.
"""

import pytest

from pfo_pipeline.contracts.model import Capability, Message, Operation, Step, TelemetryEvent, Workflow
from pfo_pipeline.contracts.operations import GET_ACCOUNT, GET_BALANCES, LIST_ACCOUNTS, REFRESH_BALANCES, SYNC_ACCOUNTS
from pfo_pipeline.contracts.records import AccountBalanceRecord, BankAccountRecord
from pfo_pipeline.contracts.workflows import (
    POWENS_CAPABILITIES,
    POWENS_INTEGRATION,
    REFRESH_OPENBANKING_BALANCES,
    SYNC_OPENBANKING_ACCOUNTS,
    WORKFLOWS,
    operations,
)

OPERATIONS = (SYNC_ACCOUNTS, LIST_ACCOUNTS, GET_ACCOUNT, REFRESH_BALANCES, GET_BALANCES)


def key_of(contract: Operation | Workflow) -> str:
    return contract.key


def names_and_origins(event: TelemetryEvent) -> list[tuple[str, str, str]]:
    return [(p.name, p.source, f"{p.field}.length" if p.count else p.field) for p in event.properties]


def test_accounts_sync_says_what_its_document_says() -> None:
    assert SYNC_ACCOUNTS.key == "openbanking.accounts.sync"
    assert SYNC_ACCOUNTS.version == "1.0.0"
    assert SYNC_ACCOUNTS.kind == "command"
    assert SYNC_ACCOUNTS.description == "Initiate a synchronisation run to refresh bank account metadata from Powens."
    assert SYNC_ACCOUNTS.goal == "Keep canonical bank account records aligned with the external open banking provider."
    assert SYNC_ACCOUNTS.context == (
        "Triggered by scheduled workflows or manual operator actions to reconcile account metadata prior to "
        "transaction/balance syncs."
    )
    assert SYNC_ACCOUNTS.owners == ("@platform.finance",)
    assert SYNC_ACCOUNTS.tags == ("open-banking", "powens", "accounts")
    assert SYNC_ACCOUNTS.stability == "experimental"
    assert SYNC_ACCOUNTS.policy.auth == "admin"


def test_accounts_sync_reports_exactly_the_properties_of_its_document() -> None:
    assert SYNC_ACCOUNTS.telemetry is not None
    success, failure = SYNC_ACCOUNTS.telemetry.success, SYNC_ACCOUNTS.telemetry.failure

    assert success.key == "openbanking.accounts.synced"
    assert names_and_origins(success) == [
        ("tenantId", "input", "tenant_id"),
        ("connectionId", "input", "connection_id"),
        ("synced", "output", "synced"),
        ("failed", "output", "failed"),
    ]
    assert failure.key == "openbanking.accounts.sync_failed"
    assert names_and_origins(failure) == [
        ("tenantId", "input", "tenant_id"),
        ("connectionId", "input", "connection_id"),
        ("error", "error", ""),
    ]


def test_balances_refresh_says_what_its_document_says() -> None:
    assert REFRESH_BALANCES.key == "openbanking.balances.refresh"
    assert REFRESH_BALANCES.version == "1.0.0"
    assert REFRESH_BALANCES.kind == "command"
    assert (
        REFRESH_BALANCES.description == "Refresh balances for a bank account via the configured open banking provider."
    )
    assert REFRESH_BALANCES.goal == "Ensure canonical balance records reflect the latest values from Powens."
    assert (
        REFRESH_BALANCES.context
        == "Triggered by scheduled workflows before generating summaries or forecasting cashflow."
    )
    assert REFRESH_BALANCES.owners == ("@platform.finance",)
    assert REFRESH_BALANCES.tags == ("open-banking", "powens", "balances")
    assert REFRESH_BALANCES.stability == "experimental"
    assert REFRESH_BALANCES.policy.auth == "admin"


def test_balances_refresh_reports_exactly_the_properties_of_its_document() -> None:
    assert REFRESH_BALANCES.telemetry is not None
    success, failure = REFRESH_BALANCES.telemetry.success, REFRESH_BALANCES.telemetry.failure

    assert success.key == "openbanking.balances.refreshed"
    assert names_and_origins(success) == [
        ("tenantId", "input", "tenant_id"),
        ("accountId", "input", "account_id"),
        ("refreshedAt", "output", "refreshed_at"),
        ("balanceCount", "output", "balances.length"),
    ]
    assert failure.key == "openbanking.balances.refresh_failed"
    assert names_and_origins(failure) == [
        ("tenantId", "input", "tenant_id"),
        ("accountId", "input", "account_id"),
        ("error", "error", ""),
    ]


def test_balances_get_says_what_its_document_says() -> None:
    assert GET_BALANCES.key == "openbanking.balances.get"
    assert GET_BALANCES.version == "1.0.0"
    assert GET_BALANCES.kind == "query"
    assert GET_BALANCES.description == "Retrieve the latest cached balances for a bank account."
    assert GET_BALANCES.goal == "Expose current and available balances required by dashboards and analytics."
    assert GET_BALANCES.context == (
        "Used by Pocket Family Office UI surfaces and automation steps that require balance totals prior to "
        "generating summaries."
    )
    assert GET_BALANCES.owners == ("@platform.finance",)
    assert GET_BALANCES.tags == ("open-banking", "powens", "balances")
    assert GET_BALANCES.stability == "experimental"
    assert GET_BALANCES.policy.auth == "user"
    assert GET_BALANCES.telemetry is None


@pytest.mark.parametrize(
    ("operation", "key"),
    [(LIST_ACCOUNTS, "openbanking.accounts.list"), (GET_ACCOUNT, "openbanking.accounts.get")],
    ids=["list", "get"],
)
def test_the_account_queries_are_open_to_users_and_report_nothing(operation: Operation, key: str) -> None:
    assert (operation.key, operation.version, operation.kind) == (key, "1.0.0", "query")
    assert operation.owners == ("@platform.finance",)
    assert operation.tags == ("open-banking", "powens", "accounts")
    assert operation.stability == "experimental"
    assert operation.policy.auth == "user"
    assert operation.telemetry is None
    assert all((operation.description, operation.goal, operation.context))


def test_the_accounts_workflow_says_what_its_document_says() -> None:
    workflow = SYNC_OPENBANKING_ACCOUNTS

    assert workflow.key == "pfo.workflow.sync-openbanking-accounts"
    assert workflow.version == "1.0.0"
    assert workflow.title == "Synchronise Open Banking Accounts"
    assert workflow.description == (
        "Validates Powens connectivity and synchronises bank account metadata into the canonical ledger."
    )
    assert workflow.domain == "finance"
    assert workflow.owners == ("@platform.finance",)
    assert workflow.tags == ("open-banking", "powens", "automation")
    assert workflow.stability == "experimental"
    assert workflow.entry_step_id == "sync-accounts"
    assert [step.id for step in workflow.steps] == ["sync-accounts", "fetch-accounts"]
    assert workflow.transitions == (("sync-accounts", "fetch-accounts"),)


def test_the_balances_workflow_says_what_its_document_says() -> None:
    workflow = REFRESH_OPENBANKING_BALANCES

    assert workflow.key == "pfo.workflow.refresh-openbanking-balances"
    assert workflow.version == "1.0.0"
    assert workflow.title == "Refresh Open Banking Balances"
    assert workflow.description == (
        "Refreshes balances for synced accounts to surface the latest cash positions in dashboards."
    )
    assert workflow.domain == "finance"
    assert workflow.owners == ("@platform.finance",)
    assert workflow.tags == ("open-banking", "powens", "automation")
    assert workflow.stability == "experimental"
    assert workflow.entry_step_id == "refresh-balances"
    assert [step.id for step in workflow.steps] == ["refresh-balances", "fetch-balances"]
    assert workflow.transitions == (("refresh-balances", "fetch-balances"),)


@pytest.mark.parametrize(
    ("step", "label", "description", "operation_key", "capability", "retry"),
    [
        (
            SYNC_OPENBANKING_ACCOUNTS.step("sync-accounts"),
            "Sync Accounts",
            "Refresh linked bank accounts via Powens and upsert canonical BankAccount records.",
            "openbanking.accounts.sync",
            "openbanking.accounts.read",
            (3, "exponential", 1_000),
        ),
        (
            SYNC_OPENBANKING_ACCOUNTS.step("fetch-accounts"),
            "Fetch Accounts",
            "Retrieve the latest canonical account snapshot for downstream consumers.",
            "openbanking.accounts.list",
            "openbanking.accounts.read",
            (2, "linear", 750),
        ),
        (
            REFRESH_OPENBANKING_BALANCES.step("refresh-balances"),
            "Refresh Balances",
            "Trigger the Powens provider to obtain current and available balances.",
            "openbanking.balances.refresh",
            "openbanking.balances.read",
            (3, "exponential", 1_000),
        ),
        (
            REFRESH_OPENBANKING_BALANCES.step("fetch-balances"),
            "Fetch Balances",
            "Load the canonical balance snapshots for downstream workflows and dashboards.",
            "openbanking.balances.get",
            "openbanking.balances.read",
            (2, "linear", 750),
        ),
    ],
    ids=["sync-accounts", "fetch-accounts", "refresh-balances", "fetch-balances"],
)
def test_a_step_says_what_its_document_says(
    step: Step, label: str, description: str, operation_key: str, capability: str, retry: tuple[int, str, int]
) -> None:
    assert step.label == label
    assert step.description == description
    assert (step.operation.key, step.operation.version) == (operation_key, "1.0.0")
    assert step.required_integrations == ("primaryOpenBanking",)
    assert step.required_capabilities == (Capability(capability, "1.0.0"),)
    assert (step.retry.max_attempts, step.retry.backoff, step.retry.delay_ms) == retry


def test_there_are_two_workflows_and_their_operations_in_order() -> None:
    assert [workflow.key for workflow in WORKFLOWS] == [
        "pfo.workflow.sync-openbanking-accounts",
        "pfo.workflow.refresh-openbanking-balances",
    ]
    assert [operation.key for operation in operations()] == [
        "openbanking.accounts.sync",
        "openbanking.accounts.list",
        "openbanking.balances.refresh",
        "openbanking.balances.get",
    ]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=key_of)
def test_a_workflow_starts_at_its_entry_and_its_arrows_join_its_own_steps(workflow: Workflow) -> None:
    first, second = workflow.steps

    assert workflow.entry_step_id == first.id
    assert workflow.upstream(first.id) == ()
    assert workflow.upstream(second.id) == (first.id,)
    assert workflow.step(second.id) is second


def test_a_step_that_a_workflow_does_not_have_is_not_found() -> None:
    with pytest.raises(KeyError):
        SYNC_OPENBANKING_ACCOUNTS.step("sync-transactions")


def test_powens_provides_the_three_read_capabilities() -> None:
    assert POWENS_INTEGRATION == "openbanking.powens"
    assert [(capability.key, capability.version) for capability in POWENS_CAPABILITIES] == [
        ("openbanking.accounts.read", "1.0.0"),
        ("openbanking.balances.read", "1.0.0"),
        ("openbanking.transactions.read", "1.0.0"),
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=key_of)
def test_only_what_an_operation_has_is_reported(operation: Operation) -> None:
    if operation.telemetry is None:
        return
    sides = {"input": operation.input, "output": operation.output}
    for event in (operation.telemetry.success, operation.telemetry.failure):
        for wanted in event.properties:
            assert wanted.source == "error" or wanted.field in sides[wanted.source].model_fields


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (
            SYNC_ACCOUNTS.input,
            "tenantId userId? connectionId accountIds? forceFullRefresh? triggerWorkflows?",
        ),
        (SYNC_ACCOUNTS.output, "synced failed errors? nextSyncSuggestedAt?"),
        (
            LIST_ACCOUNTS.input,
            "tenantId userId connectionId? includeBalances? institutionId? cursor? pageSize?",
        ),
        (LIST_ACCOUNTS.output, "accounts nextCursor? hasMore?"),
        (GET_ACCOUNT.input, "tenantId accountId includeBalances? includeLatestTransactions?"),
        (REFRESH_BALANCES.input, "tenantId accountId connectionId? balanceTypes? forceRefresh?"),
        (REFRESH_BALANCES.output, "balances refreshedAt errors?"),
        (GET_BALANCES.input, "tenantId accountId balanceTypes?"),
        (GET_BALANCES.output, "balances asOf?"),
        (
            BankAccountRecord,
            "id tenantId userId connectionId externalId institutionId institutionName institutionLogoUrl? iban? bic? "
            "accountType currency displayName accountNumberMasked? productCode? balance? availableBalance? "
            "lastSyncedAt createdAt updatedAt metadata?",
        ),
        (
            AccountBalanceRecord,
            "id accountId tenantId connectionId balanceType currentBalance availableBalance? currency lastUpdatedAt "
            "createdAt metadata?",
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_message_has_exactly_the_fields_of_its_contract(message: type[Message], fields: str) -> None:
    wire = {
        (field.alias or name) + ("" if field.is_required() else "?") for name, field in message.model_fields.items()
    }

    assert wire == set(fields.split())


def test_an_account_is_returned_as_its_record() -> None:
    assert GET_ACCOUNT.output is BankAccountRecord
