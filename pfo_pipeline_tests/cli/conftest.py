"""The demonstration as it is after its first `pfo run`; and copies of it, for what changes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `pfo run` was called with nothing configured; its data folder is `data`."""
    folder = tmp_path_factory.mktemp("demonstration")
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
    assert done.stderr == ""  # What is under way is told on terminals alone.
    return folder


@pytest.fixture
def here(demonstration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demonstration, and the working directory of a command that finds nothing else."""
    folder = shutil.copytree(demonstration, tmp_path / "here")
    monkeypatch.chdir(folder)
    for variable in ("PFO_CONFIG", "PFO_DATA_DIR", "PFO_ROLE", "DAGSTER_HOME"):
        monkeypatch.setenv(variable, "")  # Only what was set is put back afterwards, and commands set some of them.
        monkeypatch.delenv(variable)
    return folder
