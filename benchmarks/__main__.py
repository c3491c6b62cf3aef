"""`python -m benchmarks [--quick] [--results FOLDER] [--part KEY]…`: measure, print, write the results."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import first_load, ledgers, merge_cost, publication, queries, start_up
from benchmarks.machine import description, load_average
from benchmarks.report import Results, as_text, write
from benchmarks.results import Part
from benchmarks.sizes import FULL, QUICK, Sizes

PARTS = "abcde"
_RESULTS = Path(__file__).with_name("results")


def run(sizes: Sizes, folder: Path, wanted: str = PARTS) -> Results:
    """Measure the wanted parts in a temporary folder; progress goes to standard error, comparisons to standard output."""
    begun_at, begun, load_before = datetime.now(UTC), time.monotonic(), load_average()
    parts: list[Part] = []

    def done(part: Part) -> None:
        parts.append(part)
        sys.stdout.write(as_text(part) + "\n\n")
        sys.stdout.flush()

    if "a" in wanted:
        done(first_load.measure(sizes, folder, _tell))
    if set(wanted) & set("bcd"):
        filled = ledgers.fill(sizes, folder, _tell)
        if "b" in wanted:
            done(merge_cost.measure(sizes, filled, _tell))
        if "c" in wanted:
            done(queries.measure(sizes, filled[-1], _tell))
        if "d" in wanted:
            done(publication.measure(sizes, filled, _tell))
    if "e" in wanted:
        done(start_up.measure(sizes, folder, _tell))
    return Results(
        begun_at=f"{begun_at:%Y-%m-%d %H:%M} UTC",
        minutes=(time.monotonic() - begun) / 60,
        is_quick=sizes is QUICK,
        load_average_before=load_before,
        load_average_after=load_average(),
        machine=description(),
        parts=tuple(parts),
    )


def _tell(text: str) -> None:
    sys.stderr.write(f"… {text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the pipeline costs, by comparison.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only show that the benchmarks work")
    parser.add_argument("--results", type=Path, help="folder of the results; without --quick: benchmarks/results")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    told = parser.parse_args()
    wanted = "".join(told.part or PARTS)
    # A single part, or a quick run, does not replace full results unless a folder is named.
    target = told.results or (None if told.quick or told.part else _RESULTS)
    with tempfile.TemporaryDirectory(prefix="pfo-bench-") as folder:
        results = run(QUICK if told.quick else FULL, Path(folder), wanted)
    if target is not None:
        for path in write(results, target):
            sys.stdout.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
