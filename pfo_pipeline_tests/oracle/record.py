"""Record the product's answers today: `python -m pfo_pipeline_tests.oracle.record FILE`.

It made `answers_of_0_1_0.json`, which shows what the judge would have found in that release. That file stays unchanged.
"""

import json
import sys
import tempfile
from pathlib import Path

from pfo_pipeline_tests.oracle.cases import Case
from pfo_pipeline_tests.oracle.driving import played
from pfo_pipeline_tests.oracle.more_cases import ALL_CASES
from pfo_pipeline_tests.oracle.oracle import Totals

Record = dict[str, list[dict[str, dict[str, str]]]]
"""By case and moment: the totals by class and currency, and the answers about earlier moments."""


def in_words(totals: Totals) -> dict[str, str]:
    return {f"{kind} {currency}": f"{value:.2f}" for (kind, currency), value in sorted(totals.items())}


def answers_of(case: Case, folder: Path) -> list[dict[str, dict[str, str]]]:
    found = []
    with played(case.script, folder) as moments:
        for right, (product, shown) in zip(case.right, moments, strict=True):
            past = {str(n): f"{product.past(case.script.moments[n].at) or 0:.2f}" for n in right.past}
            found.append({"totals": in_words(shown.totals), "past": past})
    return found


def recorded_answers() -> Record:
    with tempfile.TemporaryDirectory() as folder:
        return {case.name: answers_of(case, Path(folder) / case.name) for case in ALL_CASES}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(recorded_answers(), indent=1) + "\n")
