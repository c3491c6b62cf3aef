"""Looks for half years that the product gets wrong: `python -m pfo_pipeline_tests.oracle.hunt FIRST_SEED LAST_SEED`.

Not part of the suite: one half year takes the product some ten seconds.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pfo_pipeline_tests.oracle.driving import first_wrong
from pfo_pipeline_tests.oracle.generate import generated


def wrong_half_years(seeds: range) -> Iterator[tuple[int, str | None]]:
    """By seed, the first moment at which product and judge disagree; None where they never do."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            yield seed, first_wrong(generated(seed).script, Path(folder))


def main(first: int, last: int) -> int:
    """Returns: how many half years were wrong."""
    wrong = 0
    for seed, said in wrong_half_years(range(first, last + 1)):
        wrong += said is not None
        sys.stdout.write(f"seed {seed}: {said or 'agreed'}\n")
        sys.stdout.flush()
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(*map(int, sys.argv[1:3])), 1))
