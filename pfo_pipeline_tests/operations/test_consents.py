"""The consent calendar: when consents expire, and the balances that become stale with them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.operations.consents import EndingConsent, ending_consents
from pfo_pipeline_tests.operations.household import Household

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def connection(left: timedelta | None, **changes: Any) -> KnownConnection:
    """Return a connection whose consent has this much time left."""
    values: dict[str, Any] = {
        "connection_id": "38",
        "user_id": "jane",
        "institution_id": "b-1",
        "institution_name": "Banque Exemple",
        "state": None,
        "status": "healthy",
        "who_acts": None,
        "remedy": None,
        "link": None,
        "last_success_at": NOW - timedelta(hours=7),
        "next_try_at": None,
        "consent_expires_at": None if left is None else NOW + left,
    }
    return KnownConnection(**values | changes)


def ending(*connections: KnownConnection, accounts: tuple[KnownAccount, ...] = ()) -> list[EndingConsent]:
    return ending_consents("smith", connections, accounts, NOW)


@pytest.mark.parametrize(
    ("left", "stage"),
    [
        (14 * DAY, 14),
        (7 * DAY + timedelta(seconds=1), 14),
        (7 * DAY, 7),
        (DAY + timedelta(seconds=1), 7),
        (DAY, 1),
        (timedelta(seconds=1), 1),
        (timedelta(0), 0),
    ],
)
def test_a_consent_enters_each_stage_before_its_expiry(left: timedelta, stage: int) -> None:
    (consent,) = ending(connection(left))

    assert consent.stage_days == stage


@pytest.mark.parametrize("left", [14 * DAY + timedelta(seconds=1), 180 * DAY, None])
def test_a_valid_or_endless_consent_is_not_in_the_calendar(left: timedelta | None) -> None:
    assert ending(connection(left)) == []


def test_an_expired_consent_stays_until_it_is_renewed() -> None:
    (consent,) = ending(connection(-30 * DAY, status="needs-person", state="SCARequired"))

    assert consent.stage_days == 0


def test_a_removed_connection_has_no_consent_to_renew() -> None:
    assert ending(connection(DAY, status="gone")) == []


def test_a_bank_that_still_answers_after_the_date_needs_no_consent() -> None:
    assert ending(connection(-2 * DAY, last_success_at=NOW - DAY)) == []
    assert len(ending(connection(-2 * DAY, last_success_at=NOW - DAY, status="needs-person"))) == 1


def test_the_most_urgent_consent_comes_first() -> None:
    found = ending(connection(5 * DAY, connection_id="1"), connection(DAY, connection_id="2"))

    assert [consent.connection_id for consent in found] == ["2", "1"]


def test_stale_balances_are_summed_exactly(smith: Household) -> None:
    amounts = ("123456789012345678.1234567891", "0.0001")
    made = smith.bank.add_connection(
        smith.members["jane"], accounts=[{"balance": amount, "moves": False} for amount in amounts]
    )
    smith.bank.change_connection(smith.domain, made.id, expire="2026-03-13 12:00:00")
    smith.sync()
    smith.refresh()

    (consent,) = ending_consents("smith", smith.connections(), smith.accounts(), smith.now)

    assert consent.totals == (("EUR", Decimal("123456789012345678.1235567891")),)


def test_stale_balances_are_counted_per_currency_without_loans_or_hidden_accounts(smith: Household) -> None:
    made = smith.bank.add_connection(
        smith.members["jane"],
        accounts=[
            {"balance": "10.10", "moves": False},
            {"balance": "0.20", "moves": False},
            {"balance": "5", "currency": "USD", "moves": False},
            {"balance": "-99", "type": "loan", "moves": False},
            {"balance": "7", "disabled": "2026-01-01 00:00:00"},
        ],
    )
    smith.connect("jane", "1000")
    smith.bank.change_connection(smith.domain, made.id, expire="2026-03-13 12:00:00")
    smith.sync()
    smith.refresh()

    (consent,) = ending_consents("smith", smith.connections(), smith.accounts(), smith.now)

    assert (consent.connection_id, consent.accounts, consent.stage_days) == (str(made.id), 4, 7)
    assert consent.totals == (("EUR", Decimal("10.3")), ("USD", Decimal(5)))
