"""Starts `pfo` as a separate program."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PFO = [sys.executable, "-m", "pfo_pipeline.cli"]
_OURS = ("PFO_", "DAGSTER_", "POWENS_")


def environment(output: Mapping[str, str]) -> dict[str, str]:
    """Remove this machine's own variables: a test must not use a developer's own ledger."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | dict(output)


def pfo(*words: str, cwd: Path, output: Mapping[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PFO, *words],
        cwd=cwd,
        env=environment(output),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def start(*words: str, cwd: Path, output: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start in a new session, so that a test can end this program and nothing else."""
    return subprocess.Popen(
        [*PFO, *words],
        cwd=cwd,
        env=environment(output),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
