"""Runs that follow other runs: no tenant is lost between two ticks, and nothing is requested twice."""

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import (
    ACCOUNTS_JOB,
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    hurried_defs,
    run_job,
    sync_and_refresh,
)
from pfo_pipeline_tests.defs.test_checks import spoil

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

RequestedRun = list[tuple[str | None, str | None]]


class Ticks:
    """A sensor that is evaluated as by the daemon: its cursor is kept, its partition requests are carried out."""

    def __init__(self, instance: dg.DagsterInstance, name: str) -> None:
        self._instance = instance
        self._repository = hurried_defs().get_repository_def()
        self._sensor = self._repository.get_sensor_def(name)
        self.cursor: str | None = None
        self.skipped: str | None = None
        self.requests: list[dg.RunRequest] = []

    def next(self) -> RequestedRun:
        """The requested runs of the next tick: job and tenant."""
        context = dg.build_sensor_context(
            instance=self._instance,
            instance_ref=self._instance.get_ref() if self._instance.is_persistent else None,
            repository_def=self._repository,
            cursor=self.cursor,
            sensor_name=self._sensor.name,
        )
        with context:
            data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor if data.cursor is not None else self.cursor
        self.skipped = data.skip_message
        self.requests = list(data.run_requests or [])
        for request in data.dynamic_partitions_requests or []:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self._instance.add_dynamic_partitions("tenants", list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    self._instance.delete_dynamic_partition("tenants", key)
        return sorted((request.job_name, request.partition_key) for request in self.requests)


@pytest.fixture
def instance(lasting_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    return lasting_instance


def materialize(instance: dg.DagsterInstance, asset: str, *tenants: str) -> None:
    """Materializations of another run in the history."""
    for tenant in tenants:
        instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(asset.split("/")), partition=tenant))


def test_a_new_tenant_becomes_a_partition_and_is_synced_immediately(
    office: Office, instance: dg.DagsterInstance
) -> None:
    ticks = Ticks(instance, "tenants")
    office.add_tenant("smith", "jane")
    office.add_tenant("jones", "john")

    asked = ticks.next()

    assert [tenant for _, tenant in asked] == ["jones", "smith"]
    assert sorted(instance.get_dynamic_partitions("tenants")) == ["jones", "smith"]
    assert ticks.next() == []
    assert ticks.skipped == "The 2 tenants of the configuration are registered."


def test_a_removed_tenant_loses_its_partition_and_is_new_when_added_again(
    office: Office, instance: dg.DagsterInstance
) -> None:
    ticks = Ticks(instance, "tenants")
    for tenant in ("smith", "jones"):
        office.add_tenant(tenant, "jane")
    ticks.next()
    settings = office.tenants.pop("jones")
    office.write()

    assert ticks.next() == []
    assert instance.get_dynamic_partitions("tenants") == ["smith"]

    office.tenants["jones"] = settings
    office.write()
    assert [tenant for _, tenant in ticks.next()] == ["jones"]


def test_a_broken_configuration_changes_no_partition_and_gives_the_reason(
    office: Office, instance: dg.DagsterInstance
) -> None:
    ticks = Ticks(instance, "tenants")
    office.add_tenant("smith", "jane")
    ticks.next()
    office.config.write_text("tenants = 1\n")

    assert ticks.next() == []
    assert ticks.skipped is not None
    assert "tenants: must be tables" in ticks.skipped
    assert instance.get_dynamic_partitions("tenants") == ["smith"]


def test_three_tenants_synced_between_two_ticks_are_all_followed(office: Office, instance: dg.DagsterInstance) -> None:
    tenants = ["jones", "moreau", "smith"]
    for tenant in tenants:
        office.add_tenant(tenant, "jane")
        run_job(office, instance, tenant)
    ticks = Ticks(instance, "after_sync")

    assert ticks.next() == [(BALANCES_JOB, tenant) for tenant in tenants]
    assert ticks.next() == []
    assert ticks.skipped == "No tenant's accounts were synced since the last look."


def test_a_followed_sync_is_not_requested_again(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    sync_and_refresh(office, instance, "smith")
    ticks = Ticks(instance, "after_sync")

    assert ticks.next() == []
    assert ticks.skipped == "What was synced has been followed already."


def test_a_fetch_planned_by_the_same_run_is_not_requested(office: Office, instance: dg.DagsterInstance) -> None:
    """Between the two steps of a run, or after its fetch failed, the run itself is responsible."""
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    run_job(office, instance, "smith")
    (run,) = instance.get_runs()

    asked = Ticks(instance, "after_sync").next()

    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert (ACCOUNTS_JOB, "smith") not in asked


def test_accounts_synced_on_their_own_are_fetched_and_then_followed_by_balances(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    run_job(office, instance, "smith", assets=["accounts/synced"])
    ticks = Ticks(instance, "after_sync")

    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]
    assert ticks.requests[0].asset_selection == [dg.AssetKey(["accounts", "fetched"])]
    run_job(office, instance, "smith", assets=["accounts/fetched"])
    assert ticks.next() == [(BALANCES_JOB, "smith")]
    run_job(office, instance, "smith", BALANCES_JOB)
    assert ticks.next() == []


def test_a_sync_whose_run_failed_afterwards_is_fetched(office: Office, instance: dg.DagsterInstance) -> None:
    """The run had planned the fetch and failed before it: its rows must be published all the same."""
    office.add_tenant("smith", "jane")
    run_job(office, instance, "smith")
    ticks = Ticks(instance, "after_sync")
    ticks.next()
    office.files.published.unlink()
    office.files.published.mkdir()  # A folder in the file's place prevents the publication.
    assert not run_job(office, instance, "smith").success

    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]


def test_nothing_follows_a_run_stopped_by_a_rule(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    sync_and_refresh(office, instance, "smith")
    ticks = Ticks(instance, "after_sync")
    ticks.next()
    spoil(office, "insert into balances_current from balances_current limit 1")
    before = office.files.published.read_bytes()

    assert not run_job(office, instance, "smith").success

    assert ticks.next() == []
    assert office.files.published.read_bytes() == before


def test_a_restart_with_an_old_cursor_continues_from_it(office: Office, instance: dg.DagsterInstance) -> None:
    for tenant in ("jones", "smith"):
        office.add_tenant(tenant, "jane")
        instance.add_dynamic_partitions("tenants", [tenant])
    before = Ticks(instance, "after_sync")
    materialize(instance, "accounts/fetched", "smith")
    before.next()
    materialize(instance, "accounts/fetched", "jones", "smith")

    after = Ticks(instance, "after_sync")
    after.cursor = before.cursor

    assert after.next() == [(BALANCES_JOB, "jones"), (BALANCES_JOB, "smith")]


def test_several_syncs_of_one_tenant_are_followed_once_by_the_newest(
    office: Office, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("tenants", ["smith"])
    materialize(instance, "accounts/fetched", "smith", "smith", "smith")
    ticks = Ticks(instance, "after_sync")

    assert ticks.next() == [(BALANCES_JOB, "smith")]
    events = instance.fetch_materializations(dg.AssetKey(["accounts", "fetched"]), limit=10).records
    assert ticks.requests[0].run_key == f"refresh:{max(event.storage_id for event in events)}"


def test_more_syncs_than_one_page_are_all_followed(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.defs.sensors._MATERIALIZATIONS", 3)
    tenants = [f"household-{number}" for number in range(8)]
    instance.add_dynamic_partitions("tenants", tenants)
    materialize(instance, "accounts/fetched", *tenants)
    ticks = Ticks(instance, "after_sync")

    assert [tenant for _ in range(3) for _, tenant in ticks.next()] == tenants
    assert ticks.next() == []


def test_an_unregistered_tenant_is_ignored_and_delays_no_other(office: Office, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("tenants", ["smith"])
    materialize(instance, "accounts/fetched", "stranger", "smith")
    ticks = Ticks(instance, "after_sync")

    assert ticks.next() == [(BALANCES_JOB, "smith")]
    assert ticks.next() == []


def test_a_planned_fetch_is_requested_once_after_its_run_fails(office: Office, instance: dg.DagsterInstance) -> None:
    """During its run the fetch was planned; the cursor has moved on, but the sensor remembers it."""
    office.add_tenant("smith", "jane")
    run_job(office, instance, "smith")
    ticks = Ticks(instance, "after_sync")
    ticks.next()
    office.files.published.unlink()
    office.files.published.mkdir()  # A folder in the file's place prevents the publication.
    run = run_job(office, instance, "smith").dagster_run
    begun = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
    instance.report_dagster_event(begun, run.run_id)  # The state between its two steps.
    assert [ticks.next(), ticks.next()] == [[], []]

    instance.report_run_failed(run)

    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]
    assert ticks.requests[0].asset_selection == [dg.AssetKey(["accounts", "fetched"])]
    assert ticks.next() == []
