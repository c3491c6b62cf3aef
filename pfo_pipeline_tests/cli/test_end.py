"""`pfo end`: accounts of a user who left, or one that its bank no longer lists, end on a date that a person gives."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, sync_and_refresh, today
from pfo_pipeline_tests.simulated_bank import SimulatedBank

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

IBAN = "FR7630006000011234567890189"
WHOLE = "select current_balance from totals where tenant_id = 'moreau'"


@pytest.fixture(scope="module")
def couple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Paul and Lea share an account of 100; Paul has one of 20 by himself; a third one of his is missing, with 5."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        SimulatedBank(now=today()) as bank,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        office = Office(bank, tmp_path_factory.mktemp("couple"))
        monkeypatch.delenv("PFO_ROLE", raising=False)
        for name, value in office.environment().items():
            monkeypatch.setenv(name, value)
        office.add_tenant("moreau", "paul", "lea")
        shared: dict[str, Any] = {"balance": "100", "moves": False, "iban": IBAN, "number": "30004000031"}
        others: list[dict[str, Any]] = [{"balance": amount, "moves": False} for amount in ("20", "5")]
        made = bank.add_connection(office.users["moreau", "paul"], accounts=[shared, *others])
        bank.add_connection(office.users["moreau", "lea"], accounts=[shared])
        assert all(run.success for run in sync_and_refresh(office, instance, "moreau"))
        bank.delete_account(office.tenants["moreau"]["domain"], made.account_ids[2])
        assert all(run.success for run in sync_and_refresh(office, instance, "moreau"))
        yield office


@pytest.fixture
def mine(couple: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy, which a test may change."""
    shutil.copytree(couple.folder, tmp_path / "mine")
    mine = replace(couple, folder=tmp_path / "mine", tenants=dict(couple.tenants), users=dict(couple.users))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_ROLE", raising=False)
    for name, value in mine.environment().items():
        monkeypatch.setenv(name, value)
    return mine


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def day(offset: int = 0) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


def take_out(office: Office, user: str) -> None:
    del office.users["moreau", user]
    office.write()


def read(office: Office) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert all(run.success for run in sync_and_refresh(office, instance, "moreau"))


def missing_account(office: Office) -> str:
    [(account,)] = office.ask("select account_id from accounts_latest where missing_since is not null")
    return str(account)


def test_the_accounts_of_a_user_who_left_end_and_a_shared_one_lives_on(mine: Office) -> None:
    assert mine.ask(WHOLE) == [(125,)]
    take_out(mine, "paul")

    result = run("end", "--tenant", "moreau", "--member", "paul", "--on", day(-1), "--yes")

    assert result.exit_code == 0, result.output
    assert f"Ended on {day(-1)}: 3 linked accounts of user paul of tenant moreau." in result.stdout
    assert mine.ask(WHOLE) == [(100,)]
    assert mine.ask("select distinct reason from coverage where user_id = 'paul'") == [("ended",)]
    assert mine.ask("select user_id, status from connections_latest order by 1") == [
        ("lea", "healthy"),
        ("paul", "gone"),
    ]
    assert mine.ask("select operation from loads order by load_id desc limit 1") == [("ledger.end",)]
    assert "Nobody must act." in run("status").stdout
    assert run("verify").exit_code == 0


def test_they_count_until_the_end_of_that_day_where_the_tenant_lives(mine: Office) -> None:
    mine.change_tenant("moreau", timezone="America/New_York")
    read(mine)
    take_out(mine, "paul")

    assert run("end", "--tenant", "moreau", "--member", "paul", "--on", "2026-03-31", "--yes").exit_code == 0

    ends = mine.ask("select distinct epoch(deleted_at)::bigint from accounts_latest where ended_by = 'operator'")
    assert ends == [(int(datetime(2026, 4, 1, 3, 59, 59, tzinfo=UTC).timestamp()),)] or ends == [
        (int(datetime(2026, 4, 1, 4, 0, 0, tzinfo=UTC).timestamp()),)
    ]


def test_the_command_that_is_told_runs_as_it_is_printed(mine: Office) -> None:
    take_out(mine, "paul")
    read(mine)
    printed = " ".join(run("status").stdout.split())
    assert "user paul: no longer read by us → operator" in printed
    assert "ask Powens support" not in printed
    command = re.search(r"pfo (end --tenant moreau --member paul --on [0-9-]+)", printed)
    assert command is not None

    assert run(*command.group(1).split(), "--yes").exit_code == 0

    assert "Nobody must act." in run("status").stdout


def test_one_missing_account_ends_by_the_command_that_is_told(mine: Office) -> None:
    printed = " ".join(run("status").stdout.split())
    command = re.search(rf"pfo (end --tenant moreau --account {missing_account(mine)} --on [0-9-]+)", printed)
    assert command is not None

    result = run(*command.group(1).split(), "--yes")

    assert result.exit_code == 0, result.output
    assert mine.ask(WHOLE) == [(120,)]
    assert "Nobody must act." in run("status").stdout
    read(mine)
    assert mine.ask(WHOLE) == [(120,)]


def test_a_user_who_is_put_back_has_their_accounts_again(mine: Office) -> None:
    paul = mine.users["moreau", "paul"]
    take_out(mine, "paul")
    assert run("end", "--tenant", "moreau", "--member", "paul", "--on", day(), "--yes").exit_code == 0
    mine.users["moreau", "paul"] = paul
    mine.write()

    read(mine)

    assert mine.ask(WHOLE) == [(120,)]
    assert mine.ask("select status from users_latest where user_id = 'paul'") == [("ok",)]


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("--tenant", "moreau", "--member", "paul", "--on", day()), "user paul of tenants.moreau is still configured"),
        (("--tenant", "moreau", "--member", "nobody", "--on", day()), "has no user nobody of tenant moreau"),
        (("--tenant", "nobody", "--member", "paul", "--on", day()), "The ledger has no tenant nobody. It has: moreau"),
        (("--tenant", "moreau", "--account", "acc_none", "--on", day()), "has no linked account acc_none"),
        (("--tenant", "moreau", "--member", "paul", "--on", day(2)), "is still to come"),
        (("--tenant", "moreau", "--member", "paul", "--on", "0001-01-01"), "is before 1970"),
    ],
)
def test_what_cannot_be_ended_is_told_and_nothing_is(mine: Office, words: tuple[str, ...], printed: str) -> None:
    result = run("end", *words, "--yes")

    assert result.exit_code == 1
    assert printed in result.stderr
    assert mine.ask("select count(*) from accounts where ended_by = 'operator'") == [(0,)]


def test_an_account_that_its_bank_lists_is_not_ended(mine: Office) -> None:
    [(listed,)] = mine.ask("select account_id from accounts_latest where missing_since is null limit 1")

    result = run("end", "--tenant", "moreau", "--account", listed, "--on", day(), "--yes")

    assert result.exit_code == 1
    assert f"Account {listed} is not missing" in result.stderr


@pytest.mark.parametrize("words", [(), ("--member", "paul", "--account", "acc_none")])
def test_either_a_user_or_an_account_is_named(mine: Office, words: tuple[str, ...]) -> None:
    result = run("end", "--tenant", "moreau", "--on", day(), *words)

    assert result.exit_code == 2
    assert "--member or --account" in result.stderr


def test_ending_asks_first_and_says_what_will_happen(mine: Office) -> None:
    take_out(mine, "paul")

    result = run("end", "--tenant", "moreau", "--member", "paul", "--on", day())

    assert result.exit_code == 1
    assert "3 linked accounts of user paul of tenant moreau will count in no total" in result.stderr
    assert mine.ask(WHOLE) == [(125,)]


def test_only_an_admin_ends_accounts(mine: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    result = run("end", "--tenant", "moreau", "--account", missing_account(mine), "--on", day(), "--yes")

    assert result.exit_code == 1
    assert "needs role admin" in result.stderr


def test_a_run_that_goes_on_must_end_first(mine: Office) -> None:
    with hold_lock(mine.files.tenant_lock("moreau"), deadline_seconds=5):
        result = run("end", "--tenant", "moreau", "--account", missing_account(mine), "--on", day(), "--yes")

    assert result.exit_code == 1
    assert "is at work on tenant moreau" in result.stderr


def test_what_has_ended_is_not_ended_twice(mine: Office) -> None:
    take_out(mine, "paul")
    words = ("end", "--tenant", "moreau", "--member", "paul", "--on", day(), "--yes")
    assert run(*words).exit_code == 0

    again = run(*words)

    assert again.exit_code == 1
    assert "Nothing of user paul of tenant moreau counts any more" in again.stderr
