"""The contracts of the operations on accounts and balances, and the freshness that an office requires.

Source: ContractSpec open banking contracts, accounts and balances, version 1.0.0. Freshness follows the Powens docs: Powens
syncs each connection every 24 hours by itself, so three days are two missed syncs, which is no coincidence.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pfo_pipeline.contracts.model import (
    Message,
    Moment,
    Operation,
    Policy,
    Property,
    Telemetry,
    TelemetryEvent,
)
from pfo_pipeline.contracts.records import AccountBalanceRecord, BalanceType, BankAccountRecord

OWNERS = ("@platform.finance",)
_ACCOUNT_TAGS = ("open-banking", "powens", "accounts")
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
    """`synced` counts merged accounts of healthy connections, `failed` those that could not be updated."""

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
    tags=_ACCOUNT_TAGS,
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
    tags=_ACCOUNT_TAGS,
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
    tags=_ACCOUNT_TAGS,
    stability=STABILITY,
    input=GetAccountInput,
    output=BankAccountRecord,
    policy=Policy(auth="user"),
)


_BALANCE_TAGS = ("open-banking", "powens", "balances")


class RefreshBalancesInput(Message):
    tenant_id: str
    account_id: str
    connection_id: str | None = Field(default=None, description=CONNECTION_HELP)
    balance_types: tuple[BalanceType, ...] | None = None
    force_refresh: bool | None = Field(default=None, description=FORCE_HELP)


class RefreshBalancesOutput(Message):
    balances: tuple[AccountBalanceRecord, ...]
    refreshed_at: Moment
    errors: tuple[str, ...] | None = None


class GetBalancesInput(Message):
    tenant_id: str
    account_id: str
    balance_types: tuple[BalanceType, ...] | None = None


class GetBalancesOutput(Message):
    balances: tuple[AccountBalanceRecord, ...]
    as_of: Moment | None = None


REFRESH_BALANCES = Operation(
    key="openbanking.balances.refresh",
    version="1.0.0",
    kind="command",
    description="Refresh balances for a bank account via the configured open banking provider.",
    goal="Ensure canonical balance records reflect the latest values from Powens.",
    context="Triggered by scheduled workflows before generating summaries or forecasting cashflow.",
    owners=OWNERS,
    tags=_BALANCE_TAGS,
    stability=STABILITY,
    input=RefreshBalancesInput,
    output=RefreshBalancesOutput,
    policy=Policy(auth="admin"),
    telemetry=Telemetry(
        success=TelemetryEvent(
            key="openbanking.balances.refreshed",
            properties=(
                Property("tenantId", "input", "tenant_id"),
                Property("accountId", "input", "account_id"),
                Property("refreshedAt", "output", "refreshed_at"),
                Property("balanceCount", "output", "balances", count=True),
            ),
        ),
        failure=TelemetryEvent(
            key="openbanking.balances.refresh_failed",
            properties=(
                Property("tenantId", "input", "tenant_id"),
                Property("accountId", "input", "account_id"),
                Property("error", "error"),
            ),
        ),
    ),
)

GET_BALANCES = Operation(
    key="openbanking.balances.get",
    version="1.0.0",
    kind="query",
    description="Retrieve the latest cached balances for a bank account.",
    goal="Expose current and available balances required by dashboards and analytics.",
    context=(
        "Used by Pocket Family Office UI surfaces and automation steps that require balance totals prior to "
        "generating summaries."
    ),
    owners=OWNERS,
    tags=_BALANCE_TAGS,
    stability=STABILITY,
    input=GetBalancesInput,
    output=GetBalancesOutput,
    policy=Policy(auth="user"),
)


ConnectionClass = Literal["consent", "credentials", "paused"]
"""How a connection gets balances: by a consent that expires (the bank's PSD2 interface), by stored credentials, or not by
itself, because automatic sync is off.
"""

Hours = Annotated[int, Field(ge=1, le=24 * 366, strict=True)]


class Freshness(BaseModel):
    """What counts as stale: a balance by the bank's own date, and a tenant by its last complete read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    hours: Hours = 72
    """For the balance of every account without another limit below."""
    account_types: Mapping[str, Hours] = Field(default_factory=dict)
    """Other limits by Powens account type, shorter or longer."""
    connection_classes: Mapping[ConnectionClass, Hours] = Field(default_factory=dict)
    """Other limits by connection: `consent`, `credentials` or `paused`. They lengthen a limit and never shorten it."""
    read_hours: Hours = 26
    """Maximum hours since a tenant was last read completely. `pfo health` warns after half of them."""

    @model_validator(mode="before")
    @classmethod
    def _without_error_budget(cls, section: object) -> object:
        """Ignore `error_budget_percent`, a key of release 0.1.0 that has no effect any more."""
        if isinstance(section, Mapping):
            return {key: value for key, value in section.items() if key != "error_budget_percent"}
        return section

    def limit(self, account_type: str, connection_class: str | None) -> timedelta:
        """Return the maximum age of a balance of this account type and connection class."""
        by_type = self.account_types.get(account_type, self.hours)
        by_class = next((hours for name, hours in self.connection_classes.items() if name == connection_class), 0)
        return timedelta(hours=max(by_type, by_class))
