"""The units and recipes in deploy/: systemd takes them, and every command, option, path and port in them is a real one."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from dagster._cli.api import grpc_command, grpc_health_check_command
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._daemon.cli import run_command
from dagster_webserver.cli import dagster_webserver

from pfo_pipeline.cli import main
from pfo_pipeline.powens.webhooks import path_of

PROJECT = Path(__file__).parents[1]
DEPLOY = PROJECT / "deploy"
UNITS = DEPLOY / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
COMMON = UNITS / "pfo-.service.d" / "common.conf"
INSTALLED = "/opt/pfo/.venv/bin/"
PROGRAMS: dict[str, click.Command] = {
    "dagster api grpc": grpc_command,
    "dagster api grpc-health-check": grpc_health_check_command,
    "dagster-daemon run": run_command,
    "dagster-webserver": dagster_webserver,
    "pfo": main,
}


def settings(unit: Path) -> dict[str, list[str]]:
    """What a unit says, with what holds for all of them; a setting may be given several times."""
    found: dict[str, list[str]] = {}
    for path in (COMMON, unit):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, is_setting, value = line.partition("=")
            if is_setting and not line.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


def commands(unit: Path) -> Iterator[list[str]]:
    """The words of each of our programs that a unit starts."""
    for line in (line for name, lines in settings(unit).items() if name.startswith("Exec") for line in lines):
        for command in re.findall(rf"{INSTALLED}[^;']+", line):
            yield shlex.split(command.removeprefix(INSTALLED))


def parse(words: list[str]) -> dict[str, object]:
    """The options of a command line, read by the program itself. Raises: click.UsageError: it would refuse them."""
    name = max((name for name in PROGRAMS if words[: len(name.split())] == name.split()), key=len)
    command, rest = PROGRAMS[name], words[len(name.split()) :]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    return command.make_context(name, rest).params


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_every_command_of_a_unit_is_one_that_its_program_takes(unit: Path) -> None:
    found = list(commands(unit))

    assert found
    for words in found:
        assert (Path(sys.executable).parent / words[0]).exists()
        assert parse(words) is not None


def test_a_command_that_its_program_refuses_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["pfo", "backup", "--into", "/var/backups/pfo"])
    with pytest.raises(click.UsageError):
        parse(["dagster", "api", "grpc", "--sockets", "/run/pfo/code.sock"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there to ask")
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    units = shutil.copytree(UNITS, tmp_path / "units")
    for unit in units.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        unit.write_text(text.replace(INSTALLED, f"{Path(sys.executable).parent}/"), encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(units.glob("pfo-*.[st]*[er]")))],
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_every_unit_runs_private_and_writes_only_where_it_says() -> None:
    for unit in SERVICES:
        output = settings(unit)
        assert (output["User"], output["UMask"], output["ProtectSystem"]) == (["pfo"], ["0077"], ["strict"]), unit
        assert output["EnvironmentFile"][0] == "/etc/pfo/pfo.env"
        writable = [path for line in output["ReadWritePaths"] for path in line.split()]
        assert all(path.startswith(("/var/lib/pfo", "/var/backups/pfo")) for path in writable)


def test_the_web_servers_and_the_daemon_reach_neither_secrets_nor_the_private_ledger() -> None:
    for name in ("pfo-daemon", "pfo-web", "pfo-web-readonly"):
        output = settings(UNITS / f"{name}.service")
        assert output["InaccessiblePaths"] == ["/etc/pfo/secrets -/etc/pfo/secrets.env /var/lib/pfo/private"]
        assert output["ReadWritePaths"] == ["/var/lib/pfo/dagster"]
        assert output["EnvironmentFile"] == ["/etc/pfo/pfo.env"]
    assert "--read-only" in settings(UNITS / "pfo-web-readonly.service")["ExecStart"][0]


def test_units_and_environment_agree_on_where_everything_is() -> None:
    environment = dict(
        line.split("=", 1)
        for line in (DEPLOY / "pfo.env").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert set(environment) == {"PFO_CONFIG", "PFO_DATA_DIR", "DAGSTER_HOME"}
    for unit in SERVICES:
        for path in settings(unit).get("AssertPathExists", []):
            assert path.startswith((environment["DAGSTER_HOME"], environment["PFO_DATA_DIR"])), unit
    assert (DEPLOY / "workspace.yaml").exists()
    assert settings(UNITS / "pfo-web.service")["WorkingDirectory"] == ["/opt/pfo/deploy"]


def test_one_socket_serves_the_code_under_the_name_that_it_has_everywhere() -> None:
    (server,) = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    (elsewhere,) = location_origins_from_yaml_paths([str(PROJECT / "workspace.yaml")])
    assert isinstance(server, GrpcServerCodeLocationOrigin)
    code = settings(UNITS / "pfo-code.service")

    options = parse(shlex.split(code["ExecStart"][0].removeprefix(INSTALLED)))

    assert options["socket"] == server.socket == f"/run/{code['RuntimeDirectory'][0]}/code.sock"
    # What sensors remember belongs to the location's name.
    assert options["location_name"] == server.location_name == elsewhere.location_name
    assert options["module_name"] == "pfo_pipeline.definitions"


def test_timers_start_units_that_are_there() -> None:
    for timer in UNITS.glob("*.timer"):
        unit = configparser.ConfigParser(strict=False)
        unit.read(timer, encoding="utf-8")
        assert unit["Install"]["WantedBy"] == "timers.target"
        assert timer.with_suffix(".service").exists()


def test_nothing_listens_beyond_loopback_and_the_proxy_leads_where_something_listens() -> None:
    listening = {}
    for unit in SERVICES:
        for words in commands(unit):
            options = parse(words)
            if options.get("port"):
                assert options["host"] == "127.0.0.1", unit
                listening[str(options["port"])] = unit.stem
    proxy = (DEPLOY / "nginx" / "pfo.conf").read_text(encoding="utf-8")

    servers = re.split(r"^server ", proxy, flags=re.MULTILINE)[1:]
    led = {
        match: server for server in servers for match in re.findall(r"proxy_pass http://127\.0\.0\.1:(\d+);", server)
    }

    assert {listening[port] for port in led} == {"pfo-web", "pfo-web-readonly", "pfo-webhooks"}
    for port, server in led.items():
        assert ("auth_basic_user_file" in server) == (listening[port] != "pfo-webhooks")
    webhooks = next(server for port, server in led.items() if listening[port] == "pfo-webhooks")
    (location,) = re.findall(r"location (/\S+)/ \{", webhooks)
    assert path_of("smith", "CONNECTION_SYNCED").startswith(f"{location}/")


def page_lines() -> list[str]:
    """Every command that the page for servers shows."""
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_every_command_of_the_page_is_one_that_its_program_takes() -> None:
    ours = [shlex.split(line) for line in page_lines() if line.startswith("pfo ")]
    assert {words[1] for words in ours} == {"config", "migrate", "run", "health", "backup", "restore"}
    for words in ours:
        parse(words)


def test_the_page_copies_files_that_are_there_and_starts_units_that_are_there() -> None:
    copied = {path for line in page_lines() for path in re.findall(r"/opt/pfo/((?!\.venv)\S+)", line)}
    assert copied >= {"deploy/pfo.env", "deploy/pfo", "deploy/systemd/.", "pfo.example.toml"}
    assert {path for path in copied if not (PROJECT / path).exists()} == set()
    named = {word for line in page_lines() if line.startswith("systemctl ") for word in line.split() if "pfo-" in word}
    names = {path.name if path.suffix == ".timer" else path.stem for path in UNITS.glob("pfo-*.*") if path.is_file()}
    assert named <= names
    assert {path.stem for path in SERVICES if not path.with_suffix(".timer").exists()} <= named


def test_the_operators_program_has_the_units_account_environment_and_folder() -> None:
    script = (DEPLOY / "pfo").read_text(encoding="utf-8")
    common = settings(UNITS / "pfo-backup.service")

    assert subprocess.run(["sh", "-n", str(DEPLOY / "pfo")], check=False).returncode == 0
    assert f". {common['EnvironmentFile'][0]}\n" in script
    assert f"cd {common['WorkingDirectory'][0]}\n" in script
    assert f"--reuid={common['User'][0]} --regid={common['Group'][0]}" in script
    assert f"umask {common['UMask'][0].removeprefix('0')}\n" in script
