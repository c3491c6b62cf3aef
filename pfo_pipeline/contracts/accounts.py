"""The operations on bank accounts: `openbanking.accounts.sync`, `.list`, `.get`.

Source: ContractSpec open banking contracts, accounts, version 1.0.0.
"""

from pydantic import Field

from pfo_pipeline.contracts.model import (
    Message,
    Moment,
    Operation,
    Policy,
    Property,
    Telemetry,
    TelemetryEvent,
)
from pfo_pipeline.contracts.records import BankAccountRecord

OWNERS = ("@platform.finance",)
TAGS = ("open-banking", "powens", "accounts")
STABILITY = "experimental"

CONNECTION_HELP = 'The connection, by Powens\' number in quotes, such as "38".'
ACCOUNTS_HELP = "The accounts alone, by their ids in the ledger."
FORCE_HELP = "Have the bank itself asked first, at the member's own request, and wait up to four minutes for it."


class SyncAccountsInput(Message):
    tenant_id: str
    user_id: str | None = None
    connection_id: str = Field(description=CONNECTION_HELP)
    account_ids: tuple[str, ...] | None = Field(default=None, description=ACCOUNTS_HELP)
    force_full_refresh: bool | None = Field(default=None, description=FORCE_HELP)
    trigger_workflows: bool | None = None


class SyncAccountsOutput(Message):
    """`synced` counts accounts merged from a connection in order, `failed` those that could not be brought up to date."""

    synced: int
    failed: int
    errors: tuple[str, ...] | None = None
    next_sync_suggested_at: Moment | None = None


class ListAccountsInput(Message):
    tenant_id: str
    user_id: str
    connection_id: str | None = None
    include_balances: bool | None = None
    institution_id: str | None = None
    cursor: str | None = None
    page_size: int | None = Field(default=None, ge=1, le=1000)


class ListAccountsOutput(Message):
    accounts: tuple[BankAccountRecord, ...]
    next_cursor: str | None = None
    has_more: bool | None = None


class GetAccountInput(Message):
    """`include_latest_transactions` is part of the contract; transactions are not synced yet, so it is refused."""

    tenant_id: str
    account_id: str
    include_balances: bool | None = None
    include_latest_transactions: bool | None = None


SYNC_ACCOUNTS = Operation(
    key="openbanking.accounts.sync",
    version="1.0.0",
    kind="command",
    description="Initiate a synchronisation run to refresh bank account metadata from Powens.",
    goal="Keep canonical bank account records aligned with the external open banking provider.",
    context=(
        "Triggered by scheduled workflows or manual operator actions to reconcile account metadata prior to "
        "transaction/balance syncs."
    ),
    owners=OWNERS,
    tags=TAGS,
    stability=STABILITY,
    input=SyncAccountsInput,
    output=SyncAccountsOutput,
    policy=Policy(auth="admin"),
    telemetry=Telemetry(
        success=TelemetryEvent(
            key="openbanking.accounts.synced",
            properties=(
                Property("tenantId", "input", "tenant_id"),
                Property("connectionId", "input", "connection_id"),
                Property("synced", "output", "synced"),
                Property("failed", "output", "failed"),
            ),
        ),
        failure=TelemetryEvent(
            key="openbanking.accounts.sync_failed",
            properties=(
                Property("tenantId", "input", "tenant_id"),
                Property("connectionId", "input", "connection_id"),
                Property("error", "error"),
            ),
        ),
    ),
)

LIST_ACCOUNTS = Operation(
    key="openbanking.accounts.list",
    version="1.0.0",
    kind="query",
    description="List canonical bank accounts of a tenant's user.",
    goal="Expose canonical bank account records to dashboards, analytics and automation.",
    context="Used by Pocket Family Office UI surfaces and by the fetch step after each account synchronisation.",
    owners=OWNERS,
    tags=TAGS,
    stability=STABILITY,
    input=ListAccountsInput,
    output=ListAccountsOutput,
    policy=Policy(auth="user"),
)

GET_ACCOUNT = Operation(
    key="openbanking.accounts.get",
    version="1.0.0",
    kind="query",
    description="Retrieve one canonical bank account.",
    goal="Expose the details of a single bank account.",
    context="Used by Pocket Family Office UI surfaces that show one account.",
    owners=OWNERS,
    tags=TAGS,
    stability=STABILITY,
    input=GetAccountInput,
    output=BankAccountRecord,
    policy=Policy(auth="user"),
)
