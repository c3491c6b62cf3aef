"""`pfo webhooks serve` as a program: an event with a success answer survives a kill, any other leaves no partial data."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pfo_pipeline.powens.webhooks import path_of
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path
from pfo_pipeline_tests.integration.programs import pfo, start
from pfo_pipeline_tests.simulator.conftest import web
from pfo_pipeline_tests.webhooks.receiving import signed

EVENT = "CONNECTION_SYNCED"
PATH = path_of("smith", EVENT)
CONFIG = """
office = "north"
[tenants.smith]
domain = "smith-sandbox"
webhook_secret = "file:hooks"
users = [{ id = "jane", token = "env:UNUSED" }]
"""


def body(number: int) -> bytes:
    return json.dumps({"connection": {"id": 4821, "id_user": 731}, "id_webhook_data": number}).encode()


def headers(posted: bytes) -> dict[str, str]:
    return signed(EVENT, posted, date=datetime.now(UTC).isoformat())


def output(folder: Path) -> dict[str, str]:
    (folder / "pfo.toml").write_text(CONFIG)
    (folder / "hooks").write_text("s3cret")
    return {"PFO_CONFIG": str(folder / "pfo.toml"), "PFO_DATA_DIR": str(folder / "data")}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program and its URL."""
    program = start("webhooks", "serve", "--port", "0", cwd=folder, output=output(folder))
    try:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line.startswith("Receiving on http://127.0.0.1:"), line
        yield program, line.removeprefix("Receiving on ").strip()
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate(timeout=30)


def kept(folder: Path) -> list[int]:
    inbox = Inbox(inbox_path(folder / "data" / "private"), lambda: datetime.now(UTC))
    return [event.hint.webhook_id for event in inbox.after(0, 100)]


def test_a_receiver_killed_right_after_its_answer_has_stored_the_event(tmp_path: Path) -> None:
    with serving(tmp_path) as (program, url):
        for number in (1, 2):
            assert web.post(url + PATH, content=body(number), headers=headers(body(number))).status_code == 204
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()

    assert kept(tmp_path) == [1, 2]


def test_a_receiver_killed_during_a_post_stores_nothing_and_accepts_it_later(
    tmp_path: Path,
) -> None:
    posted = body(1)
    with serving(tmp_path) as (program, url), socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as half:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers(posted).items())
        half.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(posted)}\r\n\r\n".encode())
        half.sendall(posted[:20])
        # This answer came after the incomplete post had begun, on a separate connection.
        assert web.post(url + "/", content=b"").status_code == 404
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
    assert kept(tmp_path) == []

    with serving(tmp_path) as (_, url):
        assert web.post(url + PATH, content=posted, headers=headers(posted)).status_code == 204

    assert kept(tmp_path) == [1]


def test_a_normal_stop_is_quick_and_quiet(tmp_path: Path) -> None:
    with serving(tmp_path) as (program, _):
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=30)

    assert "Traceback" not in errors


def test_without_a_secret_the_receiver_does_not_start(tmp_path: Path) -> None:
    environment = output(tmp_path)
    (tmp_path / "pfo.toml").write_text(CONFIG.replace('webhook_secret = "file:hooks"\n', ""))

    done = pfo("webhooks", "serve", cwd=tmp_path, output=environment)

    assert done.returncode == 1
    assert "no tenant has a webhook_secret" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_used_address_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url):
        done = pfo("webhooks", "serve", "--port", str(urlsplit(url).port), cwd=tmp_path, output=output(tmp_path))

    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr
