"""How values get into the ledger and out of it: what a command step returns is merged, what a query step returns is published.

Here: the write at the end of a step, and the metadata that the operator sees. Not here: SQL (ledger/), what the rows mean.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from pfo_pipeline.contracts.privacy import scrub
from pfo_pipeline.contracts.tables import AccountRow, BalanceRow, QuarantineRow, Table, table_of
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.options import ASSET_KEYS, column_schema
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.operations.snapshots import Snapshot
from pfo_pipeline.operations.steps import StepOutcome
from pfo_pipeline.telemetry.measures import measured

if TYPE_CHECKING:
    import pandas as pd

TABLES: Mapping[str, Table] = {
    "sync-accounts": table_of(AccountRow),
    "fetch-accounts": table_of(AccountRow),
    "refresh-balances": table_of(BalanceRow),
    "fetch-balances": table_of(BalanceRow),
}
"""The table that each step writes or publishes, by step id."""

_STEPS = {ASSET_KEYS[step.id]: step for workflow in WORKFLOWS for step in workflow.steps}


class LedgerIOManager(dg.ConfigurableIOManager):
    """Stores through the ledger's one interface; loads a tenant's newest rows from the published copy."""

    office: dg.ResourceDependency[OfficeResource]

    def handle_output(self, context: dg.OutputContext, obj: StepOutcome | Snapshot) -> None:
        step = _STEPS[context.asset_key]
        with named_failures(step), measured("pfo.store", run_id=context.run_id, operation=step.operation.key):
            described = self._merge(obj) if isinstance(obj, StepOutcome) else self._publish(obj)
        table = TABLES[step.id]
        context.add_output_metadata(
            {
                "dagster/table_name": table.qualified_name,
                "dagster/column_schema": column_schema(table),
                **described,
            }
        )

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """The tenant's newest rows, Arrow-backed: amounts stay decimals, moments keep their zone."""
        table = TABLES[_STEPS[context.asset_key].id]
        return self.office.published().frame(context.partition_key, table.name)

    def _merge(self, outcome: StepOutcome) -> dict[str, Any]:
        batch = outcome.batch
        merged = self.office.ledger().merge(batch)
        kind = AccountRow if batch.rows.get(AccountRow) else BalanceRow
        table = table_of(kind).name
        moments = [row.as_of for row in batch.rows.get(BalanceRow, ()) if isinstance(row, BalanceRow)]
        return {
            "synced": batch.synced,
            "failed": batch.failed,
            "added": merged.added(table),
            "unchanged": merged.unchanged(table),
            "quarantined": len(batch.rows.get(QuarantineRow, ())),
            "dagster/partition_row_count": len(batch.rows.get(kind, ())),
            "attempts": batch.attempt,
            "load_id": merged.load_id,
            **_dates(min(moments, default=None), max(moments, default=None)),
            **({"problems": _problems(outcome.errors)} if outcome.errors else {}),
            **({"contract_drift": dict(outcome.drift)} if outcome.drift else {}),
        }

    def _publish(self, snapshot: Snapshot) -> dict[str, Any]:
        publication = self.office.ledger().publish()
        return {
            "dagster/partition_row_count": snapshot.records,
            "published": dg.MetadataValue.path(str(publication.path)),
            "size_bytes": publication.size_bytes,
            **_dates(snapshot.oldest_as_of, snapshot.newest_as_of),
        }


def _problems(errors: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {scrub(error)}" for error in errors))


def _dates(oldest: Any, newest: Any) -> dict[str, Any]:
    if oldest is None or newest is None:
        return {}
    return {
        "oldest_as_of": dg.MetadataValue.timestamp(oldest),
        "newest_as_of": dg.MetadataValue.timestamp(newest),
    }
