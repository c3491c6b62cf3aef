"""Taking the demonstration away: nothing of another office, nothing from under a running program, nothing behind a link."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office
from pfo_pipeline_tests.ledger.samples import a_ledger, batch, connection

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PFO_CONFIG", "PFO_ROLE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def demo_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a demonstration's ledger, of tenant `smith`."""
    ledger = a_ledger(tmp_path_factory.mktemp("demo") / "data", office="demo")
    ledger.merge(batch(connection()))
    ledger.publish()
    return ledger.files.data_dir


@pytest.fixture
def demonstration(demo_ledger: Path, data_dir: Path) -> Path:
    """A data folder after the demonstration ran: ledger, alerts, history."""
    shutil.copytree(demo_ledger, data_dir)
    (data_dir / "alerts.jsonl").write_text("{}\n")
    (data_dir / "dagster" / "history").mkdir(parents=True)
    (data_dir / "dagster" / "dagster.yaml").write_text("")
    (data_dir / "README.md").write_text("kept")
    return data_dir


def remove() -> Result:
    return CliRunner().invoke(main, ["demo", "remove"])


def refused() -> str:
    result = remove()
    assert (result.exit_code, type(result.exception), result.stdout) == (1, SystemExit, ""), result.output
    return result.stderr


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_demonstration_is_removed_and_nothing_else(demonstration: Path) -> None:
    assert remove().exit_code == 0
    assert left(demonstration) == {"dagster", "dagster/dagster.yaml", "README.md"}


def test_an_offices_own_ledger_is_left_alone(data_dir: Path) -> None:
    a_ledger(data_dir).publish()
    before = left(data_dir)

    assert "is not the demonstration's ledger. Nothing was removed." in refused()
    assert left(data_dir) == before


def test_where_nothing_is_nothing_is_removed_and_nothing_made(data_dir: Path) -> None:
    result = remove()

    assert (result.exit_code, result.output) == (0, "")
    assert not data_dir.exists()


def test_only_an_admin_removes_it(demonstration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")
    before = left(demonstration)

    assert "needs role admin" in refused()
    assert left(demonstration) == before


@pytest.mark.parametrize("lock", ["serving.lock", "canonical.lock", "turns/smith.lock", "turns/begun-just-now.lock"])
def test_nothing_is_taken_from_a_running_program(demonstration: Path, lock: str) -> None:
    """It once took the ledger from under a running Dagster, and ended in a traceback."""
    with hold_lock(LedgerFiles(demonstration).private / lock, deadline_seconds=0):
        printed = refused()

    assert f"is at work in {demonstration} (pfo dev or a run). End it first; nothing was removed." in printed
    assert {"ledger.duckdb", "alerts.jsonl", "private/canonical.duckdb", "dagster/history"} <= left(demonstration)

    assert remove().exit_code == 0
    assert not (demonstration / "ledger.duckdb").exists()


@pytest.mark.parametrize("name", ["private", "dagster", "dagster/history"])
def test_what_a_link_leads_to_stays(demonstration: Path, tmp_path: Path, name: str) -> None:
    """With `data/dagster` a link, another Dagster's history was deleted."""
    elsewhere = tmp_path / "elsewhere"
    (demonstration / name).rename(elsewhere)
    (elsewhere / "deep").mkdir()
    (elsewhere / "deep" / "file").write_text("of somebody else")
    (demonstration / name).symlink_to(elsewhere)
    before = left(elsewhere)

    assert remove().exit_code == 0
    assert before <= left(elsewhere)
    assert not (demonstration / name).is_symlink()
    assert not (demonstration / "ledger.duckdb").exists()


@pytest.mark.parametrize("name", ["ledger.duckdb", "alerts.jsonl"])
def test_a_file_that_is_a_link_is_removed_as_one(demonstration: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (demonstration / name).rename(elsewhere)
    (demonstration / name).symlink_to(elsewhere)

    assert remove().exit_code == 0
    assert elsewhere.exists()
    assert not (demonstration / name).is_symlink()


def test_a_link_to_nowhere_is_removed_too(demonstration: Path, tmp_path: Path) -> None:
    (demonstration / "alerts.jsonl").unlink()
    (demonstration / "alerts.jsonl").symlink_to(tmp_path / "nowhere")

    assert remove().exit_code == 0
    assert not (demonstration / "alerts.jsonl").is_symlink()


def test_another_configured_office_is_refused(here: Office) -> None:
    before = here.files.published.read_bytes()

    assert "is not the demonstration's ledger. Nothing was removed." in refused()
    assert here.files.published.read_bytes() == before
