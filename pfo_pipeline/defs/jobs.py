"""One job per workflow, with the workflow's name and its steps in order, followed by the cash page."""

from typing import Any

import dagster as dg

from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.defs.from_contract import asset_keys, job_name


def _workflow_job(workflow: Workflow) -> Any:
    return dg.define_asset_job(
        name=job_name(workflow),
        description=f"{workflow.title}. {workflow.description}\n\nContract: `{workflow.key}` {workflow.version}",
        selection=dg.AssetSelection.assets(*asset_keys(workflow)),
        tags={"pfo/workflow": workflow.key, "pfo/stability": workflow.stability},
    )


sync_openbanking_accounts = _workflow_job(SYNC_OPENBANKING_ACCOUNTS)
refresh_openbanking_balances = _workflow_job(REFRESH_OPENBANKING_BALANCES)
