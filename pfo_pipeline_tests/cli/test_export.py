"""`pfo export`: one tenant's files from the published ledger, and one sentence for each mistake."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline_tests.cli.conftest import JONES, SMITHS
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ("export", *words))


def refused(result: Result, kind: str) -> str:
    """What the command says that ended in an operator's mistake."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.stderr.startswith(f"{kind}: ")
    return result.stderr


def test_parquet_is_what_is_written_when_nothing_else_is_asked_for(here: Office, tmp_path: Path) -> None:
    result = run("--tenant", "smith", "--to", str(tmp_path / "out"))

    assert result.exit_code == 0, result.output
    amounts = pq.read_table(tmp_path / "out" / "balances.parquet").column("current_balance").to_pylist()
    assert set(amounts) == {Decimal(SMITHS), Decimal("-0.0001")}
    assert "balances.parquet  2 rows" in result.stdout
    assert "hold personal data" in result.stdout


def test_csv_holds_exact_text_of_one_tenant(here: Office, tmp_path: Path) -> None:
    assert run("--tenant", "jones", "--to", str(tmp_path / "out"), "--format", "csv").exit_code == 0

    text = "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "out").iterdir())
    assert JONES in text
    assert "smith" not in text


def test_beancount_has_a_balance_to_assert_and_the_account_to_open(here: Office, tmp_path: Path) -> None:
    result = run("--tenant", "jones", "--to", str(tmp_path / "out"), "--format", "beancount")

    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert {name: file["rows"] for name, file in manifest["files"].items()} == {
        "accounts.beancount": 1,
        "balances.beancount": 1,
    }
    opened = (tmp_path / "out" / "accounts.beancount").read_text(encoding="utf-8")
    asserted = (tmp_path / "out" / "balances.beancount").read_text(encoding="utf-8")
    assert f"  {JONES} EUR\n" in asserted
    assert asserted.split()[2] == opened.split()[2]


def test_the_primary_is_not_opened(here: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the published file alone is enough."""
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "ledger.duckdb").write_bytes(here.files.published.read_bytes())
    monkeypatch.setenv("PFO_DATA_DIR", str(alone))

    assert run("--tenant", "jones", "--to", str(tmp_path / "out")).exit_code == 0
    assert [path.name for path in alone.iterdir()] == ["ledger.duckdb"]


def test_the_moments_are_written_in_the_manifest_as_they_were_understood(here: Office, tmp_path: Path) -> None:
    words = ("--as-of", "2100-03-31", "--known-at", "2100-04-05T14:00+02:00")

    assert run("--tenant", "jones", "--to", str(tmp_path / "out"), *words).exit_code == 0

    manifest = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert (manifest["as_of"], manifest["known_at"]) == ("2100-03-31T21:59:59.999999Z", "2100-04-05T12:00:00Z")


def test_a_figure_of_a_later_day_is_left_out(here: Office, tmp_path: Path) -> None:
    assert run("--tenant", "jones", "--to", str(tmp_path / "out"), "--as-of", "2020-01-01").exit_code == 0

    assert pq.read_table(tmp_path / "out" / "balances.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("words", "kind", "printed"),
    [
        (("--tenant", "nobody"), "ConfigError", "The ledger has no tenant 'nobody'. It has: jones, smith."),
        (("--tenant", "smith", "--known-at", "2020-01-01"), "ExportRefused", "its first load is of 20"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    here: Office, tmp_path: Path, words: tuple[str, ...], kind: str, printed: str
) -> None:
    assert printed in refused(run("--to", str(tmp_path / "out"), *words), kind)
    assert list(tmp_path.iterdir()) == []


def test_a_second_export_into_the_same_folder_is_refused(here: Office, tmp_path: Path) -> None:
    words = ("--tenant", "jones", "--to", str(tmp_path / "out"))
    assert run(*words).exit_code == 0

    assert "is not empty" in refused(run(*words), "ExportRefused")


def test_a_place_where_no_folder_can_be_is_named(here: Office, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "a file is where a folder is needed" in refused(
        run("--tenant", "jones", "--to", str(tmp_path / "file" / "out")), "ExportUnwritable"
    )


def test_before_the_first_run_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "none"))

    assert "make run" in refused(run("--tenant", "jones", "--to", "out"), "LedgerMissing")
