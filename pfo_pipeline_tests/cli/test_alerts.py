"""`pfo alerts`: what is open, a look from outside the daemon, a test of each target."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from pfo_pipeline.alerts.notify import ALERTS
from pfo_pipeline.alerts.state import read_alerts
from pfo_pipeline.cli import main
from pfo_pipeline.cli.alerts import check_and_notify
from pfo_pipeline.cli.context import find_place
from pfo_pipeline_tests.alerts.servers import WebServer, free_port
from pfo_pipeline_tests.cli.test_health import at_work, mine, now, storage, tick
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

__all__ = ["mine", "now", "storage"]

MINUTE = timedelta(minutes=1)


@pytest.fixture
def chat(mine: Office) -> Iterator[WebServer]:
    """Gets everything that the office is told."""
    with WebServer().running() as server:
        (mine.folder / "chat").write_text(server.url, encoding="utf-8")
        output(mine, "file:chat")
        yield server


def output(mine: Office, *targets: str) -> None:
    mine.config.write_text(
        mine.write().read_text() + f"\n[alerts]\ntargets = {json.dumps(targets)}\n", encoding="utf-8"
    )


def pfo(*words: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *words], env={"COLUMNS": "300"})


def check(now: datetime) -> tuple[int, list[str]]:
    """The exit status of `pfo alerts check` at that moment, and what it says."""
    said: list[str] = []
    return check_and_notify(find_place(), now, said.append), said


def about_dagster(mine: Office) -> dict[str, str]:
    """Code of each sensor, schedule and the daemon that is open."""
    alerts = read_alerts(mine.files.private).alerts.values()
    return {
        e.condition.thing: e.condition.code
        for e in alerts
        if e.condition.kind in ("sensor", "daemon") and e.absent_since is None
    }


def test_before_any_look_nothing_is_open(mine: Office) -> None:
    assert json.loads(pfo("--json").stdout) == []


def test_what_is_open_is_listed_with_who_acts_since_when_and_what_to_do(
    mine: Office, storage: dg.DagsterInstance, now: datetime
) -> None:
    at_work(storage, now)

    assert check(now) == (0, ["0 critical, 1 warning, 0 notice; 0 messages sent."])

    (alert,) = json.loads(pfo("--json").stdout)
    assert (alert["tenant"], alert["who_acts"], alert["code"]) == ("smith", "member", "wrongpass")
    assert alert["since"] == alert["notified"] == alert["told"] == now.isoformat()
    assert alert["link"].startswith("https://webview.powens.com/")
    assert "wrongpass" in pfo().stdout
    assert pfo("--csv").stdout.startswith(
        "severity,tenant,who_acts,what,since,notified,to_do,link,kind,thing,code,told\n"
    )
    assert json.loads(pfo("--tenant", "jones", "--json").stdout) == []


def test_a_dead_daemon_is_told_from_outside_and_is_over_when_it_is_back(
    mine: Office, storage: dg.DagsterInstance, now: datetime, chat: WebServer
) -> None:
    at_work(storage, now - 10 * MINUTE)

    status, said = check(now)

    assert (status, said) == (1, ["1 critical, 1 warning, 0 notice; 2 messages sent."])
    assert about_dagster(mine) == {"daemon": "daemonSilent"}
    assert any("Dagster's daemon has given no sign of life since" in post["message"] for post in chat.posts)
    for minutes in (30, 100):
        at_work(storage, now + minutes * MINUTE)
        status, _ = check(now + minutes * MINUTE)
    assert status == 0
    assert chat.posts[-1]["title"] == "pfo: the whole office, operator acts: 1 over"


def test_what_stopped_ticking_fails_or_was_switched_off_is_told(
    mine: Office, storage: dg.DagsterInstance, now: datetime
) -> None:
    at_work(storage, now, but=("tenants", "webhooks", "after_sync", "balances_by_day"))
    tick(storage, "tenants", now - 10 * MINUTE)
    tick(storage, "webhooks", now, switch=InstigatorStatus.STOPPED)
    for seconds in (30, 20, 10):
        tick(storage, "after_sync", now - timedelta(seconds=seconds), status=TickStatus.FAILURE)
    tick(storage, "balances_by_day", now, status=TickStatus.FAILURE)  # One alone may be a code location that loads.

    status, _ = check(now)

    assert status == 1
    assert about_dagster(mine) == {"tenants": "silent", "webhooks": "switched-off", "after_sync": "failing"}


def test_an_office_without_a_daemon_is_not_told_of_one(mine: Office, now: datetime) -> None:
    assert check(now)[0] == 0
    assert about_dagster(mine) == {}


def test_a_target_that_is_not_reached_is_named_here_and_in_status(mine: Office, now: datetime) -> None:
    (mine.folder / "dead").write_text(f"json://hunter2@127.0.0.1:{free_port()}/hunter2", encoding="utf-8")
    output(mine, "file:dead")

    status, said = check(now)

    assert status == 1
    assert "Alert target file:dead has not been reached since" in said[1]
    shown = CliRunner().invoke(main, ["status"], env={"COLUMNS": "300"})
    assert shown.exit_code == 0
    assert said[1] in shown.stdout
    assert "hunter2" not in shown.stdout + "".join(said)


def test_each_target_is_tested_and_says_how_it_answered(mine: Office, chat: WebServer) -> None:
    (mine.folder / "dead").write_text(f"json://127.0.0.1:{free_port()}", encoding="utf-8")
    output(mine, "file:chat", "file:dead", "file:missing")

    result = pfo("test")

    assert result.exit_code == 1
    taken, dead, missing = result.stdout.splitlines()
    assert taken == "file:chat: taken"
    assert dead == "file:dead: it could not be reached, or refused the message"
    assert "missing cannot be read" in missing
    assert [post["title"] for post in chat.posts] == ["pfo: test for the whole office"]


def test_without_a_target_the_test_says_how_to_name_one(mine: Office) -> None:
    result = pfo("test")

    assert result.exit_code == 1
    assert '[alerts] targets = ["file:secrets/alerts_mail"]' in result.stderr


def test_a_book_that_may_not_be_read_is_named_and_hides_nothing_of_status(mine: Office) -> None:
    (mine.files.private / "alerts.json").mkdir()

    assert "alerts.json cannot be read: Is a directory" in pfo().stderr
    shown = CliRunner().invoke(main, ["status"], env={"COLUMNS": "300"})
    assert shown.exit_code == 0
    assert "Banque Exemple" in shown.stdout
    assert "alerts.json cannot be read" in shown.stdout


def test_the_log_is_told_too(mine: Office, storage: dg.DagsterInstance, now: datetime) -> None:
    at_work(storage, now)
    check(now)

    (line,) = [json.loads(line) for line in (mine.data_dir / ALERTS).read_text().splitlines()]
    assert (line["event"], line["tenant"], line["code"]) == ("opened", "smith", "wrongpass")
