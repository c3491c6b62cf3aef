"""Half-years of one tenant each: after any events, the ledger equals the bank, and nothing was hidden.

The seeds are few: together they contain every possible event of a plan (test_plan.py).

Repeat a failed seed with `make simulate SEED=n`; `make simulate SEEDS=5000` plays many.
"""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pfo_pipeline_tests.simulation import seeds
from pfo_pipeline_tests.simulation.play import Played
from pfo_pipeline_tests.simulation.seeds import SeedFailed, check, half_year

SEEDS = (0, 10, 25, 28, 64, 82, 85, 116, 194)
_TABLES = ("loads", "users", "connections", "accounts", "balances", "quarantine", "drift", "identities", "telemetry")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_half_year_ends_with_the_truth(seed: int, workplace: Path) -> None:
    check(seed, workplace)


def test_the_same_seed_gives_the_same_half_year(workplace: Path) -> None:
    with half_year(7, workplace) as first, half_year(7, workplace) as second:
        once, again = _everything(first), _everything(second)

    assert once == again


def test_a_failed_seed_names_the_command_to_repeat_it(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "judged", lambda _: ["balances: lost one"])

    with pytest.raises(SeedFailed, match=r"(?s)make simulate SEED=3\n- balances: lost one\n.*awake by night"):
        check(3, workplace)


def _everything(over: Played) -> tuple[Any, ...]:
    """All calls to the bank, and the content of the ledger.

    Members are read concurrently, so the calls of each are compared separately, without Powens' request numbers.
    """
    calls = sorted((e["user"] or 0, e["clock"], e["seq"], e["path"], e["status"], e["fault"]) for e in over.journal)
    with duckdb.connect(str(over.ledger.files.published), read_only=True) as con:
        con.execute("use ledger.ledger")
        rows = {
            table: [
                re.sub(r" \(request \d+\)|identity-[0-9a-f-]+", "", text) for (text,) in con.execute(query).fetchall()
            ]
            for table in _TABLES
            for query in [f"select {table}::varchar from {table} order by all"]  # noqa: S608
        }
    return [(user, clock, *rest) for user, clock, _, *rest in calls], rows
