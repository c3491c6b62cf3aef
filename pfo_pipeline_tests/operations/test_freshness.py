"""The freshness of a tenant: three ages of each balance, and stale amounts per currency."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.known import DatedBalance
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.freshness import (
    BalanceAge,
    TenantFreshness,
    amounts_by_currency,
    compute_age,
    freshness_of,
)
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch, connection, opened, user

NOW = datetime(2026, 4, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMITS = Freshness()


def figure(old: timedelta | None = HOUR, **changes: Any) -> DatedBalance:
    """Return a balance that the bank dated this long ago."""
    values: dict[str, Any] = {
        "tenant_id": "smith",
        "account_id": "acc_1",
        "institution_name": "Banque Exemple",
        "account_type": "checking",
        "account_class": "cash",
        "currency": "EUR",
        "current_balance": Decimal(10),
        "connection_id": "7",
        "connection_status": "healthy",
        "who_acts": None,
        "connection_class": "consent",
        "as_of": None if old is None else NOW - old,
        "synced_at": NOW - HOUR,
        "recorded_at": NOW - HOUR,
    }
    return DatedBalance(**values | changes)


def judged(of: DatedBalance, limits: Freshness = LIMITS, read_at: datetime | None = NOW - HOUR) -> BalanceAge:
    return compute_age(of, limits, NOW, read_at)


def test_a_balance_has_three_ages() -> None:
    found = judged(figure(5 * HOUR, synced_at=NOW - 4 * HOUR, recorded_at=NOW - 3 * HOUR))

    assert (found.at_bank, found.at_powens, found.in_ledger) == (5 * HOUR, 4 * HOUR, 3 * HOUR)


@pytest.mark.parametrize(("minutes", "given"), [(4, 0), (5, 0), (6, -6)])
def test_a_record_ahead_of_our_clock_has_age_zero_only_within_the_drift(minutes: int, given: int) -> None:
    ahead = judged(figure(recorded_at=NOW + timedelta(minutes=minutes)))

    assert ahead.in_ledger == timedelta(minutes=given)


def test_a_bank_date_ahead_of_our_clock_has_age_zero() -> None:
    assert judged(figure(-HOUR)).at_bank == timedelta(0)


@pytest.mark.parametrize(("old", "is_stale"), [(72 * HOUR, False), (72 * HOUR + timedelta(seconds=1), True)])
def test_a_balance_is_stale_once_it_is_older_than_its_limit(old: timedelta, is_stale: bool) -> None:
    assert judged(figure(old)).is_stale is is_stale


@pytest.mark.parametrize(
    ("account_type", "connection_class", "hours"),
    [
        ("checking", "consent", 48),
        ("market", "consent", 24),
        ("loan", "consent", 200),
        ("market", "paused", 720),
        ("loan", "credentials", 200),
        ("market", "credentials", 60),
        ("never heard of", None, 48),
    ],
)
def test_a_type_has_its_own_limit_and_a_class_of_connections_only_lengthens_it(
    account_type: str, connection_class: str | None, hours: int
) -> None:
    limits = Freshness(
        hours=48,
        account_types={"market": 24, "loan": 200},
        connection_classes={"paused": 720, "credentials": 60},
    )

    assert limits.limit(account_type, connection_class) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("of", "read_at", "held"),
    [
        (figure(None), NOW, "no figure"),
        (figure(4 * DAY), NOW - 4 * DAY, "not read by us"),
        (figure(4 * DAY), None, "not read by us"),
        (figure(4 * DAY, synced_at=NOW - 4 * DAY), NOW, "not synced by Powens"),
        (figure(4 * DAY, synced_at=None), NOW, "not synced by Powens"),
        (figure(4 * DAY), NOW, "not given by the bank"),
        (figure(DAY), None, None),
    ],
)
def test_a_stale_balance_shows_where_it_is_delayed(
    of: DatedBalance, read_at: datetime | None, held: str | None
) -> None:
    assert judged(of, read_at=read_at).held == held


def test_stale_amounts_are_exact_per_currency_without_loans() -> None:
    long, short = Decimal("1234567890123456789012345.1234567891"), Decimal("0.0000000001")
    figures = [
        figure(current_balance=long),
        figure(4 * DAY, current_balance=short),
        figure(4 * DAY, current_balance=Decimal(-99), account_type="loan", account_class="loan"),
        figure(current_balance=Decimal(-1), account_type="mortgage", account_class="loan"),
        figure(4 * DAY, current_balance=Decimal(5), currency="USD"),
        figure(None, current_balance=None),
    ]

    euros, dollars = amounts_by_currency([judged(of) for of in figures])

    assert (euros.total, euros.stale) == (Decimal("1234567890123456789012345.1234567892"), short)
    assert (euros.loans, euros.stale_loans) == (Decimal(-100), Decimal(-99))
    assert (dollars.currency, dollars.total, dollars.stale) == ("USD", Decimal(5), Decimal(5))


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def ledger(tmp_path: Path, clock: SetClock) -> Ledger:
    return a_ledger(tmp_path, clock=clock)


@pytest.fixture
def loaded(ledger: Ledger) -> Iterator[Ledger]:
    """A connection held open during the test's loads, which saves most of the time that opening takes."""
    ledger.reader().tenants()
    with opened(ledger):
        yield ledger


def load_each_day(ledger: Ledger, clock: SetClock, days: int, *, but_not: range = range(0), **changes: Any) -> None:
    """Load a balance of the same time for each of the last days, the last one now; none on the days (ago) of `but_not`."""
    for ago in reversed(range(days)):
        clock.now = NOW - ago * DAY
        if ago not in but_not:
            ledger.merge(batch(balance(str(ago), clock.now, **changes)))
    clock.now = NOW


def freshness(ledger: Ledger, *tenants: str) -> list[TenantFreshness]:
    return freshness_of(ledger.reader(), list(tenants) or ["smith"], LIMITS, NOW)


def known_since(ledger: Ledger, clock: SetClock, at: datetime, **changes: Any) -> None:
    clock.now = at
    ledger.merge(batch(user(**changes), connection(last_success_at=NOW, **changes), account(**changes)))


def test_an_account_without_news_is_stale(loaded: Ledger, clock: SetClock) -> None:
    known_since(loaded, clock, NOW - 400 * DAY)
    loaded.merge(batch(balance("1", NOW - 400 * DAY)))

    (found,) = freshness(loaded)

    assert [stale.balance.account_id for stale in found.stale] == ["acc_1"]


def test_an_account_linked_twice_is_one_balance(loaded: Ledger, clock: SetClock) -> None:
    clock.now = NOW - HOUR
    loaded.merge(
        batch(
            account("acc_1"),
            account("acc_2", source_id="71", connection_id="8"),
            IdentityRow("smith", "acc_2", "acc_1", "iban", "evidence"),
            balance("5", NOW - 9 * DAY),
            balance("7", NOW - HOUR, account_id="acc_2", connection_id="8"),
        )
    )

    (found,) = freshness(loaded)

    assert [a.balance.account_id for a in found.accounts] == ["acc_1"]
    assert (found.amounts[0].total, found.amounts[0].stale) == (Decimal(7), Decimal(0))


def test_each_tenant_is_judged_separately_and_a_never_read_one_is_reported(loaded: Ledger, clock: SetClock) -> None:
    known_since(loaded, clock, NOW - 9 * DAY, tenant_id="jones")
    loaded.merge(batch(balance("3", NOW - 9 * DAY, tenant_id="jones")))
    known_since(loaded, clock, NOW - DAY)
    load_each_day(loaded, clock, 1)

    smith, jones, new = freshness(loaded, "smith", "jones", "new")

    assert [t.tenant_id for t in (smith, jones, new)] == ["smith", "jones", "new"]
    assert [t.is_fresh for t in (smith, jones, new)] == [True, False, False]
    assert [stale.held for stale in jones.stale] == ["not read by us"]
    assert (jones.amounts[0].stale, jones.amounts[0].total) == (Decimal(3), Decimal(3))
    assert new.last_read_at is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"active": False}, "paused"),
        ({"consent_expires_at": NOW + DAY}, "consent"),
        ({}, "credentials"),
    ],
)
def test_a_connections_class_follows_from_its_powens_state(
    loaded: Ledger, changes: dict[str, Any], expected: str
) -> None:
    loaded.merge(batch(connection(**changes), account(), balance()))

    (found,) = loaded.reader().dated_balances(["smith"])

    assert found.connection_class == expected
