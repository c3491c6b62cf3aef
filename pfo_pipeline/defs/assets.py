"""The four assets. Each is one step of a workflow: options from its contract, work in operations/, storage in the IO manager.

The workflows are arguments, so that a test can shorten their delays. Names, texts and policies come only from the workflows.
"""

from contextlib import AbstractContextManager

import dagster as dg

from pfo_pipeline.config import role_of_process
from pfo_pipeline.contracts.model import Step, Workflow
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.from_contract import ASSET_KEYS, BY_HAND, choice_of, step_asset
from pfo_pipeline.defs.io_manager import TABLES
from pfo_pipeline.defs.resources import OfficeResource, OpenBankingResource
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import authorize, require_integration
from pfo_pipeline.operations.queries import QueryContext, Snapshot, fetch_accounts, fetch_balances
from pfo_pipeline.operations.steps import Attempt, StepContext, StepOutcome, perform
from pfo_pipeline.telemetry import measured


def account_assets(workflow: Workflow) -> list[dg.AssetsDefinition]:
    """`accounts/synced` and `accounts/fetched`."""
    sync, fetch = workflow.step("sync-accounts"), workflow.step("fetch-accounts")

    @step_asset(workflow, sync, TABLES[sync.id], config_schema=BY_HAND)
    def accounts_synced(
        context: dg.AssetExecutionContext,
        office: OfficeResource,
        primary_open_banking: OpenBankingResource,
    ) -> dg.MaterializeResult[StepOutcome]:
        return _command(context, sync, office, primary_open_banking)

    @step_asset(workflow, fetch, TABLES[fetch.id])
    def accounts_fetched(
        context: dg.AssetExecutionContext,
        office: OfficeResource,
        primary_open_banking: OpenBankingResource,
    ) -> dg.MaterializeResult[Snapshot]:
        return _query(context, fetch, office, primary_open_banking)

    return [accounts_synced, accounts_fetched]


def balance_assets(workflow: Workflow) -> list[dg.AssetsDefinition]:
    """`balances/refreshed` and `balances/fetched`."""
    refresh, fetch = workflow.step("refresh-balances"), workflow.step("fetch-balances")
    accounts = ASSET_KEYS["fetch-accounts"]

    @step_asset(workflow, refresh, TABLES[refresh.id], after=accounts, config_schema=BY_HAND)
    def balances_refreshed(
        context: dg.AssetExecutionContext,
        office: OfficeResource,
        primary_open_banking: OpenBankingResource,
    ) -> dg.MaterializeResult[StepOutcome]:
        return _command(context, refresh, office, primary_open_banking)

    @step_asset(workflow, fetch, TABLES[fetch.id])
    def balances_fetched(
        context: dg.AssetExecutionContext,
        office: OfficeResource,
        primary_open_banking: OpenBankingResource,
    ) -> dg.MaterializeResult[Snapshot]:
        return _query(context, fetch, office, primary_open_banking)

    return [balances_refreshed, balances_fetched]


def _command(
    context: dg.AssetExecutionContext, step: Step, office: OfficeResource, slot: OpenBankingResource
) -> dg.MaterializeResult[StepOutcome]:
    with named_failures(step):
        number = context.retry_number + 1
        choice = choice_of(context)
        if choice.force:
            context.log.info(f"The bank of connection {choice.connection_id} is asked; up to four minutes.")
        step_context = StepContext(
            tenant=office.config().tenant(context.partition_key),
            role=role_of_process(),
            run_id=context.run.run_id,
            attempt=Attempt(number, is_last=number >= step.retry.max_attempts),
            banking=slot.banking(),
            ledger=office.ledger(),
            clock=utc_now,
            choice=choice,
        )
        with _measured(context, step):
            outcome = perform(step, step_context)
    return dg.MaterializeResult(value=outcome)


def _query(
    context: dg.AssetExecutionContext, step: Step, office: OfficeResource, slot: OpenBankingResource
) -> dg.MaterializeResult[Snapshot]:
    with named_failures(step):
        role = role_of_process()
        tenant = office.config().tenant(context.partition_key)
        authorize(step.operation, role)
        require_integration(step, slot.banking().binding(tenant))
        fetch = {"fetch-accounts": fetch_accounts, "fetch-balances": fetch_balances}[step.id]
        with _measured(context, step):
            snapshot = fetch(QueryContext(tenant.id, role, office.ledger().reader()), tenant)
    return dg.MaterializeResult(value=snapshot)


def _measured(context: dg.AssetExecutionContext, step: Step) -> AbstractContextManager[None]:
    about = {"tenant": context.partition_key, "operation": step.operation.key, "attempt": context.retry_number + 1}
    return measured("pfo.step", run_id=context.run.run_id, **about)
