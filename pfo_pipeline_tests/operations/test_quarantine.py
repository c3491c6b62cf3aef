"""Unreadable records and accounts without a balance: an action item while they last, with the bank and the reason."""

from datetime import timedelta
from typing import Any

import pytest

from pfo_pipeline.contracts.tables import QuarantineRow
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline.operations.steps import TryAgain
from pfo_pipeline_tests.ledger.samples import opened
from pfo_pipeline_tests.operations.household import ACCOUNTS, Household


def given(household: Household, code: str = "quarantined") -> list[tuple[str, str, str]]:
    household.sync()
    household.refresh()
    return [
        (a.connection_id or "", a.institution_name or "", a.why) for a in household.action_items() if a.code == code
    ]


@pytest.mark.parametrize(
    ("wrong", "right", "reason"),
    [
        ({"balance": "1e18"}, {"balance": "5"}, "balance {id}: balance: 10^18 or more"),
        ({"iban": 5}, {"iban": None}, "account {id}: iban: input should be a valid string"),
        ({"last_update": "soon"}, {"last_update": "2020-01-01 12:00:00"}, "account {id}: last_update: not a date"),
    ],
)
def test_an_unreadable_record_needs_attention_until_it_is_readable(
    smith: Household, wrong: dict[str, Any], right: dict[str, Any], reason: str
) -> None:
    made = smith.connect("jane", "1", "2")
    number = made.account_ids[0]
    smith.bank.change_account(smith.domain, number, verbatim=wrong)
    bank = smith.ask("select distinct institution_name from accounts") if given(smith) else []

    for _ in range(3):  # The bank's other fields change meanwhile.
        smith.bank.advance(hours=24)
        expected = "a record cannot be read: " + reason.format(id=number)
        assert given(smith) == [(str(made.id), bank[0][0], expected)]
    smith.bank.change_account(smith.domain, number, verbatim=right)

    assert given(smith) == []
    assert smith.action_items() == []
    assert smith.ask("select count(*) from quarantine_latest") == [(0,)]


def test_a_quarantined_record_is_still_known_as_of_then(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"iban": 5})
    smith.sync()
    then = smith.now
    smith.bank.advance(hours=1)
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"iban": None})
    smith.sync()

    assert smith.ask("select count(*) from quarantine_latest") == [(0,)]
    with opened(smith.ledger) as con:
        enter(con)
        query = "select source_id from quarantine_as_of($known_at)"
        found = con.execute(query, {"known_at": then + timedelta(minutes=1)}).fetchall()
    assert found == [(str(made.account_ids[0]),)]


def test_several_records_of_a_bank_are_one_line(smith: Household) -> None:
    made = smith.connect("jane", "1", "2", "3")
    for number in made.account_ids[:2]:
        smith.bank.change_account(smith.domain, number, verbatim={"iban": 5})

    [(_, _, why)] = given(smith)

    assert why.startswith(f"2 records cannot be read, such as account {min(map(str, made.account_ids[:2]))}: iban")


def test_a_user_who_cannot_be_read_clears_nothing(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"iban": 5})
    assert len(given(smith)) == 1
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"iban": None})
    smith.bank.fault(kind="status", path=ACCOUNTS, status=500, code="bug", times=None)
    with pytest.raises(TryAgain):
        smith.sync()

    assert [a.code for a in smith.action_items()] == ["quarantined"]


def test_records_of_a_user_who_is_no_longer_read_are_not_action_items(family: Household) -> None:
    made = family.connect("jane", "1")
    family.bank.change_account(family.domain, made.account_ids[0], verbatim={"iban": 5})
    assert len(given(family)) == 1
    users = tuple(user for user in family.tenant.users if user.id != "jane")
    family.tenant = family.tenant.model_copy(update={"users": users})
    family.sync()

    assert [a.code for a in family.action_items() if a.code == "quarantined"] == []


def test_the_next_read_clears_a_record_that_an_earlier_release_quarantined(smith: Household) -> None:
    smith.connect("jane", "1")
    smith.sync()
    old = QuarantineRow("smith", "account", "999", "iban: no", "digest")
    smith.ledger.merge(Batch.by_hand("smith", "test", "1", [old]))
    assert [a.code for a in smith.action_items()] == ["quarantined"]

    assert given(smith) == []


def test_one_number_of_an_impossible_size_quarantines_only_its_record(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": int("9" * 300)})

    [(_, _, why)] = given(smith)

    assert why == f"a record cannot be read: balance {made.account_ids[0]}: balance: not a finite number"
    assert [a.current_balance for a in smith.accounts()] == [None, 2]


@pytest.mark.parametrize(("hours", "is_told"), [(71, False), (73, True)])
def test_an_account_without_a_balance_needs_attention_after_its_limit(
    smith: Household, hours: int, is_told: bool
) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": None})
    assert given(smith, "noBalance") == []
    [account] = [a for a in smith.accounts() if a.source_id == str(made.account_ids[0])]
    since = smith.now
    smith.bank.advance(hours=hours)

    found = given(smith, "noBalance")

    assert [why for _, _, why in found] == (
        [f"account {account.account_id} is without a balance since {since:%Y-%m-%d}, and in no total"]
        if is_told
        else []
    )
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": "7"})
    assert given(smith, "noBalance") == []


def test_an_account_that_has_had_a_balance_is_not_without_one(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.sync()
    smith.refresh()
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": None})
    smith.bank.advance(hours=100)

    assert given(smith, "noBalance") == []
