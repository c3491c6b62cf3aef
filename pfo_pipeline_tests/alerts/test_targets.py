"""Delivery to a target, on real servers on loopback: the content, the time limit of a dead target, no secrets in logs."""

import logging
from collections.abc import Iterator
from functools import partial
from io import StringIO

import pytest

from pfo_pipeline.alerts.notify import AlertMessage, NotTaken, messages, send
from pfo_pipeline_tests.alerts.samples import notice
from pfo_pipeline_tests.alerts.servers import MailServer, WebServer, free_port, silent_server


def a_message() -> AlertMessage:
    (message,) = messages([notice()])
    return message


def refusal(url: str, **limits: float) -> str:
    with pytest.raises(NotTaken) as refused:
        send(url, a_message(), **limits)
    return str(refused.value)


def test_a_mail_contains_the_remedy_and_the_link() -> None:
    with MailServer().running() as server:
        send(server.url, a_message())

    (mail,) = server.mails
    assert str(mail["To"]) == "operator@office.example"
    assert server.subjects == ["pfo: tenant smith, member acts: 1 new"]
    (text,) = server.texts
    assert "NEW: Connection 38 (Banque Exemple): SCARequired (since 2026-03-10 11:00 UTC)" in text
    assert "member: The member opens the link and confirms access at the bank." in text
    assert "https://webview.powens.com/en/reconnect?connection_id=38" in text


def test_a_webhook_is_posted_with_title_text_and_kind() -> None:
    with WebServer().running() as server:
        send(server.url, a_message())

    (post,) = server.posts
    assert post["title"] == "pfo: tenant smith, member acts: 1 new"
    assert "NEW: Connection 38" in post["message"]
    assert post["type"] == "warning"


def test_an_unreachable_address_is_reported_in_our_own_words() -> None:
    reason = "it could not be reached, or refused the message"

    assert refusal(f"mailto://127.0.0.1:{free_port()}/?from=a@b.example&to=c@d.example") == reason
    assert refusal(f"json://127.0.0.1:{free_port()}/") == reason


@pytest.mark.parametrize(
    "scheme", ["json://127.0.0.1:{port}/", "mailto://127.0.0.1:{port}/?from=a@b.example&to=c@d.example"]
)
def test_a_server_that_never_answers_is_abandoned_after_the_time_limit(scheme: str) -> None:
    with silent_server() as port:
        assert (
            refusal(scheme.format(port=port), timeout_seconds=0.05) == "it could not be reached, or refused the message"
        )


def test_a_delivery_that_takes_too_long_as_a_whole_is_abandoned() -> None:
    with silent_server() as port:
        assert refusal(f"json://127.0.0.1:{port}/", timeout_seconds=0.3, whole_seconds=0.05) == (
            "it did not answer within 0.05 s"
        )


def test_an_error_answer_is_reported_only_by_its_number() -> None:
    with WebServer().running() as server:
        server.status = 403
        assert refusal(server.url) == "it answered 403"


@pytest.mark.parametrize("url", ["nosuchscheme://hunter2", "hunter2", "mailto://", "json://"])
def test_an_invalid_address_is_refused_without_being_repeated(url: str) -> None:
    assert refusal(url) == "its URL is none that Apprise understands"


@pytest.fixture
def program_log() -> Iterator[StringIO]:
    """The log of a program that logs everything (pytest's own log sees more: records that no handler gets)."""
    log = StringIO()
    handler, root = logging.StreamHandler(log), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield log
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_log_contains_an_address_or_a_password(program_log: StringIO, capfd: pytest.CaptureFixture[str]) -> None:
    limited = partial(refusal, timeout_seconds=0.05)
    with WebServer().running() as server, silent_server() as silent:
        send(server.url, a_message())
        server.status = 500
        found = [
            limited(server.url),
            limited(f"json://hook:hunter2@127.0.0.1:{silent}/hunter2"),
            limited(f"mailto://jane:hunter2@127.0.0.1:{silent}/?from=jane@office.example&to=jane@office.example"),
            limited("slack://hunter2"),
        ]
    logging.getLogger("of-the-program").debug("it is listened to")

    out = capfd.readouterr()
    assert len(server.paths) == 2
    assert "it is listened to" in program_log.getvalue()
    for text in (program_log.getvalue(), out.out, out.err, str(found)):
        assert "hunter2" not in text
        assert "jane" not in text
