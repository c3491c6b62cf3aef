"""Damaged or wrong files: a named error with a remedy, and the last copy stays readable."""

import errno
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerError,
    LedgerForeign,
    LedgerFull,
    LedgerNewer,
    LedgerUnwritable,
    named_ledger_errors,
)
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger import program
from pfo_pipeline_tests.ledger.program import other_process
from pfo_pipeline_tests.ledger.samples import (
    OFFICE,
    a_ledger,
    account,
    ask,
    balance,
    batch,
    connection,
    everything_in,
    user,
)


@pytest.fixture
def published(ledger: Ledger) -> Ledger:
    """A ledger with one account, published."""
    ledger.merge(batch(account(), balance("41.50")))
    ledger.publish()
    return ledger


def last_published(ledger: Ledger) -> list[Decimal | None]:
    return [found.current_balance for found in published_reader(ledger.files.published).accounts("smith")]


def every_use(ledger: Ledger) -> list[Callable[[], object]]:
    return [lambda: ledger.merge(batch(balance("2"))), ledger.publish, ledger.reader().tenants]


def test_a_lost_primary_is_not_replaced_by_an_empty_ledger(published: Ledger) -> None:
    published.files.primary.unlink()

    for use in every_use(published):
        with pytest.raises(LedgerDamaged, match=r"canonical\.duckdb is gone, but .* is there\. .* pfo verify$"):
            use()

    assert not published.files.primary.exists()
    assert last_published(published) == [Decimal("41.50")]


def test_an_empty_database_in_place_of_the_primary_is_refused(published: Ledger) -> None:
    published.files.primary.unlink()
    duckdb.connect(str(published.files.primary)).close()

    for use in every_use(published):
        with pytest.raises(LedgerDamaged, match=r"holds no ledger, but .* is there"):
            use()

    assert last_published(published) == [Decimal("41.50")]


def test_an_interrupted_first_start_is_repeated(ledger: Ledger) -> None:
    ledger.files.primary.unlink()
    duckdb.connect(str(ledger.files.primary)).close()

    ledger.merge(batch(account(), balance("41.50")))
    ledger.publish()

    assert last_published(ledger) == [Decimal("41.50")]


@pytest.mark.parametrize("loads_after_it", [0, 3])
def test_an_older_backup_in_place_of_the_primary_is_not_published(ledger: Ledger, loads_after_it: int) -> None:
    ledger.merge(batch(user(), connection(), account(), balance("1")))
    backup = ledger.files.primary.read_bytes()
    ledger.merge(batch(balance("41.50")))
    ledger.publish()
    ledger.files.primary.write_bytes(backup)
    for number in range(loads_after_it):
        ledger.merge(batch(balance(str(number)), run_id="run-2"))

    with pytest.raises(LedgerDamaged, match=r"is not what .* was copied from, or an older state of it"):
        ledger.publish()

    assert last_published(ledger) == [Decimal("41.50")]
    remedy = ledger.verify().remedy or ""
    assert remedy.startswith("pfo restore --from-published" + " --replace-newer" * bool(loads_after_it))
    ledger.take_back(ledger.files.published, ledger.files.private / "aside", replace_newer="newer" in remedy)
    assert last_published(ledger) == [Decimal("41.50")]
    assert ledger.verify().findings == ()


def test_a_garbled_copy_is_replaced_by_the_next_publication(published: Ledger) -> None:
    published.files.published.chmod(0o644)
    nonsense(published.files.published)

    published.publish()

    assert last_published(published) == [Decimal("41.50")]


def nonsense(path: Path) -> None:
    path.write_bytes(b"not a database " * 4096)


def emptiness(path: Path) -> None:
    path.write_bytes(b"")


def the_first_tenth_of_it(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 10])


def flipped_bits(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:12288] + bytes(byte ^ 0x55 for byte in whole[12288:]))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [nonsense, emptiness, the_first_tenth_of_it, flipped_bits, a_folder])
def test_a_damaged_primary_is_named_and_the_last_copy_stays_readable(
    published: Ledger, damage: Callable[[Path], None]
) -> None:
    damage(published.files.primary)

    for use in every_use(published):
        with pytest.raises(LedgerDamaged, match=r"canonical\.duckdb: .* pfo verify$"):
            use()

    assert last_published(published) == [Decimal("41.50")]


@pytest.mark.parametrize("damage", [nonsense, emptiness, the_first_tenth_of_it, flipped_bits, a_folder])
def test_a_damaged_copy_is_reported_with_the_command_to_recreate_it(
    published: Ledger, damage: Callable[[Path], None]
) -> None:
    published.files.published.chmod(0o644)
    damage(published.files.published)

    with pytest.raises(LedgerDamaged, match="It is a copy only: run `pfo run`, which writes it again"):
        published_reader(published.files.published).accounts("smith")


def test_a_duckdb_file_that_is_not_a_ledger_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "ledger.duckdb")) as con:
        con.execute("create table prices (amount double)")

    with pytest.raises(LedgerDamaged, match="a DuckDB file without a ledger in it"):
        published_reader(tmp_path / "ledger.duckdb").tenants()


@pytest.mark.parametrize("versions_ahead", [1, 93])
def test_a_ledger_of_a_newer_program_is_refused_and_unchanged(published: Ledger, versions_ahead: int) -> None:
    known = known_migrations()[-1].version
    newer = known + versions_ahead
    with duckdb.connect(str(published.files.primary)) as con:
        con.execute("insert into ledger.migrations values (?, 'future', now())", [newer])
    before = published.files.primary.read_bytes()

    for use in every_use(published):
        with pytest.raises(
            LedgerNewer, match=rf"schema version {newer}; this program knows {known}\. Update the program"
        ):
            use()

    assert published.files.primary.read_bytes() == before
    assert last_published(published) == [Decimal("41.50")]


@pytest.mark.parametrize("versions_ahead", [1, 93])
def test_a_published_ledger_of_a_newer_program_is_refused(published: Ledger, versions_ahead: int) -> None:
    newer = known_migrations()[-1].version + versions_ahead
    published.files.published.chmod(0o644)
    with duckdb.connect(str(published.files.published)) as con:
        con.execute("insert into ledger.ledger.migrations values (?, 'future', now())", [newer])

    with pytest.raises(LedgerNewer, match=rf"schema version {newer}, newer than this program\. Update the program"):
        published_reader(published.files.published).tenants()


def test_a_ledger_of_another_office_is_refused_and_unchanged(published: Ledger) -> None:
    other = a_ledger(published.files.data_dir, office="oak")
    before = published.files.primary.read_bytes()

    for use in every_use(other):
        with pytest.raises(LedgerForeign, match=r"belongs to office 'willow', the configuration is of office 'oak'"):
            use()

    assert published.files.primary.read_bytes() == before
    assert last_published(published) == [Decimal("41.50")]


@pytest.mark.parametrize("place", ["data", "data/private", "data/private/canonical.lock/inside"])
def test_a_file_in_place_of_a_folder_is_reported(tmp_path: Path, place: str) -> None:
    in_the_way = tmp_path / place
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("in the way")

    with pytest.raises(LedgerUnwritable, match="Move it away, or set data_dir to another folder"):
        Ledger(LedgerFiles(tmp_path / "data"), OFFICE).merge(batch(balance()))


def test_a_folder_in_place_of_the_copy_is_reported_and_the_merge_is_kept(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))
    ledger.files.published.mkdir()

    with pytest.raises(LedgerUnwritable, match=r"ledger\.duckdb: a file is where a folder is needed, or the reverse"):
        ledger.publish()

    assert list(ledger.files.data_dir.glob(".*.draft")) == []
    assert ask(ledger, "select count(*) from balances") == [(1,)]


def no_room(path: Path) -> str:
    return f"LedgerFull: {path}: no room left on the disk. Free some and run again; nothing was lost."


@pytest.mark.parametrize("room_bytes", [1, 100, 4096, 12_288, 100_000, 274_432, 600_000, 1_200_000])
def test_a_first_run_on_a_full_disk_succeeds_once_there_is_room(tmp_path: Path, room_bytes: int) -> None:
    with other_process(program.run_out_of_room, tmp_path / "data", room_bytes, 8000) as other:
        assert "no room left on the disk" in str(other.says())

    ledger = a_ledger(tmp_path / "data")
    ledger.merge(batch(user(), connection(), account(), balance("41.50")))
    ledger.publish()

    assert last_published(ledger) == [Decimal("41.50")]
    assert ask(ledger, "select count(*) from loads") == [(1,)]
    assert {path.name for path in ledger.files.private.iterdir()} == {"canonical.duckdb", "canonical.lock"}


@pytest.mark.parametrize("room_bytes", [1, 12_288, 274_432, 1_000_000])
def test_a_full_disk_at_any_point_of_a_publication_leaves_both_files_whole(published: Ledger, room_bytes: int) -> None:
    published.merge(batch(balance("42")))

    with other_process(program.run_out_of_room, published.files.data_dir, room_bytes, 0) as other:
        assert "no room left on the disk" in str(other.says())

    assert last_published(published) == [Decimal("41.50")]
    published.publish()
    assert last_published(published) == [42]


def test_a_disk_that_cannot_read_a_block_is_not_reported_as_full(
    published: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pfo_pipeline.ledger.store.shutil.copyfile", broken)

    (finding,) = [found for found in published.verify().findings if found.about == "primary"]

    assert "the disk does not give it" in finding.problem


def test_temporary_files_of_a_killed_writer_are_removed(published: Ledger) -> None:
    left = published.files.published.with_name(".ledger.duckdb.1.draft.tmp")
    left.mkdir()
    (left / "storage").write_bytes(b"spilled")

    published.publish()

    assert not left.exists()


def test_a_full_disk_while_publishing_leaves_the_previous_copy(published: Ledger) -> None:
    published.merge(batch(balance("42")))

    with other_process(program.run_out_of_room, published.files.data_dir, 100_000, 0) as other:
        assert other.says() == no_room(published.files.published)

    assert last_published(published) == [Decimal("41.50")]
    assert list(published.files.data_dir.glob(".*.draft")) == []
    published.publish()
    assert last_published(published) == [42]


def test_a_full_disk_while_merging_leaves_nothing_of_the_batch(published: Ledger) -> None:
    with other_process(program.run_out_of_room, published.files.data_dir, 1_100_000, 8000) as other:
        assert other.says() == no_room(published.files.primary)

    assert last_published(published) == [Decimal("41.50")]
    assert published.merge(batch(balance("42"))).load_id == 2
    assert everything_in(published) == {
        "accounts": 1,
        "balances": 2,
        "balances_current": 1,
        "loads": 2,
        "seals": 5,
        "chain": 2,
    }


def test_a_disk_that_fills_up_after_the_commit_loses_nothing_and_is_reported(published: Ledger) -> None:
    """The log has room for the batch, the file has not: DuckDB reports no error when it closes."""
    room = published.files.primary.stat().st_size + 300_000
    with other_process(program.run_out_of_room, published.files.data_dir, room, 3000) as other:
        assert other.says() == no_room(published.files.primary)
    assert last_published(published) == [Decimal("41.50")]

    published.publish()

    assert everything_in(published)["balances"] == 3001


@pytest.mark.parametrize(
    ("problem", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), LedgerFull),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), LedgerFull),
        (PermissionError(errno.EACCES, "Permission denied"), LedgerUnwritable),
        (OSError(errno.EROFS, "Read-only file system"), LedgerUnwritable),
        (OSError(errno.EIO, "Input/output error"), LedgerDamaged),
        (OSError(errno.EMFILE, "Too many open files"), LedgerError),
        (duckdb.IOException('Could not write file "x": No space left on device'), LedgerFull),
        (duckdb.IOException('Cannot open file "x": Permission denied'), LedgerUnwritable),
        (duckdb.IOException('Could not set lock on file "x": Conflicting lock is held'), LedgerBusy),
        (duckdb.IOException('The file "x" exists, but it is not a valid DuckDB database file!'), LedgerDamaged),
        (duckdb.SerializationException("Serialization Error: Failed to deserialize"), LedgerDamaged),
        (duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"), LedgerError),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else value.__name__,
)
def test_errors_of_the_system_and_duckdb_are_mapped_and_name_the_file(
    problem: Exception, named: type[LedgerError], tmp_path: Path
) -> None:
    with pytest.raises(named, match=str(tmp_path)) as error, named_ledger_errors(tmp_path):
        raise problem

    assert type(error.value) is named
    assert error.value.__cause__ is problem


def test_amounts_whose_sum_has_too_many_digits_are_reported(tmp_path: Path) -> None:
    largest = Decimal("9" * 28 + "." + "9" * 10)

    with (
        pytest.raises(LedgerError, match=r"amounts add up to more than the 28 digits .* Look for one"),
        named_ledger_errors(tmp_path),
    ):
        duckdb.execute("select sum($largest::decimal(38, 10)) from range(2)", {"largest": largest}).fetchall()


def test_an_error_in_a_query_keeps_its_class(tmp_path: Path) -> None:
    with pytest.raises(duckdb.CatalogException), named_ledger_errors(tmp_path):
        duckdb.execute("from no_such_table")
