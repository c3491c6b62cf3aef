"""Run requests of the schedules, from Dagster's own record of runs: missed due times once, none twice.

test_slots.py tests the due times.
"""

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.schedules import ACCOUNTS, BALANCES, JobHours, requested_runs
from pfo_pipeline_tests.defs.office import ACCOUNTS_JOB, BALANCES_JOB, Office
from pfo_pipeline_tests.defs.test_due_times import PARIS_AUTUMN, QUARTER, SUMMER, asked_at, days, slot_on, tenant

TURNS = {"accounts_nightly": ACCOUNTS, "balances_by_day": BALANCES}
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
NIGHT = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
"""4 o'clock in Paris, before any due time of the day."""


@pytest.fixture
def instance(lasting_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    return lasting_instance


@pytest.fixture
def smith(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    instance.add_dynamic_partitions("tenants", ["smith"])


@cache
def the_repository() -> dg.RepositoryDefinition:
    return build_defs().get_repository_def()


def tick(instance: dg.DagsterInstance, schedule: str, at: datetime) -> list[dg.RunRequest] | str:
    """The run requests of one tick, or its skip reason."""
    repository = the_repository()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at, repository_def=repository
    ) as context:
        data = repository.get_schedule_def(schedule).evaluate_tick(context)
    return list(data.run_requests or []) or (data.skip_message or "")


def ran(
    instance: dg.DagsterInstance,
    at: datetime,
    job: str = ACCOUNTS_JOB,
    tenant_id: str = "smith",
    *,
    run_key: str | None = None,
    status: dg.DagsterRunStatus = SUCCESS,
    assets: tuple[str, ...] = (),
) -> None:
    """A run in Dagster's record, requested at `at`."""
    tags = {"dagster/partition": tenant_id, **({"dagster/run_key": run_key} if run_key else {})}
    selection = frozenset(dg.AssetKey(asset.split("/")) for asset in assets) or None
    run = dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), status=status, tags=tags, asset_selection=selection)
    instance.run_storage.add_historical_run(run, at)


def daemon(instance: dg.DagsterInstance, *moments: datetime, schedules: Iterable[str] = tuple(TURNS)) -> list[str]:
    """The requests at these ticks, as `tenant:slot`; each request becomes a run, as by the daemon."""
    found = []
    for at in moments:
        for schedule in schedules:
            requests = tick(instance, schedule, at)
            for request in requests if isinstance(requests, list) else []:
                found.append(str(request.run_key))
                job = TURNS[schedule].job
                ran(instance, at + timedelta(seconds=3), job, str(request.partition_key), run_key=request.run_key)
    return found


@pytest.mark.parametrize("schedule", sorted(TURNS))
def test_a_schedule_requests_one_run_for_each_tenant_and_hour(
    office: Office, instance: dg.DagsterInstance, schedule: str
) -> None:
    zones = {"paris": "Europe/Paris", "kathmandu": "Asia/Kathmandu"}
    for name, timezone in zones.items():
        office.add_tenant(name, "jane", timezone=timezone)
    instance.add_dynamic_partitions("tenants", list(zones))
    turn = TURNS[schedule]
    begins = {at for n, z in zones.items() for at, _ in asked_at(tenant(n, z), turn, days(tenant(n, z), SUMMER))}
    midnight = datetime(2026, 7, 1, tzinfo=UTC)
    moments = sorted({at + wait for at in begins for wait in (timedelta(), QUARTER) if at >= midnight})
    if turn is BALANCES:
        switch_off(instance, "accounts_nightly")

    asked = daemon(instance, *moments, schedules=[schedule])

    assert len(set(asked)) == len(asked)
    today = Counter(key.split(":")[0] for key in asked if ":2026-07-01" in key)
    assert today == dict.fromkeys(zones, len(turn.hours))


@pytest.mark.parametrize("schedules", [tuple(TURNS), tuple(TURNS)[::-1]])
def test_after_three_days_off_each_workflow_is_requested_once_in_any_order(
    smith: None, instance: dg.DagsterInstance, schedules: tuple[str, ...]
) -> None:
    """Balances follow the accounts (sensor `after_sync`), so missed balances are not requested separately."""
    ran(instance, NIGHT - timedelta(days=3), run_key="smith:2026-06-28T05")
    back = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)

    assert daemon(instance, back, back + QUARTER, back + 2 * QUARTER, schedules=schedules) == ["smith:2026-07-01T05"]


def switch_off(instance: dg.DagsterInstance, schedule: str) -> None:
    """Switch the schedule off, as the UI does."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="pfo_pipeline.definitions"))
    origin = RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin(schedule)
    data = ScheduleInstigatorData("*/15 * * * *")
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data))


def test_balances_do_not_wait_for_a_switched_off_accounts_schedule(smith: None, instance: dg.DagsterInstance) -> None:
    switch_off(instance, "accounts_nightly")

    back = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)

    assert daemon(instance, back, schedules=["balances_by_day"]) == ["smith:2026-07-01T07"]


@pytest.mark.parametrize(
    ("wait", "why"),
    [(timedelta(), "due time 2026-07-01T05 begins"), (QUARTER, "caught up: due time 2026-07-01T05 was missed")],
)
def test_a_tick_reports_the_due_times_and_the_reason(
    smith: None, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], wait: timedelta, why: str
) -> None:
    asked = tick(instance, "accounts_nightly", slot_on(tenant(), ACCOUNTS, SUMMER).begins + wait)

    assert not isinstance(asked, str)
    assert [request.tags["pfo/slot"] for request in asked] == ["2026-07-01T05"]
    assert f"smith: {why}" in capfd.readouterr().err


def test_the_hour_that_october_repeats_is_requested_once(
    smith: None, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster recognises a run key only at the same scheduled time, which differs in the two passes."""
    turn = JobHours(ACCOUNTS.job, (2,), ACCOUNTS.served_by)
    monkeypatch.setattr("pfo_pipeline.defs.schedules.ACCOUNTS", turn)
    begins = slot_on(tenant(), turn, PARIS_AUTUMN).begins
    both = (begins, begins + timedelta(hours=1))
    assert len({at.astimezone(ZoneInfo("Europe/Paris")).hour for at in both}) == 1

    found = [key for key in daemon(instance, *both) if key.endswith("T02")]

    assert found == ["smith:2026-10-25T02"]


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        ({}, True),
        ({"run_key": "smith:CONNECTION_SYNCED:7"}, True),
        ({"job": "__ASSET_JOB", "assets": ("accounts/synced",)}, True),
        ({"assets": ("accounts/fetched",)}, False),
        ({"status": dg.DagsterRunStatus.STARTED}, True),
        ({"status": FAILURE}, False),
        ({"status": dg.DagsterRunStatus.CANCELED}, False),
        ({"job": BALANCES_JOB}, False),
        ({"tenant_id": "jones"}, False),
    ],
)
def test_a_later_run_counts_if_it_reads_the_same_and_did_not_fail(
    smith: None, instance: dg.DagsterInstance, run: dict[str, Any], counts: bool
) -> None:
    begins = slot_on(tenant(), ACCOUNTS, SUMMER).begins
    ran(instance, begins + QUARTER, **run)

    assert isinstance(tick(instance, "accounts_nightly", begins + 4 * QUARTER), str) == counts


@pytest.mark.parametrize("status", [FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_failed_run_of_a_due_time_is_not_requested_again(
    smith: None, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    begins = slot_on(tenant(), ACCOUNTS, SUMMER).begins
    ran(instance, begins + QUARTER, run_key="smith:2026-07-01T05", status=status)

    assert "No tenant is due" in tick(instance, "accounts_nightly", begins + 2 * QUARTER)


def test_a_run_that_was_never_launched_is_requested_again(smith: None, instance: dg.DagsterInstance) -> None:
    """The daemon died between the two steps: Dagster launches the existing run when the same tick requests it again."""
    begins = slot_on(tenant(), ACCOUNTS, SUMMER).begins
    ran(instance, begins, run_key="smith:2026-07-01T05", status=dg.DagsterRunStatus.NOT_STARTED)

    assert len(tick(instance, "accounts_nightly", begins)) == 1


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, SUCCESS, FAILURE])
def test_a_new_tenant_catches_up_no_due_time_before_its_first_sync(
    smith: None, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    at = datetime(2026, 7, 1, 11, 30, tzinfo=UTC)
    ran(instance, at - timedelta(seconds=9), run_key="new:smith:2026-07-01T11:29:51+00:00", status=status)

    assert daemon(instance, at, at + QUARTER) == []
    (following,) = daemon(instance, slot_on(tenant(), BALANCES, SUMMER).begins + timedelta(hours=9))
    assert following == "smith:2026-07-01T16"


def test_an_unregistered_tenant_is_left_to_the_tenants_sensor(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")

    asked = tick(instance, "accounts_nightly", slot_on(tenant(), ACCOUNTS, SUMMER).begins)

    assert "No tenant is due" in asked


def test_two_hundred_tenants_need_two_queries_or_one_if_all_have_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = dg.DagsterInstance.ephemeral()
    tenants = [tenant(f"household-{n}") for n in range(200)]
    at = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
    queries: list[str] = []
    fetch = instance.run_storage.fetchall  # type: ignore[attr-defined]

    def counted(query: object) -> object:
        queries.append(str(query))
        return fetch(query)

    monkeypatch.setattr(instance.run_storage, "fetchall", counted)

    assert requested_runs(instance, tenants, at) == []
    assert len(queries) == 2

    queries.clear()
    for turn, hour in ((ACCOUNTS, "05"), (BALANCES, "07")):
        for whose in tenants:
            ran(instance, at, turn.job, whose.id, run_key=f"{whose.id}:2026-07-01T{hour}")
    assert len(requested_runs(instance, tenants, at)) == 400
    assert len(queries) == 1


def test_a_broken_configuration_requests_nothing_and_gives_the_reason(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.config.write_text("office = 1\n")

    for schedule in TURNS:
        found = tick(instance, schedule, datetime(2026, 7, 1, 3, 0, tzinfo=UTC))
        assert isinstance(found, str)
        assert "has mistakes" in found
