"""The Dagster definitions: the table of contents of the pipeline."""

from collections.abc import Mapping

import dagster as dg

from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.defs.assets import account_assets, balance_assets
from pfo_pipeline.defs.cash_page import cash_page
from pfo_pipeline.defs.checks import ledger_checks
from pfo_pipeline.defs.io_manager import LedgerIOManager
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.resources import OfficeResource, OpenBankingResource, TenantLockResource
from pfo_pipeline.defs.schedules import accounts_nightly, balances_by_day
from pfo_pipeline.defs.sensors import after_sync, alerts_sensor, send_alerts, tenants_sensor, webhooks_sensor
from pfo_pipeline.telemetry import is_json


def build_defs(
    *,
    accounts: Workflow = SYNC_OPENBANKING_ACCOUNTS,
    balances: Workflow = REFRESH_OPENBANKING_BALANCES,
    resources: Mapping[str, object] | None = None,
) -> dg.Definitions:
    """Build the pipeline for production, the command line and tests.

    Args:
        accounts, balances: The workflows; a test passes ones with shorter delays.
        resources: Replacements by resource key.
    """
    office = OfficeResource()
    return dg.Definitions(
        assets=[*account_assets(accounts), *balance_assets(balances), cash_page],
        asset_checks=ledger_checks(),
        jobs=[sync_openbanking_accounts, refresh_openbanking_balances, send_alerts],
        schedules=[accounts_nightly, balances_by_day],
        sensors=[tenants_sensor, after_sync, webhooks_sensor, alerts_sensor],
        resources={
            "office": office,
            "primary_open_banking": OpenBankingResource(office=office, tenant_lock=TenantLockResource(office=office)),
            "ledger": LedgerIOManager(office=office),
            **(resources or {}),
        },
        # Without a logger Dagster writes every event of every run to the terminal.
        loggers={"console": dg.json_console_logger if is_json() else dg.colored_console_logger},
        # A process per step costs two seconds each; these steps wait for the network, not for the processor.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
