"""Search for errors of the product.

    python -m pfo_pipeline_tests.oracle.hunt seeds 0 20       half years, product against judge, until the first wrong moment
    python -m pfo_pipeline_tests.oracle.hunt relations 0 20   half years, each told in another way: no total changes
    python -m pfo_pipeline_tests.oracle.hunt cases            every case and every variant of it, against the written answer

Not part of the suite: the product needs some ten seconds for one half year, some minutes for all variants.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from pfo_pipeline_tests.oracle.driving import answers, first_moved, first_unlike, first_wrong
from pfo_pipeline_tests.oracle.generate import generated
from pfo_pipeline_tests.oracle.more_cases import ALL_CASES
from pfo_pipeline_tests.oracle.relations import RELATIONS
from pfo_pipeline_tests.oracle.variants import variants_of

Found = Iterator[tuple[str, str | None]]
"""The script, and its error; None if there is none."""


def half_years(first: int, last: int, folder: Path) -> Found:
    for seed in range(first, last + 1):
        yield f"seed {seed}", first_wrong(generated(seed).script, folder / str(seed))


def half_years_told_otherwise(first: int, last: int, folder: Path) -> Found:
    for seed in range(first, last + 1):
        script = generated(seed).script
        before = answers(script, folder / f"{seed}, as it is")
        for relation in RELATIONS:
            told = relation(script, Random(seed))  # noqa: S311 - chance, not secrecy
            if told is not None:
                name = f"seed {seed}, {relation.__name__}"
                yield name, first_moved(before, told, folder / name)


def written_cases(folder: Path) -> Found:
    for case in ALL_CASES:
        for told in (case, *variants_of(case)):
            yield told.name, first_unlike(told, folder / told.name)


def main(what: str, *numbers: str) -> int:
    """Run the search. Returns: the number of errors."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hunts = {"seeds": half_years, "relations": half_years_told_otherwise}
        found = hunts[what](int(numbers[0]), int(numbers[1]), folder) if what in hunts else written_cases(folder)
        for played, said in found:
            wrong += said is not None
            sys.stdout.write(f"{played}: {said or 'right'}\n")
            sys.stdout.flush()
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
