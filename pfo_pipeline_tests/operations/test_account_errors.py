"""A Powens error of one account under a healthy connection: the action item, and for how long it is open."""

import pytest

from pfo_pipeline_tests.operations.household import Household


def found(household: Household) -> list[tuple[str, str | None]]:
    household.sync()
    household.refresh()
    return [(item.why, item.who_acts) for item in household.action_items()]


@pytest.mark.parametrize(("error", "who"), [("actionNeeded", "member"), ("neverHeardOf", "operator")])
def test_an_account_that_waits_for_a_person_is_reported_until_resolved(smith: Household, error: str, who: str) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"error": error})

    account_id = found(smith) and smith.accounts()[0].account_id
    assert found(smith) == [(f"account {account_id} gets no new figure: {error}", who)]
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"error": None})
    assert found(smith) == []


def test_several_accounts_of_a_bank_are_one_line(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    for number in made.account_ids:
        smith.bank.change_account(smith.domain, number, verbatim={"error": "actionNeeded"})

    assert [why.split(",")[0] for why, _ in found(smith)] == ["2 accounts"]


@pytest.mark.parametrize("error", ["websiteUnavailable", "bug"])
def test_errors_that_end_by_themselves_are_not_action_items(smith: Household, error: str) -> None:
    made = smith.connect("jane", "1")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"error": error})

    assert found(smith) == []


def test_under_a_connection_with_an_error_only_the_connection_is_reported(smith: Household) -> None:
    made = smith.connect("jane", "1", state="wrongpass")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"error": "actionNeeded"})

    assert found(smith) == [("wrongpass", "member")]
