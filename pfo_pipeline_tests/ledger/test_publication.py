"""The published copy is complete, read-only and replaced atomically; the primary is private."""

import stat
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger.errors import LedgerMissing
from pfo_pipeline.ledger.publication import differences
from pfo_pipeline.ledger.reader import open_published, published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch, connection


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_everybody_may_read_the_published_copy_and_nobody_may_write_it(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))

    publication = ledger.publish()

    assert publication.path == ledger.files.published
    assert publication.size_bytes == ledger.files.published.stat().st_size
    assert mode(ledger.files.published) == 0o444


def test_the_primary_is_private_to_its_account(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path / "data")

    ledger.merge(batch(balance()))

    assert mode(ledger.files.primary) == 0o600
    assert mode(ledger.files.private) == 0o700


def test_only_the_ledger_and_its_private_folder_are_left(ledger: Ledger) -> None:
    for amount in ("1", "2"):
        ledger.merge(batch(balance(amount)))
        ledger.publish()

    assert names(ledger.files.data_dir) == {"ledger.duckdb", "private"}
    assert names(ledger.files.private) == {"canonical.duckdb", "canonical.lock"}


def test_an_abandoned_draft_is_removed(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))
    abandoned = ledger.files.data_dir / ".ledger.duckdb.99999.draft"
    abandoned.write_bytes(b"half a ledger")
    abandoned.chmod(0o444)
    stranger = ledger.files.data_dir / "notes.draft"
    stranger.write_text("mine")

    ledger.publish()

    assert names(ledger.files.data_dir) == {"ledger.duckdb", "notes.draft", "private"}


def test_the_copy_is_replaced_and_never_rewritten(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1")))
    ledger.publish()
    before = ledger.files.published.stat().st_ino

    with ledger.files.published.open("rb") as opened:
        first = opened.read()
        ledger.merge(batch(balance("2")))
        ledger.publish()
        opened.seek(0)

        assert opened.read() == first
    assert ledger.files.published.stat().st_ino != before
    assert ledger.files.published.read_bytes() != first


def test_the_copy_equals_the_primary_and_has_no_write_ahead_log(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))

    ledger.publish()

    assert ledger.files.published.read_bytes() == ledger.files.primary.read_bytes()
    assert list(ledger.files.data_dir.rglob("*.wal")) == []


def test_a_ledger_in_which_nothing_changed_is_not_rewritten(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))
    ledger.publish()
    before = ledger.files.primary.read_bytes(), ledger.files.primary.stat().st_mtime_ns

    ledger.publish()
    ledger.reader().accounts("smith")

    assert (ledger.files.primary.read_bytes(), ledger.files.primary.stat().st_mtime_ns) == before


def test_readers_see_merged_rows_after_publication(ledger: Ledger) -> None:
    ledger.merge(batch(account(), balance("1")))
    ledger.publish()
    reader = published_reader(ledger.files.published)

    ledger.merge(batch(balance("2")))
    assert [found.current_balance for found in reader.accounts("smith")] == [1]
    ledger.publish()

    assert [found.current_balance for found in reader.accounts("smith")] == [2]


def test_a_ledger_without_any_load_can_be_published(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path / "data")

    ledger.publish()

    assert published_reader(ledger.files.published).tenants() == []


def test_reading_before_the_first_publication_says_what_to_run(ledger: Ledger) -> None:
    with pytest.raises(LedgerMissing, match=r"There is no ledger at .*ledger\.duckdb yet\. Run `make run`"):
        published_reader(ledger.files.published).tenants()


def test_an_analyst_cannot_write_to_the_published_copy(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))
    ledger.publish()

    with open_published(ledger.files.published) as con, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        con.execute("delete from balances")


def test_the_published_file_opens_in_plain_duckdb_under_its_own_name(ledger: Ledger) -> None:
    ledger.merge(batch(account(), balance("12.34"), connection()))
    ledger.publish()

    with duckdb.connect(str(ledger.files.published), read_only=True) as con:
        con.execute("use ledger.ledger")

        for view in views(con):
            assert con.execute(f"select count(*) from {view}").fetchone() is not None  # noqa: S608
        answer = con.execute("select institution_name, current_balance, connection_status from positions").fetchall()

    assert answer == [("Banque Exemple", Decimal("12.34"), "healthy")]


def test_the_published_file_can_be_attached_under_any_name(ledger: Ledger) -> None:
    ledger.merge(batch(account(), balance("12.34"), connection()))
    ledger.publish()

    with duckdb.connect() as con:
        con.execute(f"attach '{ledger.files.published}' as cash (read_only)")

        for view in views(con):
            assert con.execute(f"select count(*) from cash.ledger.{view}").fetchone() is not None  # noqa: S608
        answer = con.execute("select institution_name, current_balance from cash.ledger.positions").fetchall()

    assert answer == [("Banque Exemple", Decimal("12.34"))]


def views(con: duckdb.DuckDBPyConnection) -> list[str]:
    found = con.execute("select view_name from duckdb_views() where schema_name = 'ledger' order by 1").fetchall()
    assert len(found) >= 7
    return [name for (name,) in found]


def test_positions_leave_out_what_is_disabled_or_gone(ledger: Ledger, clock: SetClock) -> None:
    hidden = account("acc_2", disabled_at=clock.now), account("acc_3", deleted_at=clock.now)
    ledger.merge(batch(account(), *hidden, balance("1"), balance("2", account_id="acc_2")))
    ledger.publish()

    with open_published(ledger.files.published) as con:
        assert con.execute("select account_id, current_balance from positions").fetchall() == [("acc_1", 1)]


def test_positions_and_states_of_tenants_with_equal_ids_are_separate(ledger: Ledger) -> None:
    ledger.merge(batch(account(), connection(), balance("1")))
    ledger.merge(
        batch(account(tenant_id="jones"), connection(tenant_id="jones", status="gone"), balance("2", tenant_id="jones"))
    )
    ledger.publish()

    with open_published(ledger.files.published) as con:
        rows = con.execute("select tenant_id, current_balance, connection_status from positions order by 1").fetchall()

    assert rows == [("jones", 2, "gone"), ("smith", 1, "healthy")]


def test_copies_with_any_sum_of_amounts_are_compared(ledger: Ledger) -> None:
    largest = Decimal("9" * 28 + "." + "9" * 10)
    ledger.merge(batch(*(balance(largest, account_id=f"acc_{number}") for number in range(3))))
    ledger.publish()

    assert differences(ledger.reader(), published_reader(ledger.files.published), "run-1") == []
