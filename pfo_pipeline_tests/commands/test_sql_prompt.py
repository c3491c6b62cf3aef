"""`pfo sql` as somebody types at it: the real program on a terminal, and the line editor by itself."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from pfo_pipeline.commands.place import Place
from pfo_pipeline.commands.sql import run_sql
from pfo_pipeline.commands.sql_catalog import read_catalog
from pfo_pipeline.commands.sql_completion import SqlCompleter
from pfo_pipeline.commands.sql_prompt import prompt_for_sql
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.commands.typing_at import CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal, on_a_terminal
from pfo_pipeline_tests.ledger.samples import APRIL_1, SetClock, a_ledger, account, balance, batch

ENDLESS = "select count(*) from range(100000) a, range(1000000) b where hash(a.range, b.range) = 0;"
ONE_LONG_TASK = "select count(*) from range(2048) a, range(2048) b, range(2048) c, range(2048) d;"
"""In which DuckDB itself does not look for a Ctrl-C."""
ASKS = "pfo>"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Published, as the environment names it: `smith` and `jones` with an account each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ledger = a_ledger(tmp_path / "data", clock=clock)
    ledger.merge(batch(account(), balance("12345678901234567890.12")))
    ledger.merge(batch(account(tenant_id="jones"), balance("5", tenant_id="jones"), tenant_id="jones"))
    ledger.publish()
    return ledger


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "state" / "pfo" / "sql_history"


# ---- The real program


def asked(terminal: Terminal) -> Terminal:
    """A terminal on which the next statement may be typed."""
    terminal.shows(ASKS)
    terminal.reads_keys()
    return terminal


def test_a_statement_of_two_lines_is_completed_answered_and_left_by_ctrl_d(ledger: Ledger) -> None:
    with on_a_terminal("sql") as terminal:
        terminal.shows("End a statement with ; and see .help")
        asked(terminal).type(f"select current_bal{TAB}")
        terminal.shows("current_bal", "ance")
        terminal.type(f"{ENTER}from posit{TAB}")
        terminal.shows("from posit", "ions")
        terminal.type(f" where tenant_id = 'smith';{ENTER}")
        terminal.shows("The ledger as loaded at 2026-04-05 12:00:00 UTC.", "12345678901234567890.12", "1 row")
        asked(terminal).type(CTRL_D)

        assert terminal.ends() == 0
    assert "\x1b[0;38;5" in terminal.raw, "keywords have a colour"


def test_what_was_typed_once_comes_back_in_the_next_run(ledger: Ledger, history: Path) -> None:
    with on_a_terminal("sql") as terminal:
        asked(terminal).type(f"select 40 + 2 as first_run;{ENTER}")
        terminal.shows("42")
        asked(terminal).type(f".quit{ENTER}")
        assert terminal.ends() == 0
    with on_a_terminal("sql") as terminal:
        asked(terminal).type(UP + UP)
        terminal.shows("select 40 + 2 as first_run;")
        terminal.type(ENTER)
        terminal.shows("42", ASKS)

    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("query", [ENDLESS, ONE_LONG_TASK])
def test_ctrl_c_ends_a_long_query_or_drops_a_line_and_the_prompt_stays(ledger: Ledger, query: str) -> None:
    with on_a_terminal("sql") as terminal:
        asked(terminal).type(f"select 1;{ENTER}")
        terminal.shows("1 row")
        asked(terminal).type(query + ENTER)
        terminal.shows(query[-4:])
        terminal.reads_keys(yes=False)
        terminal.works(0.5)
        terminal.type(CTRL_C)
        terminal.shows("Interrupted.")
        asked(terminal).type(f"select nonsense{CTRL_C}")
        asked(terminal).type(f"select 6 * 7;{ENTER}")
        terminal.shows("42")
        asked(terminal).type(CTRL_D)

        assert terminal.ends() == 0
    assert "Traceback" not in terminal.text


def test_a_mistake_is_told_and_the_prompt_stays(ledger: Ledger) -> None:
    with on_a_terminal("sql", "--tenant", "jones") as terminal:
        terminal.shows("jones>")
        terminal.type(f"selec 1;{ENTER}")
        terminal.shows("QueryError: ", "syntax error", "jones>")
        terminal.type("select tenant_id, current_balance from positions;")
        terminal.type(ENTER)
        shown = terminal.shows("1 row", "jones>")

    assert "smith" not in shown


@pytest.mark.parametrize(("environment", "escapes"), [({"NO_COLOR": "1"}, "\x1b[0;38"), ({"TERM": "dumb"}, "\x1b[")])
def test_no_colour_and_a_dumb_terminal_are_respected(ledger: Ledger, environment: dict[str, str], escapes: str) -> None:
    with on_a_terminal("sql", environment=environment) as terminal:
        asked(terminal).type(f"select 40{ENTER}+ 2;{ENTER}")
        terminal.shows("42", "1 row")
        asked(terminal).type(CTRL_D)
        assert terminal.ends() == 0

    _, _, after_the_greeting = terminal.raw.partition(".help")
    assert escapes not in after_the_greeting


def test_answers_go_into_a_pipe_whole_while_the_prompt_stays_on_the_terminal(ledger: Ledger, tmp_path: Path) -> None:
    with (
        (tmp_path / "answer.csv").open("wb") as file,
        on_a_terminal("sql", "--csv", into=file.fileno()) as terminal,
    ):
        asked(terminal).type("select range as n from range(1000);")
        terminal.type(ENTER)
        terminal.shows("UTC.")
        asked(terminal).type(CTRL_D)
        assert terminal.ends() == 0

    assert (tmp_path / "answer.csv").read_text().split() == ["n", *map(str, range(1000))]


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


# ---- The line editor by itself


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys:
        yield keys


def typed(ledger: Ledger, keys: PipeInput, text: str, tenant_id: str | None = None) -> None:
    keys.send_text(text.replace("\n", ENTER) + CTRL_D)
    place = Place(None, ledger.files.published.parent, is_demonstration=True)
    prompt_for_sql(place, tenant_id, "csv", terminal=keys, screen=DummyOutput())


def test_each_statement_sees_what_was_published_meanwhile_and_says_so(
    ledger: Ledger,
    keys: PipeInput,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def publish_before_the_second(place: Place, query: str, tenant_id: str | None, **rest: Any) -> Any:
        if "second" in query:
            clock.advance(hours=1)
            ledger.merge(batch(balance("7", tenant_id="jones", as_of=APRIL_1), tenant_id="jones"))
            ledger.publish()
        return run_sql(place, query, tenant_id, **rest)

    monkeypatch.setattr("pfo_pipeline.commands.sql_prompt.run_sql", publish_before_the_second)
    query = "select current_balance from positions where tenant_id = 'jones'"

    typed(ledger, keys, f"{query};\n{query} -- second\n;\n{query};\n")

    out, err = capsys.readouterr()
    assert out.split() == ["current_balance", "5", "current_balance", "7", "current_balance", "7"]
    assert err.splitlines()[1:] == [
        "The ledger as loaded at 2026-04-05 12:00:00 UTC.",
        "The ledger has changed: it is as loaded at 2026-04-05 13:00:00 UTC.",
    ]


def test_a_ledger_that_is_gone_meanwhile_is_told_and_the_prompt_stays(
    ledger: Ledger, keys: PipeInput, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(place: Place, query: str, tenant_id: str | None, **rest: Any) -> Any:
        ledger.files.published.unlink(missing_ok=True)
        return run_sql(place, query, tenant_id, **rest)

    monkeypatch.setattr("pfo_pipeline.commands.sql_prompt.run_sql", gone)

    typed(ledger, keys, "select 1;\nselect 2;\n")

    assert capsys.readouterr().err.count("LedgerMissing: ") == 2


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("select ';\n' as a;\n", ["a", '";', '"']),
        ("select 1 as a -- no end;\n;\n", ["a", "1"]),
        ("select 1 as a /* no end;\n*/;\n", ["a", "1"]),
        ("select 'é;' as a;\n", ["a", "é;"]),
        ("\n\nselect 1 as a;\n", ["a", "1"]),
    ],
)
def test_a_statement_ends_where_its_semicolon_is_neither_text_nor_comment(
    ledger: Ledger, keys: PipeInput, capsys: pytest.CaptureFixture[str], text: str, answers: list[str]
) -> None:
    typed(ledger, keys, text)

    assert capsys.readouterr().out.split() == answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("select 1 as a; select 'é;' as b; /* no more */ ;\n", ["a", "1", "b", "é;"]),
        ("select 1 as a; select nonsense; select 3 as c;\n", ["a", "1"]),
        ("pivot (select 'x' as k, 1 as v) on k using sum(v);\n", ["x", "1"]),
        (";\nselect 1 as a;;\n", ["a", "1"]),
    ],
)
def test_each_of_several_statements_is_answered_up_to_the_first_mistake(
    ledger: Ledger, keys: PipeInput, capsys: pytest.CaptureFixture[str], text: str, answers: list[str]
) -> None:
    typed(ledger, keys, text)

    assert capsys.readouterr().out.split() == answers


def test_what_is_no_utf_8_is_told(
    ledger: Ledger, keys: PipeInput, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys.send_bytes(b"select '\xff\xfe' as a;\r")

    typed(ledger, keys, "select 42 as b;\n")

    out, err = capsys.readouterr()
    assert "QueryError: The query is not UTF-8 text." in err
    assert out.split() == ["b", "42"]
    assert "select 42" in history.read_text()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (".help", ".describe"),
        (".tables", "balances_as_of(at, known_at)"),
        (".describe positions", "Powens' ids of all connections through which the account is seen."),
        (".describe cash_position;", "macro cash_position(at, known_at): Sums"),
        (".describe cash_position", "Date of the oldest figure among them."),
        (".describe restatements", "said_before"),
        (".describe", "Name one table"),
        (".describe nothing", "The ledger has no nothing."),
        (".nonsense", "There is no command .nonsense. There are: .help, "),
    ],
)
def test_a_command_tells_what_there_is(
    ledger: Ledger, keys: PipeInput, capsys: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    typed(ledger, keys, f"{command}\n")

    out, err = capsys.readouterr()
    assert told in err
    assert out == "", "where answers go into a file, nothing else does"


@pytest.mark.parametrize("kept", ["file", "unreadable", "no home"])
def test_a_history_that_cannot_be_kept_is_no_failure(
    ledger: Ledger,
    keys: PipeInput,
    history: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: str,
) -> None:
    if kept == "file":
        history.parent.parent.write_text("no folder")
    elif kept == "unreadable":
        history.mkdir(parents=True)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", "relative")
        monkeypatch.setattr(Path, "home", lambda: Path(os.devnull))

    typed(ledger, keys, "select 42 as a;\n")

    assert capsys.readouterr().out.split() == ["a", "42"]


def test_a_history_that_is_lost_meanwhile_is_no_failure(
    ledger: Ledger,
    keys: PipeInput,
    history: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lose_it(place: Place, query: str, tenant_id: str | None, **rest: Any) -> Any:
        shutil.rmtree(history.parent, ignore_errors=True)
        return run_sql(place, query, tenant_id, **rest)

    monkeypatch.setattr("pfo_pipeline.commands.sql_prompt.run_sql", lose_it)

    typed(ledger, keys, "select 41 as a;\nselect 42 as a;\n")

    assert capsys.readouterr().out.split() == ["a", "41", "a", "42"]


# ---- Completion


@pytest.fixture
def completer(ledger: Ledger) -> SqlCompleter:
    with open_published(ledger.files.published) as con:
        return SqlCompleter(read_catalog(con))


def offered(completer: SqlCompleter, text: str, after: str = "") -> list[str]:
    document = Document(text + after, cursor_position=len(text))
    return [completion.text for completion in completer.get_completions(document, CompleteEvent())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from tot", ["totals"]),
        ("select * from positions p join accounts_l", ["accounts_latest"]),
        ("from balances_as", ["balances_as_of("]),
        ("from positions, tot", ["totals"]),
        ("select p.linked from positions p where p.linked", ["linked_through", "linked_id"]),
        ("from restatements(now()) r where r.says", ["says_now"]),
        ("SELEC", ["SELECT"]),
        ("sele", ["select"]),
        ("select date_tr", ["date_trunc("]),
        (".desc", [".describe"]),
        (".describe cash", ["cash_position("]),
        ("from nowhere n where n.", []),
    ],
)
def test_tab_offers_what_may_stand_there(completer: SqlCompleter, text: str, expected: list[str]) -> None:
    assert offered(completer, text) == expected


def test_columns_of_the_relations_named_come_first(completer: SqlCompleter) -> None:
    assert offered(completer, "select c", " from totals")[0] == "currency"
    assert "canonical_id" not in offered(completer, "select c", " from totals")
    assert "canonical_id" in offered(completer, "select c")


def test_every_relation_and_column_of_the_ledger_is_offered_with_what_it_means(
    ledger: Ledger, completer: SqlCompleter
) -> None:
    with duckdb.connect(str(ledger.files.published), read_only=True) as con:
        columns = con.execute(
            "select table_name, column_name, comment from duckdb_columns() where schema_name = 'ledger'"
        ).fetchall()

    for relation, column, comment in columns:
        assert relation in offered(completer, f"from {relation}")
        document = Document(f"from {relation} where {relation}.{column}")
        found = [c for c in completer.get_completions(document, CompleteEvent()) if c.text == column]
        assert [c.display_meta_text for c in found] == [comment]
