"""Consents that end: shown by a check, warned of in the alerts file, once per stage."""

import json
from datetime import timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from pfo_pipeline.alerts import recent_alerts
from pfo_pipeline.cli import main
from pfo_pipeline.config import load_config
from pfo_pipeline.defs.consents import warn_of_consents
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, hurried_defs, run_job, sync_and_refresh, today

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def in_days(days: float) -> str:
    return (today() + timedelta(days=days)).isoformat()


def calendar(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "consents_hold"]
    return check


def alerts(office: Office) -> list[dict[str, str]]:
    path = office.data_dir / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def skipped(instance: dg.DagsterInstance) -> str:
    """What the sensor's next tick tells, evaluated as the daemon does."""
    repository = hurried_defs().get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        tick = repository.get_sensor_def("consents").evaluate_tick(context)
    assert not tick.run_requests
    return tick.skip_message or ""


@pytest.fixture
def ending(office: Office, instance: dg.DagsterInstance) -> Office:
    """One consent that ends in five days, for two accounts; one that holds."""
    office.add_tenant("smith", "jane", client_id="12345678")
    office.connect("smith", "jane", "1200.50", "0.25", expire=in_days(5))
    office.connect("smith", "jane", "7", expire=in_days(100))
    assert all(run.success for run in sync_and_refresh(office, instance, "smith"))
    return office


def test_the_check_lists_what_ends_and_what_goes_stale(ending: Office, instance: dg.DagsterInstance) -> None:
    check = calendar(run_job(ending, instance, "smith"))

    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["ending"].value == 1
    shown = str(check.metadata["calendar"].value)
    assert "| Banque Exemple | jane |" in shown
    assert "| 2 | 1200.75 EUR | [renew](https://webview.powens.com/en/reconnect?" in shown
    assert "code=" not in shown


def test_consents_that_hold_pass(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1", expire=in_days(15))

    check = calendar(run_job(office, instance, "smith"))

    assert check.passed
    assert check.metadata["calendar"].value == "No consent ends within 14 days."


def test_the_sensor_warns_once_and_tells_no_amount(ending: Office, instance: dg.DagsterInstance) -> None:
    assert [skipped(instance), skipped(instance)] == ["1 new warnings.", "No consent has come nearer to its end."]

    (alert,) = alerts(ending)
    assert (alert["tenant"], alert["code"], alert["who_acts"], alert["stage_days"]) == (
        "smith",
        "consentEnds",
        "member",
        "7",
    )
    assert "Banque Exemple, user jane) ends on" in alert["reason"]
    assert "Stale from then on: accounts 2, currencies EUR." in alert["reason"]
    assert "1200" not in json.dumps(alert)
    assert "code=" not in alert["link"]
    assert recent_alerts(ending.data_dir, "smith") == []


def test_a_warning_that_could_not_be_written_is_written_the_next_time_and_no_other_twice(
    ending: Office, instance: dg.DagsterInstance
) -> None:
    assert skipped(instance) == "1 new warnings."
    ending.connect("smith", "jane", "1", expire=in_days(1))
    run_job(ending, instance, "smith")
    in_the_way = ending.data_dir / "alerts.jsonl"
    told = in_the_way.read_text()
    in_the_way.unlink()
    in_the_way.mkdir()

    assert f"{in_the_way} cannot be written: Is a directory." in skipped(instance)

    in_the_way.rmdir()
    in_the_way.write_text(told)
    assert [skipped(instance), skipped(instance)] == ["1 new warnings.", "No consent has come nearer to its end."]
    assert [alert["stage_days"] for alert in alerts(ending)] == ["7", "1"]


def test_each_stage_is_warned_of_as_the_days_pass(ending: Office) -> None:
    config = load_config()
    for day in range(8):
        warn_of_consents(config, today() + timedelta(days=day))

    assert [alert["stage_days"] for alert in alerts(ending)] == ["7", "1", "0"]


def test_a_renewal_ends_the_warnings(ending: Office, instance: dg.DagsterInstance) -> None:
    skipped(instance)
    (number,) = [
        c for (c,) in ending.ask("select connection_id from connections_latest order by consent_expires_at limit 1")
    ]
    ending.bank.change_connection("smith-sandbox", int(number), expire=in_days(180))

    assert calendar(run_job(ending, instance, "smith")).passed
    assert skipped(instance) == "No consent has come nearer to its end."
    assert len(alerts(ending)) == 1


def test_without_a_ledger_or_a_configuration_the_sensor_says_why(office: Office, instance: dg.DagsterInstance) -> None:
    assert "There is no configuration" in skipped(instance)
    office.add_tenant("smith", "jane")
    assert "There is no ledger" in skipped(instance)


def test_status_shows_the_days_left_and_what_goes_stale(ending: Office) -> None:
    shown = CliRunner().invoke(main, ["status"], env={"COLUMNS": "200"}).stdout

    assert "(4 d)" in shown
    assert "(99 d)" in shown
    assert "Consents that end" in shown
    assert "goes stale: 2 accounts, 1 200.75 EUR" in shown
    assert "to renew: .venv/bin/pfo reconnect --tenant smith --connection" in shown
