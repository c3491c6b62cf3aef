"""A change in how accounts count waits for the operator, until a person has acknowledged it or it was requested."""

from typing import Any

import pytest

from pfo_pipeline.contracts.tables import ChangeRow, DecisionRow
from pfo_pipeline.operations.identities import DIFFERENT, UNDONE, KnownMatching
from pfo_pipeline_tests.ledger.samples import batch
from pfo_pipeline_tests.operations.household import Household
from pfo_pipeline_tests.simulated_bank import NOON, SimulatedConnection

NUMBER = {"number": "00012345678"}


def read(household: Household, hours: int = 0) -> None:
    household.bank.advance(hours=hours)
    household.sync()
    household.refresh()


def waiting(household: Household) -> list[str]:
    return [found.why for found in household.action_items() if found.code == "changed"]


def changes(household: Household) -> list[tuple[Any, ...]]:
    return household.ask("select was, stands, seen from account_changes order by load_id, account_id")


@pytest.fixture
def two(smith: Household) -> SimulatedConnection:
    made = smith.connect("jane", "1", "2")
    read(smith)
    return made


def test_unchanged_accounts_need_no_acknowledgement(smith: Household, two: SimulatedConnection) -> None:
    smith.bank.add_account(smith.domain, two.id, balance="3")
    smith.connect("jane", "4")
    read(smith, hours=24)

    assert (changes(smith), waiting(smith)) == ([], [])


@pytest.mark.parametrize(
    ("change", "stands", "said"),
    [
        ({"deleted": NOON.isoformat()}, "ended", "is gone"),
        ({"disabled": NOON.isoformat()}, "disabled", "is no longer shared with us"),
        ({"type": "loan"}, "loan", "is a loan now"),
    ],
)
def test_an_account_that_leaves_the_totals_is_reported_and_again_when_it_returns(
    smith: Household, two: SimulatedConnection, change: dict[str, Any], stands: str, said: str
) -> None:
    number, before = two.account_ids[0], {"type": "checking"}
    smith.bank.change_account(smith.domain, number, **change)
    read(smith, hours=24)
    account_id = smith.accounts()[0].account_id

    assert changes(smith) == [("counts", stands, False)]
    assert waiting(smith) == [f"account {account_id} {said}: the totals changed by it"]
    read(smith, hours=24)
    assert len(changes(smith)) == 1

    smith.bank.change_account(smith.domain, number, **{name: before.get(name) for name in change})
    read(smith, hours=24)
    assert waiting(smith) == [f"account {account_id} counts by itself now: the totals changed by it"]


def test_an_account_whose_type_becomes_unknown_is_reported_as_unclassified(
    smith: Household, two: SimulatedConnection
) -> None:
    smith.bank.change_account(smith.domain, two.account_ids[0], type="leasing")
    read(smith, hours=24)

    assert changes(smith) == [("counts", "unclassified", False)]
    assert {found.code for found in smith.action_items()} == {"unclassified"}


def test_a_bank_that_was_added_again_changes_nothing(smith: Household) -> None:
    old = smith.connect("jane", "7")
    smith.bank.change_account(smith.domain, old.account_ids[0], **NUMBER)
    read(smith)
    smith.bank.delete_connection(smith.domain, old.id)
    new = smith.connect("jane", "8")
    smith.bank.change_account(smith.domain, new.account_ids[0], **NUMBER)
    for _ in range(3):
        read(smith, hours=24)

    assert changes(smith) == []


def test_when_evidence_joins_two_accounts_the_younger_is_reported(family: Household) -> None:
    first, second = family.connect("jane", "7"), family.connect("john", "7")
    family.bank.change_account(family.domain, first.account_ids[0], **NUMBER)
    read(family)
    family.bank.change_account(family.domain, second.account_ids[0], **NUMBER)
    read(family, hours=24)

    kept, joined = (a.account_id for a in family.accounts())
    assert waiting(family) == [f"account {joined} is the same as {kept} now: the totals changed by it"]


def test_an_acknowledged_change_stays_closed_until_the_next_change(smith: Household, two: SimulatedConnection) -> None:
    smith.bank.change_account(smith.domain, two.account_ids[0], disabled=NOON.isoformat())
    read(smith, hours=24)
    account_id = smith.accounts()[0].account_id
    known = KnownMatching.of(smith.ledger.reader(), "smith")
    assert known.changes("smith", known.match(smith.now)) == []
    smith.ledger.merge(batch(ChangeRow("smith", account_id, "counts", "disabled", seen=True), run_id="seen"))

    assert waiting(smith) == []
    read(smith, hours=24)
    assert waiting(smith) == []


def test_a_persons_decision_is_acknowledged_and_one_by_evidence_is_not(family: Household) -> None:
    first, second = family.connect("jane", "7"), family.connect("john", "7")
    for made in (first, second):
        family.bank.change_account(family.domain, made.account_ids[0], **NUMBER)
    read(family)
    one, other = sorted(a.account_id for a in family.accounts())
    known = KnownMatching.of(family.ledger.reader(), "smith")
    decided = [DecisionRow("smith", one, other, DIFFERENT)]
    known.record(family.ledger, "smith", known.match(family.now, decisions={(one, other): DIFFERENT}), decided)
    assert ([seen for _, _, seen in changes(family)], waiting(family)) == ([True], [])

    known = KnownMatching.of(family.ledger.reader(), "smith")
    known.record(family.ledger, "smith", known.match(family.now, decisions={(one, other): UNDONE}))

    assert [seen for _, _, seen in changes(family)] == [True, False]


def test_a_card_that_repeats_its_parent_except_for_noise_is_part_of_it_at_once(smith: Household) -> None:
    made = smith.connect("jane", "5000.10", "5000.10")
    parent, card = made.account_ids
    noise = {"id_parent": parent, "balance": 5000.100000000001}
    smith.bank.change_account(smith.domain, card, type="card", verbatim=noise)
    smith.sync()
    smith.refresh()

    assert smith.ask("select current_balance::double from totals") == [(5000.10,)]
