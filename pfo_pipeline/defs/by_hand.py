"""Options for a run that a person starts: the launchpad's fields, and the same for the command line."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.operations import SyncAccountsInput
from pfo_pipeline.defs.options import ASSET_KEYS
from pfo_pipeline.operations.selection import Choice

_CONTRACT = SyncAccountsInput.model_fields


BY_HAND: Mapping[str, dg.Field] = {
    "connection_id": dg.Field(
        dg.Noneable(str), default_value=None, description=f"{_CONTRACT['connection_id'].description} Else all."
    ),
    "account_ids": dg.Field(
        dg.Noneable([str]), default_value=None, description=f"{_CONTRACT['account_ids'].description} Else all."
    ),
    "force": dg.Field(
        bool, default_value=False, description=f"{_CONTRACT['force_full_refresh'].description} Only with connection_id."
    ),
    "member_present": dg.Field(
        bool,
        default_value=False,
        description="The member is there to answer the bank, which may start a strong authentication. Only with force.",
    ),
}
"""Without options a run covers everything of the tenant, as schedules and sensors do.

Not a `dg.Config`: its text fields also accept `{env: NAME}`, and an error would show the value of that variable.
"""


def choice_of(context: dg.AssetExecutionContext) -> Choice:
    fields = context.op_execution_context.op_config
    return Choice(
        connection_id=fields["connection_id"] or None,
        account_ids=tuple(fields["account_ids"] or ()),
        force=fields["force"],
        member_present=fields["member_present"],
    )


def run_config(workflow: Workflow, choice: Choice) -> dict[str, Any]:
    """Run config with a choice for the step of a workflow that reads the bank."""
    fields = {
        "connection_id": choice.connection_id,
        "account_ids": list(choice.account_ids),
        "force": choice.force,
        "member_present": choice.member_present,
    }
    return {"ops": {"__".join(ASSET_KEYS[workflow.entry_step_id].path): {"config": fields}}}
