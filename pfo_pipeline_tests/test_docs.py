"""The documentation says what is true: its commands run, its queries answer."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"
# Shown in the README and run elsewhere: this suite itself, the configuration that a reader edits first (test_config.py,
# commands/), and what the fixture here does for its own folder: `make run`, and the demonstration's removal at the end.
ELSEWHERE = {
    "make test",
    "make run",
    "cp pfo.example.toml pfo.toml",
    ".venv/bin/pfo config check",
    ".venv/bin/pfo demo remove",
}
# Their commands are of past months, so test_analyst_questions.py runs them on a ledger that has those.
ASKED_OF_A_YEAR = {"analyst.md", "export.md"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line.strip()]


def shell(command: str, data_dir: Path, *, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PFO_CONFIG", "DAGSTER_HOME")}
    # The tests may run from an environment of another name than the README's.
    command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment | {"PFO_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@dataclass(frozen=True)
class Run:
    """The README's `make run` with nothing configured: what it printed, and the data folder that it left."""

    printed: str
    data_dir: Path


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    data_dir = tmp_path_factory.mktemp("data")
    done = shell("make run", data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    yield Run(done.stdout + done.stderr, data_dir)
    removed = shell(".venv/bin/pfo demo remove", data_dir)
    assert removed.returncode == 0, removed.stderr
    assert not (data_dir / "ledger.duckdb").exists()


@pytest.fixture(scope="module")
def demonstration(first_run: Run) -> Path:
    return first_run.data_dir


def test_with_nothing_configured_make_run_shows_the_simulated_tenants(first_run: Run) -> None:
    shown = "Cash positions", "Totals", "Who must act", "martin", "lindqvist", "moreau", "SCARequired", "→ member"
    assert [words for words in shown if words not in first_run.printed] == []
    assert "Traceback" not in first_run.printed


def test_every_command_of_the_readme_runs(demonstration: Path) -> None:
    shown = set(commands_of(README))
    assert shown >= ELSEWHERE
    for command in sorted(shown - ELSEWHERE):
        done = shell(command, demonstration)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), f"{command} printed nothing"


def test_every_command_that_a_page_says_to_try_runs(demonstration: Path, tmp_path: Path) -> None:
    """Blocks marked `sh`; others need a bank of one's own, or a server, and are read by docs/test_commands.py."""
    pages = [page for page in (PROJECT / "docs").glob("*.md") if page.name not in ASKED_OF_A_YEAR]
    commands = [command for page in pages for command in commands_of(page)]
    assert len(commands) >= 3
    for command in commands:
        done = shell(command, demonstration, cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_make_run_again_sets_nothing_up_and_writes_no_duplicate(demonstration: Path) -> None:
    def rows() -> list[tuple[int, ...]]:
        with duckdb.connect(str(demonstration / "ledger.duckdb"), read_only=True) as ledger:
            ledger.execute("use ledger.ledger")
            return ledger.execute(
                "select (select count(*) from accounts), (select count(distinct account_id) from accounts), "
                "(select count(*) from (select distinct tenant_id, account_id, as_of from balances)), "
                "(select count(*) from balances)"
            ).fetchall()

    before = rows()
    done = shell("make run", demonstration)
    assert done.returncode == 0, done.stderr
    assert "pip install" not in done.stdout
    # The other tenants' figures may have moved meanwhile.
    ended = [line for line in done.stdout.splitlines() if " moreau: " in line and " new rows" in line]
    assert len(ended) == 2
    assert all(" 0 new rows" in line for line in ended), ended
    accounts, different, moments, balances = rows()[0]
    assert accounts == different == before[0][0]
    assert moments == balances


def test_the_readmes_python_reads_the_ledger(demonstration: Path) -> None:
    for block in blocks(README, "python"):
        done = subprocess.run(
            [sys.executable, "-c", block.replace("data/ledger.duckdb", str(demonstration / "ledger.duckdb"))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "current_balance" in done.stdout


def test_every_query_and_snippet_for_the_analyst_answers(demonstration: Path) -> None:
    pages = [PROJECT / "docs" / f"{name}.md" for name in ("analyst", "relations", "questions", "coverage", "time")]
    published = str(demonstration / "ledger.duckdb")
    queries = [query for page in pages for query in blocks(page, "sql")]
    assert len(queries) > 25
    for query in queries:
        with duckdb.connect() as con:
            con.execute(f"attach '{published}' as shown (read_only)")
            con.execute("use shown.ledger")
            assert con.execute(query.replace("data/ledger.duckdb", published)).description
    script = "\n".join(blocks(pages[0], "python")).replace("data/ledger.duckdb", published)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
