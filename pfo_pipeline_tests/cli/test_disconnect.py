"""`pfo disconnect` and `pfo connections`: what is taken away where, what waits for consent, both said before."""

import csv
import io
import json
from collections.abc import Mapping

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline_tests.cli.visiting import Visitor, new_household
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, run_job, sync_and_refresh
from pfo_pipeline_tests.simulated_bank import SimulatedUser
from pfo_pipeline_tests.simulator.conftest import web

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)
JANE = ("--tenant", "smith", "--member", "jane")


@pytest.fixture
def jane(office: Office, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """Jane with one bank and three accounts, of which Powens may not read one; john beside her."""
    visitor = new_household(office, monkeypatch)
    del office.users["smith", "jane"]
    for name in ("jane", "john"):
        office.add_user("smith", name)
        accounts: list[Mapping[str, str]] = [
            {"balance": "10"},
            {"balance": "20"},
            {"balance": "30", "disabled": "2026-01-01 12:00:00"},
        ]
        made = office.bank.add_connection(office.users["smith", name], accounts=accounts)
        visitor.connections[name] = str(made.id)
    return visitor


@pytest.fixture
def known(jane: Visitor, instance: dg.DagsterInstance) -> Visitor:
    """The same, and the ledger knows of it."""
    assert run_job(jane.office, instance, "smith").success
    return jane


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, words, input=stdin)


def refused(result: Result) -> str:
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.stderr


def user(jane: Visitor, name: str = "jane") -> SimulatedUser:
    return jane.office.users["smith", name]


def status(jane: Visitor, path: str = "/users/me", name: str = "jane") -> int:
    headers = {"Authorization": f"Bearer {user(jane, name).token}"}
    return web.get(jane.domain.base_url + path, headers=headers).status_code


def connection_of(jane: Visitor, name: str = "jane") -> str:
    return jane.connections[name]


def accounts(jane: Visitor, name: str = "jane") -> dict[str, bool]:
    """The member's accounts in the ledger, and whether each waits for consent."""
    found = jane.office.ask("select user_id, account_id, disabled_at is not null from accounts_latest")
    return {account: waits for user_id, account, waits in found if user_id == name}


def waiting_account(jane: Visitor, name: str = "jane") -> str:
    (found,) = (account for account, waits in accounts(jane, name).items() if waits)
    return found


class TestConnection:
    def test_a_connection_is_deleted_and_history_stays(self, known: Visitor) -> None:
        connection = connection_of(known)

        result = run("disconnect", *JANE, "--connection", connection, "--yes")

        assert result.exit_code == 0, result.output
        assert "is deleted at Powens, with its accounts" in result.stderr
        assert status(known, f"/users/me/connections/{connection}") == 404
        assert (status(known), len(accounts(known, "jane"))) == (200, 3)

    @pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
    def test_again_after_a_lost_answer_it_goes_on(self, known: Visitor, executed: bool) -> None:
        connection = connection_of(known)
        known.office.bank.fault("reset", method="DELETE", executed=executed)
        refused(run("disconnect", *JANE, "--connection", connection, "--yes"))

        again = run("disconnect", *JANE, "--connection", connection, "--yes")

        assert again.exit_code == 0, again.output
        assert ("is not at Powens any more" in again.stdout) is executed
        assert status(known, f"/users/me/connections/{connection}") == 404

    def test_one_of_somebody_else_is_refused_with_those_that_there_are(self, jane: Visitor) -> None:
        printed = refused(run("disconnect", *JANE, "--connection", connection_of(jane, "john"), "--yes"))

        assert "has no connection" in printed
        assert f"At Powens: {connection_of(jane)}." in printed

    def test_nothing_happens_where_the_answer_is_no(self, jane: Visitor) -> None:
        for words in ((), ("--erase",), ("--connection", connection_of(jane))):
            result = run("disconnect", *JANE, *words, stdin="n\n")
            assert result.exit_code == 1
            assert "Go on?" in result.output
        assert status(jane, f"/users/me/connections/{connection_of(jane)}") == 200
        assert jane.token_file.exists()


class TestToken:
    def test_it_is_revoked_and_removed_and_the_user_stays(self, jane: Visitor) -> None:
        result = run("disconnect", *JANE, stdin="y\n")

        assert result.exit_code == 0, result.output
        assert "The Powens user and the connections stay at Powens" in result.stderr
        assert not jane.token_file.exists()
        assert status(jane) == 401
        assert len(jane.users()) == 2
        assert user(jane).token not in result.output
        again = run("disconnect", *JANE, "--yes")
        assert (again.exit_code, again.stdout) == (0, "Member jane of smith has no token here.\n")

    def test_a_program_at_work_for_the_member_is_not_disturbed(self, jane: Visitor) -> None:
        with hold_lock(jane.office.files.private / "members" / "smith.jane.lock", deadline_seconds=0):
            printed = refused(run("disconnect", *JANE, "--yes"))

        assert "is at work for member jane of smith" in printed
        assert status(jane) == 200

    def test_it_needs_the_role_admin(self, jane: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PFO_ROLE", "user")

        assert "needs role admin" in refused(run("disconnect", *JANE, "--yes"))
        assert "needs role admin" in refused(
            run("connections", "enable", "--tenant", "smith", "--account", "x", "--yes")
        )

    def test_a_connection_and_everything_are_not_asked_for_at_once(self) -> None:
        assert run("disconnect", *JANE, "--connection", "1", "--erase").exit_code == 2


class TestErase:
    def test_the_member_is_gone_from_powens_and_from_the_ledger(self, known: Visitor) -> None:
        result = run("disconnect", *JANE, "--erase", "--yes")

        assert result.exit_code == 0, result.output
        assert (status(known), status(known, name="john")) == (401, 200)
        assert (len(accounts(known, "jane")), len(accounts(known, "john"))) == (0, 3)
        assert not known.token_file.exists()
        assert run("verify").exit_code == 0

    @pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
    def test_again_after_a_lost_answer_it_goes_on(self, known: Visitor, executed: bool) -> None:
        known.office.change_tenant("smith")
        config = known.office.config
        config.write_text(config.read_text().replace('id = "jane"', f'id = "jane"\npowens_id = {user(known).id}'))
        known.office.bank.fault("reset", method="DELETE", executed=executed)
        refused(run("disconnect", *JANE, "--erase", "--yes"))
        assert len(accounts(known, "jane")) == 3

        again = run("disconnect", *JANE, "--erase", "--yes")

        assert again.exit_code == 0, again.output
        assert (status(known), len(accounts(known, "jane"))) == (401, 0)
        assert run("disconnect", *JANE, "--erase", "--yes").stdout.startswith("jane: no such user at Powens (any more)")

    def test_a_run_at_work_is_told_and_it_goes_on_afterwards(self, known: Visitor) -> None:
        with hold_lock(known.office.files.tenant_lock("smith"), deadline_seconds=0):
            printed = refused(run("disconnect", *JANE, "--erase", "--yes"))
        assert "is at work on tenant smith" in printed

        assert run("disconnect", *JANE, "--erase", "--yes").exit_code == 0
        assert len(accounts(known, "jane")) == 0


class TestConnections:
    def test_each_connection_tells_whose_it_is_and_what_waits_for_consent(self, known: Visitor) -> None:
        rows = json.loads(run("connections", "--json").stdout)

        mine = next(row for row in rows if row["member"] == "jane")
        assert (mine["tenant_id"], mine["connection_id"], mine["bank"]) == (
            "smith",
            connection_of(known),
            "Banque Exemple",
        )
        assert (mine["state"], mine["accounts_enabled"]) == ("healthy", 2)
        assert mine["accounts_disabled"] == waiting_account(known)
        (header, *lines) = csv.reader(io.StringIO(run("connections", "--tenant", "smith", "--csv").stdout))
        assert (header, len(lines)) == (list(rows[0]), 2)
        table = run("connections").stdout
        assert waiting_account(known) in table
        assert "pfo connections enable" in table

    def test_reading_them_needs_no_admin(self, known: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PFO_ROLE", "user")

        assert run("connections").exit_code == 0

    def test_an_account_is_enabled_once_its_consent_is_said(self, known: Visitor, instance: dg.DagsterInstance) -> None:
        account = waiting_account(known)

        result = run("connections", "enable", "--tenant", "smith", "--account", account, stdin="y\n")

        assert result.exit_code == 0, result.output
        assert "which is the consent of the member named" in result.stderr
        assert f"{account}  checking, member jane, Banque Exemple, connection {connection_of(known)}" in result.stderr
        assert "Its first figure comes with the bank's next sync at Powens (planned for " in result.stdout
        known.office.bank.sync(known.domain.name, int(connection_of(known)))
        known.office.bank.advance(minutes=1)
        sync_and_refresh(known.office, instance, "smith")
        assert (account,) in known.office.ask("select account_id from balances_latest")
        again = run("connections", "enable", "--tenant", "smith", "--account", account, "--yes")
        assert (again.exit_code, again.stdout) == (0, f"{account} is enabled already.\n")

    def test_an_account_that_there_is_not_is_refused_and_none_is_enabled(self, known: Visitor) -> None:
        words = ("--account", waiting_account(known), "--account", "acc_none", "--yes")

        printed = refused(run("connections", "enable", "--tenant", "smith", *words))

        assert "has no account 'acc_none' that could be enabled. These wait for consent: " in printed
        assert waiting_account(known, "john") in printed
        assert [e for e in known.office.calls("smith") if e["method"] == "PUT"] == []

    def test_a_refused_token_is_told_with_what_to_do(self, known: Visitor) -> None:
        headers = {"Authorization": f"Bearer {user(known).token}"}
        web.delete(f"{known.domain.base_url}/auth/token", headers=headers)

        printed = refused(
            run("connections", "enable", "--tenant", "smith", "--account", waiting_account(known), "--yes")
        )

        assert printed.splitlines()[-1].startswith("NotConnected: tenants.smith.users.jane.token: PUT ")
        assert user(known).token not in printed

    def test_an_unknown_tenant_is_named(self, known: Visitor) -> None:
        assert "It has: smith." in refused(run("connections", "--tenant", "stranger"))
        assert "Known tenants: smith." in refused(
            run("connections", "enable", "--tenant", "stranger", "--account", "x", "--yes")
        )
