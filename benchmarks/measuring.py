"""Runs a unit of work, or any program, in a separate process, and reads its cost.

This process stays small and imports no DuckDB: the peak memory that the system reports for a child is at least its parent's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]


class UnitFailed(Exception):
    """A measured program ended with an error; its message is above, on standard error."""


@dataclass(frozen=True)
class Cost:
    """CPU is user and system time of all threads. `peak_bytes` is the largest resident size up to the end."""

    cpu_seconds: float
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Measured:
    """One run of a unit: its work alone, after imports and preparation, and its whole process."""

    work: Cost
    process: Cost
    facts: Mapping[str, Any] = field(default_factory=dict)
    profile: tuple[str, ...] = ()


def run_unit(name: str, *, profile: bool = False, **arguments: Any) -> Measured:
    """Run `benchmarks.units.<name>` with arguments that JSON can represent.

    Args:
        profile: Run it under cProfile, which slows it down: only for the profile, never for a measurement.
    Raises:
        UnitFailed: the unit raised an error.
    """
    command = [
        sys.executable,
        "-m",
        "benchmarks.unit",
        name,
        json.dumps(arguments),
        *(["--profile"] if profile else []),
    ]
    process, said = run_program(command)
    told = json.loads(said.splitlines()[-1])
    return Measured(Cost(**told["work"]), process, told["facts"], tuple(told["profile"]))


def run_program(command: list[str]) -> tuple[Cost, str]:
    """Run a program to its end.

    Returns:
        The cost of the whole process, and its standard output.
    Raises:
        UnitFailed: its exit status is not 0.
    """
    begun = time.perf_counter()
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        # Popen's own wait would lose the usage of this one child.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    if child.returncode != 0:
        raise UnitFailed(f"{' '.join(command[1:])} ended with status {child.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, seconds, peak_bytes(usage.ru_maxrss)), said


def peak_bytes(ru_maxrss: int) -> int:
    """`ru_maxrss` counts KiB on Linux and bytes on macOS."""
    return ru_maxrss if sys.platform == "darwin" else ru_maxrss * 1024
