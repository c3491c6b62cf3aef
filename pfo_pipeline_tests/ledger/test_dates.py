"""A date means the end of that day in the tenant's own time zone in every query; a time means that time."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.tables import TenantRow
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch, connection, opened

DAY = date(2026, 6, 30)
ENDS = {
    "paris": ("Europe/Paris", datetime(2026, 6, 30, 22, tzinfo=UTC)),
    "york": ("America/New_York", datetime(2026, 7, 1, 4, tzinfo=UTC)),
    "tokyo": ("Asia/Tokyo", datetime(2026, 6, 30, 15, tzinfo=UTC)),
    "first": ("Pacific/Kiritimati", datetime(2026, 6, 30, 10, tzinfo=UTC)),
    "last": ("Etc/GMT+12", datetime(2026, 7, 1, 12, tzinfo=UTC)),
}
"""Time zone of each tenant, and when the day of the test ends there."""
LONG_BEFORE = datetime(2026, 6, 1, tzinfo=UTC)
LONG_AFTER = datetime(2026, 7, 20, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Each tenant has a balance of 1 long before, 2 in the last microsecond of the day, and 3 in the first one after it."""
    clock = SetClock(LONG_AFTER)
    made = a_ledger(tmp_path_factory.mktemp("dates"), clock=clock)
    for tenant, (zone, end) in ENDS.items():
        own = {"tenant_id": tenant}
        figures = [("1", LONG_BEFORE), ("2", end - TICK), ("3", end)]
        rows = [balance(amount, as_of, **own) for amount, as_of in figures]
        made.merge(batch(account(**own), connection(**own), TenantRow(tenant, zone), *rows, tenant_id=tenant))
    made.publish()
    return made


def ask(ledger: Ledger, query: str, **parameters: Any) -> dict[str, Any]:
    with opened(ledger) as con:
        con.execute("use ledger")
        con.execute("set TimeZone = 'America/Sao_Paulo'")  # The session's own zone must not matter.
        return dict(con.execute(query, parameters or None).fetchall())


@pytest.mark.parametrize("day", ["date '2026-06-30'", "'2026-06-30'", "$day"])
@pytest.mark.parametrize("macro", ["cash_position({})", "positions_as_of({})", "balances_as_of({})"])
def test_a_date_ends_in_each_tenants_time_zone(ledger: Ledger, day: str, macro: str) -> None:
    column = "total" if macro.startswith("cash") else "current_balance"
    query = f"select tenant_id, {column} from {macro.format(day)}"  # noqa: S608 - words of this test

    assert ask(ledger, query, **({"day": DAY} if day == "$day" else {})) == dict.fromkeys(ENDS, Decimal(2))


def test_a_time_is_the_same_for_every_tenant(ledger: Ledger) -> None:
    for tenant, (_, end) in ENDS.items():
        for moment, amount in ((end - TICK, 2), (end, 3)):
            assert ask(ledger, "select tenant_id, total from cash_position($at)", at=moment)[tenant] == amount


@settings(max_examples=40, deadline=None)
@given(st.timedeltas(timedelta(0), timedelta(days=3)))
def test_balances_up_to_a_time_are_counted(ledger: Ledger, later: timedelta) -> None:
    moment = datetime(2026, 6, 29, tzinfo=UTC) + later
    expected = {t: Decimal(1 + (moment >= end - TICK) + (moment >= end)) for t, (_, end) in ENDS.items()}

    assert ask(ledger, "select tenant_id, total from cash_position($at)", at=moment) == expected


def test_knowledge_at_a_date_is_knowledge_at_its_end(tmp_path: Path) -> None:
    zone, end = ENDS["york"]
    clock = SetClock(LONG_BEFORE)
    ledger = a_ledger(tmp_path, clock=clock)
    ledger.merge(batch(account(), connection(), TenantRow("smith", zone), balance("1", LONG_BEFORE)))
    for amount, learnt in (("2", end - TICK), ("3", end)):
        clock.now = learnt
        ledger.merge(batch(balance(amount, LONG_BEFORE)))

    query = "select tenant_id, total from cash_position('infinity'::timestamptz, known_at := $day)"
    assert ask(ledger, query, day=DAY) == {"smith": 2}
    assert ask(ledger, "select said_before, says_now from restatements($day)", day=DAY) == {Decimal(2): 3}


def test_a_changed_time_zone_does_not_change_earlier_answers(tmp_path: Path) -> None:
    (paris, paris_end), (york, york_end) = ENDS["paris"], ENDS["york"]
    clock = SetClock(LONG_AFTER)
    ledger = a_ledger(tmp_path, clock=clock)
    figures = [balance(amount, as_of) for amount, as_of in (("1", LONG_BEFORE), ("2", paris_end), ("3", york_end))]
    ledger.merge(batch(account(), connection(), TenantRow("smith", paris), *figures))
    clock.now = moved = datetime(2026, 9, 1, tzinfo=UTC)
    ledger.merge(batch(TenantRow("smith", york)))

    query = "select tenant_id, total from cash_position($day, known_at := $known_at)"
    assert ask(ledger, query, day=DAY, known_at=moved - TICK) == {"smith": 1}
    assert ask(ledger, query, day=DAY, known_at=moved) == {"smith": 2}
    assert ask(ledger, query, day=DAY, known_at=LONG_BEFORE - timedelta(days=1)) == {}


def test_a_tenant_without_a_time_zone_has_the_default_one(tmp_path: Path) -> None:
    _, end = ENDS["paris"]
    ledger = a_ledger(tmp_path, clock=SetClock(LONG_AFTER))
    ledger.merge(batch(account(), connection(), balance("1", end - TICK), balance("2", end)))

    assert ask(ledger, "select tenant_id, total from cash_position($day)", day=DAY) == {"smith": 1}


def test_freshness_uses_the_balances_of_the_given_time(ledger: Ledger) -> None:
    ages = ask(ledger, "select tenant_id, age from freshness($day)", day=DAY)
    earlier = ask(ledger, "select tenant_id, age from freshness($at)", at=LONG_BEFORE + timedelta(hours=5))

    assert ages == dict.fromkeys(ENDS, timedelta(0))
    assert earlier == dict.fromkeys(ENDS, timedelta(hours=5))


def test_an_account_that_ended_during_the_day_does_not_count_at_its_end(tmp_path: Path) -> None:
    zone, end = ENDS["tokyo"]
    ledger = a_ledger(tmp_path, clock=SetClock(LONG_BEFORE))
    gone = [
        account(f"acc_{n}", source_id=str(n), deleted_at=at, iban=None, number=None)
        for n, at in enumerate((end - TICK, end), 5)
    ]
    figures = [balance("5", LONG_BEFORE, account_id=a.account_id, source_id=a.source_id) for a in gone]
    ledger.merge(batch(TenantRow("smith", zone), connection(), *gone, *figures))

    assert ask(ledger, "select account_id, 1 from positions_as_of($day)", day=DAY) == {"acc_6": 1}


def test_a_balance_with_a_future_date_counts_from_its_recording(tmp_path: Path) -> None:
    now = datetime(2026, 6, 10, 8, tzinfo=UTC)
    ledger = a_ledger(tmp_path, clock=SetClock(now))
    ledger.merge(batch(account(), connection(), balance("1", LONG_BEFORE), balance("2", now + timedelta(hours=20))))

    said = {
        at: ask(ledger, "select tenant_id, total from cash_position($at)", at=at)["smith"] for at in (now - TICK, now)
    }
    assert said == {now - TICK: 1, now: 2}
    assert ask(ledger, "select tenant_id, current_balance from totals") == {"smith": 2}
