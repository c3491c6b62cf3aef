"""`pfo backup` and `pfo restore`: one folder from which another machine goes on; a damaged one is refused by name."""

import gzip
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.cli.backup import Backup, BackupFailed, back_up
from pfo_pipeline.cli.context import find_place
from pfo_pipeline.cli.manifest import BackupDamaged, read_manifest, sha256_of
from pfo_pipeline.cli.restore import RestoreFailed, restore_backup
from pfo_pipeline.ledger.errors import LedgerAhead, LedgerForeign, LedgerKeyRefused, LedgerMissing
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline.ledger.recovery import last_backup
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.powens.webhooks import Hint
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, sync_and_refresh
from pfo_pipeline_tests.ledger.samples import needs_encryption

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

NOW = datetime(2026, 3, 31, 2, tzinfo=UTC)
EARLIER = Path(__file__).parents[1] / "ledger" / "files" / "version_4.duckdb.gz"
HINT = Hint("CONNECTION_SYNCED", 7, 38, 1, None)


@pytest.fixture
def mine(here: Office, empty_history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the synced office, which a test may change, with a history of Dagster's and a webhook waiting."""
    shutil.copytree(here.folder, tmp_path / "mine")
    mine = replace(here, folder=tmp_path / "mine", elsewhere=None, tenants=dict(here.tenants), users=dict(here.users))
    move_to(mine, monkeypatch)
    shutil.copytree(empty_history, mine.data_dir / "dagster", dirs_exist_ok=True)
    (mine.data_dir / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    Inbox(inbox_path(mine.files.private), utc_now).prepare()
    Inbox(inbox_path(mine.files.private), utc_now).keep("smith", HINT)
    (mine.files.private / "alerts.json").write_text('{"smith/1": 7}', encoding="utf-8")
    (mine.data_dir / "alerts.jsonl").write_text('{"code": "before"}\n', encoding="utf-8")
    return mine


@pytest.fixture
def elsewhere(mine: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Another machine's folder, empty; `move_to` goes there."""
    return replace(mine, folder=tmp_path / "new")


def move_to(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_CONFIG", str(office.config))
    monkeypatch.setenv("PFO_DATA_DIR", str(office.data_dir))
    monkeypatch.setenv("DAGSTER_HOME", str(office.data_dir / "dagster"))


def add_load(office: Office, balance: str) -> None:
    office.connect("jones", "john", balance)
    with dg.DagsterInstance.ephemeral() as instance:
        assert all(ended.success for ended in sync_and_refresh(office, instance, "jones"))


def last_made(office: Office) -> datetime | None:
    last = last_backup(office.files)
    return last.at if last else None


def loads(office: Office) -> int:
    [(count,)] = office.ask("select count(*) from loads")
    return int(count)


def test_another_machine_goes_on_from_a_backup(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside a member's token stands which Powens user it is of; without it `pfo connect` would make another one.
    note = "smith.jane.token.user"
    (mine.folder / note).write_text('{"domain": "smith-sandbox", "powens_id": 1, "permanent": true}', encoding="utf-8")
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)
    before = loads(mine)

    move_to(elsewhere, monkeypatch)
    done = restore_backup(made.folder, NOW)
    assert (elsewhere.folder / note).read_bytes() == (mine.folder / note).read_bytes()

    assert made.folder.name == "pfo-test-office-2026-03-31T020000Z"
    assert (done.config_written, done.aside, done.unresolved) == (elsewhere.config, None, ())
    assert done.heads == made.manifest.heads
    assert sorted(done.heads) == ["jones", "smith"]
    assert loads(elsewhere) == before
    assert [e.hint for e in Inbox(inbox_path(elsewhere.files.private), utc_now).after(0, 9)] == [HINT]
    assert json.loads((elsewhere.files.private / "alerts.json").read_text()) == {"smith/1": 7}
    assert (elsewhere.data_dir / "alerts.jsonl").read_text() == '{"code": "before"}\n'
    with dg.DagsterInstance.from_config(str(elsewhere.data_dir / "dagster")) as instance:
        assert list(instance.get_runs()) == []
        assert all(ended.success for ended in sync_and_refresh(elsewhere, instance, "jones"))
    assert loads(elsewhere) == before + 2
    assert loads(mine) == before


def test_what_is_backed_up_is_private_and_proved_by_its_digest(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)

    found = {str(p.relative_to(made.folder)): p for p in made.folder.rglob("*") if p.is_file()}
    assert set(found) == {"manifest.json", *made.manifest.files}
    assert {
        "ledger/canonical.duckdb",
        "private/webhooks.sqlite",
        "private/alerts.json",
        "alerts/alerts.jsonl",
        "dagster/dagster.yaml",
        "dagster/schedules/schedules.db",
        "dagster/history/runs.db",
        "dagster/history/runs/index.db",
        "config/pfo.toml",
        "secrets/1",
        "secrets/2",
    } == set(made.manifest.files)
    assert {p.stat().st_mode & 0o777 for p in found.values()} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "backups").rglob("*") if p.is_dir()} == {0o700}
    assert all(sha256_of(found[name]) == digest for name, digest in made.manifest.files.items())
    assert read_manifest(made.folder) == made.manifest
    assert last_made(mine) == NOW


def test_secrets_stay_where_they_are_unless_asked_for(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [path.read_bytes() for path in mine.folder.glob("*.token")]
    assert tokens

    made = back_up(find_place(), tmp_path / "backups", NOW)

    content = b"".join(path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    assert not any(token in content for token in tokens)
    move_to(elsewhere, monkeypatch)
    done = restore_backup(made.folder, NOW)
    assert [problem.split(":")[0] for problem in done.unresolved] == [
        "tenants.smith.users.jane.token",
        "tenants.jones.users.john.token",
    ]


def test_a_backup_while_a_run_writes_is_of_one_moment(mine: Office, tmp_path: Path) -> None:
    """The run has its tenant's turn and Dagster's databases open; the ledger it merges into afterwards."""
    home = mine.data_dir / "dagster"
    with (
        hold_lock(mine.files.tenant_lock("smith"), deadline_seconds=5),
        closing(sqlite3.connect(home / "history" / "runs.db", isolation_level=None)) as history,
    ):
        history.execute("create table mark (n integer)")
        history.execute("begin immediate")
        history.execute("insert into mark values (1)")

        made = back_up(find_place(), tmp_path / "backups", NOW)

        history.execute("commit")
    with closing(sqlite3.connect(made.folder / "dagster" / "history" / "runs.db")) as copied:
        assert copied.execute("select count(*) from mark").fetchall() == [(0,)]
        assert copied.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert made.manifest.loads == loads(mine)


def test_older_backups_of_this_office_go_and_nothing_else(mine: Office, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    others = [to / "pfo-other-2026-03-01T020000Z", to / "pfo-test-office-2026-03-01T020000Z", to / "notes"]
    for folder in others:
        folder.mkdir(parents=True)
    (others[0] / "manifest.json").write_text("{}", encoding="utf-8")

    made = [back_up(find_place(), to, NOW + timedelta(days=day), keep=2) for day in range(4)]

    assert {p for p in to.iterdir() if p.is_dir()} == {made[2].folder, made[3].folder, *others}
    assert [b.removed for b in made] == [(), (), (made[0].folder,), (made[1].folder,)]


def test_two_backups_at_once_are_not_taken(mine: Office, tmp_path: Path) -> None:
    with (
        hold_lock(mine.files.private / "backup.lock", deadline_seconds=5),
        pytest.raises(BackupFailed, match="is making a backup"),
    ):
        back_up(find_place(), tmp_path / "backups", NOW)


def test_a_backup_that_fails_leaves_nothing_behind(mine: Office, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    back_up(find_place(), to, NOW)
    (mine.data_dir / "dagster" / "history" / "runs.db").write_bytes(b"not a database" * 99)

    with pytest.raises(BackupFailed, match=r"runs\.db is damaged \(.*\)\. No backup was made"):
        back_up(find_place(), to, NOW + timedelta(days=1))

    assert [p.name for p in to.iterdir()] == ["pfo-test-office-2026-03-31T020000Z"]
    assert last_made(mine) == NOW


def test_what_a_killed_backup_left_is_cleared(mine: Office, tmp_path: Path) -> None:
    abandoned = tmp_path / "backups" / ".pfo-test-office-2026-03-30T020000Z.draft"
    abandoned.mkdir(parents=True)

    back_up(find_place(), tmp_path / "backups", NOW)

    assert not abandoned.exists()


def test_a_folder_that_cannot_be_written_is_named(mine: Office, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file", encoding="utf-8")

    with pytest.raises(BackupFailed, match="backups"):
        back_up(find_place(), tmp_path / "backups", NOW)


def test_before_the_first_run_there_is_nothing_to_back_up(
    tmp_path: Path, elsewhere: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_to(elsewhere, monkeypatch)
    elsewhere.write()

    with pytest.raises(LedgerMissing, match="make run"):
        back_up(find_place(), tmp_path / "backups", NOW)


@pytest.mark.parametrize(
    ("damaged", "printed"),
    [
        ("ledger/canonical.duckdb", "ledger/canonical.duckdb: is not what was written"),
        ("private/webhooks.sqlite", "private/webhooks.sqlite: is not what was written"),
        ("config/pfo.toml", "config/pfo.toml: is missing"),
        ("manifest.json", "is not what `pfo backup` writes"),
        ("../elsewhere", "../elsewhere: lies outside the backup"),
        ("format", "has format 2; this program knows 1. Update the program."),
    ],
)
def test_a_damaged_backup_is_refused_by_name_and_nothing_is_touched(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str, printed: str
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    manifest = json.loads((made.folder / "manifest.json").read_text())
    if damaged == "format":
        manifest["format"] = 2
    elif damaged.startswith(".."):
        (tmp_path / "backups" / "elsewhere").write_text("x")
        manifest["files"][damaged] = sha256_of(tmp_path / "backups" / "elsewhere")
    elif damaged == "manifest.json":
        del manifest["heads"]
    elif damaged == "config/pfo.toml":
        (made.folder / damaged).unlink()
    else:
        content = bytearray((made.folder / damaged).read_bytes())
        content[len(content) // 2] ^= 1
        (made.folder / damaged).write_bytes(content)
    (made.folder / "manifest.json").write_text(json.dumps(manifest))

    move_to(elsewhere, monkeypatch)
    with pytest.raises(BackupDamaged) as refused:
        restore_backup(made.folder, NOW)

    assert printed in str(refused.value)
    assert not elsewhere.folder.exists()


def rewrite_manifest(made: Backup, **changes: object) -> None:
    """Change the manifest, as somebody could who may write there; its files keep the right SHA-256."""
    path = made.folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    manifest["files"] = {name: sha256_of(made.folder / name) for name in manifest["files"]}
    path.write_text(json.dumps(manifest))


def restored(made: Backup, *options: str) -> Result:
    result = CliRunner().invoke(main, ["restore", "--from", str(made.folder), *options])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("private/canonical.duckdb", "is not part of a backup"),
        ("private/canonical.lock", "is not part of a backup"),
        ("private/backup.json", "is not part of a backup"),
        ("private/deeper/x.json", "is not part of a backup"),
        ("private/../x.json", "is not part of a backup"),
        ("dagster/history/../../x.db", "is not part of a backup"),
        ("dagster/x.py", "is not part of a backup"),
        ("config/other.toml", "is not part of a backup"),
        ("secrets/x.pth", "is not part of a backup"),
        ("../x.json", "lies outside the backup"),
        ("/etc/hostname", "lies outside the backup"),
        ("private/a\0.json", "lies outside the backup"),
    ],
)
def test_a_file_that_no_backup_has_is_refused_and_nothing_is_touched(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, printed: str
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    files = dict(made.manifest.files)
    if not name.startswith("/") and "\0" not in name:
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made.folder / "ledger" / "canonical.duckdb", made.folder / name)
        files[name] = sha256_of(made.folder / name)
    files.setdefault(name, "0" * 64)
    path = made.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    move_to(elsewhere, monkeypatch)

    result = restored(made)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"BackupDamaged: {made.folder} is damaged. Nothing was restored.")
    assert printed in result.stderr
    assert not elsewhere.folder.exists()


@pytest.mark.parametrize("reference", ["file:other", "file:../x", "file:/tmp/x.pth", "env:X"])
def test_a_secret_that_the_configuration_does_not_name_is_refused(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)
    rewrite_manifest(made, secrets=[{"reference": reference, "file": "secrets/1"}])
    move_to(elsewhere, monkeypatch)

    result = restored(made)

    assert result.exit_code == 1
    assert f"the configuration has no secret {reference!r}. Nothing was restored." in result.stderr
    assert not elsewhere.folder.exists()


def test_a_secret_outside_of_the_configurations_folder_is_not_written_and_said(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "safe", elsewhere.folder):
        folder.mkdir()
    places = {"jane": tmp_path / "safe" / "jane.token", "john": tmp_path / "john.token"}
    text = mine.config.read_text(encoding="utf-8")
    for (tenant, user), written in ((("smith", "jane"), str(places["jane"])), (("jones", "john"), "../john.token")):
        shutil.move(mine.folder / f"{tenant}.{user}.token", places[user])
        text = text.replace(f'"file:{tenant}.{user}.token"', json.dumps(f"file:{written}"))
    mine.config.write_text(text, encoding="utf-8")
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)
    tokens = {user: path.read_bytes() for user, path in places.items()}
    for path in places.values():
        path.unlink()
    move_to(elsewhere, monkeypatch)

    result = restored(made)

    assert result.exit_code == 0, result.output
    assert not any(path.exists() for path in places.values())
    commands = [line.strip() for line in result.stdout.splitlines() if line.strip().startswith("cp ")]
    for command in commands:
        subprocess.run(["/bin/sh", "-c", command], check=True)
    assert {user: path.read_bytes() for user, path in places.items()} == tokens


def altered(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("update ledger.balances set current_balance = 1")


def forged(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("use ledger")
        con.execute("create or replace view totals as select tenant_id, 2 as current_balance from balances")


def without_a_table(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("drop table ledger.loads")


def of_no_office(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("delete from ledger.office")


def of_no_migrations(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("delete from ledger.migrations")


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for position in range(12_288 + 1_000, len(content), 262_144):
        content[position] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("change", [altered, forged, without_a_table, of_no_office, of_no_migrations, damaged])
def test_a_backup_whose_ledger_is_not_what_was_written_is_named_and_nothing_else_is_put_back(
    mine: Office,
    elsewhere: Office,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)
    change(made.folder / "ledger" / "canonical.duckdb")
    rewrite_manifest(made)
    before = {path: path.read_bytes() for path in (mine.files.primary, mine.files.published, mine.config)}

    here = restored(made, "--replace-newer")
    move_to(elsewhere, monkeypatch)
    there = restored(made)

    for result in (here, there):
        assert result.exit_code == 1
        assert result.stderr.startswith(f"LedgerDamaged: {made.folder / 'ledger' / 'canonical.duckdb'}")
        assert "Nothing was changed. Name another backup." in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not any(path.is_file() for path in elsewhere.folder.glob("*"))
    assert not elsewhere.files.primary.exists()
    assert not list(mine.files.private.glob("before-restore-*"))


def test_a_damaged_database_within_a_backup_is_named_and_nothing_is_touched(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    path = made.folder / "dagster" / "history" / "runs.db"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 2000] = b"x" * 2000
    path.write_bytes(content)
    rewrite_manifest(made)
    move_to(elsewhere, monkeypatch)

    result = restored(made)

    assert result.exit_code == 1
    assert "dagster/history/runs.db: is a damaged database" in result.stderr
    assert not elsewhere.folder.exists()


def test_a_backup_of_an_earlier_version_is_migrated_and_checked(
    elsewhere: Office, mine: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    ledger = made.folder / "ledger" / "canonical.duckdb"
    ledger.write_bytes(gzip.decompress(EARLIER.read_bytes()))
    (made.folder / "config" / "pfo.toml").unlink()
    manifest = json.loads((made.folder / "manifest.json").read_text())
    del manifest["files"]["config/pfo.toml"]
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    rewrite_manifest(made, office="demo", schema_version=4)
    monkeypatch.delenv("PFO_CONFIG")
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "demo"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "demo" / "dagster"))
    monkeypatch.chdir(tmp_path)

    result = restored(made)

    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(main, ["verify"]).exit_code == 0


def test_a_restore_into_the_same_second_keeps_what_the_one_before_put_aside(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)

    asides = [restore_backup(made.folder, NOW, replace_newer=True).aside for _ in range(2)]

    assert len({*asides}) == 2
    assert all(aside and (aside / "canonical.duckdb").exists() for aside in asides)


@pytest.mark.parametrize("keep", [1, 2])
def test_the_backup_just_made_stays_whatever_the_clock_said_before(mine: Office, tmp_path: Path, keep: int) -> None:
    to = tmp_path / "backups"
    ahead = [back_up(find_place(), to, NOW + timedelta(days=400 + day)) for day in range(2)]

    made = back_up(find_place(), to, NOW, keep=keep)

    assert made.folder.is_dir()
    assert made.removed == tuple(backup.folder for backup in ahead[: 3 - keep])
    assert len(list(to.iterdir())) == keep


def test_a_newer_ledger_is_not_replaced_unless_told_and_then_put_aside(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    before = loads(mine)
    add_load(mine, "5.00")
    (mine.files.private / "alerts.json").write_text("{}", encoding="utf-8")

    with pytest.raises(LedgerAhead, match=r"canonical\.duckdb holds loads that .*canonical\.duckdb lacks"):
        restore_backup(made.folder, NOW)
    assert loads(mine) == before + 2
    assert (mine.files.private / "alerts.json").read_text() == "{}"

    done = restore_backup(made.folder, NOW, replace_newer=True)
    assert loads(mine) == before
    assert json.loads((mine.files.private / "alerts.json").read_text()) == {"smith/1": 7}
    assert done.aside is not None
    with duckdb.connect(str(done.aside / "canonical.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from ledger.loads").fetchall() == [(before + 2,)]
    assert (done.aside / "private" / "alerts.json").read_text() == "{}"
    add_load(mine, "6.00")
    assert loads(mine) == before + 2


def test_a_lost_or_garbled_primary_is_replaced(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    before = loads(mine)
    mine.files.primary.write_bytes(b"garbled" * 1000)

    done = restore_backup(made.folder, NOW)

    assert loads(mine) == before
    assert done.aside is not None
    assert (done.aside / "canonical.duckdb").read_bytes().startswith(b"garbled")


def test_another_offices_backup_is_refused_before_anything_is_written(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW, with_secrets=True)
    text = mine.config.read_text(encoding="utf-8")
    mine.config.write_text(text.replace("test-office", "other"), encoding="utf-8")
    token = next(mine.folder.glob("*.token"))
    token.unlink()

    with pytest.raises(LedgerForeign, match="The backup is of office 'test-office'"):
        restore_backup(made.folder, NOW, replace_newer=True)

    assert not token.exists()


def test_a_journal_is_not_mixed_into_what_is_put_back(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)
    journal = mine.files.private / "webhooks.sqlite-journal"
    journal.write_bytes(b"of what was there before")

    done = restore_backup(made.folder, NOW, replace_newer=True)

    assert not journal.exists()
    assert done.aside is not None
    assert (done.aside / "private" / journal.name).exists()


def test_a_run_that_goes_on_must_end_before_a_restore(mine: Office, tmp_path: Path) -> None:
    made = back_up(find_place(), tmp_path / "backups", NOW)

    with (
        hold_lock(mine.files.tenant_lock("smith"), deadline_seconds=5),
        pytest.raises(RestoreFailed, match="is at work on the data folder"),
    ):
        restore_backup(made.folder, NOW)


@needs_encryption
def test_an_encrypted_ledger_stays_encrypted_and_needs_its_key(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.folder / "key").write_text("correct-horse", encoding="utf-8")
    text = mine.config.read_text(encoding="utf-8")
    mine.config.write_text(f'encryption_key = "file:key"\n{text}', encoding="utf-8")
    find_place().ledger.rekey(None)
    made = back_up(find_place(), tmp_path / "backups", NOW)
    whole = back_up(find_place(), tmp_path / "backups", NOW + timedelta(days=1), with_secrets=True)

    assert made.manifest.encrypted
    assert b"current_balance" not in (made.folder / "ledger" / "canonical.duckdb").read_bytes()
    move_to(elsewhere, monkeypatch)
    elsewhere.folder.mkdir()
    (elsewhere.folder / "key").write_text("wrong", encoding="utf-8")
    with pytest.raises(LedgerKeyRefused):
        restore_backup(made.folder, NOW)
    (elsewhere.folder / "key").unlink()
    restored = restore_backup(whole.folder, NOW)

    assert restored.heads == whole.manifest.heads
    assert (elsewhere.folder / "key").read_text() == "correct-horse"
    assert (elsewhere.folder / "key").stat().st_mode & 0o777 == 0o600
    assert find_place().reader.tenants() == ["jones", "smith"]


def test_a_user_may_not(mine: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    with pytest.raises(OperationRefused, match="needs role admin"):
        back_up(find_place(), tmp_path / "backups", NOW)
    with pytest.raises(OperationRefused, match="needs role admin"):
        restore_backup(tmp_path, NOW)


def test_the_commands_say_what_they_did_and_what_is_next(
    mine: Office, elsewhere: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CliRunner().invoke(main, ["backup", "--to", str(tmp_path / "backups"), "--keep", "1"])
    assert made.exit_code == 0, made.output
    heads = {line.strip() for line in made.stdout.splitlines() if line.startswith("  ")}
    assert {head.split()[0] for head in heads} == {"jones", "smith"}
    folder = made.stdout.partition(": ")[0]
    move_to(elsewhere, monkeypatch)

    put_back = CliRunner().invoke(main, ["restore", "--from", folder])

    assert put_back.exit_code == 0, put_back.output
    assert heads <= {line.strip() for line in put_back.stdout.splitlines()}
    assert f"the backup's is in {elsewhere.config} now" in put_back.stdout
    assert "tenants.smith.users.jane.token: file " in put_back.stdout
    again = CliRunner().invoke(main, ["restore", "--from", str(tmp_path)])
    assert again.exit_code == 1
    assert "Name a folder that `pfo backup` has made" in again.stderr
