"""Automatic runs and checks, compared with the operator's pages."""

import re

import pytest

from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.cash_page import cash_page
from pfo_pipeline.defs.checks import CHECKS
from pfo_pipeline.defs.schedules import ACCOUNTS, BALANCES
from pfo_pipeline.powens.states import STATES
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING
from pfo_pipeline_tests.docs.pages import DOCS, read

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)
OPERATOR = read(DOCS / "operator.md")
FAILURES = read(DOCS / "failures.md")


def test_every_schedule_and_sensor_is_in_the_table_of_automatic_runs() -> None:
    repository = build_defs().get_repository_def()
    there = {("schedule", s.name) for s in repository.schedule_defs} | {
        ("sensor", s.name) for s in repository.sensor_defs
    }

    assert set(re.findall(r"^\| (schedule|sensor) `(\w+)` \|", OPERATOR, re.MULTILINE)) == there


def test_a_tenant_is_read_as_often_as_documented() -> None:
    assert len(ACCOUNTS.hours) + len(BALANCES.hours) == 5
    assert "five times a day" in " ".join(read(DOCS / "index.md").split())
    assert "(from 7, 12, 16 and 20 o'clock)" in OPERATOR
    assert BALANCES.hours == (7, 12, 16, 20)


def test_every_check_is_documented() -> None:
    checks = {check for of_asset in CHECKS.values() for check in of_asset}
    of_the_page = {spec.name for spec in cash_page.check_specs}
    warning = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", OPERATOR[OPERATOR.index("| check |") :], re.MULTILINE)
    output = {name for cell in warning for name in re.findall(r"\w+", cell)}

    assert {check.name for check in checks if not check.is_rule} | of_the_page == output
    assert [check.name for check in checks if check.is_rule and f"`{check.name}`" not in FAILURES] == []


def test_every_state_of_a_connection_is_in_the_table_of_failures() -> None:
    assert [state for state in STATES if f"`{state}`" not in FAILURES] == []
