"""What is missing, read no longer or not shared is told wherever somebody looks: status, run, page, alerts, a check."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from pfo_pipeline.alerts.conditions import Condition, ledger_findings
from pfo_pipeline.cli import main
from pfo_pipeline.cli.run import _line
from pfo_pipeline.config import load_config
from pfo_pipeline.defs.checks import CheckContext, consents_that_end, open_action_items
from pfo_pipeline.ledger.office import reader_of
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS,
    ACCOUNTS_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
    sync_and_refresh,
    today,
)
from pfo_pipeline_tests.simulated_bank import SimulatedBank

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Ada's bank gives an empty list; Bea is not configured any more, her consent ends soon; Eve's bank shares no account."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        SimulatedBank(now=today()) as bank,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        office = Office(bank, tmp_path_factory.mktemp("seen"))
        monkeypatch.chdir(office.folder)
        monkeypatch.delenv("PFO_ROLE", raising=False)
        office.add_tenant("moreau", "ada", "bea", "eve", client_id="12345678")
        for name, value in office.environment().items():
            monkeypatch.setenv(name, value)
        office.connect("moreau", "ada", *["1000"] * 12)
        soon = (today() + timedelta(days=2)).isoformat()
        office.connect("moreau", "bea", "20", expire=soon)
        office.connect("moreau", "eve", "5")
        office.connect("moreau", "eve")
        assert all(run.success for run in sync_and_refresh(office, instance, "moreau"))
        del office.users["moreau", "bea"]
        office.write()
        empty = json.dumps({"accounts": [], "total": 0})
        bank.fault("body", path=ACCOUNTS, user=office.users["moreau", "ada"].id, body=empty)
        assert run_job(office, instance, "moreau", ACCOUNTS_JOB).success
        yield office


def shown(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def conditions(later: timedelta = timedelta(0)) -> list[Condition]:
    config = load_config()
    return list(ledger_findings(config, reader_of(config), datetime.now(UTC) + later).conditions)


def connection(office: Office, user: str, *, last: bool = False) -> str:
    order = "desc" if last else "asc"
    question = f"select connection_id from connections_latest where user_id = '{user}' order by 1 {order} limit 1"  # noqa: S608
    return str(office.ask(question)[0][0])


def test_status_tells_each_in_one_line_with_what_to_do(seen: Office) -> None:
    printed = shown("status")

    assert (
        f"connection {connection(seen, 'ada')}, Banque Exemple, user ada: 12 accounts missing from the bank's list"
        in printed
    )
    assert "user bea: no longer read by us → operator" in printed
    assert f"connection {connection(seen, 'eve', last=True)}, Banque Exemple, user eve: shares no account" in printed
    assert (
        printed.count("missing from the bank's list") == 3
    )  # In the table, below it, and in what became of the accounts.
    assert "Consents that end" not in printed


def test_the_totals_stay_as_they_were(seen: Office) -> None:
    assert seen.ask("select current_balance from totals") == [(12_025,)]


def test_an_operator_is_alerted_of_each_once_and_of_no_name(seen: Office) -> None:
    found = {(c.kind, c.code): c for c in conditions()}

    assert {key for key in found if key[0] != "stale"} == {
        ("accounts", "missing"),
        ("accounts", "noAccount"),
        ("user", "notConfigured"),
    }
    assert {c.owner for c in found.values()} == {"operator"}
    assert not [
        c for c in found.values() if "bea" in f"{c.text} {c.remedy} {c.thing}" or "eve" in f"{c.text} {c.remedy}"
    ]


def test_figures_of_a_user_who_is_read_no_longer_send_nobody_to_powens(seen: Office) -> None:
    held = [c.text for c in conditions(timedelta(days=20)) if c.code == "heldUp"]

    assert all("1 not synced" not in text for text in held)


def test_dagsters_check_tells_each_and_warns_of_no_consent(seen: Office) -> None:
    config = load_config()
    look = CheckContext(config, reader_of(config), None, "run", "openbanking.accounts.sync.v1", datetime.now(UTC))

    assert open_action_items(look).found == 3
    assert consents_that_end(look).found == 0


def test_the_page_tells_each(seen: Office, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    shown("report", "--tenant", "moreau", "--to", str(page))

    text = page.read_text(encoding="utf-8")
    for printed in ("12 accounts missing from the bank", "no longer read by us", "shares no account"):
        assert printed in text


def test_a_run_of_nothing_is_not_said_to_be_in_order() -> None:
    line = _line("moreau", "Sync", 0, 0, 3, "")

    assert line.plain == "! moreau: Sync: no account is shared, 3 new rows"
