"""Due times of a tenant's workflows: by its own clock, once for each of its hours, caught up once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.defs.schedules import ACCOUNTS, BALANCES, COMMANDS, DueTime, JobHours, RequestedRun, due

QUARTER = timedelta(minutes=15)
ZONES = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",  # 5:45 ahead
    "Pacific/Apia",
    "UTC",
]
# Both clock changes of each zone in 2026, and quiet days.
DAYS = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 8), date(2026, 11, 1), date(2026, 4, 5), date(2026, 7, 1)]
PARIS_SPRING, PARIS_AUTUMN, SUMMER = date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)
Slots = list[tuple[datetime, DueTime]]


def tenant(name: str = "smith", timezone: str = "Europe/Paris") -> Tenant:
    user = User(id="jane", token="env:UNUSED")
    return Tenant(id=name, domain="smith", timezone=timezone, users=(user,))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Midnight in UTC, at a full quarter of an hour."""
    at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    return at - timedelta(minutes=at.minute % 15, seconds=at.second)


def ticks(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Dagster's tick of every quarter of an hour."""
    while begin < end:
        yield begin
        begin += QUARTER


def days(whose: Tenant, day: date, count: int = 1) -> list[datetime]:
    """The ticks of this number of the tenant's days."""
    return list(ticks(midnight(day, whose.zone), midnight(day + timedelta(days=count), whose.zone)))


def run_of(slot: DueTime, turn: JobHours, at: datetime) -> RequestedRun:
    return RequestedRun(slot.tenant_id, turn.job, COMMANDS[turn.job], at, slot.run_key)


def asked_at(whose: Tenant, turn: JobHours, moments: Iterable[datetime], before: Iterable[RequestedRun] = ()) -> Slots:
    """The requests of these ticks, one after the other, each with a run."""
    asked, found = list(before), []
    for at in moments:
        for slot in due([whose], turn, at, asked):
            found.append((at, slot))
            asked.append(run_of(slot, turn, at))
    return found


def names(found: Slots) -> list[str]:
    return [slot.name for _, slot in found]


def in_office(whose: Tenant, turn: JobHours, day: date) -> Slots:
    """The requests of one day on which the machine is on."""
    found = asked_at(whose, turn, days(whose, day))
    return [(at, slot) for at, slot in found if slot.name.startswith(f"{day}")]


def slot_on(whose: Tenant, turn: JobHours, day: date) -> DueTime:
    return in_office(whose, turn, day)[0][1]


steady = settings(derandomize=True, deadline=None, max_examples=30)
tenant_names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


@steady
@given(name=tenant_names, timezone=st.sampled_from(ZONES), day=st.dates(date(2025, 1, 1), date(2028, 12, 31)))
def test_every_tenant_is_due_once_for_each_of_its_hours_on_every_day(name: str, timezone: str, day: date) -> None:
    for turn in (ACCOUNTS, BALANCES):
        found = in_office(tenant(name, timezone), turn, day)

        assert names(found) == [f"{day}T{hour:02}" for hour in turn.hours]
        assert not any(slot.is_missed(at) for at, slot in found)
        assert [at.astimezone(ZoneInfo(timezone)).hour for at, _ in found] == list(turn.hours)


@steady
@given(name=tenant_names, timezone=st.sampled_from(ZONES), day=st.sampled_from(DAYS))
def test_each_hour_is_requested_once_on_days_with_a_clock_change(name: str, timezone: str, day: date) -> None:
    """A skipped hour begins when it would have begun, so it may coincide with the next one."""
    whose = tenant(name, timezone)
    found = in_office(whose, replace(ACCOUNTS, hours=tuple(range(24))), day)

    assert max(Counter(names(found)).values()) == 1
    begun = {at.astimezone(whose.zone).hour for at, _ in found}
    assert {f"{day}T{hour:02}" for hour in begun} <= set(names(found))
    assert begun == {at.astimezone(whose.zone).hour for at in days(whose, day)}
    assert len(found) == len({slot.begins for _, slot in found})


@pytest.mark.parametrize(("day", "hour"), [(PARIS_SPRING, 3), (PARIS_AUTUMN, 4), (SUMMER, 3)])
def test_paris_is_synced_at_five_by_its_own_clock(day: date, hour: int) -> None:
    ((at, slot),) = in_office(tenant(), ACCOUNTS, day)

    assert slot.name == f"{day}T05"
    assert (at.hour, at.astimezone(tenant().zone).hour) == (hour, 5)


def test_the_hour_that_october_repeats_is_requested_only_in_its_first_pass() -> None:
    ((at, slot),) = in_office(tenant(), replace(ACCOUNTS, hours=(2,)), PARIS_AUTUMN)

    assert (slot.name, at.hour) == ("2026-10-25T02", 0)


def test_the_hour_that_october_repeats_is_caught_up_in_its_second_pass() -> None:
    whose, turn = tenant(), replace(ACCOUNTS, hours=(2,))
    on = [at for at in days(whose, PARIS_AUTUMN) if at >= datetime(2026, 10, 25, 1, tzinfo=UTC)]

    ((at, slot),) = asked_at(whose, turn, on)

    assert (slot.name, at) == ("2026-10-25T02", on[0])
    assert slot.is_missed(at)


def test_the_hour_that_march_skips_is_requested_when_it_would_have_begun() -> None:
    ((at, slot),) = in_office(tenant(), replace(ACCOUNTS, hours=(2,)), PARIS_SPRING)

    assert (slot.name, at.astimezone(tenant().zone).hour) == ("2026-03-29T02", 3)


def off(moments: list[datetime], begin: datetime, end: datetime) -> list[datetime]:
    """The ticks without those of a machine that was off. Dagster repeats the newest missed tick, so the first one is `end`."""
    return [at for at in moments if not begin <= at < end]


@pytest.mark.parametrize("day", [PARIS_SPRING, PARIS_AUTUMN, SUMMER])
def test_a_due_time_missed_by_an_hour_is_caught_up_once_at_the_next_start(day: date) -> None:
    whose = tenant()
    begins = slot_on(whose, ACCOUNTS, day).begins
    moments = off(days(whose, day - timedelta(days=1), 2), begins - 2 * QUARTER, begins + 2 * QUARTER)

    *_, (at, slot) = found = asked_at(whose, ACCOUNTS, moments)

    assert names(found)[-2:] == [f"{day - timedelta(days=1)}T05", f"{day}T05"]
    assert at == begins + 2 * QUARTER
    assert slot.is_missed(at)


@pytest.mark.parametrize("back", [timedelta(hours=9), timedelta(hours=14), timedelta(hours=23, minutes=45)])
@pytest.mark.parametrize("day", [PARIS_SPRING, PARIS_AUTUMN, SUMMER])
def test_after_three_days_off_each_workflow_is_requested_once(day: date, back: timedelta) -> None:
    whose = tenant()
    last = midnight(day - timedelta(days=2), whose.zone)
    first = midnight(day + timedelta(days=1), whose.zone) + back
    for turn in (ACCOUNTS, BALANCES):
        before = [run_of(slot, turn, at) for at, slot in asked_at(whose, turn, ticks(last - timedelta(days=1), last))]

        found = due([whose], turn, first, before)

        assert len(found) == 1
        assert due([whose], turn, first, [*before, run_of(found[0], turn, first)]) == []


def test_a_due_time_older_than_the_next_one_is_not_caught_up() -> None:
    whose = tenant()
    noon = datetime(2026, 7, 1, 11, 0, tzinfo=UTC)  # 13 o'clock

    assert [slot.name for slot in due([whose], BALANCES, noon, [])] == ["2026-07-01T12"]


def test_a_due_time_a_day_ago_is_not_caught_up() -> None:
    """The day on which the clock goes back is longer than a day."""
    whose = tenant()
    begins = slot_on(whose, ACCOUNTS, PARIS_AUTUMN - timedelta(days=1)).begins

    assert due([whose], ACCOUNTS, begins + timedelta(hours=23, minutes=45), []) != []
    assert due([whose], ACCOUNTS, begins + timedelta(days=1), []) == []


def test_a_clock_that_jumps_ahead_a_day_requests_once_and_continues() -> None:
    whose = tenant()
    morning = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
    moments = [
        *ticks(morning - timedelta(days=2), morning),
        *ticks(morning + timedelta(days=1), morning + timedelta(days=3)),
    ]

    found = asked_at(whose, ACCOUNTS, moments)

    assert names(found)[-4:] == ["2026-07-01T05", "2026-07-02T05", "2026-07-03T05", "2026-07-04T05"]
    assert [slot.is_missed(at) for at, slot in found][-4:] == [False, True, False, False]


@pytest.mark.parametrize("turn", [ACCOUNTS, BALANCES])
def test_a_clock_that_goes_back_an_hour_repeats_nothing_and_skips_nothing(turn: JobHours) -> None:
    """Whether Dagster ticks again in the repeated hour or waits for its end, as it does."""
    whose = tenant()
    begin = midnight(SUMMER, whose.zone)
    plain = names(asked_at(whose, turn, days(whose, SUMMER, 3)))
    for jump in list(ticks(begin + timedelta(hours=3), begin + timedelta(days=1)))[::5]:
        again = [*ticks(begin, jump), *ticks(jump - timedelta(hours=1), begin + timedelta(days=3))]

        assert names(asked_at(whose, turn, again)) == plain


def by_hand(job: str, at: datetime) -> RequestedRun:
    return RequestedRun("smith", job, COMMANDS[job], at)


@pytest.mark.parametrize(
    ("turn", "run", "counts"),
    [
        (ACCOUNTS, lambda at: by_hand(ACCOUNTS.job, at), True),
        (ACCOUNTS, lambda at: replace(by_hand(ACCOUNTS.job, at), job="__ASSET_JOB"), True),
        (ACCOUNTS, lambda at: replace(by_hand(ACCOUNTS.job, at), failed=True), False),
        (ACCOUNTS, lambda at: replace(by_hand(ACCOUNTS.job, at), commands=frozenset()), False),
        (ACCOUNTS, lambda at: replace(by_hand(ACCOUNTS.job, at), tenant_id="jones"), False),
        (ACCOUNTS, lambda at: by_hand(ACCOUNTS.job, at - timedelta(hours=1)), False),
        (ACCOUNTS, lambda at: by_hand(BALANCES.job, at), False),
        (BALANCES, lambda at: by_hand(BALANCES.job, at), True),
        (BALANCES, lambda at: by_hand(ACCOUNTS.job, at), True),
    ],
)
def test_a_run_from_elsewhere_after_the_due_time_counts_unless_it_failed(
    turn: JobHours, run: Callable[[datetime], RequestedRun], counts: bool
) -> None:
    begins = slot_on(tenant(), turn, SUMMER).begins

    found = due([tenant()], turn, begins + timedelta(hours=1), [run(begins + timedelta(minutes=20))])

    assert (found == []) == counts


def test_a_due_times_own_run_counts_even_if_it_failed() -> None:
    slot = slot_on(tenant(), ACCOUNTS, SUMMER)

    failed = replace(run_of(slot, ACCOUNTS, slot.begins), failed=True)

    assert due([tenant()], ACCOUNTS, slot.begins + QUARTER, [failed]) == []


def test_many_tenants_are_spread_over_the_quarters_of_the_hour() -> None:
    quarters = Counter(slot_on(tenant(f"household-{n}"), ACCOUNTS, SUMMER).begins.minute for n in range(100))

    assert set(quarters) == {0, 15, 30, 45}
    assert min(quarters.values()) > 10


def test_a_tenant_keeps_its_quarter() -> None:
    assert len({slot_on(tenant(), turn, day).begins.minute for turn in (ACCOUNTS, BALANCES) for day in DAYS}) == 1
