"""The simulator as a process: its output, its files, its end."""

import ast
import json
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import pfo_pipeline.simulator
from pfo_pipeline.simulator.__main__ import main
from pfo_pipeline_tests.simulator.conftest import web

COMMAND = [sys.executable, "-m", "pfo_pipeline.simulator", "--now", "2026-03-10T12:00:00+00:00", "--frozen"]
PACKAGE = Path(pfo_pipeline.simulator.__file__).parent


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--state-dir", str(tmp_path / "state"), "--end-with-stdin"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.kill()


def start_message(program: subprocess.Popen[str]) -> dict[str, str]:
    assert program.stdout is not None
    message: dict[str, str] = json.loads(program.stdout.readline())
    return message


def test_the_demo_configuration_opens_every_account(program: subprocess.Popen[str], tmp_path: Path) -> None:
    message = start_message(program)
    folder = tmp_path / "state"
    assert message["config"] == str(folder / "pfo.toml")
    configuration = tomllib.loads(Path(message["config"]).read_text(encoding="utf-8"))

    assert configuration["office"] == "demo"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    for tenant in configuration["tenants"].values():
        assert tenant["base_url"] == f"{message['url']}/{tenant['domain']}/2.0"
        for user in tenant["users"]:
            token = (folder / user["token"].removeprefix("file:")).read_text(encoding="utf-8")
            answer = web.get(f"{tenant['base_url']}/users/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.json()["id"] == user["powens_id"]
        secret = (folder / tenant["client_secret"].removeprefix("file:")).read_text(encoding="utf-8")
        renewal = {"client_id": tenant["client_id"], "client_secret": secret, "id_user": 731}
        assert web.post(f"{tenant['base_url']}/auth/renew", json=renewal).status_code == 200
        query = {
            "domain": f"{tenant['domain']}.biapi.pro",
            **{key: tenant[key] for key in ("client_id", "redirect_uri")},
        }
        page = web.get(f"{tenant['webview_url']}/connect", params=query)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_even_during_a_slow_answer(
    program: subprocess.Popen[str], number: signal.Signals
) -> None:
    url = start_message(program)["url"]
    web.post(f"{url}/admin/faults", json={"kind": "slow", "seconds": 3600})
    with httpx.Client() as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"{url}/martin-sandbox/2.0/connectors", timeout=0.05)

    program.send_signal(number)

    assert program.wait(timeout=10) == 0
    assert program.stderr is not None
    assert program.stderr.read() == ""


def test_the_program_ends_with_its_standard_input(program: subprocess.Popen[str]) -> None:
    start_message(program)
    assert program.stdin is not None

    program.stdin.close()

    assert program.wait(timeout=10) == 0


def test_the_simulator_imports_nothing_of_the_pipeline() -> None:
    imported = {
        node.module
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pfo_pipeline")
    }

    assert imported
    assert all(name.split(".")[1:2] == ["simulator"] for name in imported)


@pytest.mark.parametrize("port", ["65536", "-1", "many"])
def test_an_invalid_port_is_named_without_a_traceback(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--port={port}"])

    assert ended.value.code == 2
    assert "argument --port:" in capsys.readouterr().err
