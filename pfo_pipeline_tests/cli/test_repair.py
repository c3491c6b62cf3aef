"""Whatever was done to the ledger's files: `pfo verify` names it, and what it prints to put it right does, run as printed."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.cli.backup import back_up
from pfo_pipeline.cli.context import find_place
from pfo_pipeline.ledger.connection import open_file
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office
from pfo_pipeline_tests.ledger.samples import account, balance, batch, connection, needs_encryption, user

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

BLOCK_BYTES = 262_144
HEADER_BYTES = 12_288
KEY = "correct-horse"
AN_EARLIER_SECOND = datetime(2026, 6, 1, 3, tzinfo=UTC)
"""Backups are named by the second in which they begin."""
PLAIN, ENCRYPTED, WITHHELD = "", 'encryption_key = "file:key"', "publish_personal_columns = false"
EACH_WAY = pytest.mark.parametrize(
    "setting", [PLAIN, pytest.param(ENCRYPTED, marks=needs_encryption)], ids=["plain", "encrypted"]
)


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.fixture
def mine(here: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the synced office, in a folder whose name a shell would split."""
    folder = shutil.copytree(here.folder, tmp_path / "the office's own")
    monkeypatch.setenv("PFO_CONFIG", str(folder / "pfo.toml"))
    monkeypatch.setenv("PFO_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "data" / "dagster"))
    # One tenant: `pfo run` is most of what these tests take.
    john = {key: found for key, found in here.users.items() if "jones" in key}
    mine = replace(here, folder=folder, elsewhere=None, tenants={"jones": here.tenants["jones"]}, users=john)
    mine.write()
    return mine


def configure(office: Office, setting: str) -> None:
    """Have the office's files be what a setting says."""
    if not setting:
        return
    (office.folder / "key").write_text(KEY, encoding="utf-8")
    office.config.write_text(f"{setting}\n{office.config.read_text(encoding='utf-8')}", encoding="utf-8")
    assert run("rekey" if setting == ENCRYPTED else "migrate").exit_code == 0


def add_load(tenant: str) -> None:
    rows = [replace(row, tenant_id=tenant) for row in (user(), connection(), account(), balance("5"))]
    find_place().ledger.merge(batch(*rows, run_id=f"run of {tenant}"))


def flip_a_block(path: Path, key: str | None = None) -> None:
    """Overwrite some bytes of a block that holds balances."""
    with open_file(path, key=key, read_only=True) as con:
        enter(con)
        segments = "select block_id, block_offset from pragma_storage_info('balances') where block_id >= 0 order by all"
        block, offset = con.execute(segments).fetchall()[0]
    content = bytearray(path.read_bytes())
    start = HEADER_BYTES + block * BLOCK_BYTES + offset + 16
    for position in range(start, start + 8):
        content[position] ^= 0x55
    overwrite(path, bytes(content))


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def garble(path: Path) -> None:
    overwrite(path, b"garbled" * 4000)


def forge(path: Path) -> None:
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        con.execute(f'use "{path.stem}".ledger')
        con.execute("create or replace view totals as select tenant_id, currency, 2 * current_balance from balances")


def findings(result: Result) -> list[str]:
    assert result.exit_code == 1, result.output
    printed, _, _ = result.stderr.partition("To put it right:")
    return [line.strip() for line in printed.splitlines()[1:]]


def put_right(result: Result) -> str:
    """Run the command that was printed; what it costs stands below it."""
    command = result.stderr.partition("To put it right:\n")[2].splitlines()[0].strip()
    for step in command.split(" && "):
        if step.startswith("pfo "):
            done = run(*shlex.split(step)[1:])
            assert done.exit_code == 0, done.output
        else:
            subprocess.run(["/bin/sh", "-c", step], check=True, stdin=subprocess.DEVNULL)
    return command


def loads() -> list[tuple[int, str]]:
    with find_place().opened() as con:
        return con.execute("select load_id, run_id from loads order by 1").fetchall()


@EACH_WAY
def test_a_damaged_block_of_the_primary(mine: Office, setting: str, tmp_path: Path) -> None:
    configure(mine, setting)
    backups = tmp_path / "backups"
    assert run("backup", "--to", str(backups)).exit_code == 0
    (kept,) = backups.iterdir()
    kept = kept.rename(backups / "pfo-test-office-2026-01-01T000000Z")
    before, published = loads(), mine.files.published.read_bytes()
    flip_a_block(mine.files.primary, KEY if setting else None)

    backup = run("backup", "--to", str(backups), "--keep", "1")

    assert backup.exit_code == 1
    assert (
        f"BackupFailed: No backup was made, and the ones before are as they were. {mine.files.primary}: "
        in backup.stderr
    )
    assert backup.stderr.endswith("pfo verify\n")
    assert list(backups.iterdir()) == [kept]
    failed = run("migrate")
    assert failed.exit_code == 1
    assert str(mine.files.primary) in failed.stderr
    assert mine.files.published.read_bytes() == published

    verified = run("verify")

    (finding,) = findings(verified)
    assert finding.startswith(f"primary: {mine.files.primary}: the file does not open")
    assert put_right(verified) == "pfo restore --from-published"
    assert run("verify").exit_code == 0
    assert loads() == before
    assert run("backup", "--to", str(backups), "--keep", "1").exit_code == 0
    assert not kept.exists()


@EACH_WAY
def test_a_damaged_published_copy(mine: Office, setting: str) -> None:
    configure(mine, setting)
    before = loads()
    flip_a_block(mine.files.published, KEY if setting else None)

    verified = run("verify")

    (finding,) = findings(verified)
    assert finding.startswith("published copy: ")
    assert "pfo run" not in finding
    assert put_right(verified) == "pfo run"
    assert run("verify").exit_code == 0
    assert set(before) < set(loads())


def lost(office: Office) -> None:
    office.files.primary.unlink()


def without_its_load_log(office: Office) -> None:
    with duckdb.connect(str(office.files.primary)) as con:
        con.execute("drop table ledger.loads")


def of_no_office(office: Office) -> None:
    with duckdb.connect(str(office.files.primary)) as con:
        con.execute("delete from ledger.office")


def without_its_withheld(office: Office) -> None:
    with duckdb.connect(str(office.files.primary)) as con:
        con.execute("drop table ledger.withheld")


def with_other_migrations(office: Office) -> None:
    with duckdb.connect(str(office.files.primary)) as con:
        con.execute("drop table ledger.migrations; create table ledger.migrations (x integer)")


def lost_and_the_copys_view_forged(office: Office) -> None:
    lost(office)
    forge(office.files.published)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lost, "is gone, but"),
        (without_its_load_log, "table loads: is missing"),
        (of_no_office, "does not say which office it is of"),
        (without_its_withheld, "its tables are not those of a ledger"),
        (with_other_migrations, "its tables are not those of a ledger"),
        (lost_and_the_copys_view_forged, "published copy, view totals"),
    ],
)
def test_a_primary_that_is_none_any_more(mine: Office, damage: Callable[[Office], None], named: str) -> None:
    before = loads()
    damage(mine)

    for words in (("backup", "--to", "backups", "--keep", "1"), ("migrate",)):
        refused = run(*words)
        assert refused.exit_code == 1
        assert str(mine.files.primary) in refused.stderr
        assert refused.stderr.endswith("pfo verify\n")
    verified = run("verify")

    assert any(named in finding for finding in findings(verified))
    assert put_right(verified) == "pfo restore --from-published"
    assert run("verify").exit_code == 0
    assert loads() == before


@pytest.mark.parametrize("later", [0, 2], ids=["as it was", "with later loads"])
def test_an_older_backup_in_the_primarys_place(mine: Office, later: int, tmp_path: Path) -> None:
    older = mine.files.primary.read_bytes()
    add_load("oak")
    find_place().ledger.publish()
    before = loads()
    back_up(find_place(), tmp_path / "backups", AN_EARLIER_SECOND)
    overwrite(mine.files.primary, older)
    for number in range(later):
        add_load(f"ash{number}")

    refused = run("backup", "--to", str(tmp_path / "backups"), "--keep", "1")

    assert refused.exit_code == 1
    assert "an older state of it" in refused.stderr
    assert len(list((tmp_path / "backups").iterdir())) == 1
    verified = run("verify")
    assert put_right(verified) == "pfo restore --from-published" + " --replace-newer" * bool(later)
    assert run("verify").exit_code == 0
    assert loads() == before


def test_both_files_damaged_and_a_backup_known(mine: Office, tmp_path: Path) -> None:
    before = loads()
    assert run("backup", "--to", str(tmp_path / "my backups")).exit_code == 0
    (made,) = (tmp_path / "my backups").iterdir()
    add_load("oak")
    find_place().ledger.publish()
    flip_a_block(mine.files.primary)
    shutil.copyfile(mine.files.primary, tmp_path / "same")
    overwrite(mine.files.published, (tmp_path / "same").read_bytes())

    verified = run("verify")

    assert [finding.split(":")[0] for finding in findings(verified)] == ["primary", "published copy"]
    assert put_right(verified) == f"pfo restore --from '{made}' --replace-newer"
    assert run("verify").exit_code == 0
    assert loads() == before


def test_nothing_whole_and_no_backup_known(mine: Office) -> None:
    garble(mine.files.published)
    (mine.data_dir / "damaged").mkdir()
    lost(mine)

    verified = run("verify")

    assert len(findings(verified)) == 2
    assert put_right(verified).startswith("mkdir ")
    assert run("verify").exit_code == 0
    assert {path.name for path in (mine.data_dir / "damaged-2").iterdir()} >= {"ledger.duckdb"}
    assert list((mine.data_dir / "damaged").iterdir()) == []
    assert min(load_id for load_id, _ in loads()) == 1


def test_a_published_copy_without_personal_columns_is_never_put_back(mine: Office, tmp_path: Path) -> None:
    configure(mine, WITHHELD)
    assert run("backup", "--to", str(tmp_path / "backups")).exit_code == 0
    before = loads()
    flip_a_block(mine.files.primary)

    refused = run("restore", "--from-published")
    assert refused.exit_code == 1
    assert str(mine.files.published) in refused.stderr
    verified = run("verify")

    assert put_right(verified).startswith("pfo restore --from ")
    assert run("verify").exit_code == 0
    assert loads() == before
    assert mine.ask("select count(*) from accounts where iban is not null", published=False) != [(0,)]


def test_an_older_primary_beside_a_copy_without_personal_columns_goes_on(mine: Office) -> None:
    configure(mine, WITHHELD)
    older = mine.files.primary.read_bytes()
    before = loads()
    add_load("oak")
    find_place().ledger.publish()
    overwrite(mine.files.primary, older)

    verified = run("verify")

    assert re.fullmatch(r"mv '.*' '.*altered' && pfo run|mv .* && pfo run", put_right(verified))
    assert run("verify").exit_code == 0
    assert set(before) < set(loads())
    assert mine.files.published.with_name("ledger.duckdb.altered").exists()


@pytest.mark.parametrize("which", ["primary", "published", "both"])
def test_a_forged_view(mine: Office, which: str, tmp_path: Path) -> None:
    for path in {"primary": [mine.files.primary], "published": [mine.files.published]}.get(
        which, [mine.files.primary, mine.files.published]
    ):
        forge(path)
    backup = run("backup", "--to", str(tmp_path / "backups"))
    assert (backup.exit_code == 0) == (which == "published")

    verified = run("verify")

    about = "published copy, view totals" if which == "published" else "view totals"
    assert f"{about}: is not what the migrations make" in findings(verified)
    assert put_right(verified) == ("pfo run" if which == "published" else "pfo migrate")
    assert run("verify").exit_code == 0
    with open_file(mine.files.primary, read_only=True) as con:  # `pfo run` has read the bank again.
        enter(con)
        assert mine.ask("from totals order by all") == con.execute("from totals order by all").fetchall()
