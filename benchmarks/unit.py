"""`python -m benchmarks.unit NAME ARGUMENTS [--profile]`: one unit of work, measured in this process.

Imports and preparation come first and are not measured; the facts are read after the work. The last line of the standard
output is JSON for `measuring.run_unit`.
"""

import cProfile
import importlib
import io
import json
import pstats
import resource
import sys
import time
from dataclasses import asdict

from benchmarks.measuring import Cost, peak_bytes
from benchmarks.work import Work

_SHOWN = 16


def measure(work: Work) -> Cost:
    cpu, clock = time.process_time(), time.perf_counter()
    work.run()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return Cost(cpu, clock, peak_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def profile(work: Work) -> tuple[Cost, list[str]]:
    """The most expensive functions by their own time and by total time; paths are shortened to the package's."""
    profiler = cProfile.Profile()
    cost = profiler.runcall(measure, work)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("cumulative").print_stats(_SHOWN)
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(_SHOWN // 2)
    return cost, [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]


def main(name: str, arguments: str, *options: str) -> None:
    prepare = importlib.import_module(f"benchmarks.units.{name}").prepare
    work: Work = prepare(**json.loads(arguments))
    cost, lines = profile(work) if "--profile" in options else (measure(work), [])
    sys.stdout.write("\n" + json.dumps({"work": asdict(cost), "facts": dict(work.facts()), "profile": lines}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
