"""The two workflows: the order of operations, their requirements, their retries.

Source: ContractSpec pocket-family-office workflows, version 1.0.0. `maxAttempts` counts the first attempt.
"""

from pfo_pipeline.contracts.model import Capability, Operation, Retry, Step, Workflow
from pfo_pipeline.contracts.operations import (
    GET_BALANCES,
    LIST_ACCOUNTS,
    OWNERS,
    REFRESH_BALANCES,
    STABILITY,
    SYNC_ACCOUNTS,
)

PRIMARY_OPEN_BANKING = "primaryOpenBanking"
POWENS_INTEGRATION = "openbanking.powens"

ACCOUNTS_READ = Capability("openbanking.accounts.read", "1.0.0")
BALANCES_READ = Capability("openbanking.balances.read", "1.0.0")
TRANSACTIONS_READ = Capability("openbanking.transactions.read", "1.0.0")
POWENS_CAPABILITIES = (ACCOUNTS_READ, BALANCES_READ, TRANSACTIONS_READ)

SYNC_OPENBANKING_ACCOUNTS = Workflow(
    key="pfo.workflow.sync-openbanking-accounts",
    version="1.0.0",
    title="Synchronise Open Banking Accounts",
    description=("Validates Powens connectivity and synchronises bank account metadata into the canonical ledger."),
    domain="finance",
    owners=OWNERS,
    tags=("open-banking", "powens", "automation"),
    stability=STABILITY,
    entry_step_id="sync-accounts",
    steps=(
        Step(
            id="sync-accounts",
            label="Sync Accounts",
            description="Refresh linked bank accounts via Powens and upsert canonical BankAccount records.",
            operation=SYNC_ACCOUNTS,
            required_integrations=(PRIMARY_OPEN_BANKING,),
            required_capabilities=(ACCOUNTS_READ,),
            retry=Retry(max_attempts=3, backoff="exponential", delay_ms=1_000),
        ),
        Step(
            id="fetch-accounts",
            label="Fetch Accounts",
            description="Retrieve the latest canonical account snapshot for downstream consumers.",
            operation=LIST_ACCOUNTS,
            required_integrations=(PRIMARY_OPEN_BANKING,),
            required_capabilities=(ACCOUNTS_READ,),
            retry=Retry(max_attempts=2, backoff="linear", delay_ms=750),
        ),
    ),
    transitions=(("sync-accounts", "fetch-accounts"),),
)

REFRESH_OPENBANKING_BALANCES = Workflow(
    key="pfo.workflow.refresh-openbanking-balances",
    version="1.0.0",
    title="Refresh Open Banking Balances",
    description="Refreshes balances for synced accounts to surface the latest cash positions in dashboards.",
    domain="finance",
    owners=OWNERS,
    tags=("open-banking", "powens", "automation"),
    stability=STABILITY,
    entry_step_id="refresh-balances",
    steps=(
        Step(
            id="refresh-balances",
            label="Refresh Balances",
            description="Trigger the Powens provider to obtain current and available balances.",
            operation=REFRESH_BALANCES,
            required_integrations=(PRIMARY_OPEN_BANKING,),
            required_capabilities=(BALANCES_READ,),
            retry=Retry(max_attempts=3, backoff="exponential", delay_ms=1_000),
        ),
        Step(
            id="fetch-balances",
            label="Fetch Balances",
            description="Load the canonical balance snapshots for downstream workflows and dashboards.",
            operation=GET_BALANCES,
            required_integrations=(PRIMARY_OPEN_BANKING,),
            required_capabilities=(BALANCES_READ,),
            retry=Retry(max_attempts=2, backoff="linear", delay_ms=750),
        ),
    ),
    transitions=(("refresh-balances", "fetch-balances"),),
)

WORKFLOWS: tuple[Workflow, ...] = (SYNC_OPENBANKING_ACCOUNTS, REFRESH_OPENBANKING_BALANCES)


def operations() -> tuple[Operation, ...]:
    """Return every operation that a workflow step runs, in order."""
    return tuple(step.operation for workflow in WORKFLOWS for step in workflow.steps)
