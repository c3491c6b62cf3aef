"""Translates a contract into Dagster: retry policy, texts, owners, tags, code version, column schema, names, launch options.

The one place that knows both vocabularies. One dimension of partitions: the tenants of the office, by their slug.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from pfo_pipeline.contracts.model import Operation, Retry, Step, Workflow
from pfo_pipeline.contracts.operations import Freshness, SyncAccountsInput
from pfo_pipeline.contracts.tables import PROVENANCE, Table
from pfo_pipeline.operations.selection import Choice

TENANTS = "tenants"
tenants = dg.DynamicPartitionsDefinition(name=TENANTS)
FIRST_SYNC = "new:"
"""Prefix of the run key of a new tenant's first run."""


_BACKOFF = {"exponential": dg.Backoff.EXPONENTIAL, "linear": dg.Backoff.LINEAR}

ASSET_KEYS: Mapping[str, dg.AssetKey] = {
    "sync-accounts": dg.AssetKey(["accounts", "synced"]),
    "fetch-accounts": dg.AssetKey(["accounts", "fetched"]),
    "refresh-balances": dg.AssetKey(["balances", "refreshed"]),
    "fetch-balances": dg.AssetKey(["balances", "fetched"]),
}
"""The result of each step, by step id."""
CASH_PAGE = dg.AssetKey(["reports", "cash_page"])
"""The page for people, written once balances are published. It is no step of a contract, but part of the refresh run."""


MATERIALIZED_DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=Freshness().read_hours))
"""Detects that nothing runs at all: it covers an asset's newest materialization, of any tenant. Each tenant, and each balance,
has its own limit in the configuration (`[freshness]`), which checks enforce.
"""


def step_asset(
    workflow: Workflow,
    step: Step,
    table: Table,
    *,
    after: dg.AssetKey | None = None,
    config_schema: Mapping[str, dg.Field] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Options of `@dg.asset` for one step, from the contract.

    Args:
        table: The ledger's table that the step writes or publishes.
        after: An asset of an earlier workflow that the entry step follows.
        config_schema: Options for a person in the launchpad.
    """
    key = ASSET_KEYS[step.id]
    upstream = [ASSET_KEYS[step_id] for step_id in workflow.upstream(step.id)]
    return dg.asset(
        key=key,
        group_name=key.path[0],
        deps=upstream or ([after] if after else []),
        partitions_def=tenants,
        config_schema=config_schema,
        io_manager_key="ledger",
        kinds={"powens", "duckdb"} if step.operation.kind == "command" else {"duckdb"},
        description=describe(step),
        owners=[owner(name) for name in step.operation.owners],
        tags={**dict.fromkeys(step.operation.tags, ""), **contract_tags(step.operation)},
        code_version=step.operation.version,
        retry_policy=retry_policy(step.retry),
        metadata=table_metadata(step, table),
        freshness_policy=MATERIALIZED_DAILY,
    )


def retry_policy(retry: Retry) -> dg.RetryPolicy:
    """The retry policy. `maxAttempts` counts the first attempt; Dagster counts only the retries after it."""
    return dg.RetryPolicy(max_retries=retry.max_retries, delay=retry.delay_ms / 1000, backoff=_BACKOFF[retry.backoff])


def describe(step: Step) -> str:
    operation = step.operation
    return (
        f"{step.description}\n\n{operation.description}\n\nGoal: {operation.goal}\n\n"
        f"Context: {operation.context}\n\nContract: `{operation.key}` {operation.version}"
    )


def owner(name: str) -> str:
    """The owner in Dagster's form: an e-mail or `team:<name>`; the contract writes `@platform.finance`."""
    return f"team:{name.removeprefix('@')}"


def contract_tags(operation: Operation) -> dict[str, str]:
    return {"pfo/operation": operation.key, "pfo/stability": operation.stability}


def asset_keys(workflow: Workflow) -> list[dg.AssetKey]:
    """The assets of a workflow's job: one for each step, and the page after the balances."""
    made = [ASSET_KEYS[step.id] for step in workflow.steps]
    return [*made, CASH_PAGE] if ASSET_KEYS["fetch-balances"] in made else made


def job_name(workflow: Workflow) -> str:
    return workflow.key.rsplit(".", 1)[-1].replace("-", "_")


def table_metadata(step: Step, table: Table) -> dict[str, Any]:
    """The table of an asset, by its name in DuckDB: a command writes the private file, a query publishes the other one."""
    catalog = "canonical" if step.operation.kind == "command" else "ledger"
    return {
        "dagster/table_name": f"{catalog}.{table.qualified_name}",
        "dagster/column_schema": column_schema(table),
    }


def column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
                tags={"personal": ""} if column.personal else {},
            )
            for column in (*table.columns, *PROVENANCE)
        ]
    )


def column_lineage(table: Table, source: dg.AssetKey, source_table: Table) -> dg.TableColumnLineage:
    """The columns of the previous asset from which this asset's rows come: its own table, or only the identifying columns."""
    shared = table.columns if table is source_table else [c for c in table.columns if c.name in source_table.key]
    return dg.TableColumnLineage({c.name: [dg.TableColumnDep(source, c.name)] for c in shared})


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
