"""Runs that a person starts in the UI: with options in the launchpad, or again from the failed step."""

from typing import Any

import dagster as dg
import pytest

from pfo_pipeline.contracts.operations import SyncAccountsInput
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.resources import PARTITION_TAG
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS_JOB,
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    events,
    failure,
    hurried_defs,
    metadata,
    run_job,
    sync_and_refresh,
)

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

JOBS = [(ACCOUNTS_JOB, "accounts/synced"), (BALANCES_JOB, "balances/refreshed")]


def launchpad(asset: str, **fields: Any) -> dict[str, Any]:
    return {"ops": {asset.replace("/", "__"): {"config": fields}}}


@pytest.mark.parametrize(("job", "asset"), JOBS)
def test_the_launchpads_fields_are_typed_documented_and_optional(job: str, asset: str) -> None:
    schema: Any = build_defs().resolve_job_def(job).run_config_schema.config_type
    step = schema.fields["ops"].config_type.fields[asset.replace("/", "__")]
    fields = step.config_type.fields["config"].config_type.fields

    assert set(fields) == {"connection_id", "account_ids", "force", "member_present"}
    assert all(field.description and not field.is_required for field in fields.values())
    assert {name: field.config_type.key for name, field in fields.items()} == {
        "connection_id": "Noneable.String",
        "account_ids": "Noneable.Array.String",
        "force": "Bool",
        "member_present": "Bool",
    }
    help_text = SyncAccountsInput.model_fields["connection_id"].description
    assert help_text is not None
    assert str(fields["connection_id"].description).startswith(help_text)


@pytest.mark.parametrize(("job", "asset"), JOBS)
def test_only_the_chosen_connection_is_run(office: Office, instance: dg.DagsterInstance, job: str, asset: str) -> None:
    office.add_tenant("smith", "jane", "john")
    chosen = office.connect("smith", "jane", "1", "2")
    office.connect("smith", "john", "3")
    sync_and_refresh(office, instance, "smith")

    result = run_job(office, instance, "smith", job, config=launchpad(asset, connection_id=str(chosen)))

    assert metadata(result, asset)["synced"] == 2
    assert "forced" not in metadata(result, asset)
    assert len(office.calls("smith", "john")) == 4  # From the runs before.


def test_a_forced_sync_happens_within_the_run(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    chosen = office.connect("smith", "jane", "1", state="wrongpass")
    sync_and_refresh(office, instance, "smith")

    result = run_job(
        office, instance, "smith", config=launchpad("accounts/synced", connection_id=str(chosen), force=True)
    )

    assert metadata(result, "accounts/synced")["forced"].startswith(f"connection {chosen}: waits for a person. ")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"connection_id": 38}, "connection_id"),
        ({"connection_id": {"env": "PATH"}}, "connection_id"),
        ({"account_ids": "acc_1"}, "account_ids"),
        ({"force": "yes"}, "force"),
        ({"conection_id": "38"}, "conection_id"),
    ],
)
def test_a_value_of_a_wrong_type_starts_no_run(
    office: Office, instance: dg.DagsterInstance, wrong: dict[str, Any], place: str
) -> None:
    office.add_tenant("smith", "jane")

    with pytest.raises(dg.DagsterInvalidConfigError, match=place):
        run_job(office, instance, "smith", config=launchpad("accounts/synced", **wrong))

    assert office.calls("smith") == []
    assert instance.get_runs() == []


@pytest.mark.parametrize(("job", "asset"), JOBS)
@pytest.mark.parametrize(
    ("choice", "output"),
    [
        ({"connection_id": "999"}, "Tenant smith has no connection 999."),
        ({"account_ids": ["acc_1"]}, "Tenant smith has no account acc_1."),
        ({"force": True}, "force needs connection_id"),
    ],
)
def test_an_unknown_choice_fails_by_name_before_any_call(
    office: Office, instance: dg.DagsterInstance, job: str, asset: str, choice: dict[str, Any], output: str
) -> None:
    office.add_tenant("smith", "jane")

    result = run_job(office, instance, "smith", job, config=launchpad(asset, **choice))

    description, cause = failure(result)
    assert output in description
    assert (cause["code"], cause["who_acts"]) == ("OperationRefused", "operator")
    assert office.calls("smith") == []


def test_a_retry_from_failure_repeats_only_the_failed_step(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    sync_and_refresh(office, instance, "smith")
    office.files.published.unlink()
    office.files.published.mkdir()  # A folder in its place prevents the publication.
    failed = run_job(office, instance, "smith")
    assert [e.step_key for e in events(failed, dg.DagsterEventType.STEP_FAILURE)] == ["accounts__fetched"]
    office.files.published.rmdir()
    asked = len(office.calls("smith"))

    options = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
    with dg.execute_job(
        dg.reconstructable(accounts_job), instance=instance, reexecution_options=options, tags={PARTITION_TAG: "smith"}
    ) as again:
        assert again.success
        started = [e.step_key for e in again.all_events if e.event_type == dg.DagsterEventType.STEP_START]

    assert started[0] == "accounts__fetched"
    assert "accounts__synced" not in started
    assert len(office.calls("smith")) == asked
    assert office.ask("select count(*) from accounts") == [(1,)]


def accounts_job() -> dg.JobDefinition:
    return hurried_defs().resolve_job_def(ACCOUNTS_JOB)
