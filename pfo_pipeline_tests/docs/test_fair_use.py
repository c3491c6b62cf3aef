"""The numbers of calls in docs/fair-use.md, counted at the simulated bank."""

import re

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.conftest import bank, instance, office
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS_JOB,
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
)
from pfo_pipeline_tests.docs.pages import DOCS, read

__all__ = ["bank", "instance", "office"]
pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

PAGE = read(DOCS / "fair-use.md")


def output(when: str) -> int:
    found = re.search(rf"^\| {re.escape(when)} \| (\d+)", PAGE, re.MULTILINE)
    assert found is not None, when
    return int(found[1])


def test_each_step_makes_the_documented_number_of_calls(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    for _ in range(3):
        office.connect("smith", "jane", "10.00", "20.00")

    counts = []
    for job in (ACCOUNTS_JOB, BALANCES_JOB):
        before = len(office.calls("smith"))
        assert run_job(office, instance, "smith", job).success
        counts.append(len(office.calls("smith")) - before)

    fetches = 2 * output("each fetch")
    assert counts == [output("each accounts sync"), output("each balances refresh")]
    assert fetches == 0
    assert {call["method"] for call in office.calls("smith")} == {"GET"}
    assert {path.partition("?")[0].rpartition("/2.0")[2] for path in office.paths("smith")} == {
        "/users/me/connections",
        "/users/me/accounts",
    }


def test_the_daily_number_of_calls_is_the_sum_of_its_runs() -> None:
    a_day = output("each accounts sync") + 5 * output("each balances refresh")

    assert f"That is {a_day} calls a day for each user" in " ".join(PAGE.split())
