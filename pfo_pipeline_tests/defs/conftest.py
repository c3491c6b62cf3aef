"""A separate bank, office and Dagster instance for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import Office, today
from pfo_pipeline_tests.simulated_bank import SimulatedBank

_OVERRIDES = {"telemetry": {"enabled": False}}


@pytest.fixture
def bank() -> Iterator[SimulatedBank]:
    with SimulatedBank(now=today()) as running:
        yield running


@pytest.fixture
def office(bank: SimulatedBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """An office without tenants yet; the environment names its configuration."""
    empty = Office(bank, tmp_path / "office")
    monkeypatch.delenv("PFO_ROLE", raising=False)
    for name, value in empty.environment().items():
        monkeypatch.setenv(name, value)
    return empty


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's files before the first run: creating them takes longer than a test."""
    folder = tmp_path_factory.mktemp("history")
    with dg.DagsterInstance.local_temp(str(folder), overrides=_OVERRIDES) as new:
        new.get_runs()
        new.get_dynamic_partitions("tenants")
        new.all_instigator_state()
    return folder


@pytest.fixture
def lasting_instance(empty_history: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with SQLite files, as in production: sensors and schedules get its reference."""
    folder = shutil.copytree(empty_history, tmp_path / "dagster")
    with dg.DagsterInstance.local_temp(str(folder), overrides=_OVERRIDES) as lasting:
        yield lasting
