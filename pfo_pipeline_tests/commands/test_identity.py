"""`pfo identity`: what is the same account, seen, joined and told apart, and undone."""

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline_tests.commands.test_keeping import mine
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

__all__ = ["mine"]
pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def smiths(office: Office) -> list[str]:
    return [
        name for (name,) in office.ask("select account_id from accounts_latest where tenant_id = 'smith' order by 1")
    ]


def test_two_accounts_are_joined_shown_and_told_apart_again(mine: Office) -> None:
    one, other = smiths(mine)
    assert json.loads(run("identity", "--json").stdout) == []

    result = run("identity", "join", "--tenant", "smith", one, other)

    assert result.exit_code == 0, result.output
    assert f"pfo identity split --tenant smith {one}" in result.stdout
    (said,) = json.loads(run("identity", "--tenant", "smith", "--json").stdout)
    assert (said["account_id"], said["same_as"], said["decided_by"]) == (one, other, "operator")
    assert mine.ask("select accounts from totals where tenant_id = 'smith'") == [(1,)]
    assert {row["id"] for row in json.loads(run("accounts", "--tenant", "smith", "--json").stdout)} == {other}

    assert run("identity", "split", "--tenant", "smith", one).exit_code == 0

    assert mine.ask("select accounts, current_balance from totals where tenant_id = 'smith'") == [
        (2, Decimal("12345678901234567890.1199999999"))
    ]
    assert run("verify").exit_code == 0


@pytest.mark.parametrize("words", [("join", "acc_none", "acc_none"), ("split", "acc_none")])
def test_an_unknown_account_is_refused_by_name(mine: Office, words: tuple[str, ...]) -> None:
    result = run("identity", *words, "--tenant", "smith")

    assert result.exit_code == 1
    assert "Tenant smith has no linked account acc_none" in result.stderr


def test_accounts_of_two_tenants_are_never_joined(mine: Office) -> None:
    [(of_jones,)] = mine.ask("select account_id from accounts_latest where tenant_id = 'jones'")

    result = run("identity", "join", "--tenant", "smith", smiths(mine)[0], of_jones)

    assert result.exit_code == 1
    assert "has no linked account" in result.stderr


def test_a_user_may_look_and_not_decide(mine: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")
    one, other = smiths(mine)

    assert run("identity").exit_code == 0
    assert "needs role admin" in run("identity", "join", "--tenant", "smith", one, other).stderr


def test_the_account_that_others_were_joined_to_names_what_to_split(mine: Office) -> None:
    one, other = smiths(mine)
    run("identity", "join", "--tenant", "smith", one, other)

    result = run("identity", "split", "--tenant", "smith", other)

    assert result.exit_code == 1
    assert f"Split those: {one}" in result.stderr


def test_what_is_the_same_already_is_told(mine: Office) -> None:
    one, other = smiths(mine)
    run("identity", "join", "--tenant", "smith", one, other)

    assert "are the same account already" in run("identity", "join", "--tenant", "smith", other, one).stderr
