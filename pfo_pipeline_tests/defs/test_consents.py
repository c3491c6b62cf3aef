"""Ending consents, in a check and in `pfo status`."""

from datetime import timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, run_job, sync_and_refresh, today

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def in_days(days: float) -> str:
    return (today() + timedelta(days=days)).isoformat()


def calendar(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "consents_hold"]
    return check


@pytest.fixture
def ending(office: Office, instance: dg.DagsterInstance) -> Office:
    """One consent that ends in five days, for two accounts; one that ends much later."""
    office.add_tenant("smith", "jane", client_id="12345678")
    office.connect("smith", "jane", "1200.50", "0.25", expire=in_days(5))
    office.connect("smith", "jane", "7", expire=in_days(100))
    assert all(run.success for run in sync_and_refresh(office, instance, "smith"))
    return office


def test_the_check_lists_ending_consents_and_affected_accounts(ending: Office, instance: dg.DagsterInstance) -> None:
    check = calendar(run_job(ending, instance, "smith"))

    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["ending"].value == 1
    shown = str(check.metadata["calendar"].value)
    assert "| Banque Exemple | jane |" in shown
    assert "| 2 | 1200.75 EUR | [renew](https://webview.powens.com/en/reconnect?" in shown
    assert "code=" not in shown


def test_lasting_consents_pass(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1", expire=in_days(15))

    check = calendar(run_job(office, instance, "smith"))

    assert check.passed
    assert check.metadata["calendar"].value == "No consent ends within 14 days."


def test_status_shows_the_days_left_and_affected_accounts(ending: Office) -> None:
    shown = CliRunner().invoke(main, ["status"], env={"COLUMNS": "200"}).stdout

    assert "(4 d)" in shown
    assert "(99 d)" in shown
    assert "Consents that end" in shown
    assert "goes stale: 2 accounts, 1 200.75 EUR" in shown
    assert "to renew: .venv/bin/pfo reconnect --tenant smith --connection" in shown
