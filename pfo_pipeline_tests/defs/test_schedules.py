"""When a tenant's workflows are due: by its own clock, once for each of its hours, on every day of the year."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.schedules import ACCOUNTS_HOURS, BALANCES_HOURS, due
from pfo_pipeline_tests.defs.office import Office

QUARTER = timedelta(minutes=15)
ZONES = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",  # 5:45 ahead
    "Pacific/Apia",
    "UTC",
]
# Both changes of each zone in 2026, and quiet days.
DAYS = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 8), date(2026, 11, 1), date(2026, 4, 5), date(2026, 7, 1)]
HOURS = {"accounts_nightly": ACCOUNTS_HOURS, "balances_by_day": BALANCES_HOURS}


def tenant(name: str, timezone: str) -> Tenant:
    user = User(id="jane", token="env:UNUSED")
    return Tenant(id=name, domain="smith", timezone=timezone, users=(user,))


def ticks(day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """Every quarter of an hour that Dagster asks about, in UTC, from midnight to midnight of the zone's day."""
    at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    at -= timedelta(minutes=at.minute % 15, seconds=at.second)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
    while at < end:
        yield at
        at += QUARTER


def slots(name: str, timezone: str, hours: tuple[int, ...], day: date) -> list[str]:
    whose = tenant(name, timezone)
    return [slot for at in ticks(day, whose.zone) if (slot := due(whose, hours, at)) is not None]


@pytest.fixture
def instance(lasting_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    return lasting_instance


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


@given(name=names, timezone=st.sampled_from(ZONES), day=st.dates(date(2025, 1, 1), date(2028, 12, 31)))
def test_every_tenant_is_due_once_for_each_of_its_hours_on_every_day(name: str, timezone: str, day: date) -> None:
    """None of the hours is one that these zones skip or repeat."""
    for hours in (ACCOUNTS_HOURS, BALANCES_HOURS):
        assert slots(name, timezone, hours, day) == [f"{day:%Y-%m-%d}T{hour:02}" for hour in hours]


@given(name=names, timezone=st.sampled_from(ZONES), day=st.sampled_from(DAYS))
def test_an_hour_that_the_clock_skips_is_left_out_and_one_that_it_repeats_is_one_slot(
    name: str, timezone: str, day: date
) -> None:
    found = Counter(slots(name, timezone, tuple(range(24)), day))

    zone = ZoneInfo(timezone)
    seen = Counter((at.astimezone(zone).hour) for at in ticks(day, zone))
    assert all(slot.startswith(f"{day:%Y-%m-%d}T") for slot in found)
    # A slot is asked for again when the hour is repeated; the run key makes one run of it.
    assert max(found.values()) <= 2
    whole = {f"{day:%Y-%m-%d}T{hour:02}" for hour, quarters in seen.items() if quarters >= 4}
    assert whole <= set(found) <= {f"{day:%Y-%m-%d}T{hour:02}" for hour in seen}


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_paris_is_synced_at_five_by_its_own_clock_on_both_days_of_change(day: date) -> None:
    whose = tenant("smith", "Europe/Paris")

    (at,) = [at for at in ticks(day, whose.zone) if due(whose, ACCOUNTS_HOURS, at)]

    assert at.astimezone(whose.zone).hour == 5
    assert at.hour == (3 if day.month == 3 else 4)


def test_the_hour_that_october_repeats_is_one_slot() -> None:
    assert set(slots("smith", "Europe/Paris", (2,), date(2026, 10, 25))) == {"2026-10-25T02"}
    assert len(slots("smith", "Europe/Paris", (2,), date(2026, 10, 25))) == 2


def test_the_hour_that_march_skips_has_no_slot() -> None:
    assert slots("smith", "Europe/Paris", (2,), date(2026, 3, 29)) == []


def test_many_tenants_are_spread_over_the_quarters_of_the_hour() -> None:
    quarters: Counter[int] = Counter()
    for number in range(100):
        whose = tenant(f"household-{number}", "Europe/Paris")
        (at,) = [at for at in ticks(date(2026, 7, 1), whose.zone) if due(whose, ACCOUNTS_HOURS, at)]
        quarters[at.minute] += 1

    assert set(quarters) == {0, 15, 30, 45}
    assert min(quarters.values()) > 10


def test_a_tenant_keeps_its_quarter() -> None:
    def minute(day: date) -> int:
        whose = tenant("smith", "Europe/Paris")
        return next(at.minute for at in ticks(day, whose.zone) if due(whose, ACCOUNTS_HOURS, at))

    assert len({minute(day) for day in DAYS}) == 1


@cache
def the_repository() -> dg.RepositoryDefinition:
    return build_defs().get_repository_def()


def tick(instance: dg.DagsterInstance, schedule: str, at: datetime) -> list[dg.RunRequest] | str:
    """The runs that one tick asks for, or why it asks for none."""
    repository = the_repository()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at, repository_def=repository
    ) as context:
        data = repository.get_schedule_def(schedule).evaluate_tick(context)
    return list(data.run_requests or []) or (data.skip_message or "")


def ticks_around(hours: tuple[int, ...], zones: dict[str, str]) -> list[datetime]:
    """Of one day, the quarters in which somebody is due, and those beside them: an evaluation is not for nothing."""
    found: set[datetime] = set()
    for at in ticks(date(2026, 7, 1), ZoneInfo("UTC")):
        if any(due(tenant(name, timezone), hours, at) for name, timezone in zones.items()):
            found |= {at - QUARTER, at, at + QUARTER}
    return sorted(at for at in found if at.date() == date(2026, 7, 1))


@pytest.mark.parametrize("schedule", ["accounts_nightly", "balances_by_day"])
def test_over_a_day_a_schedule_asks_once_for_each_tenant_and_hour(
    office: Office, instance: dg.DagsterInstance, schedule: str
) -> None:
    zones = {"paris": "Europe/Paris", "new-york": "America/New_York", "kathmandu": "Asia/Kathmandu"}
    for name, timezone in zones.items():
        office.add_tenant(name, "jane", timezone=timezone)
    instance.add_dynamic_partitions("tenants", list(zones))

    asked = [
        request
        for at in ticks_around(HOURS[schedule], zones)
        if not isinstance(found := tick(instance, schedule, at), str)
        for request in found
    ]

    keys = [request.run_key for request in asked]
    assert len(set(keys)) == len(keys)
    assert Counter(request.partition_key for request in asked) == dict.fromkeys(zones, len(HOURS[schedule]))
    assert all(str(request.run_key).startswith(f"{request.partition_key}:2026-0") for request in asked)


def test_the_repeated_hour_is_asked_for_under_one_run_key(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster starts one run per run key, so the tenant is not synced twice."""
    monkeypatch.setattr("pfo_pipeline.defs.schedules.ACCOUNTS_HOURS", (2,))
    office.add_tenant("smith", "jane")
    instance.add_dynamic_partitions("tenants", ["smith"])

    whose = tenant("smith", "Europe/Paris")
    both = [at for at in ticks(date(2026, 10, 25), whose.zone) if due(whose, (2,), at)]

    found = [tick(instance, "accounts_nightly", at) for at in both]

    keys = [request.run_key for requests in found if not isinstance(requests, str) for request in requests]
    assert keys == ["smith:2026-10-25T02"] * 2


def test_a_tenant_that_is_not_registered_yet_is_left_to_the_tenants_sensor(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")

    asked = [tick(instance, "accounts_nightly", at) for at in ticks_around(ACCOUNTS_HOURS, {"smith": "Europe/Paris"})]

    assert asked
    assert all(isinstance(found, str) and "No tenant is due" in found for found in asked)


def test_a_broken_configuration_asks_for_nothing_and_says_why(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.config.write_text("office = 1\n")

    for schedule in HOURS:
        found = tick(instance, schedule, datetime(2026, 7, 1, 3, 0, tzinfo=UTC))
        assert isinstance(found, str)
        assert "has mistakes" in found
