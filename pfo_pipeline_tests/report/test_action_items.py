"""Action items and the ends of consents, as known at the page's known time."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline.contracts.tables import ConnectionRow, IdentityRow
from pfo_pipeline.operations.action_items import ActionItem
from pfo_pipeline.report.model import Consent
from pfo_pipeline_tests.ledger.samples import connection, user
from pfo_pipeline_tests.report.ledgers import DAY, HOUR, NOW, LoadedLedger, figure, linked, written

MEMBERS_TURN: dict[str, Any] = {
    "state": "SCARequired",
    "status": "needs-person",
    "who_acts": "member",
    "remedy": "The member opens the link.",
    "link": "https://webview.powens.com/en/reconnect?connection_id=7",
}


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[LoadedLedger]:
    with written(tmp_path) as loaded:
        figures = [figure(number, "1.00", NOW - 6 * DAY) for number in (1, 2)]
        loaded.load(NOW - 5 * DAY, user(), connection(), linked(1), linked(2), *figures)
        yield loaded


def test_without_problems_there_are_no_action_items(loaded: LoadedLedger) -> None:
    assert loaded.page().action_items == ()


def test_a_connection_that_needs_its_user_has_an_action_item_with_a_link(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, connection(**MEMBERS_TURN))

    assert loaded.page().action_items == (
        ActionItem(
            tenant_id="smith",
            subject="connection",
            thing="7",
            user_id="jane",
            connection_id="7",
            institution_name="Banque Exemple",
            code="SCARequired",
            why="SCARequired",
            who_acts="member",
            remedy="The member opens the link.",
            link="https://webview.powens.com/en/reconnect?connection_id=7",
            next_try_at=NOW.replace(day=1, hour=5),
            is_critical=False,
        ),
    )


def test_an_action_item_lasts_from_its_discovery_to_its_resolution(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, connection(**MEMBERS_TURN))
    loaded.load(NOW - DAY, connection())

    known = {days: len(loaded.page(known_at=NOW - days * DAY).action_items) for days in (4, 2, 0)}

    assert known == {4: 0, 2: 1, 0: 0}


def test_temporary_problems_come_last_and_need_nobody(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        connection("8", state="websiteUnavailable", status="temporary", who_acts="bank", remedy="Nothing to do."),
        connection("9", institution_name="Zebra Bank", **MEMBERS_TURN),
        connection("10", state=None, status="silent", who_acts="operator", remedy="Ask Powens support."),
        connection("11", status="gone"),
    )

    found = [(item.institution_name, item.why, item.who_acts, item.needs_person) for item in loaded.page().action_items]

    assert found == [
        ("Banque Exemple", "silent", "operator", True),
        ("Zebra Bank", "SCARequired", "member", True),
        ("Banque Exemple", "websiteUnavailable", "bank", False),
    ]


def test_a_user_who_cannot_be_read_names_the_owner(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        user("bob", status="refused", code="invalidToken", who_acts="operator", remedy="Connect again: pfo connect."),
        user("ann", status="unreachable", who_acts="powens"),
    )

    found = [
        (t.user_id, t.institution_name, t.why, t.who_acts, t.remedy, t.needs_person) for t in loaded.page().action_items
    ]

    assert found == [
        ("bob", None, "refused (invalidToken)", "operator", "Connect again: pfo connect.", True),
        ("ann", None, "unreachable", "powens", "", False),
    ]


def test_no_secret_of_a_remedy_is_shown(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        user("bob", status="refused", who_acts="operator", remedy="Ask https://x.example/a?token=abc about it."),
        connection(**MEMBERS_TURN | {"remedy": "Transfer from FR7699999000820000011200012 first."}),
    )

    shown = " ".join(item.remedy for item in loaded.page().action_items)

    assert "token=abc" not in shown
    assert "https://x.example/…" in shown
    assert "FR76999990008200000112" not in shown


@pytest.mark.parametrize(
    ("link", "is_shown"),
    [
        ("https://webview.powens.com/en/reconnect?connection_id=7&state=x", True),
        ("HTTP://bank.example/", True),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>alert(1)</script>", False),
        (" https://bank.example", False),
        ("java\nscript:alert(1)", False),
        ("https://bank.example/\u202egnp.exe", False),
        ("//bank.example", False),
        ("https:bank.example", False),
        ("https://[bank", False),
        ("", False),
        (None, False),
    ],
)
def test_only_links_that_a_browser_may_follow_are_shown(loaded: LoadedLedger, link: str | None, is_shown: bool) -> None:
    loaded.load(NOW - HOUR, connection(**MEMBERS_TURN | {"link": link}))

    [item] = loaded.page().action_items

    assert item.link == (link if is_shown else None)


def proposal(decided_by: str = "proposed", same_as: str = "acc_1") -> IdentityRow:
    return IdentityRow("smith", "acc_2", same_as, "end of number", decided_by)


def test_a_possible_match_waits_for_the_operator_until_decided(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, proposal())
    loaded.load(NOW - DAY, proposal("operator"))

    assert loaded.page().action_items == ()
    [item] = loaded.page(known_at=NOW - 2 * DAY).action_items
    assert (item.who_acts, item.needs_person, item.why) == (
        "operator",
        True,
        "account acc_2 may be acc_1 (end of number): both count meanwhile",
    )
    assert "pfo identity join --tenant smith acc_2 acc_1" in item.remedy
    assert loaded.page(known_at=NOW - 4 * DAY).action_items == ()


def test_separated_accounts_are_not_proposed_again(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, proposal("operator", same_as="acc_2"))
    loaded.load(NOW - DAY, proposal())

    assert loaded.page().action_items == ()


def ending(left: timedelta, connection_id: str = "7", **changes: Any) -> ConnectionRow:
    return connection(connection_id, consent_expires_at=NOW + left, **changes)


def test_a_consent_lists_the_accounts_that_go_stale_with_it(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        ending(100 * DAY, last_success_at=NOW),
        linked(3, account_type="loan"),
        linked(4, connection_id="8"),
        linked(5, disabled_at=NOW - DAY),
    )
    loaded.load(NOW - HOUR, *(figure(n, f"{n}.00", NOW - HOUR) for n in (1, 3, 4, 5)))
    loaded.load(NOW - HOUR, figure(2, "8.00", NOW - HOUR, currency="USD"))

    assert loaded.page().consents == (
        Consent(
            tenant_id="smith",
            connection_id="7",
            user_id="jane",
            institution_name="Banque Exemple",
            ends_at=NOW + 100 * DAY,
            days_left=100,
            accounts=3,
            amounts=(("EUR", Decimal(1)), ("USD", Decimal(8))),
        ),
    )


def test_consents_of_all_tenants_are_sorted_by_their_end(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, ending(9 * DAY), ending(-HOUR, "8"), connection("9"))
    loaded.load(NOW - HOUR, ending(3 * DAY, tenant_id="jones"))

    found = [(c.tenant_id, c.connection_id, c.days_left) for c in loaded.page("smith", "jones").consents]

    assert found == [("smith", "8", -1), ("jones", "7", 3), ("smith", "7", 9)]


def test_days_left_count_from_the_pages_time(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 4 * DAY, ending(9 * DAY - HOUR))

    assert loaded.page().consents[0].days_left == 8
    assert loaded.page(as_of=NOW - 3 * DAY).consents[0].days_left == 11


def test_an_irrelevant_consent_is_left_out(loaded: LoadedLedger) -> None:
    loaded.load(
        NOW - HOUR,
        ending(-DAY, status="gone"),
        ending(-DAY, "8", last_success_at=NOW - HOUR),  # The bank still answers.
        ending(-DAY, "9", last_success_at=NOW - 2 * DAY),
    )

    assert [consent.connection_id for consent in loaded.page().consents] == ["9"]


def test_a_consent_is_shown_as_known_then(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, ending(2 * DAY))
    loaded.load(NOW - DAY, ending(180 * DAY))

    assert loaded.page().consents[0].ends_at == NOW + 180 * DAY
    assert loaded.page(known_at=NOW - 2 * DAY).consents[0].ends_at == NOW + 2 * DAY
    assert loaded.page(known_at=NOW - 4 * DAY).consents == ()
