"""Compare every contract with Dagster: both must be equal."""

import dagster as dg
import pytest

from pfo_pipeline.contracts.model import Step, Workflow
from pfo_pipeline.contracts.tables import PROVENANCE, AccountRow, BalanceRow, table_of
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.operations.steps import TryAgain

# The asset of each step: public names that dashboards and other code locations use.
ASSET_OF = {
    "sync-accounts": "accounts/synced",
    "fetch-accounts": "accounts/fetched",
    "refresh-balances": "balances/refreshed",
    "fetch-balances": "balances/fetched",
}
PAGE = dg.AssetKey(["reports", "cash_page"])
JOB_OF = {
    "pfo.workflow.sync-openbanking-accounts": "sync_openbanking_accounts",
    "pfo.workflow.refresh-openbanking-balances": "refresh_openbanking_balances",
}
STEPS = [pytest.param(workflow, step, id=step.id) for workflow in WORKFLOWS for step in workflow.steps]


def key_of(step_id: str) -> dg.AssetKey:
    return dg.AssetKey(ASSET_OF[step_id].split("/"))


def spec_of(step: Step) -> dg.AssetSpec:
    return build_defs().get_repository_def().asset_graph.get(key_of(step.id)).to_asset_spec()


def asset_of(step: Step) -> dg.AssetsDefinition:
    return build_defs().get_repository_def().assets_defs_by_key[key_of(step.id)]


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_step_is_retried_as_its_contract_says(workflow: Workflow, step: Step) -> None:
    policy = asset_of(step).op.retry_policy

    assert policy is not None
    assert policy.max_retries == step.retry.max_attempts - 1
    assert policy.delay == step.retry.delay_ms / 1000
    assert policy.backoff is not None
    assert policy.backoff.name.lower() == step.retry.backoff
    assert policy.jitter is None


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_step_waits_what_its_contract_computes(workflow: Workflow, step: Step) -> None:
    policy = asset_of(step).op.retry_policy

    assert policy is not None
    waited = tuple(policy.calculate_delay(attempt) for attempt in range(1, step.retry.max_attempts))
    assert waited == step.retry.delays_seconds()


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_steps_asset_has_its_contracts_texts(workflow: Workflow, step: Step) -> None:
    output = spec_of(step).description or ""

    for text in (
        step.description,
        step.operation.description,
        step.operation.goal,
        step.operation.context,
        step.operation.key,
        step.operation.version,
    ):
        assert text in output


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_steps_asset_has_its_contracts_owners_tags_and_version(workflow: Workflow, step: Step) -> None:
    spec = spec_of(step)

    assert [owner.removeprefix("team:") for owner in spec.owners] == [
        o.removeprefix("@") for o in step.operation.owners
    ]
    assert spec.code_version == step.operation.version
    own = {tag for tag in spec.tags if not tag.startswith(("dagster/", "pfo/"))}
    assert own == set(step.operation.tags)
    assert spec.tags["pfo/operation"] == step.operation.key
    assert spec.tags["pfo/stability"] == step.operation.stability


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_steps_asset_shows_every_column_with_its_comment(workflow: Workflow, step: Step) -> None:
    table = table_of(BalanceRow if "balances" in step.id else AccountRow)
    metadata = spec_of(step).metadata
    shown = metadata["dagster/column_schema"].columns

    columns = (*table.columns, *PROVENANCE)
    assert [(c.name, c.type, c.description, c.constraints.nullable) for c in shown] == [
        (c.name, c.type, c.description, c.nullable) for c in columns
    ]
    assert all(c.description for c in shown)
    assert {c.name for c in shown if "personal" in c.tags} == {c.name for c in columns if c.personal}
    # Commands write the private file, queries publish the file for readers.
    file = "canonical" if step.operation.kind == "command" else "ledger"
    assert metadata["dagster/table_name"] == f"{file}.ledger.{table.name}"


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_steps_asset_follows_its_contracts_transitions(workflow: Workflow, step: Step) -> None:
    graph = build_defs().get_repository_def().asset_graph
    upstream = {key_of(before) for before, after in workflow.transitions if after == step.id}
    # Across the two workflows: balances are read for the fetched accounts.
    if step.id == "refresh-balances":
        upstream = {key_of("fetch-accounts")}

    assert graph.get(key_of(step.id)).parent_keys == upstream


@pytest.mark.parametrize(("workflow", "step"), STEPS)
def test_a_steps_asset_is_grouped_by_its_record_and_has_its_kinds(workflow: Workflow, step: Step) -> None:
    spec = spec_of(step)

    assert spec.group_name == ASSET_OF[step.id].split("/")[0]
    assert spec.kinds == ({"powens", "duckdb"} if step.operation.kind == "command" else {"duckdb"})
    assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
    assert spec.partitions_def.name == "tenants"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.key)
def test_a_workflow_is_a_job_with_its_name_texts_and_steps(workflow: Workflow) -> None:
    repository = build_defs().get_repository_def()
    job = repository.get_job(JOB_OF[workflow.key])

    assert workflow.title in (job.description or "")
    assert workflow.description in (job.description or "")
    assert f"`{workflow.key}` {workflow.version}" in (job.description or "")
    followed_by = {PAGE} if "fetch-balances" in {step.id for step in workflow.steps} else set()
    assert job.asset_layer.executable_asset_keys == {key_of(step.id) for step in workflow.steps} | followed_by
    assert workflow.entry_step_id == workflow.steps[0].id
    assert not workflow.upstream(workflow.entry_step_id)


def test_every_asset_and_job_belongs_to_a_contract_except_page_and_alerts() -> None:
    repository = build_defs().get_repository_def()

    executable = repository.asset_graph.executable_asset_keys
    assert executable == {key_of(step.id) for workflow in WORKFLOWS for step in workflow.steps} | {PAGE}
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {JOB_OF[workflow.key] for workflow in WORKFLOWS} | {"send_alerts"}


def test_the_longest_wait_that_a_server_may_ask_for_reaches_dagster_unchanged() -> None:
    """The operation sets the limit; Dagster must not add to it or retry by the policy as well."""
    step = WORKFLOWS[0].steps[0]

    with pytest.raises(dg.RetryRequested) as asked, named_failures(step):
        raise TryAgain("GET /users/me/connections: Powens answered 429", wait_seconds=300.0)

    assert asked.value.seconds_to_wait == 300.0
    assert asked.value.max_retries == step.retry.max_attempts - 1
