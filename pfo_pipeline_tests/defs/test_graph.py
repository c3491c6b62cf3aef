"""The graph's public shape, compared with a committed snapshot, and its loading.

If a change of the shape is intended, renew the snapshot and read the difference:

    python -m pfo_pipeline_tests.defs.test_graph > pfo_pipeline_tests/defs/graph.json
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg

from pfo_pipeline.definitions import build_defs

PROJECT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("graph.json")


def public_shape() -> dict[str, Any]:
    """Names that other people's dashboards, alerts and stored cursors use."""
    repository = build_defs().get_repository_def()
    graph = repository.asset_graph
    return {
        "location": location_name(),
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "group": graph.get(key).group_name,
                "partitions": getattr(graph.get(key).partitions_def, "name", None),
            }
            for key in sorted(graph.get_all_asset_keys())
        },
        "checks": sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in graph.asset_check_keys),
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "status": schedule.default_status.value,
            }
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: {
                "interval_seconds": sensor.minimum_interval_seconds,
                "status": sensor.default_status.value,
                "type": sensor.sensor_type.value,
            }
            for sensor in repository.sensor_defs
        },
        "resources": sorted(repository.get_top_level_resources()),
        "executor": repository.get_job("sync_openbanking_accounts").executor_def.name,
    }


def location_name() -> str:
    text = (PROJECT / "workspace.yaml").read_text(encoding="utf-8")
    (name,) = [line.split(":")[1].strip() for line in text.splitlines() if "location_name:" in line]
    return name


def as_text(shape: dict[str, Any]) -> str:
    return json.dumps(shape, indent=2, sort_keys=True) + "\n"


def test_the_graphs_public_shape_is_the_committed_one() -> None:
    assert public_shape() == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "The graph's public shape has changed. If that is meant: "
        f"python -m {__name__} > {SNAPSHOT.relative_to(PROJECT)}, then read the difference."
    )


def test_every_schedule_and_sensor_runs_by_default() -> None:
    shape = public_shape()

    assert {driver["status"] for kind in ("schedules", "sensors") for driver in shape[kind].values()} == {"RUNNING"}


def test_the_location_has_the_same_name_with_any_loading() -> None:
    """Cursors and switches belong to the location's name: with another name they would be lost."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    output = settings.get("tool", {}).get("dg", {}).get("project", {}).get("code_location_name", location_name())

    assert location_name() == "pfo_pipeline"
    assert output == location_name()
    assert "dagster" not in settings["tool"], "would win over workspace.yaml and give the location another name"


def test_the_definitions_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(build_defs())


def test_loading_does_no_work_and_causes_no_dagster_warning(tmp_path: Path) -> None:
    """No configuration, no data folder, no network, no writing: Dagster loads the module again for each run."""
    code = (
        "import socket, warnings\n"
        "from dagster import BetaWarning, PreviewWarning, SupersessionWarning\n"
        "def refuse(*_): raise AssertionError('a connection at import')\n"
        "socket.socket.connect = refuse\n"
        "for kind in (BetaWarning, PreviewWarning, SupersessionWarning, DeprecationWarning):\n"
        "    warnings.simplefilter('error', kind)\n"
        "warnings.filterwarnings('ignore', 'The `__fields__` attribute is deprecated')\n"
        "from pfo_pipeline.definitions import defs\n"
        "print(len(defs().get_repository_def().get_all_jobs()))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "", "PFO_CONFIG": str(tmp_path / "none.toml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    sys.stdout.write(as_text(public_shape()))
