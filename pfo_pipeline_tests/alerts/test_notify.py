"""Finding and sending alerts, with an office's files, configuration and servers."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline.alerts.conditions import Condition
from pfo_pipeline.alerts.notify import (
    AlertMessage,
    NotTaken,
    SentMessages,
    list_unreached,
    notify,
    outstanding,
    record,
    send,
)
from pfo_pipeline.alerts.state import AlertsError, read_alerts
from pfo_pipeline.config import Config, load_config
from pfo_pipeline_tests.alerts.samples import DAY, HOUR, NOW, condition, found
from pfo_pipeline_tests.alerts.servers import MailServer, WebServer, silent_server

_send = partial(send, timeout_seconds=0.5)


class Desk:
    """An office with tenants smith and jones, and the given alert targets."""

    def __init__(self, folder: Path, *, targets: dict[str, str], smith: dict[str, str]) -> None:
        self.folder = folder
        for name, url in (targets | smith).items():
            (folder / name).write_text(url, encoding="utf-8")
        tenant = '[tenants.{name}]\ndomain = "{name}"\n{more}\n'
        tenant += '[[tenants.{name}.users]]\nid = "u"\ntoken = "file:{name}.token"\n'
        (folder / "pfo.toml").write_text(
            f'office = "willow"\n[alerts]\ntargets = {_references(targets)}\n'
            + tenant.format(name="smith", more=f"alert_targets = {_references(smith)}")
            + tenant.format(name="jones", more=""),
            encoding="utf-8",
        )

    @property
    def config(self) -> Config:
        return load_config(self.folder / "pfo.toml")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def sees(self, *conditions: Condition, at: datetime = NOW) -> list[SentMessages]:
        record(self.config, [found(*conditions)], at)
        return notify(self.config, at, send=_send)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.data / "alerts.jsonl").read_text().splitlines()]

    @property
    def troubles(self) -> list[str]:
        return list_unreached(read_alerts(self.data / "private"))


def _references(files: dict[str, str]) -> str:
    return json.dumps([f"file:{name}" for name in files])


@pytest.fixture
def mail() -> MailServer:
    return MailServer()


@pytest.fixture
def chat() -> Iterator[WebServer]:
    with WebServer().running() as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: MailServer, chat: WebServer) -> Desk:
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))
    return Desk(tmp_path, targets={"mail": mail.url}, smith={"chat": chat.url})


def test_the_office_gets_all_alerts_and_a_tenants_target_its_own(desk: Desk, mail: MailServer, chat: WebServer) -> None:
    with mail.running():
        desk.sees(condition("38"), condition("39"), condition("7", "jones"), condition("daemon", "", kind="daemon"))

    assert sorted(mail.subjects) == [
        "pfo: tenant jones, member acts: 1 new",
        "pfo: tenant smith, member acts: 2 new",
        "pfo: the whole office, member acts: 1 new",
    ]
    assert [post["title"] for post in chat.posts] == ["pfo: tenant smith, member acts: 2 new"]
    assert not [text for text in mail.texts if "Connection 7 " in text and "Connection 38 " in text]


def test_a_resolved_condition_is_notified_to_the_targets_that_knew_it(desk: Desk, mail: MailServer) -> None:
    with mail.running():
        desk.sees(condition("38"))
        desk.sees(at=NOW + HOUR)
        desk.sees(at=NOW + 2 * HOUR)

    assert mail.subjects[1:] == ["pfo: tenant smith, member acts: 1 over"]
    assert "OVER: Connection 38" in mail.texts[1]
    assert [line["event"] for line in desk.log] == ["opened", "resolved"]


def test_a_dead_target_gets_the_alert_when_it_is_back(desk: Desk, mail: MailServer, chat: WebServer) -> None:
    dead, alive = desk.sees(condition("38"))
    assert (dead.sent, dead.reason) == (0, "it could not be reached, or refused the message")
    assert (alive.sent, alive.reason) == (1, "")
    (trouble,) = desk.troubles
    assert trouble.startswith("Alert target file:mail has not been reached since 2026-03-10 12:00 UTC: it could not")

    with mail.running():
        assert desk.sees(condition("38"), at=NOW + timedelta(seconds=30)) == []
        (back,) = desk.sees(condition("38"), at=NOW + HOUR)

    assert (back.sent, len(mail.mails), len(chat.posts)) == (1, 1, 1)
    assert desk.troubles == []


def test_a_hanging_target_does_not_delay_the_others(desk: Desk, chat: WebServer) -> None:
    with silent_server() as port:
        (desk.folder / "mail").write_text(f"json://127.0.0.1:{port}/hunter2", encoding="utf-8")
        hanging, alive = desk.sees(condition("38"))

    assert (hanging.sent, alive.sent, len(chat.posts)) == (0, 1, 1)
    assert "hunter2" not in str(hanging) + (desk.data / "private" / "alerts.json").read_text()


def test_a_message_accepted_before_a_failure_is_not_sent_twice(desk: Desk, mail: MailServer, chat: WebServer) -> None:
    ours = [condition("38", owner="member"), condition("38", owner="operator")]

    def once(url: str, message: Any) -> None:
        _send(url, message)
        chat.status = 500

    record(desk.config, [found(*ours)], NOW)
    with mail.running():
        notify(desk.config, NOW, send=once)
        chat.status = 200
        desk.sees(*ours, at=NOW + HOUR)

    assert sorted(post["title"] for post in chat.posts) == [
        "pfo: tenant smith, member acts: 1 new",
        "pfo: tenant smith, operator acts: 1 new",
    ]


def test_a_refused_message_delays_no_other(desk: Desk) -> None:
    taken: list[str] = []

    def but_members(_: str, message: AlertMessage) -> None:
        if "member acts" in message.title:
            raise NotTaken("it answered 400")
        taken.append(message.title)

    record(desk.config, [found(condition("38", owner="member"), condition("39", owner="operator"))], NOW)
    office, _ = notify(desk.config, NOW, send=but_members)

    assert (office.sent, office.reason) == (1, "it answered 400")
    assert taken == ["pfo: tenant smith, operator acts: 1 new"] * 2


def test_a_target_that_accepts_nothing_is_abandoned_after_a_few_messages(desk: Desk) -> None:
    tried: list[str] = []

    def refusing(_: str, message: AlertMessage) -> None:
        tried.append(message.title)
        raise NotTaken("it could not be reached")

    owners = ("member", "operator", "bank", "powens", "nobody")
    record(desk.config, [found(*(condition("38", owner=owner) for owner in owners))], NOW)
    deliveries = notify(desk.config, NOW, send=refusing)

    assert [d.sent for d in deliveries] == [0, 0]
    assert len(tried) == 3 * len(deliveries)


def test_a_target_with_an_unresolved_secret_is_reported_as_unreached(desk: Desk, chat: WebServer) -> None:
    (desk.folder / "mail").unlink()

    unresolved, alive = desk.sees(condition("38"))

    assert "alerts.targets: file" in unresolved.reason
    assert alive.sent == 1


def test_without_targets_the_log_gets_every_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))
    desk = Desk(tmp_path, targets={}, smith={})

    assert desk.sees(condition("38"), condition("job", kind="run", severity="critical", link="")) == []
    desk.sees(condition("38"), at=NOW + DAY)

    assert [(line["event"], line["thing"]) for line in desk.log] == [
        ("opened", "38"),
        ("opened", "job"),
        ("repeated", "38"),
    ]
    assert desk.log[0] == {
        "at": "2026-03-10T12:00:00+00:00",
        "event": "opened",
        "severity": "warning",
        "tenant": "smith",
        "kind": "connection",
        "thing": "38",
        "code": "SCARequired",
        "who_acts": "member",
        "since": "2026-03-10T12:00:00+00:00",
        "reason": "Connection 38 (Banque Exemple): SCARequired",
        "remedy": "The member opens the link and confirms access at the bank.",
        "link": "https://webview.powens.com/en/reconnect?connection_id=38",
    }


def test_an_unwritable_log_stops_no_target_and_is_written_later(desk: Desk, chat: WebServer) -> None:
    (desk.data / "alerts.jsonl").mkdir(parents=True)
    desk.sees(condition("38"))

    assert len(chat.posts) == 1
    assert any("Alert target alerts.jsonl" in line and "Is a directory" in line for line in desk.troubles)

    (desk.data / "alerts.jsonl").rmdir()
    desk.sees(condition("38"), at=NOW + timedelta(minutes=1))
    assert [line["event"] for line in desk.log] == ["opened"]


def test_half_a_line_in_the_log_loses_no_alert(desk: Desk) -> None:
    desk.data.mkdir()
    (desk.data / "alerts.jsonl").write_bytes(b'{"at": "2026-')
    record(desk.config, [found(condition("38"))], NOW)

    half, line = (desk.data / "alerts.jsonl").read_text().splitlines()
    assert (half, json.loads(line)["thing"]) == ('{"at": "2026-', "38")


def test_without_a_writable_book_nobody_is_notified(desk: Desk, chat: WebServer) -> None:
    (desk.data / "private" / "alerts.json").mkdir(parents=True)

    with pytest.raises(AlertsError):
        desk.sees(condition("38"))

    assert chat.posts == []


def test_a_broken_configuration_is_logged_and_no_target_is_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sees(condition("38"))
    before = read_alerts(desk.data / "private").targets

    record(None, [found(condition("file", "", kind="configuration"), kinds=frozenset({"configuration"}))], NOW + HOUR)

    assert [line["kind"] for line in desk.log] == ["connection", "configuration"]
    after = read_alerts(desk.data / "private").targets
    assert {name: after[name] for name in before if name != "alerts.jsonl"} == {
        name: before[name] for name in before if name != "alerts.jsonl"
    }


def test_outstanding_messages_name_their_targets(desk: Desk) -> None:
    state = record(desk.config, [found(condition("7", "jones"))], NOW)

    assert [target.name for target in outstanding(desk.config, state, NOW)] == ["file:mail"]
