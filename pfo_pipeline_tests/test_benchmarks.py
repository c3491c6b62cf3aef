"""The benchmarks measure what they say they do, shown at tiny sizes: every part has figures with the right numbers of rows.

Nothing here looks at a time: which machine runs the suite, and beside what, is not known.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sizes import QUICK

PROJECT = Path(__file__).parents[1]
ACCOUNTS, CONNECTIONS = QUICK.load.accounts, QUICK.load.connections
LARGEST = QUICK.ledgers[-1]

Parts = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the results of one quick run, as `make bench` would write them."""
    folder = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--results", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=1800)
    return folder


@pytest.fixture(scope="module")
def parts(written: Path) -> Parts:
    return {part["key"]: part for part in json.loads((written / "quick.json").read_text(encoding="utf-8"))["parts"]}


def facts(part: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each figure of a part found, by its name."""
    return {figure["name"]: figure["facts"] for figure in part["figures"]}


def test_every_part_has_figures_and_comparisons(parts: Parts) -> None:
    assert list(parts) == ["a", "b", "c", "d", "e"]
    for part in parts.values():
        assert part["figures"]
        assert part["comparisons"]
        assert all(figure["runs"] > 0 and figure["peak_bytes"] > 0 for figure in part["figures"])


@pytest.mark.parametrize("side", ["steps", "dagster"])
def test_a_first_load_brings_every_account_and_the_second_nothing_but_its_log(parts: Parts, side: str) -> None:
    found = facts(parts["a"])
    first = found[f"{side}, first load"]
    assert (first["rows_accounts"], first["rows_balances"]) == (ACCOUNTS, ACCOUNTS)
    assert first["rows_connections"] == CONNECTIONS
    second = found[f"{side}, second load"]
    assert second["rows"] == 0
    assert second["log_rows"] > 0


def test_the_minimum_loads_the_same_accounts(parts: Parts) -> None:
    found = facts(parts["a"])
    assert found["minimum, first load"]["rows"] == found["minimum, first load"]["touched"] == ACCOUNTS
    assert found["minimum, second load"]["rows"] == 0


def test_a_merge_writes_the_changed_rows_and_no_other_at_every_size(parts: Parts) -> None:
    merges = {name: output["added"] for name, output in facts(parts["b"]).items() if "rows, " in name}
    assert len(merges) == 2 * len(QUICK.ledgers)
    assert set(merges.values()) == {QUICK.changed_rows}


@pytest.mark.parametrize("side", ["published", "by hand"])
def test_queries_answer_for_every_account_that_was_known(parts: Parts, side: str) -> None:
    rows = {name: output["rows"] for name, output in facts(parts["c"]).items() if name.endswith(f", {side}")}
    for name in ("latest balances", "balances as of now", "balances as of the middle"):
        assert rows[f"{name}, {side}"] == LARGEST.accounts
    for name in ("cash position now", "cash position in the middle"):
        assert rows[f"{name}, {side}"] == 3  # currencies
    # One a day, and a correction by every round of merges: account 7 is among the first that change.
    assert rows[f"history of one account, {side}"] == LARGEST.days + 1


def test_what_is_published_is_the_whole_file_and_made_up_ledgers_are_as_real_ones(parts: Parts) -> None:
    found = facts(parts["d"])
    for size in QUICK.ledgers:
        name = f"{size.balances:,} rows"
        assert found[f"publish {name}"]["bytes"] == found[f"copy and sync {name}"]["bytes"] > 0
        assert found[f"verify {name}"]["findings"] == 0


def test_start_up_compares_with_runs_of_four_assets(parts: Parts) -> None:
    found = facts(parts["e"])
    assert found["empty run of four assets"] == {"assets": 4, "runs": 1}
    assert found["two empty runs of two assets"] == {"assets": 4, "runs": 2}
    assert found["one tenant's whole run"]["rows_accounts"] == QUICK.household.accounts


def test_each_aim_is_stated_with_whether_it_is_met(written: Path, parts: Parts) -> None:
    aims = [line for part in parts.values() for line in part["comparisons"] if line["aim"] is not None]
    assert len(aims) > len(parts)
    assert all(line["is_met"] is (line["value"] <= line["aim"]) for line in aims)
    text = (written / "quick.md").read_text(encoding="utf-8")
    assert all(line["name"] in text for line in aims)


def test_results_describe_the_machine_and_name_no_place_on_it(written: Path) -> None:
    text = (written / "quick.json").read_text(encoding="utf-8") + (written / "quick.md").read_text(encoding="utf-8")
    machine = json.loads((written / "quick.json").read_text(encoding="utf-8"))["machine"]
    assert {"CPU", "cores", "memory", "system", "Python", "duckdb", "dagster"} <= set(machine)
    assert str(PROJECT) not in text
    assert str(written.parent) not in text
