"""`pfo health`: what a monitor is told of an office at work, of one that stands still, and of one that cannot be read."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from pfo_pipeline.cli.context import find_place
from pfo_pipeline.cli.health import HealthFinding, check_health, print_health
from pfo_pipeline.powens.webhooks import Hint
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

HALF_A_DAY = timedelta(hours=12)
SENSORS = ("tenants", "after_sync", "webhooks", "alerts")
SCHEDULES = ("accounts_nightly", "balances_by_day")


@pytest.fixture
def mine(here: Office, empty_history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the synced office, which a test may change, with an empty history of Dagster's."""
    shutil.copytree(here.folder, tmp_path / "mine")
    mine = replace(here, folder=tmp_path / "mine", elsewhere=None, tenants=dict(here.tenants), users=dict(here.users))
    home = mine.data_dir / "dagster"
    monkeypatch.setenv("PFO_CONFIG", str(mine.config))
    monkeypatch.setenv("PFO_DATA_DIR", str(mine.data_dir))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    shutil.copytree(empty_history, home, dirs_exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    return mine


@pytest.fixture
def now(mine: Office) -> datetime:
    """A minute after the office was read."""
    return datetime.fromtimestamp(mine.files.published.stat().st_mtime, UTC) + timedelta(minutes=1)


@pytest.fixture
def storage(mine: Office) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        yield instance


def beat(storage: dg.DagsterInstance, at: datetime) -> None:
    """The daemon's sign of life."""
    for kind in storage.get_required_daemon_types():
        storage.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), kind, "one", []))


def tick(
    storage: dg.DagsterInstance,
    name: str,
    at: datetime,
    *,
    status: TickStatus = TickStatus.SKIPPED,
    switch: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
    cursor: str | None = None,
) -> None:
    """What the daemon writes when a sensor or schedule has ticked."""
    target = LoadableTargetOrigin(module_name="pfo_pipeline.definitions")
    location = InProcessCodeLocationOrigin(target, location_name="pfo_pipeline")
    origin = RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin(name)
    kind = InstigatorType.SENSOR if name in SENSORS else InstigatorType.SCHEDULE
    data = (
        SensorInstigatorData(cursor=cursor)
        if kind == InstigatorType.SENSOR
        else ScheduleInstigatorData("*/15 * * * *", at.timestamp())
    )
    state = InstigatorState(origin, kind, switch, data)
    known = storage.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (storage.update_instigator_state if known else storage.add_instigator_state)(state)
    storage.create_tick(
        TickData(
            state.instigator_origin_id,
            name,
            kind,
            status,
            at.timestamp(),
            error=SerializableErrorInfo("broken", [], None) if status == TickStatus.FAILURE else None,
            selector_id=state.selector_id,
        )
    )


def at_work(storage: dg.DagsterInstance, at: datetime, *, but: tuple[str, ...] = ()) -> None:
    beat(storage, at)
    for name in {*SENSORS, *SCHEDULES} - set(but):
        tick(storage, name, at)


def remember_backup(mine: Office, at: datetime) -> None:
    (mine.files.private / "backup.json").write_text(
        json.dumps({"at": at.isoformat(), "folder": "backups"}), encoding="utf-8"
    )


def troubles(now: datetime) -> list[tuple[str, str]]:
    return [(f.level, f.about) for f in check_health(now, HALF_A_DAY) if f.level != "ok"]


def text(now: datetime, about: str) -> str:
    (found,) = [f.text for f in check_health(now, HALF_A_DAY) if f.about == about]
    return found


def test_an_office_at_work_is_well(
    mine: Office, storage: dg.DagsterInstance, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    at_work(storage, now)
    remember_backup(mine, now)

    status = print_health(now, HALF_A_DAY, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert status == 0, lines
    assert all(line.startswith("OK ") for line in lines)
    assert {line.split(": ")[0].split(maxsplit=1)[1] for line in lines} == {
        *("configuration", "ledger", "tenant smith", "tenant jones", "disk", "backup", "code", "daemon", "webhooks"),
        *(f"automation {name}" for name in (*SENSORS, *SCHEDULES)),
    }


def test_a_daemon_that_stopped_is_critical_and_told_with_what_waits(
    mine: Office, storage: dg.DagsterInstance, now: datetime
) -> None:
    at_work(storage, now - timedelta(minutes=10))
    remember_backup(mine, now)

    assert ("critical", "daemon") in troubles(now)
    assert "no sign of life for 10 min" in text(now, "daemon")
    assert "runs wait in the queue" in text(now, "daemon")
    assert {about for level, about in troubles(now) if level == "warn"} == {
        "automation after_sync",
        "automation alerts",
        "automation tenants",
        "automation webhooks",
    }


def test_a_daemon_that_never_ran_is_critical(mine: Office, now: datetime) -> None:
    assert ("critical", "daemon") in troubles(now)
    assert "has never run" in text(now, "daemon")


@pytest.mark.parametrize(
    ("ticked", "output"),
    [
        ({"status": TickStatus.FAILURE}, "its last tick failed"),
        ({"switch": InstigatorStatus.STOPPED}, "was switched off"),
    ],
)
def test_automation_that_fails_or_was_switched_off_is_told(
    mine: Office, storage: dg.DagsterInstance, now: datetime, ticked: dict[str, object], output: str
) -> None:
    at_work(storage, now, but=("accounts_nightly",))
    remember_backup(mine, now)
    tick(storage, "accounts_nightly", now, **ticked)  # type: ignore[arg-type]

    assert troubles(now) == [("warn", "automation accounts_nightly")]
    assert output in text(now, "automation accounts_nightly")


def test_tenants_that_are_not_read_are_told_by_name(mine: Office, storage: dg.DagsterInstance, now: datetime) -> None:
    later = now + timedelta(hours=13)
    mine.tenants["brown"] = {"domain": "brown-sandbox"}
    mine.tenants["green"] = {"domain": "green-sandbox", "integration": "disconnected"}
    mine.users |= {("brown", "bo"): mine.users["smith", "jane"], ("green", "gus"): mine.users["smith", "jane"]}
    mine.write()
    at_work(storage, later)
    remember_backup(mine, later)

    assert troubles(later) == [
        ("warn", "ledger"),
        ("warn", "tenant smith"),
        ("warn", "tenant jones"),
        ("warn", "tenant brown"),
    ]
    assert text(later, "tenant jones") == "last read 13 h ago"
    assert "was ever read" in text(later, "tenant brown")


def test_a_day_without_a_read_is_critical(mine: Office, storage: dg.DagsterInstance, now: datetime) -> None:
    later = now + timedelta(hours=25)
    at_work(storage, later)
    remember_backup(mine, later)

    assert troubles(later) == [("critical", "ledger"), ("critical", "tenant smith"), ("critical", "tenant jones")]


def test_webhooks_that_wait_are_told(mine: Office, storage: dg.DagsterInstance, now: datetime) -> None:
    inbox = Inbox(inbox_path(mine.files.private), lambda: now - timedelta(minutes=9))
    inbox.prepare()
    inbox.keep("smith", Hint("CONNECTION_SYNCED", 1, 1, 1, None))
    remember_backup(mine, now)
    at_work(storage, now)
    assert troubles(now) == [("warn", "webhooks")]
    assert text(now, "webhooks") == "the oldest has waited 9 min for its run"

    [event] = inbox.after(0, 1)
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as again:
        (state,) = [s for s in again.all_instigator_state() if s.instigator_name == "webhooks"]
        again.update_instigator_state(state.with_data(SensorInstigatorData(cursor=str(event.seq))))
    assert troubles(now) == []


def test_backups_that_are_old_or_lacking_are_told(mine: Office, storage: dg.DagsterInstance, now: datetime) -> None:
    at_work(storage, now)
    assert troubles(now) == [("warn", "backup")]

    remember_backup(mine, now - timedelta(days=3))

    assert troubles(now) == [("warn", "backup")]
    assert text(now, "backup") == "made 3 d ago"


def test_a_full_disk_is_critical(
    mine: Office, storage: dg.DagsterInstance, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work(storage, now)
    remember_backup(mine, now)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))

    assert troubles(now) == [("critical", "disk")]


def test_a_ledger_that_does_not_open_is_critical_and_the_rest_is_told(
    mine: Office, storage: dg.DagsterInstance, now: datetime
) -> None:
    at_work(storage, now)
    remember_backup(mine, now)
    mine.files.published.chmod(0o600)
    mine.files.published.write_bytes(b"garbled" * 999)

    assert troubles(now) == [("critical", "ledger")]
    assert "does not open" in text(now, "ledger")


@pytest.mark.parametrize("broken", ["dagster.yaml", "history/runs.db"])
def test_dagsters_own_storage_that_does_not_open_is_critical(
    mine: Office, storage: dg.DagsterInstance, now: datetime, broken: str
) -> None:
    at_work(storage, now)
    remember_backup(mine, now)
    (mine.data_dir / "dagster" / broken).write_bytes(b"}{ not what it was" * 999)

    (found,) = [f for f in check_health(now, HALF_A_DAY) if f.level != "ok"]

    assert (found.level, found.about) == ("critical", "dagster")
    assert "cannot be used" in found.text


def test_a_mistake_in_the_configuration_is_critical(
    mine: Office, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.config.write_text("office = 3", encoding="utf-8")

    assert print_health(now, HALF_A_DAY, as_json=True) == 2

    output = json.loads(capsys.readouterr().out)
    assert output["status"] == "critical"
    assert [finding["about"] for finding in output["findings"]] == ["configuration"]


def test_before_anything_has_run_it_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PFO_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "none"))

    found: list[HealthFinding] = check_health(datetime.now(UTC), HALF_A_DAY)

    assert {f.about for f in found if f.level == "critical"} >= {"ledger", "dagster"}
    assert list(tmp_path.iterdir()) == []
    assert find_place().is_demonstration


FAR = timedelta(days=400)


def test_loads_dated_ahead_are_critical_and_told_with_what_they_mean(mine: Office, now: datetime) -> None:
    remember_backup(mine, now)

    found = troubles(now - FAR)

    assert {("critical", "tenant smith"), ("critical", "tenant jones"), ("warn", "ledger"), ("warn", "backup")} <= set(
        found
    )
    output = text(now - FAR, "tenant smith")
    assert "loads dated ahead of this clock: 2, the newest 399 d ahead of this clock (" in output
    assert "known_at sees the state before that run" in output
    assert "pfo restore --from FOLDER --replace-newer" in output
    assert "published 399 d ahead of this clock. The next run publishes again: pfo run" in text(now - FAR, "ledger")
    assert "dated 400 d ahead of this clock, so nobody can tell how old it is." in text(now - FAR, "backup")


def test_a_tenant_that_is_configured_no_more_is_told_too_as_its_loads_date_those_of_all(
    mine: Office, now: datetime
) -> None:
    del mine.tenants["jones"]
    mine.write()

    assert ("critical", "tenant jones") in troubles(now - FAR)
    assert ("critical", "tenant jones") not in troubles(now)


@pytest.mark.parametrize(("minutes", "level"), [(4, "ok"), (6, "critical")])
def test_a_clock_that_drifts_by_minutes_is_no_finding(mine: Office, minutes: int, level: str) -> None:
    [(newest,)] = mine.ask("select max(recorded_at) from loads where tenant_id = 'jones'")

    found = check_health(newest - timedelta(minutes=minutes), HALF_A_DAY)

    assert [f.level for f in found if f.about == "tenant jones"] == [level]
