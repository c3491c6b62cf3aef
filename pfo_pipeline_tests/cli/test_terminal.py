"""What people see on a terminal, and what programs get on a pipe: never the one in place of the other."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from pfo_pipeline_tests.cli.programs import PFO, environment, run_on_pipes, run_on_terminals

ESCAPE = "\x1b["
READING = ["accounts", "balances", "status", "connections", "identity", "alerts"]


def test_a_terminal_is_shown_colours(demonstration: Path) -> None:
    shown = run_on_terminals(["status"], demonstration)

    assert shown.status == 0
    assert ESCAPE in shown.stdout
    assert "Who must act" in shown.stdout


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_who_wants_no_colours_gets_plain_text(demonstration: Path, changes: dict[str, str]) -> None:
    shown = run_on_terminals(["status"], demonstration, changes)

    assert "Who must act" in shown.stdout
    assert ESCAPE not in shown.stdout


def test_a_pipe_gets_plain_text_unless_colours_are_forced(demonstration: Path) -> None:
    assert ESCAPE not in run_on_pipes(["status"], demonstration).stdout
    assert ESCAPE in run_on_pipes(["status"], demonstration, {"FORCE_COLOR": "1"}).stdout
    assert ESCAPE not in run_on_pipes(["status"], demonstration, {"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


@pytest.mark.parametrize("command", [*READING, "sql"])
def test_json_is_json_and_nothing_else_is_said(demonstration: Path, command: str) -> None:
    words = [command, "from totals order by all"] if command == "sql" else [command]

    piped = run_on_pipes([*words, "--json"], demonstration, {"FORCE_COLOR": "1"})

    assert (piped.status, piped.stderr) == (0, "")
    assert isinstance(json.loads(piped.stdout), list)
    on_terminal = run_on_terminals([*words, "--json"], demonstration)
    assert json.loads(on_terminal.stdout) == json.loads(piped.stdout)


def test_progress_is_shown_on_a_terminal_and_leaves_nothing_there(demonstration: Path) -> None:
    shown = run_on_terminals(["verify"], demonstration, stdout_too=False)

    assert re.search(r"Verifying tables .*0/(\d+).*Verifying tables .*\1/\1", shown.stderr, re.DOTALL)
    assert shown.stderr.endswith("\x1b[2K")  # The line is cleared,
    assert shown.stderr.rindex("\x1b[?25h") > shown.stderr.rindex("\x1b[?25l")  # and the cursor is back.
    assert shown.stdout == run_on_pipes(["verify"], demonstration).stdout


@pytest.mark.parametrize(
    "words",
    [["verify"], ["backup", "--to", "backups"], ["export", "--tenant", "martin", "--to", "files"]],
    ids=lambda words: words[0],
)
def test_without_a_terminal_there_is_no_word_of_progress(demo_folder: Path, words: list[str]) -> None:
    done = run_on_pipes(words, demo_folder)

    assert (done.status, done.stderr) == (0, "")
    assert done.stdout


def test_a_mistake_clears_the_bar_before_it_is_told(demo_folder: Path) -> None:
    """The bar's thread would have written over the message."""
    run_on_pipes(["backup", "--to", "backups"], demo_folder)
    [backup] = (demo_folder / "backups").iterdir()
    (backup / "ledger" / "canonical.duckdb").write_bytes(b"damaged")

    shown = run_on_terminals(["restore", "--from", str(backup)], demo_folder, stdout_too=False)

    assert shown.status == 1
    output = shown.stderr.rpartition("\x1b[2K")[2]
    assert output.startswith("BackupDamaged: ")
    assert "\x1b[?25h" not in output


@pytest.mark.parametrize(
    "words", ["sql --csv 'from range(300000)'", "sql --json 'from range(300000)'", "status"], ids=lambda words: words
)
def test_a_reader_who_has_enough_is_no_mistake(demonstration: Path, words: str) -> None:
    program = " ".join(PFO)
    done = subprocess.run(
        ["bash", "-c", f"{program} {words} | head -1"],
        cwd=demonstration,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
