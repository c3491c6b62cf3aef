"""The findings of the sensor `alerts` in the ledger and in Dagster's storage, its run requests, and the job's messages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg
import pytest

from pfo_pipeline.alerts.conditions import Condition, ledger_findings
from pfo_pipeline.alerts.state import read_alerts
from pfo_pipeline.config import load_config
from pfo_pipeline.defs.run_health import run_findings
from pfo_pipeline.defs.sensors import record_all_findings
from pfo_pipeline.ledger.errors import LedgerFull
from pfo_pipeline.ledger.office import reader_of
from pfo_pipeline.ledger.store import Ledger, Publication
from pfo_pipeline_tests.alerts.servers import WebServer, free_port
from pfo_pipeline_tests.defs.office import (
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    hurried_defs,
    run_job,
    sync_and_refresh,
    today,
)
from pfo_pipeline_tests.defs.test_checks import RULES, spoil

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def in_days(days: float) -> str:
    return (today() + timedelta(days=days)).isoformat()


def tick(instance: dg.DagsterInstance) -> Any:
    """The sensor's next tick, evaluated as by the daemon."""
    repository = hurried_defs().get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        return repository.get_sensor_def("alerts").evaluate_tick(context)


def send_alerts(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return (
        hurried_defs()
        .get_repository_def()
        .get_job("send_alerts")
        .execute_in_process(instance=instance, raise_on_error=False)
    )


def output(office: Office) -> list[dict[str, str]]:
    path = office.data_dir / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_ledger(later: timedelta = timedelta(0)) -> list[Condition]:
    config = load_config()
    return list(ledger_findings(config, reader_of(config), datetime.now(UTC) + later).conditions)


def stale(later: timedelta = timedelta(0)) -> list[tuple[str, str]]:
    """Tenants with stale balances at that time, and the stale things."""
    return [(c.tenant_id, c.thing) for c in of_ledger(later) if c.kind == "stale"]


def of_runs(instance: dg.DagsterInstance) -> list[Condition]:
    return list(run_findings(instance, load_config()).conditions)


@pytest.fixture
def smith(office: Office, instance: dg.DagsterInstance) -> Office:
    """One consent that ends in five days, for two accounts; one connection that waits for its member; one healthy
    connection.
    """
    office.add_tenant("smith", "jane", client_id="12345678")
    office.connect("smith", "jane", "1200.50", "0.25", expire=in_days(5))
    office.connect("smith", "jane", "7", state="wrongpass", expire=in_days(100))
    office.connect("smith", "jane", "8", expire=in_days(100))
    assert all(run.success for run in sync_and_refresh(office, instance, "smith"))
    return office


@pytest.fixture
def chat(office: Office) -> Iterator[WebServer]:
    with WebServer().running() as server:
        office.folder.mkdir(parents=True, exist_ok=True)
        (office.folder / "chat").write_text(server.url, encoding="utf-8")
        yield server


def test_the_ledger_shows_connections_and_consents(smith: Office) -> None:
    consent, connection = sorted(of_ledger(), key=lambda condition: condition.kind == "connection")

    assert (connection.owner, connection.code, connection.severity) == ("member", "wrongpass", "warning")
    assert "(Banque Exemple): wrongpass" in connection.text
    assert (consent.owner, consent.stage, consent.severity) == ("member", 7, "notice")
    assert "Stale from then on: accounts 2, currencies EUR" in consent.text
    for each in (connection, consent):
        assert each.link.startswith("https://webview.powens.com/en/reconnect?")
        assert "code=" not in each.link
        assert "jane" not in str(each)
        assert "1200" not in str(each)


def test_a_temporary_connection_failure_is_not_an_alert(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "7", state="websiteUnavailable")
    sync_and_refresh(office, instance, "smith")

    assert of_ledger() == []


def test_a_tenant_that_was_not_read_for_a_day_is_stale(smith: Office) -> None:
    assert not stale(timedelta(hours=25))
    assert stale(timedelta(hours=27)) == [("smith", "figures")]

    smith.change_tenant("smith", integration="disconnected")
    assert not stale(timedelta(hours=27))


def test_a_load_dated_ahead_is_reported_because_staleness_is_not(smith: Office) -> None:
    assert stale(timedelta(minutes=-4)) == []
    assert stale(timedelta(days=-400)) == [("smith", "loads")]

    (ahead,) = [c for c in of_ledger(timedelta(days=-400)) if c.kind == "stale"]
    assert (ahead.code, ahead.owner) == ("datedAhead", "operator")
    assert "ahead of this machine's clock" in ahead.text


def test_stale_balances_are_reported_if_no_other_condition_covers_them(smith: Office) -> None:
    assert not stale()
    spoil(smith, "update balances_current set as_of = as_of - interval 4 day", of="published")
    spoil(smith, "update balances set as_of = as_of - interval 4 day", of="published")

    (still,) = [c for c in of_ledger() if c.kind == "stale"]

    assert (still.tenant_id, still.thing, still.owner) == ("smith", "accounts", "operator")
    assert still.text == "Accounts with a figure older than its limit: 3 not given by the bank"


def test_a_blocking_check_is_reported_by_name(smith: Office, instance: dg.DagsterInstance) -> None:
    rule, statement, _ = RULES[0]
    spoil(smith, statement)
    assert not run_job(smith, instance, "smith", BALANCES_JOB).success

    (check,) = of_runs(instance)

    assert (check.kind, check.thing, check.severity) == ("check", f"balances/refreshed: {rule}", "critical")
    assert check.text == f"The check {rule} of balances/refreshed stopped a run"


def test_a_failed_run_and_a_refused_user_stay_open_until_the_next_success(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.set_token("smith", "jane", "secret-revoked-token")
    assert not run_job(office, instance, "smith").success

    (run,) = of_runs(instance)
    (user,) = of_ledger()
    assert (run.thing, run.owner, run.severity) == ("sync_openbanking_accounts", "operator", "critical")
    assert run.code not in ("", "error")
    assert "Issue a new token for user #1" in run.text
    assert "pfo connect --tenant smith --member MEMBER" in run.text
    assert (user.thing, user.owner, user.severity) == ("#1", "operator", "critical")
    for text in (str(run), str(user)):
        assert "jane" not in text
        assert "secret-revoked-token" not in text

    office.set_token("smith", "jane", office.users["smith", "jane"].token)
    assert run_job(office, instance, "smith").success
    assert of_runs(instance) == []
    assert of_ledger() == []


def test_a_publication_ends_only_its_own_failure(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    run_job(office, instance, "smith")
    fetch_alone = partial(run_job, office, instance, "smith", assets=["accounts/fetched"])

    office.set_token("smith", "jane", "revoked")
    assert not run_job(office, instance, "smith").success
    assert fetch_alone().success
    assert [c.code for c in of_runs(instance)] == ["unauthorized"]

    office.set_token("smith", "jane", office.users["smith", "jane"].token)
    office.files.published.unlink()
    office.files.published.mkdir()  # A folder in the file's place prevents the publication.
    assert not run_job(office, instance, "smith").success
    assert len(of_runs(instance)) == 1
    office.files.published.rmdir()
    assert fetch_alone().success
    assert of_runs(instance) == []


def test_an_unwritten_page_is_reported_until_it_is_written(smith: Office, instance: dg.DagsterInstance) -> None:
    smith.report = {}
    smith.write()
    in_the_way = smith.data_dir / "reports"
    in_the_way.write_text("")
    assert not run_job(smith, instance, "smith", BALANCES_JOB).success

    (failed,) = of_runs(instance)
    assert (failed.kind, failed.code, failed.owner) == ("run", "PageNotWritten", "operator")
    assert "reports/smith.html cannot be written" in failed.text

    in_the_way.unlink()
    assert run_job(smith, instance, "smith", BALANCES_JOB, assets=["reports/cash_page"]).success
    assert of_runs(instance) == []


def test_a_written_page_does_not_end_a_failed_publication(
    smith: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_place(self: Ledger) -> Publication:
        raise LedgerFull("No place on the disk.")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "publish", no_place)
        assert not run_job(smith, instance, "smith", BALANCES_JOB).success
    smith.report = {}
    smith.write()

    assert run_job(smith, instance, "smith", BALANCES_JOB, assets=["reports/cash_page"]).success

    assert [c.kind for c in of_runs(instance)] == ["run"]


def test_a_configuration_error_is_hidden_from_other_tenants(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    config = load_config()
    office.config.write_text(
        office.config.read_text("utf-8")
        + '\n[tenants.jones]\ndomain = "jones"\n[[tenants.jones.users]]\nid = "Hans Muster"\n',
        encoding="utf-8",
    )
    assert not run_job(office, instance, "smith").success

    (condition,) = run_findings(instance, config).conditions

    assert condition.code == "ConfigError"
    assert "Muster" not in str(condition)
    assert "jones" not in str(condition)


def test_without_a_target_the_sensor_only_writes_the_log(smith: Office, instance: dg.DagsterInstance) -> None:
    result = tick(instance)

    assert not result.run_requests
    assert result.skip_message == "2 open, nothing new to send."
    assert sorted((line["kind"], line["event"]) for line in output(smith)) == [
        ("connection", "opened"),
        ("consent", "opened"),
    ]
    tick(instance)
    assert len(output(smith)) == 2


def test_with_a_target_the_sensor_requests_one_sending_run(
    smith: Office, instance: dg.DagsterInstance, chat: WebServer
) -> None:
    smith.change_tenant("smith", alert_targets=["file:chat"])

    assert len(tick(instance).run_requests) == 1
    assert chat.posts == []
    assert send_alerts(instance).success
    assert [post["title"] for post in chat.posts] == ["pfo: tenant smith, member acts: 2 new"]
    assert not tick(instance).run_requests
    assert send_alerts(instance).success
    assert len(chat.posts) == 1
    for personal in ("jane", "1200", "FR76"):
        assert personal not in json.dumps(chat.posts)


def test_a_dead_target_fails_no_run_and_is_shown(smith: Office, instance: dg.DagsterInstance) -> None:
    (smith.folder / "dead").write_text(f"json://hunter2@127.0.0.1:{free_port()}/hunter2", encoding="utf-8")
    smith.change_tenant("smith", alert_targets=["file:dead"])
    tick(instance)

    result = send_alerts(instance)

    assert result.success
    assert "hunter2" not in "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))
    after = tick(instance)
    assert not after.run_requests
    assert "Alert target smith/file:dead has not been reached since" in (after.skip_message or "")


@pytest.mark.parametrize(
    ("status", "is_awaited"),
    [(dg.DagsterRunStatus.STARTED, True), (dg.DagsterRunStatus.NOT_STARTED, False)],
)
def test_no_second_run_is_requested_while_one_is_active(
    smith: Office, instance: dg.DagsterInstance, chat: WebServer, status: dg.DagsterRunStatus, is_awaited: bool
) -> None:
    """A run that was created and never launched, as Dagster leaves it after a failed launch, blocks nothing."""
    smith.change_tenant("smith", alert_targets=["file:chat"])
    job = hurried_defs().get_repository_def().get_job("send_alerts")
    instance.create_run_for_job(job, status=status)

    assert bool(tick(instance).run_requests) is not is_awaited


def test_a_broken_configuration_is_written_to_the_log(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.config.write_text("office = \n")

    skipped = tick(instance).skip_message or ""

    assert "is not valid TOML" in skipped
    assert [(line["kind"], line["who_acts"]) for line in output(office)] == [("configuration", "operator")]


def test_a_book_that_cannot_be_written_does_not_stop_the_sensor(smith: Office, instance: dg.DagsterInstance) -> None:
    (smith.files.private / "alerts.json").mkdir()

    assert "alerts.json cannot be read: Is a directory" in (tick(instance).skip_message or "")
    assert output(smith) == []


def test_each_stage_of_a_consent_is_told_as_the_days_pass(smith: Office, instance: dg.DagsterInstance) -> None:
    for day in range(8):
        record_all_findings(load_config(), instance, today() + timedelta(days=day), repository=None)

    stages = [line for line in output(smith) if line["kind"] == "consent"]
    assert [(line["event"], line["severity"]) for line in stages] == [
        ("opened", "notice"),
        ("repeated", "notice"),
        ("repeated", "warning"),
        ("repeated", "warning"),
    ]
    assert "ended on" in stages[-1]["reason"]


def test_the_alert_state_is_in_the_private_folder(smith: Office, instance: dg.DagsterInstance) -> None:
    tick(instance)

    assert {entry.condition.kind for entry in read_alerts(smith.files.private).alerts.values()} == {
        "connection",
        "consent",
    }
