"""Measurements of repeated runs, their comparisons, and whether an aim is met.

Seconds are CPU seconds of all threads unless called wall time; sizes are bytes, shown in MiB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from benchmarks.measuring import Cost, Measured

Unit = Literal["×", "MiB", "rows", "bytes", "s"]
MIB = 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """Medians over `runs` repetitions, with the largest peak; `facts` are those of the last one."""

    name: str
    runs: int
    cpu_seconds: float
    wall_seconds: float
    process_cpu_seconds: float
    process_wall_seconds: float
    peak_bytes: int
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """One important number. `aim` is its maximum; None without an aim."""

    name: str
    value: float
    unit: Unit
    aim: float | None = None

    @property
    def is_met(self) -> bool | None:
        return None if self.aim is None else self.value <= self.aim


@dataclass(frozen=True)
class Part:
    """One of the five parts; `profiles` shows the distribution of time, by profiled unit."""

    key: str
    title: str
    figures: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...]
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def figure(self, name: str) -> Figure:
        """Raises: KeyError: there is none of that name."""
        return {figure.name: figure for figure in self.figures}[name]


def figure(name: str, measured: Sequence[Measured], facts: Mapping[str, int] | None = None) -> Figure:
    """The medians of a unit's runs. Args: facts: instead of the last run's own."""
    return Figure(
        name=name,
        runs=len(measured),
        cpu_seconds=median(m.work.cpu_seconds for m in measured),
        wall_seconds=median(m.work.seconds for m in measured),
        process_cpu_seconds=median(m.process.cpu_seconds for m in measured),
        process_wall_seconds=median(m.process.seconds for m in measured),
        peak_bytes=max(m.process.peak_bytes for m in measured),
        facts=measured[-1].facts if facts is None else facts,
    )


def figure_of_program(name: str, costs: Sequence[Cost]) -> Figure:
    """The medians of a program's runs: the whole process is the work."""
    return figure(name, [Measured(cost, cost) for cost in costs])


def times(name: str, value: float, base: float, aim: float | None = None) -> Comparison:
    """A value as a multiple of `base`; `base` counts as at least a tenth of a millisecond."""
    return Comparison(name, value / max(base, 1e-4), "×", aim)


def is_missed(comparisons: Sequence[Comparison]) -> bool:
    return any(comparison.is_met is False for comparison in comparisons)
