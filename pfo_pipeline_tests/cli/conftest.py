"""The demonstration after its first `pfo run`, copies of it, and a synced office for commands that read."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline_tests.conftest import built_once
from pfo_pipeline_tests.defs.conftest import bank, empty_history, instance, office
from pfo_pipeline_tests.defs.office import Office, sync_and_refresh, today
from pfo_pipeline_tests.simulated_bank import SimulatedBank

__all__ = ["bank", "empty_history", "instance", "office"]

SMITHS = "123456789012345678.12"
JONES = "777.25"


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `pfo run` was called with nothing configured; its data folder is `data`."""
    return built_once(tmp_path_factory, "demonstration", _run_demonstration)


def _run_demonstration(folder: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PFO_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pfo_pipeline.cli", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""  # What is under way is shown on terminals alone.


@pytest.fixture
def demo_folder(demonstration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demonstration, and the working directory of a command that finds nothing else."""
    folder = shutil.copytree(demonstration, tmp_path / "demo")
    monkeypatch.chdir(folder)
    for variable in ("PFO_CONFIG", "PFO_DATA_DIR", "PFO_ROLE", "DAGSTER_HOME"):
        monkeypatch.setenv(variable, "")  # Only what was set is put back afterwards, and commands set some of them.
        monkeypatch.delenv(variable)
    return folder


@pytest.fixture(scope="session")
def synced_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Tenants `smith` (two accounts, one connection that a member must fix) and `jones` (one account)."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        SimulatedBank(now=today()) as bank,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        synced = Office(bank, tmp_path_factory.mktemp("office"))
        monkeypatch.delenv("PFO_ROLE", raising=False)
        for name, value in synced.environment().items():
            monkeypatch.setenv(name, value)
        synced.add_tenant("smith", "jane", client_id="12345678", redirect_uri="https://office.invalid/back")
        synced.connect("smith", "jane", SMITHS, "-0.0001")
        synced.connect("smith", "jane", state="wrongpass")
        synced.add_tenant("jones", "john")
        synced.connect("jones", "john", JONES)
        for tenant in ("smith", "jones"):
            assert all(run.success for run in sync_and_refresh(synced, instance, tenant))
        yield synced


@pytest.fixture
def here(synced_office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The synced office, as the environment of a command names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_ROLE", raising=False)
    for name, value in synced_office.environment().items():
        monkeypatch.setenv(name, value)
    return synced_office
