"""What is true of a tenant when all is well, asked of the ledger after a run: a partial failure leaves the run green.

A check looks at every tenant, whichever ran: a tenant in order must not hide one in trouble. It warns and never blocks,
so that no tenant holds up another.
"""

import re
from collections.abc import Sequence

import dagster as dg

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.privacy import scrub
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.options import ASSET_KEYS
from pfo_pipeline.defs.resources import PARTITION_TAG, OfficeResource
from pfo_pipeline.ledger.known import Trouble


def up_to_date_checks() -> list[dg.AssetChecksDefinition]:
    """One for each asset that reads the bank."""
    commands = [s for workflow in WORKFLOWS for s in workflow.steps if s.operation.kind == "command"]
    return [_up_to_date(step) for step in commands]


def _up_to_date(step: Step) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=ASSET_KEYS[step.id],
        name="everything_is_up_to_date",
        description="Every user and connection of every tenant could be read and is in order at the bank.",
    )
    def everything_is_up_to_date(context: dg.AssetCheckExecutionContext, office: OfficeResource) -> dg.AssetCheckResult:
        tenant_id = context.run.tags.get(PARTITION_TAG, "")
        with named_failures(step):
            reader = office.ledger().reader()
            troubles = reader.troubles([tenant.id for tenant in office.config().tenants])
            failed = reader.failed_last(tenant_id, step.operation.key)
        return dg.AssetCheckResult(
            passed=not troubles and failed == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"tenant_that_ran": tenant_id, "failed": failed, "who_must_act": _who_must_act(troubles)},
        )

    return everything_is_up_to_date


def _who_must_act(troubles: list[Trouble]) -> dg.MarkdownMetadataValue:
    rows = [tuple(map(cell, (t.tenant_id, t.what, t.institution, t.why, t.who_acts, t.remedy))) for t in troubles]
    return table(("tenant", "what", "bank", "state", "who acts", "what to do"), rows, nothing="Nobody.")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> dg.MarkdownMetadataValue:
    """Rows of cells as Markdown; `nothing` in their place where there are none."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|---" * len(head) + "|")
    return dg.MetadataValue.md("\n".join(lines) if rows else nothing)


def cell(value: str | None) -> str:
    """A bank's name may hold anything; here it stays within its cell, and a link or a tag in it stays text."""
    return re.sub(r"([\\|<>\[\]`])", r"\\\1", " ".join(scrub(value or "").split()))
