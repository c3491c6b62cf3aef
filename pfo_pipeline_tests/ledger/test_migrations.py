"""A ledger of each earlier version is migrated to today's version with all its content."""

import gzip
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import LedgerForeign
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import SetClock

FILES = Path(__file__).parent / "files"
EARLIER = [migration.version for migration in known_migrations()][:-1]
TABLES = (
    "accounts",
    "balances",
    "balances_current",
    "connections",
    "users",
    "quarantine",
    "drift",
    "loads",
    "telemetry",
)


def columns(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    return {name: con.table(f"ledger.{name}").columns for name in TABLES}


def rows(con: duckdb.DuckDBPyConnection, of: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    return {name: con.table(f"ledger.{name}").select(*of[name]).order("all").fetchall() for name in TABLES}


def test_another_offices_ledger_is_refused_before_it_is_migrated(tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")
    files.private.mkdir(parents=True)
    files.primary.write_bytes(gzip.decompress((FILES / "version_1.duckdb.gz").read_bytes()))

    with pytest.raises(LedgerForeign):
        Ledger(files, "oak", clock=SetClock()).publish()

    with duckdb.connect(str(files.primary), read_only=True) as con:
        assert con.execute("select max(version) from ledger.migrations").fetchall() == [(1,)]


@pytest.mark.parametrize("version", EARLIER)
def test_a_ledger_of_an_earlier_version_keeps_every_row(version: int, tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")
    files.private.mkdir(parents=True)
    files.primary.write_bytes(gzip.decompress((FILES / f"version_{version}.duckdb.gz").read_bytes()))
    with duckdb.connect(str(files.primary), read_only=True) as con:
        had = columns(con)
        before = rows(con, had)
        assert con.execute("select max(version) from ledger.migrations").fetchall() == [(version,)]

    ledger = Ledger(files, "demo", clock=SetClock())
    ledger.publish()

    with duckdb.connect(str(files.primary), read_only=True) as con:
        assert rows(con, had) == before
        applied = con.execute("select version from ledger.migrations order by 1").fetchall()
    assert applied == [(migration.version,) for migration in known_migrations()]
    assert len(published_reader(files.published).accounts("moreau")) == 10
    assert ledger.verify().findings == ()


@pytest.mark.parametrize("version", EARLIER)
def test_a_published_copy_of_an_earlier_version_replaces_a_lost_primary(version: int, tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")
    files.private.mkdir(parents=True)
    files.published.write_bytes(gzip.decompress((FILES / f"version_{version}.duckdb.gz").read_bytes()))
    ledger = Ledger(files, "demo", clock=SetClock())

    assert (ledger.verify().remedy or "").startswith("pfo restore --from-published\n")
    ledger.take_back(files.published, files.private / "aside")

    assert ledger.verify().findings == ()
    assert len(published_reader(files.published).accounts("moreau")) == 10


@pytest.mark.parametrize("version", EARLIER)
def test_rows_of_an_earlier_versions_ledger_can_be_erased_at_once(version: int, tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")
    files.private.mkdir(parents=True)
    files.primary.write_bytes(gzip.decompress((FILES / f"version_{version}.duckdb.gz").read_bytes()))

    erased = Ledger(files, "demo", clock=SetClock()).erase("moreau", None, "erase-1")

    assert erased.total


def test_there_is_a_file_of_each_earlier_version() -> None:
    assert sorted(path.name for path in FILES.iterdir()) == [f"version_{version}.duckdb.gz" for version in EARLIER]
