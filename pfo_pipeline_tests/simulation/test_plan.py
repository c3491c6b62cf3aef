"""The suite's seeds contain every kind of event, so that a passing suite is evidence."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from pfo_pipeline_tests.simulation import episodes
from pfo_pipeline_tests.simulation.events import Wake
from pfo_pipeline_tests.simulation.plan import DAYS, Plan, counted, draw
from pfo_pipeline_tests.simulation.test_seeds import SEEDS

_STATES = (*episodes.WAITS_FOR_A_PERSON, *episodes.TEMPORARY, *episodes.UNKNOWN)
_POSTS = ("posts meet lose", "posts meet duplicate", "posts meet reorder", "posts meet forge", "posts meet stale")


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [draw(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def found(plans: list[Plan]) -> Mapping[str, int]:
    return counted(plans)


def test_a_plan_is_a_function_of_its_seed() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_the_suites_seeds_contain_every_event_of_hundreds_of_half_years(
    found: Mapping[str, int],
) -> None:
    assert set(counted([draw(seed) for seed in range(300)])) - set(found) == set()


def test_every_state_fault_and_post_occurs(found: Mapping[str, int]) -> None:
    wanted = [f"state {state}" for state in _STATES]
    wanted += [*episodes.RECORD_FAULTS, *episodes.FIGURE_FAULTS, *_POSTS]
    wanted += [f"calls meet {name} {lasts}" for name in episodes.TRANSIENT for lasts in ("for a while", "for good")]
    wanted += [f"calls meet {name}" for name in episodes.PERMANENT]

    assert set(wanted) - set(found) == set()


def test_every_half_year_reads_on_a_day_of_a_clock_change(plans: list[Plan]) -> None:
    for plan in plans:
        wakes = [event for event in plan.events if isinstance(event, Wake)]
        local = {wake.at.date() for wake in wakes}

        assert {(3, 29), (10, 25)} & {(day.month, day.day) for day in local} or plan.zone in (
            "Asia/Tokyo",
            "Australia/Sydney",
        )
        assert wakes[-1].at - plan.start > timedelta(days=DAYS - 3)
