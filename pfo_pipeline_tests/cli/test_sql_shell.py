"""`pfo sql` on a terminal: DuckDB's own shell without a query, and a table as narrow as the terminal with one."""

import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.context import Place, find_place
from pfo_pipeline.cli.sql import QueryError, ShellUnavailable, find_shell, run_sql, start_shell
from pfo_pipeline.config import load_config
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.cli.typing_at import CTRL_C, CTRL_D, ENTER, Terminal, on_a_terminal
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch

ENDLESS = "select count(*) from range(100000) a, range(1000000) b where hash(a.range, b.range) = 0;"
ASKS = "ledger.ledger D "

needs_shell = pytest.mark.skipif(find_shell() is None, reason="duckdb-cli is not installed")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Published, as the environment names it: `smith` and `jones` with an account each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))  # The shell keeps its history there.
    ledger = a_ledger(tmp_path / "data", clock=SetClock())
    ledger.merge(batch(account(), balance("12345678901234567890.12")))
    ledger.merge(batch(account(tenant_id="jones"), balance("5", tenant_id="jones"), tenant_id="jones"))
    ledger.publish()
    return ledger


def ask(terminal: Terminal, statement: str) -> None:
    """Type a statement at the prompt, and Enter by itself: in one burst the shell takes it for a part of a pasted line."""
    terminal.shows(ASKS)
    terminal.reads_keys()
    terminal.type(statement)
    terminal.shows(statement[-4:])
    terminal.type(ENTER)


def leave(terminal: Terminal) -> None:
    terminal.shows(ASKS)
    terminal.reads_keys()
    terminal.type(CTRL_D)
    terminal.ends()


@needs_shell
def test_the_shell_shows_the_ledger_and_nothing_else_can_be_reached(ledger: Ledger, tmp_path: Path) -> None:
    before = sorted(path for path in (tmp_path / "data").rglob("*"))
    with on_a_terminal("sql") as terminal:
        ask(terminal, "from positions select max(current_balance);")
        terminal.shows("12345678901234567890.12")
        ask(terminal, "select current_setting('TimeZone') as zone;")
        terminal.shows("zone", "UTC")
        ask(terminal, "create table more (a int);")
        terminal.shows("read-only")
        ask(terminal, "copy totals to 'totals.csv';")
        terminal.shows("Permission Error")
        ask(terminal, ".shell touch touched")
        terminal.shows("cannot be used in -safe mode")
        leave(terminal)

    assert not (tmp_path / "touched").exists()
    assert sorted(path for path in (tmp_path / "data").rglob("*")) == before


@needs_shell
def test_ctrl_c_ends_a_long_query_and_the_shell_stays(ledger: Ledger) -> None:
    with on_a_terminal("sql") as terminal:
        ask(terminal, ENDLESS)
        terminal.reads_keys(yes=False)
        terminal.works(0.5)  # Ctrl-C before the query has begun is ignored, and the third one ends the shell.
        terminal.type(CTRL_C)
        ask(terminal, "select 6 * 7;")
        terminal.shows("42")
        leave(terminal)
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    ("tenant", "form", "words"), [("smith", None, "--tenant smith"), (None, "json", "--json")], ids=["tenant", "form"]
)
def test_what_the_shell_cannot_show_is_refused_with_what_can(
    ledger: Ledger, tenant: str | None, form: str | None, words: str
) -> None:
    with pytest.raises(ShellUnavailable, match=f'Give the query: pfo sql {words} "QUERY"$'):
        start_shell(find_place(), tenant, form)


def test_the_shell_is_refused_for_an_encrypted_ledger(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "pfo.toml").write_text(
        'office = "willow"\nencryption_key = "file:key"\n[tenants.smith]\ndomain = "smith"\n'
        'users = [{id = "jane", token = "file:jane"}]\n',
        encoding="utf-8",
    )
    place = Place(load_config(tmp_path / "pfo.toml"), tmp_path / "data", is_demonstration=False)

    with pytest.raises(ShellUnavailable, match="encrypted ledger"):
        start_shell(place, None, None)


def test_where_the_shell_is_missing_the_command_that_installs_it_is_printed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.cli.sql.find_shell", lambda: None)

    with pytest.raises(ShellUnavailable) as missing:
        start_shell(find_place(), None, None)

    assert f"{sys.executable} -m pip install 'duckdb-cli=={duckdb.__version__}'" in str(missing.value)


def test_without_a_terminal_there_is_no_shell(ledger: Ledger) -> None:
    assert CliRunner().invoke(main, ["sql", "--csv"], input="select 6 * 7 as a").stdout.split() == ["a", "42"]


def test_a_query_that_is_no_utf_8_is_refused(ledger: Ledger) -> None:
    with pytest.raises(QueryError, match=r"The query is not UTF-8 text\."):
        run_sql(find_place(), "select '\udce9'", None)


def test_a_large_answer_is_cut_on_a_terminal_and_says_so(ledger: Ledger) -> None:
    with on_a_terminal("sql", "select range as n from range(1000)") as terminal:
        assert terminal.ends() == 0

    assert "1000 rows, the first 200 shown" in terminal.text
    assert "│ 199 │" in terminal.text
    assert "│ 200 │" not in terminal.text


def test_an_amount_is_never_cut_short_however_narrow_the_terminal(ledger: Ledger) -> None:
    with on_a_terminal("sql", "from positions where tenant_id = 'smith'", columns=60) as terminal:
        assert terminal.ends() == 0

    assert "12345678901234567890.12" in terminal.text
