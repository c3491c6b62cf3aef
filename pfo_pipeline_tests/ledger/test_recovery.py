"""A damaged or forged file is never published and never backed up, and it is reported with the command that repairs it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger.connection import LedgerFiles, open_file
from pfo_pipeline.ledger.errors import LedgerDamaged, LedgerError, LedgerForeign
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.ledger.schema import create
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    OFFICE,
    SetClock,
    account,
    ask,
    balance,
    batch,
    connection,
    event,
    needs_encryption,
    opened,
    user,
)

BLOCK_BYTES = 262_144
HEADER_BYTES = 12_288
SOME = 5
"""One of this many blocks is damaged; for the plain primary beside a published copy, every second one."""
KEY = "correct-horse"


@dataclass(frozen=True)
class Template:
    """A folder with a ledger's files, and their encryption key."""

    folder: Path
    key: str | None

    def copied(self, to: Path, *, is_published: bool = True) -> Ledger:
        ledger = Ledger(LedgerFiles(shutil.copytree(self.folder, to)), OFFICE, key=self.key, clock=SetClock())
        if not is_published:
            ledger.files.published.unlink()
        return ledger


@pytest.fixture(scope="module", params=["plain", pytest.param("encrypted", marks=needs_encryption)])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A published tenant with enough rows for several blocks of data."""
    key = KEY if request.param == "encrypted" else None
    clock = SetClock(datetime(2026, 3, 1, tzinfo=UTC))
    ledger = Ledger(LedgerFiles(tmp_path_factory.mktemp("ledger") / "data"), OFFICE, key=key, clock=clock)
    accounts = [account(f"acc_{n}") for n in range(200)]
    ledger.merge(batch(user(), connection(), *accounts, telemetry=(event(accounts=200),)))
    for day in range(3):
        clock.advance(days=1)
        rows = [
            balance(Decimal(n) + day, clock.now, account_id=f"acc_{n}", payload_digest=f"{day}{n}" * 16)
            for n in range(200)
        ]
        ledger.merge(batch(*rows, run_id=f"run-{day}"))
    ledger.publish()
    return Template(ledger.files.data_dir, key)


def flip(path: Path, block: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    start = HEADER_BYTES + block * BLOCK_BYTES
    middle = start + min(BLOCK_BYTES, len(content) - start) // 2
    for position in (start + 8, start + 1000, middle):  # After the checksum; a block may be only partly filled.
        content[position] ^= 0x55
    path.write_bytes(content)
    path.chmod(mode)


def blocks(path: Path, *, every: int = 1) -> range:
    return range(0, (path.stat().st_size - HEADER_BYTES) // BLOCK_BYTES, every)


def totals(ledger: Ledger, key: str | None) -> list[tuple[object, ...]]:
    with published_reader(ledger.files.published, OFFICE, key).at_once() as reader:
        return reader.typed(lambda *row: row, "from totals order by all", {})


def refusal(ledger: Ledger) -> str | None:
    """Return why the ledger is not published; None if it is."""
    try:
        ledger.publish()
    except LedgerDamaged as damage:
        return str(damage)
    return None


def put_right(ledger: Ledger, remedy: str | None, template: Template, tmp_path: Path) -> None:
    """Follow the remedy with the operations behind the commands."""
    if remedy is None:
        return
    if remedy.startswith("pfo restore --from-published"):
        aside = ledger.files.private / "aside"
        ledger.take_back(ledger.files.published, aside, replace_newer="--replace-newer" in remedy)
    elif remedy.startswith("mkdir"):
        assert not ledger.files.published.exists()
        shutil.move(ledger.files.primary, tmp_path / "damaged")
        shutil.copyfile(template.folder / "private" / "canonical.duckdb", ledger.files.primary)
    else:
        assert remedy.startswith("pfo run\n"), remedy
    ledger.publish()


@pytest.mark.parametrize("is_published", [True, False], ids=["published", "not published"])
def test_a_damaged_block_of_the_primary_is_never_published(
    template: Template, is_published: bool, tmp_path: Path
) -> None:
    found = 0
    expected = totals(template.copied(tmp_path / "whole"), template.key)
    every = 2 if is_published and template.key is None else SOME
    for block in blocks(template.folder / "private" / "canonical.duckdb", every=every):
        ledger = template.copied(tmp_path / str(block), is_published=is_published)
        before = ledger.files.published.read_bytes() if is_published else None
        flip(ledger.files.primary, block)
        damage = refusal(ledger)
        if damage is not None:
            found += 1
            assert damage.startswith(str(ledger.files.primary))
            assert damage.endswith("pfo verify")
            assert (ledger.files.published.read_bytes() if is_published else None) == before
            verified = ledger.verify()
            assert "primary" in [finding.about for finding in verified.findings], block
            assert "published copy" not in [f.about for f in verified.findings if is_published], block
            put_right(ledger, verified.remedy, template, tmp_path / str(block))
        assert totals(ledger, template.key) == expected
        assert ledger.verify().findings == (), block
    assert found >= 2


def test_a_damaged_block_of_the_published_copy_is_repaired(template: Template, tmp_path: Path) -> None:
    found = 0
    for block in blocks(template.folder / "ledger.duckdb", every=SOME):
        ledger = template.copied(tmp_path / str(block))
        flip(ledger.files.published, block)
        verified = ledger.verify()
        found += bool(verified.findings)
        if verified.findings:
            assert {finding.about for finding in verified.findings} == {"published copy"}
            assert (verified.remedy or "").startswith("pfo run\n")
        ledger.publish()
        with published_reader(ledger.files.published, OFFICE, template.key).at_once() as reader:
            assert reader.tenants() == ["smith"]
    assert found >= 2


def test_with_both_files_damaged_the_remedy_names_the_last_backup(template: Template, tmp_path: Path) -> None:
    ledger = template.copied(tmp_path / "data")
    ledger.files.primary.write_bytes(b"garbled" * 4000)
    ledger.files.published.chmod(0o600)
    ledger.files.published.write_bytes(b"garbled" * 4000)
    folder = tmp_path / "my backups"
    folder.mkdir()

    assert (ledger.verify().remedy or "").startswith("mkdir ")
    ledger.files.backup_memory.write_text(f'{{"at": "2026-03-02T00:00:00+00:00", "folder": "{folder}"}}')

    assert (ledger.verify().remedy or "").startswith(f"pfo restore --from '{folder}' --replace-newer\n")


def test_a_rewritten_primary_is_read_back_before_it_replaces_the_old_one(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_damaged(con: duckdb.DuckDBPyConnection, draft: Path, **options: object) -> None:
        shutil.copyfile(template.folder / "ledger.duckdb", draft)
        for block in blocks(draft):
            flip(draft, block)

    ledger = template.copied(tmp_path / "data")
    monkeypatch.setattr("pfo_pipeline.ledger.store.write_anew", write_damaged)

    with pytest.raises(LedgerDamaged):
        ledger.rekey(template.key)

    monkeypatch.undo()
    assert ledger.verify().findings == ()


@pytest.fixture
def small(tmp_path: Path) -> Ledger:
    """A published ledger of one tenant."""
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, clock=SetClock())
    ledger.merge(batch(user(), connection(), account(), balance("10")))
    ledger.publish()
    return ledger


FORGED = {
    "create or replace view totals as select tenant_id, currency, 2 as current_balance from balances": "view totals",
    "drop view positions": "view positions",
    "create view mine as select 1 as one": "view mine",
    'create or replace macro cash_position("at", known_at := null) as table select 1 as total': "macro cash_position",
    "drop macro table freshness": "macro freshness",
    "create macro twice(x) as 2 * x": "macro twice",
    "alter table balances add column note varchar": "table balances",
    "create table notes (note varchar)": "table notes",
    "drop table drift; create table drift (tenant_id varchar, load_id bigint, note varchar)": "table drift",
}


@pytest.mark.parametrize("forgery", [f for f in FORGED if "drop table" not in f])
@pytest.mark.parametrize("which", ["primary", "published"])
def test_a_forged_definition_is_reported_and_repaired(small: Ledger, forgery: str, which: str) -> None:
    about = FORGED[forgery]
    forge(getattr(small.files, which), forgery)

    findings = small.verify().findings

    assert about in [f.about.removeprefix("published copy, ") for f in findings]
    assert all(f.about.startswith("published copy") == (which == "published") for f in findings)
    remedy = small.verify().remedy or ""
    if which == "published":
        assert remedy.startswith("pfo run\n")
        small.publish()
    elif about.startswith("table"):
        assert remedy.startswith("pfo restore --from-published\n")
        small.take_back(small.files.published, small.files.private / "aside")
    else:
        assert remedy.startswith("pfo migrate\n")
        small.remake_views()
    assert small.verify().findings == ()


def forge(path: Path, statements: str) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        con.execute(f'use "{path.stem}".ledger')
        con.execute(statements)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ("update migrations set applied_at = applied_at + interval 1 day where version = 2", "migrations"),
        ("update migrations set name = 'other' where version = 2", "migrations"),
        ("delete from migrations where version = 2", "migrations"),
        ("insert into migrations from migrations where version = 2", "migrations"),
        ("update office set created_at = created_at + interval 1 day", "office"),
        ("insert into office from office", "office"),
    ],
)
def test_a_change_in_an_office_table_is_reported(small: Ledger, change: str, about: str) -> None:
    ask(small, change)

    assert about in [finding.about for finding in small.verify().findings]


def test_a_row_in_withheld_does_not_hide_a_changed_amount(small: Ledger) -> None:
    forge(
        small.files.published,
        "update balances set payload_digest = 'other'; update balances_current set payload_digest = 'other'; "
        "insert into withheld values ('balances', 'payload_digest')",
    )

    assert "published copy, withheld" in [finding.about for finding in small.verify().findings]


def test_a_migration_after_a_load_is_not_a_finding(small: Ledger) -> None:
    """Rows added to a table of the office are sealed by the tenant's next load."""
    with opened(small) as con:
        seals = con.execute("select rows from seals where table_name = 'migrations'").fetchall()
        con.execute("update seals set rows = rows").fetchall()
    assert seals == [(len(ask(small, "from migrations")),)]
    small.merge(batch(balance("11"), run_id="run-2"))
    assert ask(small, "select count(*) from seals where table_name = 'migrations'") == [(1,)]


@pytest.mark.parametrize("size", [0, 4096, 8192, HEADER_BYTES - 1])
def test_an_incomplete_first_file_is_created_again(size: int, tmp_path: Path) -> None:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, clock=SetClock())
    with duckdb.connect(str(tmp_path / "whole.duckdb")) as con:
        create(con)
    ledger.files.private.mkdir(parents=True)
    ledger.files.primary.write_bytes((tmp_path / "whole.duckdb").read_bytes()[:size])

    ledger.merge(batch(user(), connection(), account(), balance("41.50")))
    ledger.publish()

    assert ledger.verify().findings == ()
    assert ask(ledger, "select current_balance from balances") == [(Decimal("41.50"),)]


def published_too(ledger: Ledger) -> None:
    shutil.copyfile(ledger.files.primary, ledger.files.published)


def backed_up(ledger: Ledger) -> None:
    ledger.files.backup_memory.write_text('{"at": "2026-03-02T00:00:00+00:00", "folder": "backups"}')


def with_a_log(ledger: Ledger) -> None:
    ledger.files.primary.with_name("canonical.duckdb.wal").write_bytes(b"committed")


def of_something_else(ledger: Ledger) -> None:
    ledger.files.primary.write_bytes(b"a note")


def longer(ledger: Ledger) -> None:
    ledger.files.primary.write_bytes(b"x" * HEADER_BYTES)


@pytest.mark.parametrize("sign", [published_too, backed_up, with_a_log, longer, of_something_else])
def test_a_file_that_may_have_content_is_never_created_again(sign: Callable[[Ledger], None], tmp_path: Path) -> None:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, clock=SetClock())
    ledger.files.private.mkdir(parents=True)
    ledger.files.primary.write_bytes(b"")
    sign(ledger)
    before = ledger.files.primary.read_bytes()

    with pytest.raises(LedgerDamaged, match=r"pfo verify$"):
        ledger.merge(batch(balance()))

    assert ledger.files.primary.read_bytes() == before


def test_a_damaged_copy_never_replaces_the_primary(small: Ledger, tmp_path: Path) -> None:
    before = small.files.primary.read_bytes()
    altered = tmp_path / "altered.duckdb"
    shutil.copyfile(small.files.primary, altered)
    with open_file(altered) as con:
        con.execute("update ledger.balances set current_balance = 99")

    for copy in (altered, _garbled(tmp_path), _foreign(tmp_path)):
        with pytest.raises(LedgerError) as refused:
            small.take_back(copy, small.files.private / "aside", replace_newer=True)
        assert isinstance(refused.value, LedgerForeign | LedgerDamaged)
        assert str(refused.value).startswith(str(copy))

    assert small.files.primary.read_bytes() == before
    assert not (small.files.private / "aside").exists()


def _garbled(folder: Path) -> Path:
    path = folder / "garbled.duckdb"
    path.write_bytes(b"garbled" * 4000)
    return path


def _foreign(folder: Path) -> Path:
    other = Ledger(LedgerFiles(folder / "other"), "oak", clock=SetClock())
    other.merge(batch(account(), balance()))
    return other.files.primary


def test_an_interrupted_restore_leaves_a_primary_in_place(
    small: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copyfile(small.files.primary, tmp_path / "copy.duckdb"))
    before = small.files.primary.read_bytes()

    def die(draft: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            small.take_back(copy, small.files.private / "aside")

    assert small.files.primary.read_bytes() == before
    assert (small.files.private / "aside" / "canonical.duckdb").read_bytes() == before
