"""Changes of every account since the last report: a hand-computed example for each reason, and bridges that add up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.report.build import MomentRefused
from pfo_pipeline.report.model import Bridge, Change, Changes, Side
from pfo_pipeline_tests.ledger.samples import connection, user
from pfo_pipeline_tests.report.ledgers import DAY, HOUR, NOW, LoadedLedger, figure, linked, page_of, written

YESTERDAY = NOW - DAY
BEFORE = NOW - 2 * DAY

Line = tuple[str, str, Decimal, str]


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[LoadedLedger]:
    """Accounts 1 and 2, with balances of the day before yesterday that were reported yesterday."""
    with written(tmp_path) as loaded:
        loaded.load(YESTERDAY, user(), connection(), linked(1), linked(2))
        loaded.load(YESTERDAY, figure(1, "100.00", BEFORE), figure(2, "7.00", BEFORE))
        yield loaded


def changes_of(loaded: LoadedLedger, **asked: datetime | None) -> Changes:
    changes = loaded.page(**asked).changes
    assert changes is not None
    return changes


def lines(changes: Changes) -> list[Line]:
    """Account, reason, difference, detail."""
    return [(c.account_id, c.reason, c.difference, c.detail) for c in changes.changes]


def bridge(before: str, after: str, *, currency: str = "EUR", side: Side = "total", **by_reason: str) -> Bridge:
    reasons = tuple((reason.replace("_", " "), Decimal(difference)) for reason, difference in by_reason.items())
    return Bridge(currency, side, Decimal(before), reasons, Decimal(after))  # type: ignore[arg-type]


def test_equal_states_have_no_changes(loaded: LoadedLedger) -> None:
    changes = changes_of(loaded)

    assert lines(changes) == []
    assert changes.bridges == (bridge("107", "107"),)


def test_a_newer_balance_is_a_movement(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "130.50", NOW - 2 * HOUR))

    changes = changes_of(loaded)

    assert lines(changes) == [("acc_1", "movement", Decimal("30.50"), "")]
    assert changes.changes[0].as_of == NOW - 2 * HOUR
    assert changes.bridges == (bridge("107", "137.50", movement="30.50"),)


def test_a_newer_balance_of_the_same_amount_is_not_a_change(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "100.00", NOW - 2 * HOUR))

    assert lines(changes_of(loaded)) == []


def test_a_correction_in_another_currency_is_not_used(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        figure(1, "9000.00", BEFORE, currency="USD"),
        figure(1, "130.50", NOW - 2 * HOUR),
    )

    changes = changes_of(loaded)

    assert lines(changes) == [("acc_1", "restatement", Decimal("30.50"), "")]
    assert changes.bridges == (bridge("107", "137.50", restatement="30.50"),)


def test_another_balance_of_the_same_date_is_a_restatement(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "90.00", BEFORE))

    changes = changes_of(loaded)

    assert lines(changes) == [("acc_1", "restatement", Decimal("-10.00"), "")]
    assert changes.changes[0].as_of == BEFORE
    assert changes.bridges == (bridge("107", "97", restatement="-10"),)


def test_a_correction_after_the_known_time_is_not_a_restatement_yet(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 2 * HOUR, figure(1, "90.00", BEFORE))
    loaded.load(NOW - HOUR, figure(1, "80.00", BEFORE))

    assert lines(changes_of(loaded, known_at=NOW - 2 * HOUR)) == [("acc_1", "restatement", Decimal(-10), "")]
    assert lines(changes_of(loaded)) == [("acc_1", "restatement", Decimal(-20), "")]


def test_a_restatement_and_a_movement_of_one_account_are_two_changes(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "90.00", BEFORE), figure(1, "95.00", NOW - 2 * HOUR))

    changes = changes_of(loaded)

    assert lines(changes) == [
        ("acc_1", "restatement", Decimal("-10.00"), ""),
        ("acc_1", "movement", Decimal("5.00"), ""),
    ]
    assert changes.bridges == (bridge("107", "102", movement="5", restatement="-10"),)


def test_a_late_balance_is_a_movement_because_the_older_one_was_right(loaded: LoadedLedger) -> None:
    """Its date is before the last report, which did not know it yet."""
    loaded.load(NOW - HOUR, figure(1, "120.00", BEFORE + HOUR))

    assert lines(changes_of(loaded)) == [("acc_1", "movement", Decimal("20.00"), "")]


def test_a_late_balance_older_than_the_reported_one_changes_nothing(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "1.00", BEFORE - HOUR))

    assert lines(changes_of(loaded)) == []


def test_an_account_linked_since_is_new(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(3), figure(3, "5.00", NOW - 2 * HOUR))

    changes = changes_of(loaded)

    assert lines(changes) == [("acc_3", "new account", Decimal("5.00"), "newly linked")]
    assert changes.bridges == (bridge("107", "112", new_account="5"),)


def test_an_account_is_new_with_its_first_balance(loaded: LoadedLedger) -> None:
    loaded.load(YESTERDAY + HOUR, linked(3))
    loaded.load(NOW - HOUR, figure(3, "5.00", NOW - 2 * HOUR))

    assert lines(changes_of(loaded)) == [("acc_3", "new account", Decimal("5.00"), "first figure")]


@pytest.mark.parametrize("hidden", ["disabled", "deleted"])
def test_a_hidden_account_is_gone_and_new_when_it_appears_again(loaded: LoadedLedger, hidden: str) -> None:
    loaded.load(NOW - 2 * HOUR, linked(2, **{f"{hidden}_at": NOW - 3 * HOUR}))
    gone = changes_of(loaded)
    loaded.load(NOW - HOUR, linked(2))
    back = changes_of(loaded, since=NOW - 2 * HOUR + timedelta(seconds=1))

    assert lines(gone) == [("acc_2", "account gone", Decimal("-7.00"), hidden)]
    assert gone.bridges == (bridge("107", "100", account_gone="-7"),)
    assert lines(back) == [("acc_2", "new account", Decimal("7.00"), "appeared again")]
    assert back.bridges == (bridge("100", "107", new_account="7"),)


@pytest.mark.parametrize("hidden", ["disabled_at", "deleted_at"])
def test_an_account_counts_on_a_page_from_before_it_was_hidden(loaded: LoadedLedger, hidden: str) -> None:
    loaded.load(NOW - HOUR, linked(2, **{hidden: NOW - 2 * HOUR}))

    assert lines(changes_of(loaded, as_of=NOW - 3 * HOUR)) == []
    assert lines(changes_of(loaded, as_of=NOW - 2 * HOUR)) == [
        ("acc_2", "account gone", Decimal("-7.00"), hidden.removesuffix("_at"))
    ]


def test_a_joined_account_is_gone_and_names_the_account_it_counts_as(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(1, display_name="Joint account"), figure(1, "101.00", NOW - 2 * HOUR))
    loaded.load(NOW - HOUR, IdentityRow("smith", "acc_2", "acc_1", "iban", "operator"))

    changes = changes_of(loaded)

    # On the last date with a balance of both, the last one by its id decides, as in cash_position.
    assert lines(changes) == [
        ("acc_2", "account gone", Decimal("-7.00"), "counted now as the same account as Joint account, Banque Exemple"),
        ("acc_1", "restatement", Decimal("-93.00"), ""),
        ("acc_1", "movement", Decimal("94.00"), ""),
    ]
    assert changes.bridges == (bridge("107", "101", movement="94", account_gone="-7", restatement="-93"),)


def test_an_account_that_returns_under_another_id_only_has_a_movement(loaded: LoadedLedger) -> None:
    """Powens removed the account and returned it; the evidence showed that both are one."""
    loaded.load(NOW - HOUR, linked(1, deleted_at=NOW - 3 * HOUR), linked(3))
    loaded.load(NOW - HOUR, IdentityRow("smith", "acc_3", "acc_1", "iban", "evidence"))
    loaded.load(NOW - HOUR, figure(3, "101.00", NOW - 2 * HOUR))

    changes = changes_of(loaded)

    assert lines(changes) == [("acc_1", "movement", Decimal("1.00"), "")]
    assert changes.bridges == (bridge("107", "108", movement="1"),)


def test_a_split_makes_one_account_new_and_restates_the_other(loaded: LoadedLedger) -> None:
    """No money has moved: the balance of account 1 was that of account 3."""
    loaded.load(YESTERDAY + HOUR, linked(3), figure(3, "150.00", YESTERDAY))
    loaded.load(YESTERDAY + HOUR, IdentityRow("smith", "acc_3", "acc_1", "iban", "evidence"))
    loaded.load(NOW - HOUR, IdentityRow("smith", "acc_3", "acc_3", "a person's decision", "operator"))

    changes = changes_of(loaded)

    assert lines(changes) == [
        ("acc_1", "restatement", Decimal("-50.00"), ""),
        (
            "acc_3",
            "new account",
            Decimal("150.00"),
            "counted until then as the same account as Compte courant, Banque Exemple",
        ),
    ]
    assert changes.bridges == (bridge("157", "257", new_account="150", restatement="-50"),)


def test_a_split_without_an_old_balance_explains_the_whole_difference(loaded: LoadedLedger) -> None:
    loaded.load(YESTERDAY + HOUR, linked(3), linked(4), figure(4, "150.00", BEFORE))
    loaded.load(YESTERDAY + HOUR, IdentityRow("smith", "acc_4", "acc_3", "iban", "evidence"))
    loaded.load(NOW - HOUR, IdentityRow("smith", "acc_4", "acc_4", "a person's decision", "operator"))
    nothing_of_its_own = changes_of(loaded)
    loaded.load(NOW - HOUR, figure(3, "9.00", NOW - 2 * HOUR))
    something = changes_of(loaded)

    assert ("acc_3", "account gone", Decimal(-150), "told apart from the account whose figure it had") in lines(
        nothing_of_its_own
    )
    assert ("acc_3", "restatement", Decimal(-141), "") in lines(something)


def test_a_change_of_currency_is_gone_in_one_and_new_in_the_other(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2, currency="USD"), figure(2, "8.00", NOW - 2 * HOUR, currency="USD"))

    changes = changes_of(loaded)

    assert lines(changes) == [
        ("acc_2", "account gone", Decimal("-7.00"), "in USD now"),
        ("acc_2", "new account", Decimal("8.00"), "in EUR until then"),
    ]
    assert [c.currency for c in changes.changes] == ["EUR", "USD"]
    assert changes.bridges == (
        bridge("107", "100", account_gone="-7"),
        bridge("0", "8", currency="USD", new_account="8"),
    )


def test_an_account_that_turns_out_to_be_a_loan_changes_sides(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2, account_type="loan"))

    changes = changes_of(loaded)

    assert lines(changes) == [
        ("acc_2", "account gone", Decimal("-7.00"), "a liability now"),
        ("acc_2", "new account", Decimal("7.00"), "no liability until then"),
    ]
    assert changes.bridges == (
        bridge("107", "100", account_gone="-7"),
        bridge("0", "7", side="loans", new_account="7"),
    )


def test_liabilities_have_their_own_bridges(loaded: LoadedLedger) -> None:
    loaded.load(YESTERDAY + HOUR, linked(3, account_type="mortgage"), figure(3, "-1000.00", BEFORE))
    loaded.load(NOW - HOUR, figure(3, "-990.00", NOW - 2 * HOUR))

    assert changes_of(loaded).bridges == (
        bridge("107", "107"),
        bridge("-1000", "-990", side="loans", movement="10"),
    )


def test_the_same_stale_balance_is_carried_forward(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 2 * HOUR, figure(1, "100.00", NOW - 3 * HOUR))
    later = NOW + 3 * DAY - 3 * HOUR

    page = page_of(loaded.reader(), now=later)

    assert page.changes is not None
    assert lines(page.changes) == [("acc_2", "carried forward", Decimal(0), "")]
    assert page.changes.bridges == (bridge("107", "107"),)


def test_a_newer_stale_balance_is_not_carried_forward(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "120.00", BEFORE + HOUR), figure(2, "7.00", BEFORE + HOUR))

    page = page_of(loaded.reader(), since=YESTERDAY + HOUR, now=NOW + 9 * DAY)

    assert page.changes is not None
    assert {position.is_stale for position in page.positions} == {True}
    assert lines(page.changes) == [("acc_1", "movement", Decimal(20), "")]


def test_a_balance_may_be_restated_and_carried_forward(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(2, "6.00", BEFORE))

    page = page_of(loaded.reader(), since=YESTERDAY + HOUR, now=NOW + 9 * DAY)

    assert page.changes is not None
    assert [line for line in lines(page.changes) if line[0] == "acc_2"] == [
        ("acc_2", "restatement", Decimal("-1.00"), ""),
        ("acc_2", "carried forward", Decimal(0), ""),
    ]


def test_without_an_earlier_report_there_are_no_changes(tmp_path: Path) -> None:
    with written(tmp_path) as loaded:
        loaded.load(NOW - HOUR, user(), connection(), linked(1), figure(1, "1.00", NOW - 2 * HOUR))

        assert loaded.page().changes is None


def test_the_last_report_is_the_newest_of_an_earlier_day_there(loaded: LoadedLedger) -> None:
    """At 12:00 UTC of 10 April it is 22:00 in Sydney and 02:00 of 11 April on Kiritimati."""
    last = loaded.load(NOW - 12 * HOUR - timedelta(minutes=30), figure(1, "101.00", NOW - 13 * HOUR))
    loaded.load(NOW - 3 * HOUR, figure(1, "102.00", NOW - 4 * HOUR))
    newest = loaded.load(NOW - 2 * HOUR - timedelta(minutes=30), figure(1, "103.00", NOW - 3 * HOUR))
    reader = loaded.reader()

    pages = {zone: page_of(reader, timezone=zone).changes for zone in ("UTC", "Australia/Sydney", "Pacific/Kiritimati")}

    assert {zone: changes.since for zone, changes in pages.items() if changes} == {
        "UTC": last,
        "Australia/Sydney": YESTERDAY + timedelta(microseconds=1),
        "Pacific/Kiritimati": newest,
    }


def test_only_complete_refreshes_of_balances_were_reported(loaded: LoadedLedger) -> None:
    loaded.load(YESTERDAY + HOUR, figure(1, "1.00", YESTERDAY), complete=False)
    loaded.load(YESTERDAY + 2 * HOUR, linked(3), operation="openbanking.accounts.sync")

    assert changes_of(loaded).since == YESTERDAY + timedelta(microseconds=1)
    assert changes_of(loaded).is_last_report
    assert not changes_of(loaded, since=NOW - HOUR).is_last_report


def test_a_refresh_not_yet_known_is_not_the_last_report(loaded: LoadedLedger) -> None:
    loaded.load(YESTERDAY + HOUR, figure(1, "1.00", YESTERDAY))

    assert changes_of(loaded, known_at=YESTERDAY + timedelta(minutes=30)).since == YESTERDAY + timedelta(microseconds=1)
    assert loaded.page(known_at=YESTERDAY - HOUR).changes is None


def test_a_balance_dated_ahead_in_the_last_report_has_not_moved(loaded: LoadedLedger) -> None:
    """A bank may date a balance at the end of its day."""
    loaded.load(YESTERDAY + HOUR, figure(1, "101.00", YESTERDAY + 9 * HOUR))
    loaded.load(NOW - HOUR, figure(2, "7.00", NOW - 2 * HOUR))

    changes = changes_of(loaded)

    assert changes.since == YESTERDAY + HOUR
    assert [(bridge.before, bridge.after) for bridge in changes.bridges] == [(Decimal(108), Decimal(108))]
    assert changes.changes == ()


def test_several_tenants_are_compared_at_one_time(loaded: LoadedLedger) -> None:
    mine = {"tenant_id": "jones"}
    loaded.load(YESTERDAY - HOUR, user(**mine), linked(1, **mine), figure(1, "50.00", BEFORE, **mine))
    loaded.load(NOW - HOUR, figure(1, "60.00", NOW - 2 * HOUR, **mine))

    changes = loaded.page("smith", "jones").changes

    assert changes is not None
    assert changes.since == YESTERDAY + timedelta(microseconds=2)
    assert [(c.tenant_id, c.reason, c.difference) for c in changes.changes] == [("jones", "movement", Decimal(10))]
    assert changes.bridges == (bridge("157", "167", movement="10"),)


def test_a_page_as_of_an_earlier_time_is_compared_with_the_report_before_it(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "130.00", NOW - 2 * HOUR))
    loaded.load(NOW + DAY, figure(1, "140.00", NOW + DAY))

    changes = changes_of(loaded, as_of=NOW, known_at=NOW)

    assert changes.bridges == (bridge("107", "137", movement="30"),)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"since": NOW + HOUR}, "since: 2026-04-10T13:00:00.00:00 is after the page's own moment. Take an earlier one"),
        ({"as_of": YESTERDAY, "since": NOW}, "after the page's own moment"),
        ({"known_at": YESTERDAY, "since": NOW - HOUR}, "after what the page may know"),
        ({"since": datetime(2026, 4, 1)}, "since: 2026-04-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"as_of": datetime(1, 1, 1, tzinfo=UTC)}, "as_of: the year 1 is out of range"),
        ({"known_at": datetime(9999, 1, 1, tzinfo=UTC)}, "known_at: the year 9999"),
    ],
)
def test_an_impossible_time_is_refused(loaded: LoadedLedger, asked: dict[str, datetime], message: str) -> None:
    with pytest.raises(MomentRefused, match=message):
        loaded.page(**asked)


def test_a_change_names_the_institution_of_its_account(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "130.50", NOW - 2 * HOUR))

    assert changes_of(loaded).changes == (
        Change(
            tenant_id="smith",
            account_id="acc_1",
            institution_name="Banque Exemple",
            display_name="Compte courant",
            side="total",
            currency="EUR",
            reason="movement",
            difference=Decimal("30.50"),
            as_of=NOW - 2 * HOUR,
        ),
    )
