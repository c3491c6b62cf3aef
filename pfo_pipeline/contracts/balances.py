"""The operations on balances: `openbanking.balances.refresh` and `.get`.

Source: ContractSpec open banking contracts, balances, version 1.0.0.
"""

from pydantic import Field

from pfo_pipeline.contracts.accounts import CONNECTION_HELP, FORCE_HELP, OWNERS, STABILITY
from pfo_pipeline.contracts.model import (
    Message,
    Moment,
    Operation,
    Policy,
    Property,
    Telemetry,
    TelemetryEvent,
)
from pfo_pipeline.contracts.records import AccountBalanceRecord, BalanceType

TAGS = ("open-banking", "powens", "balances")


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
    tags=TAGS,
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
    tags=TAGS,
    stability=STABILITY,
    input=GetBalancesInput,
    output=GetBalancesOutput,
    policy=Policy(auth="user"),
)
