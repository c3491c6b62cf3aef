"""Every question of docs/questions.md is asked, and the answer is the one that the page shows.

When a change is meant, write the answers again and read the difference:

    python -m pfo_pipeline_tests.test_analyst_questions
"""

import csv
import io
import re
import shlex
import tempfile
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.output import write
from pfo_pipeline_tests import demo_year

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "questions.md"
RELATIONS = DOCS / "relations.md"
WITH_COMMANDS = DOCS / "analyst.md", DOCS / "export.md"
_QUESTION = re.compile(r"(### \d+\. (.+?)\n.*?```sql\n(.*?)```\n)(?:\n((?:\|[^\n]*\n)+))?", re.DOTALL)


def questions(page: str) -> list[re.Match[str]]:
    """Groups: all up to the answer, the heading, the query, the answer."""
    return list(_QUESTION.finditer(page))


def answer(ledger: Path, query: str) -> str:
    """What `pfo sql --csv` gives, as a table of the page."""
    with duckdb.connect(str(ledger), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("use ledger.ledger")
        cursor = con.execute(query.replace("now()", f"timestamptz '{demo_year.TODAY.isoformat()}'"))
        columns = [str(column[0]) for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    text = io.StringIO()
    write(text, columns, rows, "csv")
    header, *lines = csv.reader(io.StringIO(text.getvalue()))
    cells = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(_shown(cell) for cell in line)} |\n" for line in cells)


def _shown(cell: str) -> str:
    return cell.replace("|", "\\|").replace("+00:00", "Z")


@pytest.fixture
def ledger(year: Path) -> Path:
    return year


SHOWN = questions(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("shown", SHOWN, ids=[found[2] for found in SHOWN])
def test_the_answer_equals_the_pages(ledger: Path, shown: re.Match[str]) -> None:
    found = answer(ledger, shown[3])

    assert found.count("\n") > 2, "no rows: an answer should show something"
    assert found == shown[4], f"renew it: python -m {__name__}"


def test_there_are_at_least_twenty_questions() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert len(SHOWN) >= 20
    assert [int(number) for number in re.findall(r"^### (\d+)\.", page, re.MULTILINE)] == [*range(1, len(SHOWN) + 1)]


def test_every_relation_and_column_on_the_page_is_in_the_ledger(ledger: Path) -> None:
    """Names in backquotes, in the tables of what there is."""
    page = RELATIONS.read_text(encoding="utf-8")
    named = {name for cell in re.findall(r"^\| (.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)", cell)}
    with duckdb.connect(str(ledger), read_only=True) as con:
        relations = {
            str(name)
            for (name,) in con.execute(
                "select table_name from information_schema.tables where table_schema = 'ledger' "
                "union select function_name from duckdb_functions() "
                "where schema_name = 'ledger' and function_type = 'table_macro'"
            ).fetchall()
        }

    assert len(named) > 20
    assert named - relations <= {"as_of", "known_at", "load_id", "moment_of"}
    assert relations - named <= {"balances_current", "erasures", "migrations", "office", "withheld"}


def test_every_reason_and_class_is_on_the_page_about_what_counts(ledger: Path) -> None:
    page = (DOCS / "coverage.md").read_text(encoding="utf-8")
    with duckdb.connect(str(ledger), read_only=True) as con:
        con.execute("use ledger.ledger")
        [(comment,)] = con.execute(
            "select comment from duckdb_columns() where table_name = 'coverage' and column_name = 'reason'"
        ).fetchall()
        classes = {str(name) for (name,) in con.execute("select distinct class from account_types").fetchall()}
    listed = comment.partition(": ")[2].partition(";")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", page.partition("\n## ")[0], re.MULTILINE)) == set(
        re.split(r", | or ", listed)
    )
    assert classes <= set(re.findall(r"\w+", page.partition("## Classes")[2].partition("\n## ")[0]))


def test_every_command_of_ours_on_these_pages_runs(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(ledger.parent))
    texts = [page.read_text(encoding="utf-8") for page in WITH_COMMANDS]
    commands = [command for text in texts for command in re.findall(r"^\.venv/bin/pfo (.+)$", text, re.MULTILINE)]
    assert len(commands) >= 4

    for command in commands:
        ended = CliRunner().invoke(main, shlex.split(command))
        assert ended.exit_code == 0, f"{command}: {ended.output}"


def renewed(page: str, ledger: Path) -> str:
    return _QUESTION.sub(lambda found: f"{found[1]}\n{answer(ledger, found[3])}", page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), demo_year.build(Path(folder))), encoding="utf-8")
