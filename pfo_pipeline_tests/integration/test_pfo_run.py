"""`pfo run` as a program: with a member's revoked token, and killed at any time. Without configuration: test_docs.py."""

import json
import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline_tests.defs.office import ACCOUNTS, CONNECTIONS, DAGSTERS_OWN_WARNING, Office, sync_and_refresh, today
from pfo_pipeline_tests.integration.programs import pfo, start
from pfo_pipeline_tests.simulated_bank import SimulatedBank

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


# Data that must never leave the ledger, in a form that cannot occur by chance.
IBAN = "FR7699999000011234567890143"
NUMBER = "99999000011234567890"
OF_ITS_OWN = {"iban": "FR1420041010050500013026068", "number": "77777000010000000001"}
"""The keys of an account that no other list has."""
NAME = "Compte de Zéphyrine Quillfeather"
LOGIN = "https://login.bank.invalid/sca?token=zzLOGINTOKENzz"
BIC = "QUILFRPPXXX"
REVOKED = "zzREVOKEDTOKENzz"


@dataclass(frozen=True)
class Finished:
    office: Office
    process: subprocess.CompletedProcess[str]
    secrets: dict[str, str]


@pytest.fixture
def finished(office: Office) -> Finished:
    """Two tenants: one member's token is revoked, one whole tenant is unreachable, the rest is healthy."""
    office.add_tenant("smith", "jane", "john")
    office.add_tenant("jones", "joan", client_id="12345678", redirect_uri="https://office.invalid/back")
    personal = {"iban": IBAN, "number": NUMBER, "bic": BIC, "name": NAME, "original_name": NAME, "moves": False}
    jane = office.users["smith", "jane"]
    office.bank.add_connection(jane, accounts=[{"balance": "1234.5", **personal, **OF_ITS_OWN}])
    office.bank.add_connection(
        jane,
        accounts=[{"balance": "1", **personal}, {"balance": "1E+40", **personal}, {"balance": "1", "id": NUMBER}],
        state="SCARequired",
        error_message=f"Redirecting {NAME} to {LOGIN}",
    )
    office.bank.add_connection(
        jane,
        accounts=[{"balance": "3", "verbatim": {"type": IBAN, "usage": NUMBER, "ownership": NAME, IBAN: 1}}],
        verbatim={"state": IBAN.lower(), NUMBER: 1},
    )
    office.bank.add_connection(office.users["jones", "joan"], accounts=[{"balance": "2", **personal}])
    office.set_token("smith", "john", REVOKED)
    body = json.dumps({"code": "bug", "message": f"{NAME} {IBAN} {LOGIN}", "description": NUMBER})
    # With a wait from the server, the contract's delays do not slow the test.
    office.bank.fault("body", body=body, status=429, retry_after=0, domain="jones-sandbox", times=None)
    process = pfo("run", cwd=office.folder, output=office.environment())
    tokens = {f"token of {user}": found.token for (_, user), found in office.users.items()}
    return Finished(office, process, tokens | {"revoked": REVOKED, "login": "zzLOGINTOKENzz"})


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, databases as the text of their rows."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size == 0:
            continue
        yield path, path.read_bytes().decode("utf-8", errors="replace")
        if path.suffix == ".db":
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                yield path, "\n".join(database.iterdump())


def test_a_revoked_token_gives_status_one_and_the_others_are_synced(finished: Finished) -> None:
    out = finished.process.stdout

    assert finished.process.returncode == 1, out
    assert "smith · user john: refused" in out
    assert "Issue a new token for user john" in out
    assert "jones: Synchronise Open Banking Accounts: Tenant jones: no user could be read." in out
    assert "1 234.50" in out
    alerts = [json.loads(line) for line in (finished.office.data_dir / "alerts.jsonl").read_text().splitlines()]
    printed = sorted((alert["tenant"], alert["kind"], alert["who_acts"]) for alert in alerts)
    assert [each for each in printed if each[1] in ("run", "user")] == [
        ("jones", "run", "powens"),
        ("smith", "user", "operator"),
    ]
    assert not any(user in str(alerts) for user in ("john", "jane", "joan"))
    for what, value in finished.secrets.items():
        assert value not in str(alerts), f"{what} is in the alerts"
    rows = finished.office.ask("select tenant_id, current_balance from balances_latest where current_balance > 1000")
    assert [(tenant, str(amount)) for tenant, amount in rows] == [("smith", "1234.5000000000")]
    assert "Traceback" not in out + finished.process.stderr

    personal = {"iban": IBAN, "iban as a state": IBAN.lower(), "number": NUMBER}
    for what, value in (finished.secrets | personal).items():
        assert value not in out + finished.process.stderr, f"{what} is on the terminal"

    files = dict.fromkeys(path.name for path, _ in texts(Path(finished.office.environment()["DAGSTER_HOME"])))
    assert "runs.db" in files
    assert [name for name in files if name.endswith(".db")] != ["runs.db"]
    for path, text in texts(Path(finished.office.environment()["DAGSTER_HOME"])):
        for what, value in (finished.secrets | personal | {"name": NAME, "bic": BIC}).items():
            assert value not in text, f"{what} is in {path}"

    telemetry = "\n".join(str(row) for row in finished.office.ask("from telemetry"))
    kept = "\n".join(
        str(row)
        for name in ("quarantine", "drift", "users", "connections")
        for row in finished.office.ask(f"from {name}")
    )
    assert "openbanking.accounts.synced" in telemetry
    for what, value in (finished.secrets | personal | {"name": NAME, "bic": BIC}).items():
        assert value not in telemetry, f"{what} is in the telemetry"
        assert value not in kept, f"{what} is in what the ledger keeps of connections and users"
    for path, text in texts(finished.office.data_dir / "private"):
        for what, value in finished.secrets.items():
            assert value not in text, f"{what} is in {path}"


def content(files: LedgerFiles) -> dict[str, list[tuple[object, ...]]]:
    """The ledger's content, without times and loads."""
    with duckdb.connect(str(files.published), read_only=True) as ledger:
        ledger.execute("use ledger.ledger")
        learnt = "exclude (load_id, recorded_at, run_id, operation)"
        return {
            table: ledger.execute(f"select * {learnt} from {table} order by all").fetchall()  # noqa: S608
            for table in ("accounts", "balances", "balances_current", "connections", "users")
        }


def test_a_run_after_a_kill_at_any_time_repairs_everything(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a random number of finished workflows and at a random time in the next: in a merge, a copy, a call."""
    dice = random.Random("killed")  # noqa: S311
    for tenant in ("jones", "smith"):
        office.add_tenant(tenant, "jane", "john")
        for user in ("jane", "john"):
            office.connect(tenant, user, "1.1", "2.2", "3.3")
    killed = 0
    for _ in range(3):
        process = start("run", cwd=office.folder, output=office.environment())
        assert process.stdout is not None
        for _ in range(dice.randint(1, 4)):  # The first line comes before any work.
            process.stdout.readline()
        try:
            process.wait(timeout=dice.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()

    fixed = pfo("run", cwd=office.folder, output=office.environment())

    assert killed
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert not list(office.data_dir.glob(".ledger.duckdb.*"))
    after_kills = content(office.files)
    office.elsewhere = office.folder / "undisturbed"
    for name, value in office.environment().items():
        monkeypatch.setenv(name, value)
    for tenant in ("jones", "smith"):
        sync_and_refresh(office, instance, tenant)
    assert after_kills == content(office.files)


def test_two_concurrent_runs_of_one_tenant_wait_for_each_other(office: Office) -> None:
    office.add_tenant("smith", "jane", "john")
    for user in ("jane", "john"):
        office.connect("smith", user, "1")

    both = [start("run", cwd=office.folder, output=office.environment()) for _ in range(2)]
    printed = [(*process.communicate(), process.returncode) for process in both]

    assert [status for *_, status in printed] == [0, 0], printed
    # Each workflow reads connections and then accounts of both users; no two workflows are interleaved.
    paths = office.paths("smith")
    assert len(paths) == 16
    for begin in range(0, 16, 4):
        assert sorted(paths[begin : begin + 4]) == [ACCOUNTS] * 2 + [CONNECTIONS] * 2
    assert office.ask("select count(*), count(distinct account_id) from accounts") == [(2, 2)]
    assert office.ask("select count(*), count(distinct account_id) from balances") == [(2, 2)]


def test_one_bank_can_be_forced_before_the_run(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatedBank(now=today(), frozen=False) as bank:
        office = Office(bank, tmp_path / "office")
        for name, value in office.environment().items():
            monkeypatch.setenv(name, value)
        office.add_tenant("smith", "jane")
        bank.change_domain("smith-sandbox", sync_seconds=0)
        wanted = office.connect("smith", "jane", "1", last_update=(today() - timedelta(hours=5)).isoformat())
        office.connect("smith", "jane", "2")
        sync_and_refresh(office, instance, "smith")

        words = ("run", "--tenant", "smith", "--connection", str(wanted), "--force")
        first, second = [CliRunner().invoke(main, words) for _ in range(2)]

        assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
        assert f"smith: connection {wanted}: synced." in first.stdout
        assert f"smith: connection {wanted}: up to date." in second.stdout
        forced = [call["path"] for call in office.calls("smith") if call["method"] == "PUT"]
        assert forced == [f"/users/me/connections/{wanted}"] * 2


def test_ctrl_c_ends_the_wait_for_a_bank_and_frees_the_lock(tmp_path: Path) -> None:
    with SimulatedBank(now=today(), frozen=False) as bank:
        office = Office(bank, tmp_path / "office")
        office.add_tenant("smith", "jane")
        bank.change_domain("smith-sandbox", sync_seconds=3600)
        wanted = office.connect("smith", "jane", "1", last_update=(today() - timedelta(hours=5)).isoformat())
        assert pfo("run", cwd=office.folder, output=office.environment()).returncode == 0

        words = ("run", "--tenant", "smith", "--connection", str(wanted), "--force")
        with start(*words, cwd=office.folder, output=office.environment()) as program:
            while not any(call["method"] == "PUT" for call in office.calls("smith")):
                assert program.poll() is None
            program.send_signal(signal.SIGINT)
            output, errors = program.communicate(timeout=60)
        after = pfo("run", cwd=office.folder, output=office.environment())

    assert program.returncode == 130, output + errors
    assert "Traceback" not in output + errors
    assert after.returncode == 0, after.stdout + after.stderr


def test_ctrl_c_ends_a_run_with_one_line_and_status_130(tmp_path: Path) -> None:
    with start("run", cwd=tmp_path, output={"PFO_DATA_DIR": str(tmp_path / "data")}) as program:
        assert program.stdout is not None
        assert "3 tenants to sync" in program.stdout.readline()
        assert "martin" in program.stdout.readline()

        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=120)

    assert program.returncode == 130
    assert "Traceback" not in output + errors
    assert "cancelled" in output or "Interrupted" in errors
    assert "Cash positions" not in output
