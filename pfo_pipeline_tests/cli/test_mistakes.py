"""An operator's mistake ends in one message that names the thing and the remedy."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main


def refused(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    return result.stderr


def test_an_occupied_port_of_the_simulator_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        printed = refused("simulator", "--port", str(port))

    assert printed.startswith(f"pfo simulator: 127.0.0.1:{port} cannot be listened on: Address already in use. ")
    assert "Choose another --port, or 0 for any free one." in printed


@pytest.mark.parametrize(
    "words",
    [
        ["alerts", "check"],
        ["alerts", "test"],
        ["connections", "enable", "--tenant", "martin", "--account", "a"],
        ["disconnect", "--tenant", "martin", "--member", "claire"],
        ["rekey"],
        ["webhooks", "register", "--tenant", "martin", "--url", "https://hooks.example"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_the_demonstration_does_not_have_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))

    assert refused(*words).startswith("ConfigError: Nothing is configured: this is the demonstration")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["balances"], 1),
        (["balance"], 2),
        (["balances", "--tenants", "smith"], 2),
        (["erase"], 2),
        (["sql", "select 1", "2"], 2),
        (["health", "--hours", "0"], 2),
    ],
    ids=str,
)
def test_a_script_can_tell_what_is_to_be_fixed_from_wrong_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))

    result = CliRunner().invoke(main, words)

    assert result.exit_code == status
    assert (result.stdout == "") == (status != 0)


@pytest.mark.parametrize(
    ("command", "module"),
    [("accounts", "context"), ("status", "status"), ("connections", "connections"), ("verify", "ledger")],
)
@pytest.mark.parametrize("is_in_a_query", [False, True], ids=["in Python", "in DuckDB"])
def test_an_interrupt_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, command: str, module: str, is_in_a_query: bool
) -> None:
    def interrupted() -> None:
        if is_in_a_query:
            raise RuntimeError("Query interrupted") from KeyboardInterrupt()
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pfo_pipeline.cli.{module}.find_place", interrupted)

    result = CliRunner().invoke(main, [command])

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Interrupted. Nothing was lost; run again to go on.\n"
