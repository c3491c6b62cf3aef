"""`python -m benchmarks.slow_imports`: the imports of the code location beyond Dagster's, by time including their own
imports.
"""

import builtins
import sys
import time
from typing import Any

_SLOW_MILLISECONDS = 15
_SHOWN = 16


def main() -> None:
    __import__("dagster")
    plain = builtins.__import__
    told: list[tuple[float, str]] = []

    def timed(name: str, *rest: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return plain(name, *rest, **named)
        finally:
            told.append((1_000 * (time.perf_counter() - begun), name))

    builtins.__import__ = timed
    timed("pfo_pipeline.definitions")
    builtins.__import__ = plain
    slow = sorted({line for line in told if line[0] >= _SLOW_MILLISECONDS}, reverse=True)[:_SHOWN]
    sys.stdout.writelines(f"{milliseconds:6.0f} ms  {name}\n" for milliseconds, name in slow)


if __name__ == "__main__":
    main()
