"""Commands that need no Dagster load nothing that is slow to load. What that takes is measured, not tested: benchmarks/."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pfo_pipeline.cli.app import HEADINGS
from pfo_pipeline_tests.cli.programs import environment

SLOW = {
    *("aiohttp", "altair", "apprise", "dagster", "httpx", "jinja2", "numpy", "pandas", "pyarrow"),
    *("pygments", "requests", "sqlalchemy", "starlette", "uvicorn"),
}
FOR_PEOPLE = {"babel", "rich"}
FOR_THE_LEDGER = {"duckdb", "pydantic"}

_PROGRAM = """
import sys
from pfo_pipeline.cli import main
try:
    main(sys.argv[1:], prog_name="pfo")
finally:
    names = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
    print(*names, file=sys.stderr)
"""


def loaded_by(line: str, folder: Path, changes: dict[str, str] | None = None) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *shlex.split(line)],
        cwd=folder,
        env=environment(changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "line",
    [
        "accounts",
        "balances --as-of 2026-10-31",
        "status",
        "sql 'from totals'",
        "export --tenant martin --to files",
        "connections",
        "identity",
        "alerts",
        "verify",
    ],
)
def test_what_reads_loads_nothing_slow(line: str, demo_folder: Path) -> None:
    loaded = loaded_by(line, demo_folder)

    assert loaded & SLOW == set()
    assert "duckdb" in loaded


@pytest.mark.parametrize("line", ["accounts --json", "balances --csv", "status --json", "connections --json"])
def test_programs_do_not_wait_for_what_people_are_shown(line: str, demo_folder: Path) -> None:
    assert loaded_by(line, demo_folder) & (SLOW | FOR_PEOPLE) == set()


@pytest.mark.parametrize("line", ["--help", "balances --help", "--version"])
def test_help_loads_the_words_alone(line: str, demo_folder: Path) -> None:
    assert loaded_by(line, demo_folder) & (SLOW | FOR_PEOPLE | FOR_THE_LEDGER) == set()


def test_completion_of_a_command_imports_no_command(tmp_path: Path) -> None:
    asking = {"_PFO_COMPLETE": "bash_complete", "COMP_WORDS": "pfo ba", "COMP_CWORD": "1"}

    assert loaded_by("", tmp_path, asking) & (SLOW | FOR_PEOPLE | FOR_THE_LEDGER) == set()


@pytest.mark.parametrize("module", sorted({module for entries in HEADINGS.values() for _, module, _ in entries}))
def test_help_of_a_command_imports_neither_dagster_nor_a_server(module: str) -> None:
    heavy = {"dagster", "pandas", "altair", "uvicorn"}
    program = f"import sys, pfo_pipeline.cli.{module}\nassert not {heavy} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)


def test_checking_the_configuration_opens_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "pfo.toml").write_text(
        'office = "willow"\n[tenants.smith]\ndomain = "smith"\nusers = [{id = "jane", token = "file:jane"}]\n'
    )
    (tmp_path / "jane").write_text("token")

    assert loaded_by("config check", tmp_path) & (SLOW | {"duckdb"}) == set()


def test_pandas_is_there_again_for_what_needs_it(demo_folder: Path) -> None:
    """Only while the command is at work is it hidden from DuckDB's Python."""
    program = "import sys\nfrom click.testing import CliRunner\nfrom pfo_pipeline.cli import main\n"
    program += "CliRunner().invoke(main, ['balances'])\nimport pandas\nprint(pandas.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=demo_folder, env=environment(), capture_output=True, check=True
    )

    assert done.stdout == b"pandas\n"
