"""`pfo report`: one page of chosen tenants, of any moment, where it was asked for; mistakes named, and nothing lost."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline_tests.cli.conftest import JONES
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

EXACT = "123,456,789,012,345,678.12"


def report(*words: str) -> Result:
    return CliRunner().invoke(main, ["report", *words])


def printed(*words: str) -> str:
    """What a command that does nothing says."""
    before = sorted(path.name for path in Path.cwd().iterdir())
    result = report(*words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    return " ".join(result.stderr.replace("│", " ").split())


def test_all_tenants_are_on_one_page_and_only_its_owner_reads_it(here: Office) -> None:
    result = report()

    assert result.exit_code == 0, result.output
    page = Path("cash-page.html")
    html = page.read_text(encoding="utf-8")
    assert EXACT in html
    assert JONES in html
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert result.stdout.startswith("cash-page.html: 3 accounts as of ")
    assert "1 thing waits for a person." in result.stdout


def test_a_page_of_one_tenant_tells_of_no_other(here: Office) -> None:
    assert report("--tenant", "jones", "--to", "jones.html").exit_code == 0

    html = Path("jones.html").read_text(encoding="utf-8")
    assert JONES in html
    assert EXACT not in html
    assert "smith" not in html


def test_a_page_of_a_moment_before_the_first_figure_says_so(here: Office) -> None:
    result = report("--as-of", "2001-01-01")

    assert result.exit_code == 0
    html = Path("cash-page.html").read_text(encoding="utf-8")
    assert EXACT not in html
    assert "Nothing is known" in html


def test_the_page_that_is_there_is_replaced(here: Office) -> None:
    Path("cash-page.html").write_text("older")

    assert report().exit_code == 0
    assert EXACT in Path("cash-page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("--tenant", "nobody"), "The ledger has no tenant 'nobody'. It has: jones, smith."),
        (("--as-of", "yesterday"), "'yesterday' is not a valid date or time. Give a date such as 2026-03-31"),
        (("--since", "2026-01-02", "--as-of", "2026-01-01"), "since"),
    ],
)
def test_a_mistake_is_named_and_nothing_written(here: Office, words: tuple[str, ...], mistake: str) -> None:
    assert mistake in printed(*words)


def test_a_folder_in_the_pages_place_is_named(here: Office) -> None:
    Path("cash-page.html").mkdir()

    assert "cash-page.html" in printed()


def test_without_a_ledger_the_first_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))

    assert "Run `make run` (or `pfo run`) first" in printed()


def test_rates_are_used_where_they_are_configured_and_named_where_they_are_wrong(
    here: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = here.config.read_text(encoding="utf-8")
    elsewhere = Path("pfo.toml")
    rates = Path("rates.csv")
    elsewhere.write_text(
        text.replace("after_refresh = false", 'reference_currency = "USD"\nrates = "rates.csv"').replace(
            "file:", f"file:{here.folder}/"
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("PFO_CONFIG", str(elsewhere.absolute()))

    assert "rates.csv" in printed()

    rates.write_text("Date,USD,\n1999-01-04,1.5,\n", encoding="utf-8")
    assert report().exit_code == 0
    assert "no rate since" in Path("cash-page.html").read_text(encoding="utf-8")


def test_a_date_is_the_end_of_that_day_where_the_tenant_is(here: Office) -> None:
    """Not in UTC, where it would be the first hour of the next one."""
    result = report("--tenant", "jones", "--as-of", "2026-01-31")

    assert result.exit_code == 0, result.output
    html = Path("cash-page.html").read_text(encoding="utf-8")
    assert "31 January 2026, 23:59" in html
    assert "1 February 2026" not in html
    assert "2026-01-31 22:59Z" in result.stdout
