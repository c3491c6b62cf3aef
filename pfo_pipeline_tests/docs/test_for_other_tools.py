"""The documentation's files for other tools work on a real ledger: the notebook runs, dbt's sources are correct."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml  # type: ignore[import-untyped]

from pfo_pipeline_tests.docs.pages import DOCS, blocks

NOTEBOOK = DOCS / "notebooks" / "cash.ipynb"
# In a separate process: a kernel and its client leave traces that must not reach this suite. A warning in a cell is an error;
# the
# last cell but one prints the results of the notebook's own cells, as exact text.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

book = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(book)
cell = nbformat.v4.new_code_cell
book.cells.insert(0, cell("import warnings; warnings.simplefilter('error')"))
book.cells += [cell(sys.argv[2]), cell("warnings.simplefilter('default')")]
print(nbformat.writes(NotebookClient(book, kernel_name="python3", timeout=120).execute()))
"""
TOLD = """
import json
def told(frame):
    return json.loads(frame.astype(str).to_json(orient="records"))
print(json.dumps({
    "positions": told(positions), "totals": told(totals), "changed": told(changed), "restated": told(restated),
    "fresh": told(fresh), "types": {name: str(kind) for name, kind in totals.dtypes.items()},
}))
"""


def ask(ledger: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(ledger), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("use ledger.ledger")
        return con.execute(query).fetchall()


# ---- The notebook


@pytest.fixture(scope="module")
def ran(year: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The notebook's cells, and the added ones, with their outputs."""
    folder = tmp_path_factory.mktemp("kernel")
    own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    done = subprocess.run(
        [sys.executable, "-c", RUN, NOTEBOOK, TOLD],
        env=os.environ | {"PFO_DATA_DIR": str(year.parent), **{name: str(folder / name) for name in own}},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["cells"])


@pytest.fixture(scope="module")
def printed(ran: list[dict[str, Any]]) -> dict[str, Any]:
    [output] = ran[-2]["outputs"]
    return dict(json.loads("".join(output["text"])))


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]

    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code"
    )


def test_every_cell_runs_without_a_warning_and_shows_something(ran: list[dict[str, Any]]) -> None:
    outputs = [cell["outputs"] for cell in ran[1:-2] if cell["cell_type"] == "code"]

    assert [output for shown in outputs for output in shown if output["output_type"] in ("stream", "error")] == []
    assert [len(shown) for shown in outputs] == [0, 1, 1, 1, 1, 1, 1]


def test_the_notebooks_positions_and_totals_equal_the_ledgers(printed: dict[str, Any], year: Path) -> None:
    def sums(rows: list[dict[str, str]], of: str) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for row in rows:
            if row[of] is not None:
                found[row["currency"]] = found.get(row["currency"], Decimal()) + Decimal(row[of])
        return found

    now = dict(ask(year, "select currency, current_balance from totals where tenant_id = 'moreau'"))
    june = dict(
        ask(
            year,
            "select currency, sum(current_balance) from positions_as_of(timestamptz '2026-07-01 00:00:00+00') "
            "where tenant_id = 'moreau' and account_class not in ('loan', 'unclassified') and as_of is not null group by all",
        )
    )
    at_the_end_of_june = [row for row in printed["totals"] if row["moment"].startswith("2026-06-30 23:59:59.999999")]

    counted = [row for row in printed["positions"] if row["account_class"] not in ("loan", "unclassified")]
    assert sums(counted, "current_balance") == now
    assert sums(at_the_end_of_june, "total") == june
    assert printed["types"]["total"] == "decimal128(38, 10)[pyarrow]"
    assert len({row["moment"] for row in printed["totals"]}) == 10


def test_the_notebook_shows_changes_and_restatements(printed: dict[str, Any], year: Path) -> None:
    assert printed["changed"]
    for row in printed["changed"]:
        assert Decimal(row["now"]) - Decimal(row["a_week_ago"]) == Decimal(row["change"]) != 0
    [(name, before, now, difference)] = ask(
        year,
        "select display_name, said_before, says_now, difference from restatements(timestamptz '2026-11-17 00:00:00+00') "
        "join accounts_latest using (tenant_id, account_id)",
    )
    [restated] = printed["restated"]
    assert (restated["display_name"], Decimal(restated["said_before"])) == (name, before)
    assert (Decimal(restated["says_now"]), Decimal(restated["difference"])) == (now, difference)


def test_the_notebook_lists_missing_balances_first_then_the_oldest(printed: dict[str, Any]) -> None:
    none, oldest, *_ = printed["fresh"]

    assert (none["display_name"], none["hours_old"]) == ("Compte association", None)
    assert (oldest["display_name"], float(oldest["hours_old"]) > 200) == ("Compte chèque", True)


def test_the_notebooks_plot_has_a_line_for_each_currency(ran: list[dict[str, Any]]) -> None:
    [output] = ran[-3]["outputs"]
    picture = "".join(output["data"]["image/svg+xml"])

    assert picture.count("mark-line") == 2
    assert ">EUR<" in picture
    assert ">USD<" in picture


# ---- dbt


def sources() -> dict[str, Any]:
    [source] = yaml.safe_load((DOCS / "dbt" / "sources.yml").read_text(encoding="utf-8"))["sources"]
    return dict(source)


def test_dbts_sources_have_every_table_view_and_column_with_the_ledgers_texts(year: Path) -> None:
    printed = {
        (table["name"], column["name"]): (column["data_type"], column["description"])
        for table in sources()["tables"]
        for column in table["columns"]
    }
    held = ask(
        year,
        "select table_name, column_name, lower(data_type), comment from duckdb_columns() where schema_name = 'ledger'",
    )

    assert printed == {(table, column): (kind, comment) for table, column, kind, comment in held}
    assert sources()["schema"] == "ledger"


@pytest.mark.parametrize("test", ["not_null", "unique"])
def test_every_dbt_test_passes(year: Path, test: str) -> None:
    """Run the query as dbt does."""
    broken = {
        "not_null": "select count(*) from {table} where {column} is null",
        "unique": "select count(*) from (select {column} from {table} group by 1 having count(*) > 1)",
    }
    queries = [
        broken[test].format(table=table["name"], column=f'"{column["name"]}"')
        for table in sources()["tables"]
        for column in table["columns"]
        if test in column.get("data_tests", ())
    ]

    assert len(queries) > (100 if test == "not_null" else 0)
    assert ask(year, " union ".join(queries)) == [(0,)]


def test_the_documented_profile_reaches_the_ledgers_macros_and_writes_nothing(year: Path, tmp_path: Path) -> None:
    """As dbt-duckdb does: it attaches, and then sets."""
    [profile] = [block for block in blocks(DOCS / "analyst.md", "yaml") if "outputs:" in block]
    printed = yaml.safe_load(profile)["office"]["outputs"]["dev"]
    [attached] = printed["attach"]
    assert attached["alias"] == sources()["database"]

    with duckdb.connect(str(tmp_path / printed["path"])) as con:
        con.execute(f"attach '{year}' as {attached['alias']} (read_only {attached['read_only']})")
        for name, value in printed["settings"].items():
            con.execute(f"set {name} = '{value}'")
        con.execute("create table june as from bank.ledger.balances_as_of(timestamptz '2026-06-30 23:59:59+00')")

        assert con.execute("select count(*) > 10 from office.main.june").fetchall() == [(True,)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            con.execute("create table bank.ledger.mine as select 1 as a")


def test_dbts_freshness_uses_the_table_that_every_run_writes(year: Path) -> None:
    fresh = {table["name"]: table["config"]["loaded_at_field"] for table in sources()["tables"] if "config" in table}

    assert fresh == {"loads": "recorded_at"}
    assert ask(year, "select count(*) from loads where recorded_at > timestamptz '2026-11-20 17:00:00+00'") != [(0,)]
