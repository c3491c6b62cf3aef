"""Merges the results of a command step into the ledger, and publishes the ledger after a query step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.contracts.tables import AccountRow, BalanceRow, Table, table_of
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.from_contract import ASSET_KEYS, column_lineage, table_metadata
from pfo_pipeline.defs.metadata import cell, over_time, table, without_content
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.ledger.known import DatedBalance, Total
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.queries import Snapshot
from pfo_pipeline.operations.steps import StepOutcome
from pfo_pipeline.redaction import scrub
from pfo_pipeline.telemetry import measured

if TYPE_CHECKING:
    import pandas as pd

TABLES: Mapping[str, Table] = {
    "sync-accounts": table_of(AccountRow),
    "fetch-accounts": table_of(AccountRow),
    "refresh-balances": table_of(BalanceRow),
    "fetch-balances": table_of(BalanceRow),
}
"""The table that each step writes or publishes, by step id."""

_READ_FROM: Mapping[str, str] = {
    "fetch-accounts": "sync-accounts",
    "refresh-balances": "fetch-accounts",
    "fetch-balances": "refresh-balances",
}
"""The step whose rows another step uses; accounts come from the bank."""

PLOT_DAYS = 60

_STEPS = {ASSET_KEYS[step.id]: step for workflow in WORKFLOWS for step in workflow.steps}


class LedgerIOManager(dg.ConfigurableIOManager):
    """Stores results through the ledger's interface; loads a tenant's newest rows from the published copy."""

    office: dg.ResourceDependency[OfficeResource]

    def handle_output(self, context: dg.OutputContext, obj: StepOutcome | Snapshot) -> None:
        step = _STEPS[context.asset_key]
        with named_failures(step), measured("pfo.store", run_id=context.run_id, operation=step.operation.key):
            described = self._merge(obj) if isinstance(obj, StepOutcome) else self._publish(obj)
            if self.office.config().is_encrypted:
                described = without_content(described)
        waited = _waits(context, step) if described.get("attempts", 1) > 1 else {}
        context.add_output_metadata({**table_metadata(step, TABLES[step.id]), **_lineage(step), **described, **waited})

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """Load the tenant's newest rows, Arrow-backed: amounts stay decimals, times keep their zone."""
        name = TABLES[_STEPS[context.asset_key].id].name
        return self.office.published().frame(context.partition_key, name)

    def _merge(self, outcome: StepOutcome) -> dict[str, Any]:
        batch = outcome.batch
        merged = self.office.ledger().merge(batch)
        kind = AccountRow if batch.rows.get(AccountRow) else BalanceRow
        name = table_of(kind).name
        moments = [row.as_of for row in batch.rows.get(BalanceRow, ()) if isinstance(row, BalanceRow)]
        return {
            "synced": batch.synced,
            "failed": batch.failed,
            "added": merged.added(name),
            "unchanged": merged.unchanged(name),
            "quarantined": batch.quarantined,
            "dagster/partition_row_count": len(batch.rows.get(kind, ())),
            "attempts": batch.attempt,
            "load_id": merged.load_id,
            **_dates(min(moments, default=None), max(moments, default=None)),
            **({"forced": str(outcome.forced)} if outcome.forced else {}),
            **({"problems": _problems(outcome.errors)} if outcome.errors else {}),
            **({"contract_drift": dict(outcome.drift)} if outcome.drift else {}),
            "preview": _read(batch.rows.get(kind, ())),
        }

    def _publish(self, snapshot: Snapshot) -> dict[str, Any]:
        publication = self.office.ledger().publish()
        with self.office.published().at_once() as reader:
            figures = reader.dated_balances([snapshot.tenant_id])
            totals = reader.totals(snapshot.tenant_id)
            by_day = reader.totals_by_day(snapshot.tenant_id, utc_now(), PLOT_DAYS)
        return {
            "preview": _preview(figures),
            "totals": _totals(totals),
            "over_time": over_time(by_day),
            "dagster/partition_row_count": len(figures),
            "records": snapshot.records,
            "published": dg.MetadataValue.path(str(publication.path)),
            "size_bytes": publication.size_bytes,
            **_dates(snapshot.oldest_as_of, snapshot.newest_as_of),
        }


def _lineage(step: Step) -> dict[str, Any]:
    source = _READ_FROM.get(step.id)
    if source is None:
        return {}
    return {"dagster/column_lineage": column_lineage(TABLES[step.id], ASSET_KEYS[source], TABLES[source])}


def _read(rows: Sequence[object]) -> dg.MarkdownMetadataValue:
    """Summary of the accounts or balances that a command read. No personal column here and below: neither names nor
    numbers.
    """
    accounts = [row for row in rows if isinstance(row, AccountRow)]
    if accounts:
        cells = [tuple(map(cell, (a.account_id, a.institution_name, a.account_type, a.currency))) for a in accounts]
        return table(("account", "bank", "type", "currency"), cells, nothing="")
    balances = [(cell(b.account_id), cell(b.currency), _minute(b.as_of)) for b in rows if isinstance(b, BalanceRow)]
    return table(("account", "currency", "as of"), balances, nothing="Nothing was read.")


def _preview(figures: Sequence[DatedBalance]) -> dg.MarkdownMetadataValue:
    rows = [
        (*map(cell, (f.account_id, f.institution_name, f.account_type, f.currency)), _minute(f.as_of)) for f in figures
    ]
    return table(("account", "bank", "type", "currency", "as of"), rows, nothing="No account.")


def _minute(as_of: datetime | None) -> str:
    return f"{as_of:%Y-%m-%d %H:%M}Z" if as_of else "no figure"


def _totals(totals: Sequence[Total]) -> dg.MarkdownMetadataValue:
    rows = [
        (cell(t.currency), str(t.accounts), *(plain(a) if a is not None else "" for a in (t.current_balance, t.loans)))
        for t in totals
    ]
    return table(("currency", "accounts", "booked", "loans"), rows, nothing="No figure yet.")


def _waits(context: dg.OutputContext, step: Step) -> dict[str, Any]:
    """The waits of the run between the attempts of this step."""
    retries = context.step_context.instance.all_logs(
        context.step_context.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY
    )
    mine = "__".join(ASSET_KEYS[step.id].path)
    waits = [r.dagster_event.step_retry_data for r in retries if r.dagster_event and r.step_key == mine]
    return {"retries": len(waits), "waited_seconds": sum(retry.seconds_to_wait or 0 for retry in waits)}


def _problems(errors: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {scrub(error)}" for error in errors))


def _dates(oldest: Any, newest: Any) -> dict[str, Any]:
    if oldest is None or newest is None:
        return {}
    return {
        "oldest_as_of": dg.MetadataValue.timestamp(oldest),
        "newest_as_of": dg.MetadataValue.timestamp(newest),
    }
