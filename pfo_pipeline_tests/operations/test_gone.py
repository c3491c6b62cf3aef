"""Accounts that Powens no longer lists: missing ones are kept and reported, gone only if that is certain. Users no longer
read.
"""

import json
from decimal import Decimal
from typing import Any

import pytest

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.operations.steps import TryAgain
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, Household
from pfo_pipeline_tests.simulated_bank import NOON, SimulatedConnection

EMPTY = {"kind": "body", "path": ACCOUNTS, "body": json.dumps({"accounts": [], "total": 0})}
NO_ACCOUNT = [{"kind": "status", "path": ACCOUNTS, "status": status, "code": "noAccount"} for status in (409, 400)]


def total(household: Household) -> Any:
    found = household.ask("select current_balance from totals")
    return found[0][0] if found else None


def read(household: Household) -> None:
    household.sync()
    household.refresh()


def next_day(household: Household, hours: int = 24) -> None:
    """Let Powens sync once more, then read everything."""
    household.bank.advance(hours=hours)
    read(household)


def fail(household: Household, fault: dict[str, Any], **more: Any) -> int:
    return household.bank.fault(**(fault | {"times": None} | more))


def missing(household: Household) -> list[str]:
    return [a.source_id for a in household.accounts() if a.missing_since and a.deleted_at is None]


def ended(household: Household) -> dict[str, str | None]:
    return {a.source_id: a.ended_by for a in household.accounts() if a.deleted_at}


def two_sources(household: Household) -> tuple[SimulatedConnection, list[int]]:
    """A connection with two accounts of each of two sources."""
    made = household.connect("jane", "1", "2", "4", "8")
    for number in made.account_ids[2:]:
        household.bank.change_account(household.domain, number, verbatim={"id_source": 777})
    read(household)
    return made, made.account_ids


def take_out(household: Household, *members: str) -> None:
    users = tuple(user for user in household.tenant.users if user.id not in members)
    household.tenant = household.tenant.model_copy(update={"users": users})


def put_back(household: Household, member: str) -> None:
    user = User(id=member, token=f"file:{household.tenant.id}-{member}.token")
    household.tenant = household.tenant.model_copy(update={"users": (*household.tenant.users, user)})


def test_each_account_is_known_with_the_source_that_lists_it(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[1], verbatim={"id_source": "a word"})

    smith.sync()

    assert [a.connection_source_id for a in smith.accounts()] == [str(made.source_ids[0]), None]
    assert smith.ask("from quarantine") == []


def test_an_account_that_powens_marks_deleted_was_ended_by_the_bank(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], deleted=NOON.isoformat())

    smith.sync()

    assert ended(smith) == {str(made.account_ids[0]): "bank"}


@pytest.mark.parametrize("fault", [EMPTY, *NO_ACCOUNT], ids=["empty", "409", "400"])
def test_one_empty_answer_changes_no_total_and_is_reported_at_once(smith: Household, fault: dict[str, Any]) -> None:
    made = smith.connect("jane", *["250000"] * 5)
    read(smith)
    smith.bank.advance(hours=24)
    smith.bank.fault(**fault)

    outcome = smith.sync()

    assert total(smith) == 1_250_000
    assert missing(smith) == [str(number) for number in made.account_ids]
    assert outcome.batch.failed == 5
    (given,) = smith.action_items()
    assert (given.connection_id, given.who_acts) == (str(made.id), "operator")
    assert given.why == "5 accounts missing from the bank's list since 2026-03-11"
    assert "pfo end --help" in (given.remedy or "")
    assert {row for (row,) in smith.ask("select note from coverage")} == {"missing"}
    assert len(outcome.errors) == 1
    smith.sync()
    assert (missing(smith), smith.action_items(), total(smith)) == ([], [], 1_250_000)


@pytest.mark.parametrize("fault", [EMPTY, *NO_ACCOUNT], ids=["empty", "409", "400"])
def test_while_all_accounts_of_a_bank_are_missing_none_is_gone(smith: Household, fault: dict[str, Any]) -> None:
    smith.connect("jane", "1", "2")
    read(smith)
    fail(smith, fault)

    for _ in range(6):
        next_day(smith)

    assert (total(smith), ended(smith), len(missing(smith))) == (3, {}, 2)
    assert {a.missing_since for a in smith.accounts()} == {smith.now.replace(day=11)}
    smith.bank.clear_faults()
    next_day(smith)
    assert (total(smith), missing(smith), smith.action_items()) == (3, [], [])


def test_one_missing_account_is_reported_with_a_command_that_names_it(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])

    next_day(smith)

    gone = smith.accounts()[0]
    (given,) = smith.action_items()
    assert given.why == "1 account missing from the bank's list since 2026-03-11"
    assert f"pfo end --tenant smith --account {gone.account_id} --on 2026-03-11" in (given.remedy or "")


def test_a_missing_account_whose_source_advances_is_gone_after_two_reads(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])

    next_day(smith)
    assert (total(smith), missing(smith)) == (3, [str(made.account_ids[0])])
    missed_at = smith.now
    next_day(smith)

    assert ended(smith) == {str(made.account_ids[0]): "missing"}
    assert smith.accounts()[0].deleted_at == missed_at
    assert (total(smith), missing(smith)) == (2, [])
    (given,) = smith.action_items()
    assert given.why.endswith("is gone: the totals changed by it")
    assert smith.ask("select reason from coverage where reason is not null") == [("gone",)]


def test_refreshed_balances_do_not_change_when_an_account_is_gone(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    for _ in range(4):
        smith.bank.advance(hours=12)
        smith.refresh()
        read(smith)

    assert ended(smith) == {str(made.account_ids[0]): "missing"}


def test_two_reads_of_one_night_prove_nothing(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])

    next_day(smith)
    for _ in range(3):
        smith.bank.advance(hours=5)
        smith.bank.sync(smith.domain, made.id)
        read(smith)

    assert (ended(smith), total(smith)) == ({}, 3)


def test_an_account_is_not_gone_while_its_siblings_do_not_advance(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    smith.bank.change_account(smith.domain, made.account_ids[1], verbatim={"last_update": "2026-03-10 04:00:00"})

    for _ in range(4):
        next_day(smith)

    assert (ended(smith), total(smith)) == ({}, 3)


def test_a_first_read_without_an_advance_does_not_count_as_one_of_the_two(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    read(smith)
    assert missing(smith)

    next_day(smith)
    assert (ended(smith), total(smith)) == ({}, 3)
    next_day(smith)

    assert ended(smith) == {str(made.account_ids[0]): "missing"}


def test_a_date_far_ahead_proves_no_advance(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    smith.bank.change_account(smith.domain, made.account_ids[1], verbatim={"last_update": "2026-06-10 04:00:00"})

    for _ in range(3):
        next_day(smith)

    assert ended(smith) == {}


def test_a_missing_account_that_is_listed_again_starts_over(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    short = json.dumps({"accounts": [record for record in listed(smith) if record["id"] != made.account_ids[0]]})
    for _ in range(3):
        smith.bank.fault("body", path=ACCOUNTS, body=short)
        next_day(smith)
        next_day(smith)

    assert (ended(smith), missing(smith), total(smith)) == ({}, [], 3)
    assert smith.accounts()[0].ended_by is None


def listed(household: Household) -> list[dict[str, Any]]:
    with household.bank.client(household.members["jane"]) as client:
        found: list[dict[str, Any]] = client.get(f"{ACCOUNTS.removeprefix('/')}?all").json()["accounts"]
    return found


def test_a_source_whose_accounts_are_all_missing_loses_none(smith: Household) -> None:
    made, (_, _, third, fourth) = two_sources(smith)
    for number in (third, fourth):
        smith.bank.delete_account(smith.domain, number)

    for _ in range(4):
        next_day(smith)

    assert (ended(smith), missing(smith), total(smith)) == ({}, [str(third), str(fourth)], 15)
    (given,) = smith.action_items()
    assert (given.connection_id, given.why[:10]) == (str(made.id), "2 accounts")


def test_each_source_is_judged_by_its_own_accounts(smith: Household) -> None:
    _, (first, _, third, fourth) = two_sources(smith)
    smith.bank.delete_account(smith.domain, first)
    smith.bank.delete_account(smith.domain, third)
    smith.bank.change_account(smith.domain, fourth, verbatim={"id_source": 777, "last_update": "2026-03-10 04:00:00"})

    next_day(smith)
    assert len(smith.action_items()) == 2
    next_day(smith)

    assert (ended(smith), missing(smith)) == ({str(first): "missing"}, [str(third)])


def test_without_a_named_source_the_connection_is_the_source(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    for number in made.account_ids:
        smith.bank.change_account(smith.domain, number, verbatim={"id_source": None})
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])

    next_day(smith)
    next_day(smith)

    assert ended(smith) == {str(made.account_ids[0]): "missing"}


def test_an_account_of_unknown_source_is_not_judged_by_one_of_two(smith: Household) -> None:
    _, (first, *_) = two_sources(smith)
    smith.bank.change_account(smith.domain, first, verbatim={"id_source": None})
    next_day(smith)
    smith.bank.delete_account(smith.domain, first)

    for _ in range(3):
        next_day(smith)

    assert (ended(smith), missing(smith)) == ({}, [str(first)])


def test_another_connection_that_advances_proves_nothing(smith: Household) -> None:
    alone = smith.connect("jane", "1")
    smith.connect("jane", "2", "4")
    read(smith)
    smith.bank.delete_account(smith.domain, alone.account_ids[0])

    for _ in range(3):
        next_day(smith)

    assert (ended(smith), total(smith)) == ({}, 7)


@pytest.mark.parametrize("connection", ["its own", None])
def test_a_record_without_a_readable_id_may_be_the_missing_account(smith: Household, connection: str | None) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    verbatim = {"id": "seven"} | ({} if connection else {"id_connection": "none"})
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim=verbatim)

    for _ in range(3):
        next_day(smith)

    assert (ended(smith), missing(smith), total(smith)) == ({}, [str(made.account_ids[0])], 3)


def test_an_unreadable_record_of_another_connection_keeps_no_account_of_this_one(smith: Household) -> None:
    made, other = smith.connect("jane", "1", "2"), smith.connect("jane", "4", "8")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    smith.bank.change_account(smith.domain, other.account_ids[0], verbatim={"id": "seven"})

    next_day(smith)
    next_day(smith)

    assert ended(smith) == {str(made.account_ids[0]): "missing"}
    assert missing(smith) == [str(other.account_ids[0])]


def test_a_missing_account_whose_record_comes_back_unreadable_is_not_missing(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.fault(**EMPTY)
    smith.sync()
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"balance": {}})

    smith.sync()

    assert (missing(smith), total(smith)) == ([], 3)


def test_accounts_of_a_removed_connection_are_gone_despite_a_record_without_id(family: Household) -> None:
    removed, kept = family.connect("jane", "1", "2"), family.connect("john", "4", "8")
    read(family)
    family.bank.delete_connection(family.domain, removed.id)
    family.bank.change_account(family.domain, kept.account_ids[0], verbatim={"id": "seven"})

    family.sync()

    assert ended(family) == {str(number): "connection" for number in removed.account_ids}
    assert {c.connection_id: c.status for c in family.connections()}[str(removed.id)] == "gone"
    assert total(family) == 12


def test_missing_accounts_of_a_removed_connection_are_gone(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.fault(**EMPTY)
    smith.sync()
    assert len(missing(smith)) == 2
    smith.bank.delete_connection(smith.domain, made.id)

    smith.sync()

    assert ended(smith) == {str(number): "connection" for number in made.account_ids}
    assert (missing(smith), total(smith)) == ([], None)
    assert [given.why.endswith("count differently than before (is gone)") for given in smith.action_items()] == [True]


@pytest.mark.parametrize("others", [0, 1])
def test_accounts_of_a_removed_connection_are_gone_despite_an_unreadable_list(smith: Household, others: int) -> None:
    removed = smith.connect("jane", "40")
    kept = [smith.connect("jane", "2") for _ in range(others)]
    read(smith)

    smith.bank.delete_connection(smith.domain, removed.id)
    fail(smith, {"kind": "status", "path": ACCOUNTS, "status": 500, "code": "bug"})
    with pytest.raises(TryAgain):
        smith.sync()

    assert ended(smith) == {str(removed.account_ids[0]): "connection"}
    assert total(smith) == (Decimal(2) if kept else None)


def test_a_connection_that_may_be_an_unreadable_record_is_reported_but_not_gone(smith: Household) -> None:
    broken, kept = smith.connect("jane", "1"), smith.connect("jane", "2")
    read(smith)
    smith.bank.change_connection(smith.domain, broken.id, verbatim={"id": "seven"})

    for _ in range(3):
        next_day(smith)

    assert "gone" not in {c.status for c in smith.connections()}
    assert (ended(smith), total(smith)) == ({}, 3)
    assert str(broken.id) in {t.connection_id for t in smith.action_items()}
    assert kept.id != broken.id


def test_a_connection_of_a_user_who_was_not_read_is_unchanged(family: Household) -> None:
    for member in family.members:
        family.connect(member, "1")
    read(family)
    fail(family, {"kind": "status", "path": CONNECTIONS, "status": 401, "user": family.members["john"].id})

    next_day(family)
    next_day(family)

    assert (ended(family), missing(family), total(family)) == ({}, [], 3)


def test_one_users_empty_list_says_nothing_of_another_user(family: Household) -> None:
    made = {member: family.connect(member, "1", "2") for member in family.members}
    read(family)
    fail(family, EMPTY, user=family.members["john"].id)

    next_day(family)
    next_day(family)

    assert missing(family) == [str(number) for number in made["john"].account_ids]
    assert (ended(family), total(family)) == ({}, 9)


def test_the_same_read_again_writes_nothing_of_a_missing_account(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.delete_account(smith.domain, made.account_ids[0])
    next_day(smith)

    smith.sync()
    smith.refresh()

    assert [result.added("accounts") for result in smith.merged[-2:]] == [0, 0]


def test_a_missing_account_counts_at_every_time_with_its_last_balance(smith: Household) -> None:
    smith.connect("jane", "1", "2")
    read(smith)
    smith.bank.fault(**EMPTY)
    next_day(smith)

    at = smith.now.isoformat()
    assert smith.ask(f"select total from cash_position(timestamptz '{at}')") == [(3,)]  # noqa: S608


def test_a_user_who_is_no_longer_configured_is_reported_with_a_remedy(family: Household) -> None:
    family.connect("jane", "1")
    family.connect("john", "2", state="wrongpass")
    read(family)
    take_out(family, "john")

    next_day(family)
    next_day(family)

    user = family.users()["john"]
    assert (user.status, user.who_acts) == ("not_configured", "operator")
    for way in (
        "tenants.smith.users",
        "pfo end --tenant smith --member john --on 2026-03-11",
        "pfo erase --tenant smith",
    ):
        assert way in (user.remedy or "")
    (given,) = family.action_items()
    assert (given.user_id, given.why) == ("john", "no longer read by us")
    assert total(family) == 3
    assert {row for (row,) in family.ask("select note from coverage where user_id = 'john'")} == {"user_not_read"}
    assert len(family.ask("from users where user_id = 'john'")) == 2


def test_balances_of_a_user_who_is_not_configured_are_delayed_by_us(family: Household) -> None:
    family.connect("jane", "1")
    family.connect("john", "2")
    read(family)
    take_out(family, "john")
    for _ in range(6):
        next_day(family)

    figures = {f.current_balance: f for f in family.ledger.reader().dated_balances(["smith"])}

    assert (figures[Decimal(2)].is_read, figures[Decimal(2)].who_acts) == (False, "operator")
    assert figures[Decimal(1)].is_read


def test_a_user_who_is_configured_again_is_in_order(family: Household) -> None:
    family.connect("john", "2")
    read(family)
    take_out(family, "john")
    next_day(family)
    put_back(family, "john")

    family.banking = replace_tenant(family)
    next_day(family)

    assert (family.users()["john"].status, family.action_items()) == ("ok", [])


def replace_tenant(household: Household) -> Any:
    from pfo_pipeline.powens.session import OpenBanking

    tenants: tuple[Tenant, ...] = (household.tenant,)
    return OpenBanking(household.banking.config.model_copy(update={"tenants": tenants}))


def test_a_user_of_whom_nothing_counts_is_not_an_action_item(family: Household) -> None:
    family.connect("jane", "1")
    made = family.connect("john", "2")
    read(family)
    family.bank.delete_connection(family.domain, made.id)
    read(family)
    take_out(family, "john", "june")

    next_day(family)

    assert {user.status for name, user in family.users().items() if name != "jane"} == {"ended"}
    assert [given.connection_id for given in family.action_items()] == [str(made.id)]  # Its account is gone.


@pytest.mark.parametrize("accounts", [[], [{"balance": "1", "disabled": True}]], ids=["none", "disabled"])
def test_a_bank_that_shares_no_account_needs_attention(smith: Household, accounts: list[Any]) -> None:
    smith.connect("jane", "1")
    made = smith.bank.add_connection(smith.members["jane"], accounts=accounts)

    read(smith)

    (given,) = smith.action_items()
    assert (given.connection_id, given.why, given.who_acts) == (str(made.id), "shares no account", "operator")
    assert f"pfo reconnect --tenant smith --connection {made.id}" in (given.remedy or "")


def test_a_bank_with_missing_accounts_is_not_reported_as_sharing_none(smith: Household) -> None:
    smith.connect("jane", "1")
    read(smith)
    smith.bank.fault(**EMPTY)

    next_day(smith)

    assert [t.why for t in smith.action_items()] == ["1 account missing from the bank's list since 2026-03-11"]


NUMBER = {"number": "00012345678"}


def added_again(household: Household, **of_the_new: Any) -> SimulatedConnection:
    """Remove a bank with one account of 7 at Powens and add it again: all ids are new."""
    old = household.connect("jane", "7")
    household.bank.change_account(household.domain, old.account_ids[0], **NUMBER)
    read(household)
    household.bank.advance(hours=24)
    household.bank.delete_connection(household.domain, old.id)
    new = household.connect("jane", "8")
    household.bank.change_account(household.domain, new.account_ids[0], **NUMBER, **of_the_new)
    return new


def test_an_account_whose_bank_was_added_again_gets_its_new_balance(smith: Household) -> None:
    added_again(smith)
    read(smith)

    assert (total(smith), list(ended(smith).values()), missing(smith), smith.action_items()) == (
        8,
        ["connection"],
        [],
        [],
    )


def test_an_account_whose_bank_was_added_again_without_a_balance_keeps_the_last_one(smith: Household) -> None:
    new = added_again(smith, verbatim={"balance": None})

    for _ in range(3):
        next_day(smith)
        assert (total(smith), ended(smith)) == (7, {})
        assert smith.ask("select count(*) from positions") == [(1,)]
    smith.bank.change_account(smith.domain, new.account_ids[0], verbatim={"balance": 9})
    next_day(smith)
    next_day(smith)

    assert (total(smith), list(ended(smith).values())) == (9, ["connection"])


def test_a_bank_that_returns_after_a_day_without_a_balance_has_the_last_one(
    smith: Household,
) -> None:
    old = smith.connect("jane", "7")
    smith.bank.change_account(smith.domain, old.account_ids[0], **NUMBER)
    read(smith)
    smith.bank.delete_connection(smith.domain, old.id)
    next_day(smith)
    assert total(smith) is None
    new = smith.connect("jane", "8")
    smith.bank.change_account(smith.domain, new.account_ids[0], **NUMBER, verbatim={"balance": None})

    next_day(smith)

    assert (total(smith), missing(smith)) == (7, [str(old.account_ids[0])])


@pytest.mark.parametrize(
    "unusable",
    [{"balance": 10**18}, {"last_update": None}, {"currency": None}],
    ids=["too much", "no date", "no currency"],
)
def test_a_new_balance_that_cannot_be_kept_does_not_remove_the_last_one(
    smith: Household, unusable: dict[str, Any]
) -> None:
    added_again(smith, verbatim=unusable)

    for _ in range(2):
        next_day(smith)

    assert total(smith) == 7
