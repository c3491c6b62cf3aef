"""The results as JSON and as Markdown: each measurement, each comparison with its aim, and notes on missed aims."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.results import MIB, Comparison, Figure, Part

_NOTES = Path(__file__).with_name("notes.md")


@dataclass(frozen=True)
class Results:
    """All results of one run. `begun_at` is a date and hour in UTC."""

    begun_at: str
    minutes: float
    is_quick: bool
    load_average_before: str
    load_average_after: str
    machine: Mapping[str, str]
    parts: tuple[Part, ...]

    def part(self, key: str) -> Part:
        """Raises: KeyError: there is no such part."""
        return {part.key: part for part in self.parts}[key]


def write(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder, replacing those of an earlier run; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "quick" if results.is_quick else "results"
    markdown, data = folder / f"{name}.md", folder / f"{name}.json"
    markdown.write_text(as_markdown(results), encoding="utf-8")
    data.write_text(json.dumps(_plain(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return markdown, data


def as_markdown(results: Results) -> str:
    notes = "" if results.is_quick else _NOTES.read_text(encoding="utf-8")
    size = "Tiny sizes: they show that the benchmarks work and say nothing about speed." if results.is_quick else ""
    sections = [
        "# What it costs",
        f"Measured {results.begun_at} in {results.minutes:.0f} minutes by `make bench`; all sides in turn, in one run. "
        f"Load average of the machine before and after: {results.load_average_before}, {results.load_average_after}. {size}",
        _table(("machine", ""), [(name, value) for name, value in results.machine.items()]),
        "CPU is user and system time of all threads, median of the runs; peak is the largest resident memory of a process. "
        '"After imports" leaves out starting Python and importing; "process" has everything.',
        *(_part(part) for part in results.parts),
        notes,
    ]
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def as_text(part: Part) -> str:
    """The comparisons of a part, for the terminal."""
    width = max(len(line.name) for line in part.comparisons)
    lines = [f"  {line.name:{width}}  {_value(line):>14}  {_judgement(line)}".rstrip() for line in part.comparisons]
    return "\n".join([f"({part.key}) {part.title}", *lines])


def _plain(results: Results) -> Mapping[str, object]:
    plain = asdict(results)
    for part, told in zip(results.parts, plain["parts"], strict=True):
        for comparison, line in zip(part.comparisons, told["comparisons"], strict=True):
            line["is_met"] = comparison.is_met
    return plain


def _part(part: Part) -> str:
    profiles = [
        f"Where the time goes: {name}\n\n```\n" + "\n".join(lines) + "\n```" for name, lines in part.profiles.items()
    ]
    return "\n\n".join(
        [
            f"## ({part.key}) {part.title}",
            _table(("compared", "value", "aim"), [(c.name, _value(c), _judgement(c)) for c in part.comparisons]),
            _table(
                ("measured", "runs", "CPU after imports", "wall", "CPU of the process", "wall", "peak", "found"),
                [_figure(f) for f in part.figures],
            ),
            *profiles,
        ]
    )


def _figure(figure: Figure) -> tuple[str, ...]:
    found = ", ".join(f"{name} {value:,}" for name, value in figure.facts.items() if not name.startswith("rows_"))
    return (
        figure.name,
        str(figure.runs),
        f"{figure.cpu_seconds:.3f} s",
        f"{figure.wall_seconds:.3f} s",
        f"{figure.process_cpu_seconds:.2f} s",
        f"{figure.process_wall_seconds:.2f} s",
        f"{figure.peak_bytes / MIB:.0f} MiB",
        found,
    )


def _value(comparison: Comparison) -> str:
    shown = f"{comparison.value:,.2f}" if comparison.unit in ("×", "s") else f"{comparison.value:,.0f}"
    return f"{shown} {comparison.unit}"


def _judgement(comparison: Comparison) -> str:
    if comparison.aim is None:
        return ""
    return f"at most {comparison.aim:g} {comparison.unit}: {'met' if comparison.is_met else '**missed**'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
