"""Names that banks and people chose: shown as they are, obeyed by neither the table nor the terminal."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.alerts.state import change_alerts, record_findings
from pfo_pipeline.cli import main
from pfo_pipeline.cli.context import find_place
from pfo_pipeline.cli.output import console, visible
from pfo_pipeline.cli.tables import freshness, positions, totals, views_of, who_must_act
from pfo_pipeline_tests.alerts.samples import condition, found
from pfo_pipeline_tests.ledger.samples import APRIL_1, a_ledger, account, balance, batch, connection, user

MARKUP = "[red]Bank[/] [/nothing] :bank:"
ESCAPES = "\x1b]0;title\x07\x1b[31mBank\x9b2J\r\nlast\u202eline"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger in which everything that others name is hostile."""
    for variable in ("PFO_CONFIG", "PFO_ROLE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.chdir(tmp_path)
    ledger = a_ledger(tmp_path)
    names = MARKUP + ESCAPES
    named = {"institution_name": names, "display_name": names, "account_type": names}
    ledger.merge(
        batch(
            account(**named, currency=names),
            replace(balance(), currency=names),
            connection(
                institution_name=names, status="unknown", state=names, who_acts="member", remedy=names, link=names
            ),
            connection("8", institution_name=names),
            user(status="refused", code=names, who_acts="operator", remedy=names),
        )
    )
    ledger.publish()
    hostile = condition(kind="run", text=names, remedy=names, code=names, thing=names, link=names)
    change_alerts(tmp_path / "private", lambda state: record_findings(state, found(hostile), APRIL_1, []))
    return tmp_path


def shown(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.mark.parametrize(
    "words", [["accounts"], ["status"], ["alerts"], ["sql", "from positions"], ["sql", "from connections"]]
)
def test_a_table_shows_names_and_obeys_none(hostile: Path, words: list[str]) -> None:
    printed = shown(*words)

    assert not OBEYED.search(printed)
    if words[0] == "status":
        assert MARKUP in printed
        assert r"\x1b[31mBank\x9b2J\r\nlast\u202eline" in printed


def test_the_tables_that_end_a_run_show_names_and_obey_none(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [view] = views_of(find_place(), ["smith"], APRIL_1)
    for part in (
        positions([view], APRIL_1),
        totals([view]),
        freshness([view], APRIL_1),
        who_must_act([view], is_demonstration=False),
    ):
        console().print(part, width=2000)

    printed = capsys.readouterr().out

    assert not OBEYED.search(printed)
    assert printed.count("[red]Bank[/]") == 13
    assert printed.count("last") == printed.count(r"\nlast")


def test_the_names_of_a_querys_columns_are_shown_too(hostile: Path) -> None:
    printed = shown("sql", f'select 1 as "{MARKUP}", 2 as "{ESCAPES}"')

    assert MARKUP in printed
    assert not OBEYED.search(printed)


def test_a_querys_own_lines_stay_lines(hostile: Path) -> None:
    assert "one" in shown("sql", r"select 'one' || chr(10) || 'two'").splitlines()[3]


def test_a_message_about_a_name_is_not_obeyed_either(hostile: Path) -> None:
    result = CliRunner().invoke(main, ["sql", "select error(display_name) from accounts"])

    assert result.exit_code == 1
    assert r"\x1b[31mBank" in result.stderr
    assert not OBEYED.search(result.stderr)


def test_programs_get_names_to_the_letter(hostile: Path) -> None:
    (row,) = json.loads(shown("accounts", "--json"))

    assert row["displayName"] == MARKUP + ESCAPES


@pytest.mark.parametrize("name", ["Société Générale", "株式会社", "Ünïcode & Söhne", "a\u00a0b"])
def test_what_people_write_stays_as_it_is(name: str) -> None:
    assert visible(name) == name
