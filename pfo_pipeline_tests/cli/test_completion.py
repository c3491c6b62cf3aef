"""What a shell proposes after Tab, by click's own completion: asked of bash itself, and of zsh and fish by their protocol."""

import subprocess
from pathlib import Path

import pytest

from pfo_pipeline_tests.cli.programs import PFO, environment, run_on_pipes

LINES = {
    "pfo ba": ["backup", "balances"],
    "pfo balances --as": ["--as-of"],
    "pfo balances --tenant ": ["lindqvist", "martin", "moreau"],
    "pfo balances --tenant martin --tenant mo": ["moreau"],
    "pfo sql --tenant l": ["lindqvist"],
    "pfo reconnect --tenant martin --connection ": ["4821", "4822", "4823", "4824"],
    "pfo connect --tenant martin --member ": ["claire", "paul"],
    "pfo identity split --tenant martin acc_f": ["acc_f040f667820e4d7f0d25"],
    "pfo connections enable --tenant moreau --account acc_7fd": ["acc_7fdc91d088e3100ef153"],
    "pfo run --tenant nobody --connection ": [],
    "pfo run --connection ": [],
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with `pfo` in it, as an installation has one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pfo").write_text(f'#!/bin/sh\nexec {" ".join(PFO)} "$@"\n', encoding="ascii")
    (folder / "pfo").chmod(0o755)
    return folder


def _word_to_come(line: str) -> str:
    return "''" if line.endswith(" ") else ""


def test_bash_proposes_what_there_is(demonstration: Path, program: Path) -> None:
    asking = [
        f"COMP_WORDS=({line + _word_to_come(line)}); "
        'COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMPREPLY=(); _pfo_completion pfo; echo "${COMPREPLY[*]}"'
        for line in LINES
    ]
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(['eval "$(_PFO_COMPLETE=bash_source pfo)"', *asking])],
        cwd=demonstration,
        env=environment({"PATH": f"{program}:{environment()['PATH']}"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stderr == ""
    assert dict(zip(LINES, (line.split() for line in done.stdout.splitlines()), strict=True)) == LINES


def asked(shell: str, line: str, folder: Path, changes: dict[str, str] | None = None) -> list[str]:
    words = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
        "zsh": {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
        "fish": {"COMP_WORDS": line, "COMP_CWORD": line.split(" ")[-1]},
    }[shell]
    done = run_on_pipes([], folder, {"_PFO_COMPLETE": f"{shell}_complete", **words, **(changes or {})})
    assert (done.status, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_proposed_the_same(demonstration: Path, shell: str) -> None:
    line = "pfo reconnect --tenant moreau --connection 48"

    assert any("4822" in proposed for proposed in asked(shell, line, demonstration))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(demonstration: Path, shell: str) -> None:
    done = run_on_pipes([], demonstration, {"_PFO_COMPLETE": f"{shell}_source"})

    assert (done.status, done.stderr) == (0, "")
    assert f"{shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "changes"),
    [
        ("nothing", b"", {}),
        ("pfo.toml", b"office = [", {}),
        ("data/ledger.duckdb", b"no ledger", {}),
        ("nothing", b"", {"PFO_ROLE": "boss"}),
        ("nothing", b"", {"PFO_CONFIG": "nowhere.toml"}),
    ],
    ids=["empty folder", "broken configuration", "damaged ledger", "no role", "no configuration"],
)
def test_where_nothing_can_be_told_nothing_is_said(
    tmp_path: Path, name: str, content: bytes, changes: dict[str, str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.rglob("*"))

    assert asked("bash", "pfo balances --tenant ", tmp_path, changes) == []
    assert asked("bash", "pfo reconnect --tenant smith --connection ", tmp_path, changes) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_those_who_are_configured_and_not_yet_read_are_proposed(tmp_path: Path) -> None:
    (tmp_path / "pfo.toml").write_text(
        """
        office = "willow"
        [tenants.smith]
        domain = "smith"
        users = [{id = "jane", token = "file:secrets/jane"}, {id = "john", token = "file:secrets/john"}]
        """,
        encoding="utf-8",
    )

    assert asked("bash", "pfo connect --tenant ", tmp_path) == ["plain,smith"]
    assert asked("bash", "pfo connect --tenant smith --member j", tmp_path) == ["plain,jane", "plain,john"]
