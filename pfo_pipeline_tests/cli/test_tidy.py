"""`pfo tidy`: what Dagster keeps of old runs goes, what shows the newest state of each tenant stays."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline.cli.context import find_place
from pfo_pipeline.cli.dagster_history import DeletedRuns, delete_old_runs
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline_tests.defs.office import ACCOUNTS_JOB, DAGSTERS_OWN_WARNING, Office, run_job, sync_and_refresh

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

MONTH = timedelta(days=30)


@pytest.fixture
def home(office: Office, empty_history: Path) -> Path:
    """An office whose tenant was synced twice and refreshed once, in Dagster's own files."""
    office.add_tenant("jones", "john")
    office.connect("jones", "john", "1.00")
    home = office.data_dir / "dagster"
    shutil.copytree(empty_history, home, dirs_exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert run_job(office, instance, "jones", ACCOUNTS_JOB).success
        assert all(run.success for run in sync_and_refresh(office, instance, "jones"))
    return home


def history(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "history" / "runs").glob("*-*.db"))


def newest(home: Path) -> dict[str, str]:
    """The run of each asset's newest materialization."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        events = {key: instance.get_latest_materialization_event(key) for key in instance.get_asset_keys()}
    return {key.to_user_string(): event.run_id for key, event in events.items() if event is not None}


def test_old_runs_go_except_those_that_made_an_assets_newest_state(home: Path) -> None:
    before, files = newest(home), history(home)
    assert (len(before), len(files)) == (4, 3)

    tidied = delete_old_runs(find_place(), datetime.now(UTC) + 2 * MONTH, MONTH)

    assert tidied == DeletedRuns(deleted=1, kept=2)
    assert newest(home) == before
    assert history(home) == sorted(f"{run_id}.db" for run_id in set(before.values()))
    assert {path.name for path in (home / "storage").iterdir()} == set(before.values())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert {run.run_id for run in instance.get_runs()} == set(before.values())


def test_what_is_young_enough_stays(home: Path) -> None:
    assert delete_old_runs(find_place(), datetime.now(UTC), MONTH) == DeletedRuns(deleted=0, kept=0)

    assert len(history(home)) == 3


def test_a_user_may_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    with pytest.raises(OperationRefused, match="needs role admin"):
        delete_old_runs(find_place(), datetime.now(UTC), MONTH)
