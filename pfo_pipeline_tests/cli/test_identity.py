"""`pfo identity`: what is the same account, seen, joined and told apart, and undone."""

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.cli.context import Place
from pfo_pipeline.cli.identity import join_accounts, split_accounts, undo_decision
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline_tests.cli.test_ledger import mine
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office
from pfo_pipeline_tests.ledger.samples import a_ledger, account, batch, connection, user

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
    undo = result.stdout.partition("To undo it: pfo ")[2].split()
    said = json.loads(run("identity", "--tenant", "smith", "--json").stdout)
    (kept,) = {link["same_as"] for link in said}
    assert [(link["account_id"], link["decided_by"]) for link in said] == [(one, "operator"), (other, "operator")]
    assert mine.ask("select accounts from totals where tenant_id = 'smith'") == [(1,)]
    assert {row["id"] for row in json.loads(run("accounts", "--tenant", "smith", "--json").stdout)} == {kept}
    assert mine.ask("select account_id from account_aliases") == [(kept,)]

    assert run(*undo).exit_code == 0

    assert mine.ask("select accounts, current_balance from totals where tenant_id = 'smith'") == [
        (2, Decimal("123456789012345678.1199"))
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


def test_of_two_decisions_on_the_same_two_the_later_holds(mine: Office) -> None:
    one, other = smiths(mine)
    assert "is an account by itself" in run("identity", "split", "--tenant", "smith", one).stderr
    assert run("identity", "split", "--tenant", "smith", one, other).exit_code == 0

    assert run("identity", "join", "--tenant", "smith", other, one).exit_code == 0

    assert mine.ask("select accounts from totals where tenant_id = 'smith'") == [(1,)]


def place_with_three_accounts(tmp_path: Path) -> Place:
    ledger = a_ledger(tmp_path / "data")
    accounts = [account(f"acc_{n}", source_id=str(n), iban=None, display_name=f"Account {n}") for n in (1, 2, 3)]
    ledger.merge(batch(user(), connection(), *accounts, run_id="run-1"))
    return cast(Place, SimpleNamespace(role="admin", ledger=ledger, reader=ledger.reader()))


def test_a_join_against_a_split_of_other_links_is_refused_and_names_what_to_undo(tmp_path: Path) -> None:
    place = place_with_three_accounts(tmp_path)
    split_accounts(place, "smith", "acc_1", "acc_3")
    join_accounts(place, "smith", "acc_1", "acc_2")

    with pytest.raises(OperationRefused, match=r"pfo identity undo --tenant smith acc_1 acc_3$"):
        join_accounts(place, "smith", "acc_2", "acc_3")

    undo_decision(place, "smith", "acc_1", "acc_3")
    assert join_accounts(place, "smith", "acc_2", "acc_3") == "acc_1"


def test_a_split_against_joins_of_other_links_is_refused_and_names_what_to_undo(tmp_path: Path) -> None:
    place = place_with_three_accounts(tmp_path)
    join_accounts(place, "smith", "acc_1", "acc_2")
    join_accounts(place, "smith", "acc_2", "acc_3")

    with pytest.raises(OperationRefused, match=r"pfo identity undo --tenant smith acc_1 acc_2$"):
        split_accounts(place, "smith", "acc_1", "acc_3")


def test_a_split_replaces_a_join_of_the_same_two(mine: Office) -> None:
    one, other = smiths(mine)
    run("identity", "join", "--tenant", "smith", one, other)

    assert run("identity", "split", "--tenant", "smith", other).exit_code == 0

    assert mine.ask("select accounts from totals where tenant_id = 'smith'") == [(2,)]
    assert run("verify").exit_code == 0


def test_what_nobody_decided_is_not_undone(mine: Office) -> None:
    one, other = smiths(mine)

    assert "No person decided on" in run("identity", "undo", "--tenant", "smith", one, other).stderr


def test_what_is_the_same_already_is_told(mine: Office) -> None:
    one, other = smiths(mine)
    run("identity", "join", "--tenant", "smith", one, other)

    assert "are one account already" in run("identity", "join", "--tenant", "smith", other, one).stderr
