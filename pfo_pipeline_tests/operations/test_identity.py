"""One bank account stays one: when it comes back under a new id, and when two connections show it."""

from collections.abc import Mapping
from typing import Any

import pytest

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline_tests.ledger.samples import batch
from pfo_pipeline_tests.operations.household import Household

IBAN = "FR7630006000011234567890189"
SAID = "select evidence, decided_by from identities order by load_id"
POSITIONS = "select account_id, current_balance, linked_through from positions order by as_of"


def linked(household: Household, member: str = "jane", amount: str = "10", **fields: Any) -> int:
    """A connection of the one bank with one account; the connection's id."""
    account = {"balance": amount, "moves": False, "iban": IBAN, "number": "00011", "name": "Compte courant", **fields}
    return household.bank.add_connection(household.members[member], accounts=[account]).id


def synced(household: Household) -> None:
    household.bank.advance(days=1)
    household.sync()
    household.refresh()


def came_back(
    household: Household, *, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None
) -> None:
    """The bank was removed and added again: Powens gives everything a new id."""
    connection = linked(household, **(before or {}))
    synced(household)
    household.bank.delete_connection(household.domain, connection)
    linked(household, amount="11", **(after or {}))
    synced(household)


def test_an_account_that_comes_back_under_a_new_id_keeps_its_own_and_its_history(smith: Household) -> None:
    came_back(smith)

    old, new = smith.accounts()
    assert old.deleted_at is not None
    assert new.source_id != old.source_id
    assert new.canonical_id == old.account_id
    assert smith.ask(SAID) == [("iban", "evidence")]
    assert smith.ask("select account_id, current_balance from positions") == [(old.account_id, 11)]
    history = f"select current_balance from balance_history('{old.account_id}')"  # noqa: S608
    assert smith.ask(history) == [(10,), (11,)]
    (known,) = smith.ledger.reader().accounts("smith")
    assert (known.account_id, known.source_id) == (old.account_id, new.source_id)


def test_nothing_more_is_said_at_the_next_sync(smith: Household) -> None:
    came_back(smith)

    synced(smith)

    assert smith.ask(SAID) == [("iban", "evidence")]


def test_a_joint_account_that_two_members_have_linked_counts_once_with_both_connections_to_be_seen(
    family: Household,
) -> None:
    hers, his = linked(family, "jane", "10"), linked(family, "john", "10")

    synced(family)

    ((_, amount, through),) = family.ask(POSITIONS)
    assert amount == 10
    assert sorted(through) == sorted([str(hers), str(his)])
    assert family.ask("select accounts, current_balance from totals") == [(1, 10)]
    assert family.ask("select accounts, total from cash_position('2100-01-01'::timestamptz)") == [(1, 10)]
    assert len(family.accounts()) == 2


def test_when_one_of_two_connections_goes_the_other_speaks_under_the_same_id(family: Household) -> None:
    hers, _ = linked(family, "jane", "10"), linked(family, "john", "12")
    synced(family)
    ((account_id, *_),) = family.ask(POSITIONS)

    family.bank.delete_connection(family.domain, hers)
    synced(family)

    ((after, amount, through),) = family.ask(POSITIONS)
    assert (after, amount) == (account_id, 12)
    assert len(through) == 1


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ({"iban": "FR76 3000 6000 0112 3456 7890 189"}, {"iban": IBAN.lower()}, "iban"),
        ({"iban": None}, {"iban": IBAN}, "number"),
        ({"iban": None}, {"iban": None, "name": "Renamed"}, "number"),
    ],
)
def test_strong_evidence_decides_by_itself(
    smith: Household, before: dict[str, Any], after: dict[str, Any], evidence: str
) -> None:
    came_back(smith, before=before, after=after)

    assert smith.ask(SAID) == [(evidence, "evidence")]


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ({"iban": None, "number": None}, {"iban": None, "number": None}, "name"),
        (
            {"iban": None, "number": "1234567890"},
            {"iban": None, "number": "XXXX7890", "name": "Other"},
            "end of number",
        ),
    ],
)
def test_weak_evidence_is_put_to_a_person_and_counts_nothing_together(
    smith: Household, before: dict[str, Any], after: dict[str, Any], evidence: str
) -> None:
    came_back(smith, before=before, after=after)

    assert smith.ask(SAID) == [(evidence, "proposed")]
    old, new = smith.accounts()
    assert new.canonical_id == new.account_id != old.account_id
    (trouble,) = [t for t in smith.ledger.reader().troubles(["smith"]) if t.what.startswith("account")]
    assert (trouble.what, trouble.who_acts) == (f"account {new.account_id}", "operator")
    assert trouble.why == f"may be {old.account_id} ({evidence})"
    assert "pfo identity" in (trouble.remedy or "")


@pytest.mark.parametrize(
    "after",
    [
        {"iban": "FR7630006000011234567890190"},
        {"currency": "USD"},
        {"iban": None, "number": "00012"},
        {"iban": None, "number": None, "name": "Another"},
        {"iban": None, "type": "savings"},
    ],
)
def test_what_is_not_the_same_stays_apart(smith: Household, after: dict[str, Any]) -> None:
    came_back(smith, after=after)

    assert smith.ask(SAID) == []


def test_two_live_accounts_of_one_name_are_two_accounts(smith: Household) -> None:
    same = {"balance": "10", "moves": False, "iban": None, "number": None, "name": "Livret A"}
    smith.bank.add_connection(smith.members["jane"], accounts=[same, same])

    synced(smith)

    assert smith.ask(SAID) == []
    assert smith.ask("select count(*) from positions") == [(2,)]


def test_pockets_of_one_connection_that_share_an_iban_are_two_accounts(smith: Household) -> None:
    pockets: list[Mapping[str, Any]] = [
        {"balance": "10", "moves": False, "iban": IBAN, "number": number} for number in ("1", "2")
    ]
    smith.bank.add_connection(smith.members["jane"], accounts=pockets)

    synced(smith)

    assert smith.ask(SAID) == []


def test_an_iban_that_becomes_known_later_is_evidence_then(family: Household) -> None:
    linked(family, "jane")
    made = family.bank.add_connection(
        family.members["john"], accounts=[{"balance": "10", "moves": False, "iban": None, "number": None}]
    )
    synced(family)
    assert family.ask(SAID) == []

    family.bank.change_account(family.domain, made.account_ids[0], iban=IBAN)
    synced(family)

    assert family.ask(SAID) == [("iban", "evidence")]


def test_what_was_proposed_is_decided_when_evidence_comes(smith: Household) -> None:
    came_back(smith, after={"iban": None, "number": None})
    assert smith.ask(SAID) == [("name", "proposed")]

    number = int(smith.accounts()[1].source_id)
    smith.bank.change_account(smith.domain, number, iban=IBAN)
    synced(smith)

    assert smith.ask(SAID) == [("name", "proposed"), ("iban", "evidence")]
    assert smith.ask("select count(*) from identities_proposed") == [(0,)]


def test_a_persons_decision_holds_against_the_evidence(family: Household) -> None:
    linked(family, "jane")
    linked(family, "john")
    synced(family)
    first, second = family.accounts()
    assert second.canonical_id == first.account_id

    apart = IdentityRow("smith", second.account_id, second.account_id, "decision", "operator")
    family.ledger.merge(batch(apart, run_id="identity-1"))
    synced(family)

    assert [a.canonical_id for a in family.accounts()] == [first.account_id, second.account_id]
    assert family.ask("select count(*) from positions") == [(2,)]
    assert family.ask(SAID)[-1] == ("decision", "operator")


def test_what_was_known_before_a_decision_counts_as_it_did_then(family: Household) -> None:
    linked(family, "jane", "10", iban=None, number="1")
    linked(family, "john", "10", iban=None, number="2")
    synced(family)
    first, second = family.accounts()
    [(before,)] = family.ask("select max(recorded_at) from loads")
    family.bank.advance(days=1)

    joined = IdentityRow("smith", second.account_id, first.account_id, "decision", "operator")
    family.ledger.merge(batch(joined, run_id="identity-1"))

    position = f"from cash_position('{before}'::timestamptz, known_at := "
    assert family.ask(f"select accounts, total {position} '{before}'::timestamptz)") == [(2, 20)]
    assert family.ask(f"select accounts, total {position} 'infinity'::timestamptz)") == [(1, 10)]


def test_an_account_that_moves_twice_is_still_the_first_one(smith: Household) -> None:
    came_back(smith)
    (*_, second) = smith.connections()
    smith.bank.delete_connection(smith.domain, int(second.connection_id))
    linked(smith, amount="12")

    synced(smith)

    accounts = smith.accounts()
    assert len(accounts) == 3
    assert {account.canonical_id for account in accounts} == {accounts[0].account_id}
    assert smith.ask("select current_balance from positions") == [(12,)]
