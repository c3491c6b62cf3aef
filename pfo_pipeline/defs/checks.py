"""What is true of a tenant when all is well, asked of the ledger after a run: a partial failure leaves the run green.

A check shows the tenant that ran last; it warns and never blocks, so that no tenant holds up another.
"""

import dagster as dg

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.options import ASSET_KEYS
from pfo_pipeline.defs.resources import PARTITION_TAG, OfficeResource
from pfo_pipeline.ledger.reader import KnownConnection, KnownUser

IN_ORDER = frozenset({"healthy", "gone"})


def up_to_date_checks() -> list[dg.AssetChecksDefinition]:
    """One for each asset that reads the bank."""
    commands = [s for workflow in WORKFLOWS for s in workflow.steps if s.operation.kind == "command"]
    return [_up_to_date(step) for step in commands]


def _up_to_date(step: Step) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=ASSET_KEYS[step.id],
        name="everything_is_up_to_date",
        description="Every user and connection of the tenant could be read and is in order at the bank.",
    )
    def everything_is_up_to_date(context: dg.AssetCheckExecutionContext, office: OfficeResource) -> dg.AssetCheckResult:
        tenant_id = context.run.tags.get(PARTITION_TAG, "")
        with named_failures(step):
            reader = office.ledger().reader()
            connections = [c for c in reader.connections(tenant_id) if c.status not in IN_ORDER]
            users = [u for u in reader.users(tenant_id) if u.status != "ok"]
            failed = reader.failed_last(tenant_id, step.operation.key)
        return dg.AssetCheckResult(
            passed=not connections and not users and failed == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"tenant": tenant_id, "failed": failed, "who_must_act": _who_must_act(users, connections)},
        )

    return everything_is_up_to_date


def _who_must_act(users: list[KnownUser], connections: list[KnownConnection]) -> dg.MarkdownMetadataValue:
    lines = [f"| user {u.user_id} | | {u.status} {u.code} | {u.who_acts} | {u.remedy} |" for u in users]
    lines += [
        f"| connection {c.connection_id} | {c.institution_name} | {c.state or c.status} | {c.who_acts} | {c.remedy} |"
        for c in connections
    ]
    if not lines:
        return dg.MetadataValue.md("Nobody.")
    return dg.MetadataValue.md(
        "\n".join(["| what | bank | state | who acts | what to do |", "|---|---|---|---|---|", *lines])
    )
