"""`pfo migrate`: an earlier version's ledger becomes this version's, a newer one's is refused and left alone."""

import gzip
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline_tests.defs.office import Office

EARLIER = Path(__file__).parents[1] / "ledger" / "files" / "version_1.duckdb.gz"


def run() -> Result:
    return CliRunner().invoke(main, ["migrate"])


@pytest.fixture
def earlier(office: Office) -> Office:
    """An office whose ledger an earlier version wrote."""
    office.name = "demo"
    office.add_tenant("smith", "jane")
    office.files.private.mkdir(mode=0o700)
    with gzip.open(EARLIER) as packed, office.files.primary.open("wb") as primary:
        shutil.copyfileobj(packed, primary)
    return office


def version(path: Path) -> int:
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as file (read_only)")
        [(newest,)] = con.execute("select max(version) from file.ledger.migrations").fetchall()
    return int(newest)


def test_an_earlier_versions_ledger_is_migrated_and_published_and_dagsters_storage_made(earlier: Office) -> None:
    assert version(earlier.files.primary) == 1

    result = run()

    assert result.exit_code == 0, result.output
    assert version(earlier.files.primary) == version(earlier.files.published) == known_migrations()[-1].version
    home = earlier.data_dir / "dagster"
    assert home.stat().st_mode & 0o777 == 0o700
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert list(instance.get_runs()) == []
    assert run().exit_code == 0


def test_a_newer_versions_ledger_is_refused_and_nothing_changes(earlier: Office) -> None:
    assert run().exit_code == 0
    newer = known_migrations()[-1].version + 1
    with duckdb.connect(str(earlier.files.primary)) as con:
        con.execute("insert into ledger.migrations values (?, 'to_come', now())", [newer])
    before = earlier.files.primary.read_bytes(), earlier.files.published.read_bytes()

    result = run()

    assert result.exit_code == 1
    assert f"has schema version {newer}" in result.stderr
    assert "Update the program" in result.stderr
    assert (earlier.files.primary.read_bytes(), earlier.files.published.read_bytes()) == before


def test_before_the_first_run_it_makes_what_a_server_needs(office: Office) -> None:
    office.add_tenant("smith", "jane")

    result = run()

    assert result.exit_code == 0, result.output
    assert "no ledger yet" in result.stdout
    settings = (office.data_dir / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    assert "max_concurrent_runs" in settings
    assert (office.data_dir / "dagster" / "history" / "runs.db").exists()
    assert not office.files.primary.exists()


def test_a_user_may_not(earlier: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    assert "needs role admin" in run().stderr
    assert version(earlier.files.primary) == 1
