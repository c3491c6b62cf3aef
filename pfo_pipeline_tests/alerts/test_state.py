"""Due notices follow from conditions and earlier notices: once, again by policy, and once more at the end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from pfo_pipeline.alerts.conditions import Condition, Findings
from pfo_pipeline.alerts.state import (
    AlertState,
    Notice,
    Repeats,
    due,
    is_resting,
    mark_notified,
    mark_unreached,
    record_findings,
)
from pfo_pipeline_tests.alerts.samples import DAY, HOUR, NOW, condition, found

REPEATS: Repeats = {"critical": (24,), "warning": (24, 24, 168), "notice": ()}
MINUTE = timedelta(minutes=1)


class Desk:
    """A book with two targets, and a clock; `sees` records conditions, and notifies both targets unless one is dead."""

    def __init__(self) -> None:
        self.state = AlertState()
        self.now = NOW
        self.dead: set[str] = set()

    def sees(
        self, *conditions: Condition, after: timedelta = timedelta(0), findings: Findings | None = None
    ) -> list[str]:
        """The notices to the target `mail`, `after` some time."""
        self.now += after
        self.state = record_findings(self.state, findings or found(*conditions), self.now, ["mail", "chat"])
        heard = {name: self._tell(name) for name in ("mail", "chat")}
        return heard["mail"]

    def _tell(self, target: str) -> list[str]:
        if is_resting(self.state, target, self.now):
            return []
        notices = due(self.state, target, REPEATS, self.now)
        if target in self.dead:
            self.state = mark_unreached(self.state, target, "refused", self.now) if notices else self.state
            return []
        self.state = mark_notified(self.state, target, notices, self.now) if notices else self.state
        return words(notices)


def words(notices: Sequence[Notice]) -> list[str]:
    return [f"{notice.event} {notice.condition.thing}" for notice in notices]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_new_condition_is_notified_immediately_and_once(desk: Desk) -> None:
    assert desk.sees(condition("38")) == ["opened 38"]
    assert [desk.sees(condition("38"), after=MINUTE) for _ in range(60)] == [[]] * 60


def test_a_lasting_condition_is_repeated_by_its_severity(desk: Desk) -> None:
    lasting = [
        condition("job", severity="critical", kind="run"),
        condition("38", severity="warning"),
        condition("39", severity="notice"),
    ]
    desk.sees(*lasting)
    days = {day: mark_notified for day in range(1, 20) if (mark_notified := desk.sees(*lasting, after=DAY))}

    assert {day for day, mark_notified in days.items() if "repeated job" in mark_notified} == set(range(1, 20))
    assert {day for day, mark_notified in days.items() if "repeated 38" in mark_notified} == {1, 2, 9, 16}
    assert not any("repeated 39" in mark_notified for mark_notified in days.values())


def test_a_condition_absent_for_an_hour_is_notified_once_as_resolved(desk: Desk) -> None:
    desk.sees(condition("38"))

    assert desk.sees(after=MINUTE) == []
    assert desk.sees(after=59 * MINUTE) == []
    assert desk.sees(after=MINUTE) == ["resolved 38"]
    assert desk.sees(after=DAY) == []
    assert desk.state.alerts == {}


def test_a_condition_that_comes_and_goes_within_the_hour_is_one(desk: Desk) -> None:
    heard = [desk.sees(*([condition("38")] if turn % 2 == 0 else []), after=40 * MINUTE) for turn in range(30)]

    assert [mark_notified for mark_notified in heard if mark_notified] == [["opened 38"]]


def test_a_condition_that_returns_after_its_end_is_new(desk: Desk) -> None:
    desk.sees(condition("38"))
    desk.sees(after=MINUTE)
    desk.sees(after=HOUR)

    assert desk.sees(condition("38"), after=MINUTE) == ["opened 38"]
    (entry,) = desk.state.alerts.values()
    assert entry.since == desk.now


def test_a_new_owner_is_a_new_condition(desk: Desk) -> None:
    desk.sees(condition("38", owner="member"))

    assert desk.sees(condition("38", owner="operator"), after=MINUTE) == ["opened 38"]
    assert desk.sees(condition("38", owner="operator"), after=HOUR) == ["resolved 38"]


def test_a_lower_stage_is_notified_immediately_and_a_higher_one_is_not(desk: Desk) -> None:
    def consent(days: int) -> Condition:
        return condition("38", kind="consent", severity="notice", stage=days)

    heard = [desk.sees(consent(stage), after=DAY) for stage in (14, 14, 7, 7, 14, 1, 0, 0)]

    assert [bool(mark_notified) for mark_notified in heard] == [True, False, True, False, False, True, True, False]


def test_an_unchecked_condition_does_not_end(desk: Desk) -> None:
    desk.sees(condition("38", tenant_id="smith"), condition("job", kind="run", tenant_id="jones"))
    elsewhere = [
        found(kinds=frozenset({"sensor"})),
        found(tenants=frozenset({"miller"})),
        found(tenants=frozenset({"jones"})),
    ]

    for findings in elsewhere:
        desk.sees(findings=findings, after=2 * HOUR)
    heard = desk.sees(findings=found(tenants=frozenset({"jones"})), after=2 * HOUR)

    assert heard == ["resolved job"]
    assert [entry.condition.thing for entry in desk.state.alerts.values() if entry.absent_since is None] == ["38"]


def test_a_target_that_is_back_gets_the_conditions_that_are_still_true(desk: Desk) -> None:
    desk.dead = {"mail"}
    desk.sees(condition("38"), condition("39"))
    desk.sees(condition("38"), after=HOUR)
    desk.sees(condition("38"), condition("40"), after=2 * HOUR)
    desk.dead = set()

    assert desk.sees(condition("38"), condition("40"), after=HOUR) == ["opened 38", "opened 40"]
    assert desk.state.targets["mail"].outage is None


def test_a_dead_target_delays_no_other(desk: Desk) -> None:
    desk.dead = {"chat"}

    assert desk.sees(condition("38")) == ["opened 38"]
    assert desk.sees(condition("38"), after=DAY) == ["repeated 38"]


def test_a_dead_target_is_retried_soon_and_then_each_hour(desk: Desk) -> None:
    desk.dead = {"mail"}
    tries = 0
    for _ in range(24 * 60):
        before = desk.state.targets["mail"].outage if desk.state.targets else None
        desk.sees(condition("38"), after=MINUTE)
        tries += desk.state.targets["mail"].outage != before

    outage = desk.state.targets["mail"].outage
    assert outage is not None
    assert outage.since == NOW + MINUTE
    assert outage.tries == tries == 6 + 23


def test_a_resolved_condition_waits_a_week_for_a_dead_target(desk: Desk) -> None:
    desk.sees(condition("38"))
    desk.dead = {"mail"}
    desk.sees(after=HOUR)
    desk.sees(after=6 * DAY)
    assert len(desk.state.alerts) == 1

    desk.sees(after=DAY)

    assert desk.state.alerts == {}
    assert desk.state.targets["mail"].notifications == {}


def test_a_target_that_is_no_longer_configured_is_forgotten(desk: Desk) -> None:
    desk.sees(condition("38"))

    assert set(record_findings(desk.state, found(), NOW, ["mail"]).targets) == {"mail"}


def test_a_tenants_target_gets_only_that_tenants_alerts() -> None:
    everything = found(condition("38"), condition("38", "jones"), condition("daemon", "", kind="daemon"))
    state = record_findings(AlertState(), everything, NOW, ["mail"])

    assert [n.condition.tenant_id for n in due(state, "mail", REPEATS, NOW, "jones")] == ["jones"]
    assert sorted(n.condition.tenant_id for n in due(state, "mail", REPEATS, NOW)) == ["", "jones", "smith"]


def test_an_old_condition_is_notified_with_its_start(desk: Desk) -> None:
    desk.sees(condition("38"))
    later: datetime = NOW + 3 * DAY

    (notice,) = due(record_findings(desk.state, found(condition("38")), later, ["mail"]), "mail", REPEATS, later)

    assert notice.since == NOW


def test_dates_from_a_clock_ahead_delay_nothing_once_it_is_right(desk: Desk) -> None:
    lasting = condition("38", severity="critical")
    desk.dead = {"chat"}
    assert desk.sees(lasting, after=400 * DAY) == ["opened 38"]

    assert desk.sees(lasting, after=-400 * DAY) == []
    assert [entry.since for entry in desk.state.alerts.values()] == [desk.now]
    outage = desk.state.targets["chat"].outage
    assert outage is not None
    assert outage.since == desk.now
    assert outage.next_try_at == desk.now + HOUR

    assert desk.sees(lasting, after=DAY) == ["repeated 38"]
    assert desk.state.targets["mail"].notifications[lasting.key].at == desk.now


def test_an_end_under_a_clock_ahead_settles_by_the_right_clock(desk: Desk) -> None:
    desk.sees(condition("38"))
    desk.sees(after=400 * DAY)
    desk.sees(after=-400 * DAY)

    assert desk.sees(after=2 * HOUR) == ["resolved 38"]
