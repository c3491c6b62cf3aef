"""An encrypted ledger: its files are unreadable without the key, readers need only the key, and a wrong key is reported."""

from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger.connection import LedgerFiles, open_file
from pfo_pipeline.ledger.errors import LedgerKeyRefused
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    OFFICE,
    SetClock,
    account,
    balance,
    batch,
    connection,
    needs_encryption,
    user,
)

KEY = "correct-horse"
IBAN = b"FR7699999000820000011200012"

pytestmark = needs_encryption


def ledger_with(data_dir: Path, key: str | None) -> Ledger:
    return Ledger(LedgerFiles(data_dir), OFFICE, key=key, deadline_seconds=60, clock=SetClock())


@pytest.fixture
def encrypted(tmp_path: Path) -> Ledger:
    ledger = ledger_with(tmp_path / "data", KEY)
    ledger.merge(batch(user(), connection(), account(), balance("10.01")))
    ledger.publish()
    return ledger


def content(ledger: Ledger) -> bytes:
    return b"".join(path.read_bytes() for path in ledger.files.data_dir.rglob("*") if path.is_file())


def test_no_file_contains_plain_text(encrypted: Ledger) -> None:
    found = content(encrypted)

    assert len(found) > 100_000
    assert IBAN not in found
    assert b"smith" not in found
    assert b"current_balance" not in found


def test_merges_reads_and_the_proof_work_as_without_a_key(encrypted: Ledger) -> None:
    encrypted.merge(batch(balance("10.02"), run_id="run-2"))
    encrypted.publish()

    assert encrypted.verify().findings == ()
    (known,) = published_reader(encrypted.files.published, OFFICE, KEY).accounts("smith")
    assert str(known.current_balance) == "10.0200000000"
    assert [a.iban for a in encrypted.reader().accounts("smith")] == [IBAN.decode()]


def test_any_duckdb_reads_the_published_copy_with_only_the_key(encrypted: Ledger) -> None:
    with duckdb.connect() as con:
        con.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
        con.execute(f"attach '{encrypted.files.published}' as bank (read_only, encryption_key '{KEY}')")

        assert con.execute("select iban from bank.ledger.accounts").fetchall() == [(IBAN.decode(),)]


def outgrow_the_memory(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("set memory_limit = '60MB'; set threads = 1")
    con.execute(
        "create temp table sorted as select $iban || range as iban from range(2000000) order by hash(range)",
        {"iban": IBAN.decode()},
    )


def test_a_writers_temporary_files_are_encrypted(encrypted: Ledger) -> None:
    primary = encrypted.files.primary
    with open_file(primary, key=KEY) as con:
        outgrow_the_memory(con)
        spilled = b"".join(path.read_bytes() for path in primary.with_name(f"{primary.name}.tmp").iterdir())

    assert len(spilled) > 1_000_000
    assert IBAN not in spilled


def test_a_reader_writes_no_temporary_files(encrypted: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))

    with (
        open_file(encrypted.files.published, key=KEY, read_only=True) as con,
        pytest.raises(duckdb.OutOfMemoryException),
    ):
        outgrow_the_memory(con)

    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("key", "output"),
    [
        ("wrong", "encryption_key is not the key that it was written with"),
        (None, "it is encrypted. Configure encryption_key"),
    ],
)
def test_a_wrong_or_missing_key_is_reported_and_changes_nothing(
    encrypted: Ledger, key: str | None, output: str
) -> None:
    before = content(encrypted)
    other = ledger_with(encrypted.files.data_dir, key)

    for use in (lambda: other.merge(batch(balance("1"))), other.publish, other.verify, other.reader().tenants):
        with pytest.raises(LedgerKeyRefused, match=output):
            use()
    with pytest.raises(LedgerKeyRefused, match=output):
        published_reader(other.files.published, OFFICE, key).tenants()

    assert content(encrypted) == before


def test_a_key_for_a_plain_ledger_is_reported_with_how_to_encrypt_it(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1")))

    with pytest.raises(LedgerKeyRefused, match=r"it is not encrypted, .* pfo rekey"):
        ledger_with(ledger.files.data_dir, KEY).merge(batch(balance("2")))


@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, "another-key"), (KEY, None)])
def test_after_rekeying_only_the_new_key_opens_the_ledger(tmp_path: Path, old: str | None, new: str | None) -> None:
    before = ledger_with(tmp_path / "data", old)
    before.merge(batch(user(), connection(), account(), balance("10.01")))
    before.publish()
    verified = before.verify()
    after = ledger_with(tmp_path / "data", new)

    after.rekey(old)

    assert after.verify() == verified
    assert [a.iban for a in published_reader(after.files.published, OFFICE, new).accounts("smith")] == [IBAN.decode()]
    assert (IBAN in content(after)) == (new is None)
    assert after.files.primary.stat().st_mode & 0o777 == 0o600
    with pytest.raises(LedgerKeyRefused):
        before.merge(batch(balance("2")))


def test_a_wrong_old_key_leaves_both_files_as_they_were(encrypted: Ledger) -> None:
    before = content(encrypted)

    with pytest.raises(LedgerKeyRefused):
        ledger_with(encrypted.files.data_dir, "new").rekey("wrong")

    assert content(encrypted) == before


def test_without_the_extension_writing_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.resources.files", not_installed)

    with pytest.raises(LedgerKeyRefused, match=r"pip install 'pfo-pipeline\[encryption\]'"):
        ledger_with(tmp_path / "data", KEY).merge(batch(balance("1")))

    assert not LedgerFiles(tmp_path / "data").primary.exists()
