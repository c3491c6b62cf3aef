"""One machine's life as programs: a run, a backup, another machine that continues; and the permissions of its files."""

import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline_tests.defs.office import Office
from pfo_pipeline_tests.integration.programs import PFO, environment

PROJECT = Path(__file__).parents[2]
PUBLISHED = "ledger.duckdb"
READ_BY_MONITORS = "alerts.jsonl"


@pytest.fixture
def troubled(office: Office) -> Office:
    """A healthy tenant, and one whose token is refused, so that there is an alert."""
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "10.01")
    office.add_tenant("jones", "john")
    office.set_token("jones", "john", "refused")
    return office


def pfo(office: Office, umask: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PFO, *words],
        cwd=office.folder,
        env=environment({"PFO_CONFIG": str(office.config), "PFO_DATA_DIR": str(office.data_dir)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        umask=umask,
    )


def modes(folder: Path) -> Iterator[tuple[str, int]]:
    for path in (folder, *folder.rglob("*")):
        yield str(path.relative_to(folder)), stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_with_any_umask_private_files_are_private_and_published_ones_read_only(
    troubled: Office, tmp_path: Path, umask: int
) -> None:
    backups = tmp_path / "backups"

    shutil.rmtree(troubled.data_dir)
    assert pfo(troubled, umask, "run").returncode == 1  # because of the token
    assert pfo(troubled, umask, "backup", "--to", str(backups), "--with-secrets").returncode == 0

    found = dict(modes(troubled.data_dir))
    assert found.pop(PUBLISHED) == 0o444
    assert found.pop(READ_BY_MONITORS) == 0o644 & ~umask
    assert found.pop(".") == 0o755 & ~umask
    assert found["private"] == found["dagster"] == 0o700
    # Files in Dagster's folder have Dagster's modes; nobody else can reach them.
    private = {path: mode for path, mode in found.items() if path.startswith("private")}
    assert {path: oct(mode) for path, mode in private.items() if mode & 0o077} == {}
    assert len(private) > 5
    assert {path for path in found if not path.startswith(("private", "dagster"))} == set()
    assert {path: oct(mode) for path, mode in modes(backups) if mode & 0o077} == {}


def test_after_the_loss_of_dagsters_folder_a_run_adds_nothing_twice(office: Office) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "10.01")
    assert pfo(office, 0o077, "run").returncode == 0
    before = office.ask("from balances")
    shutil.rmtree(office.data_dir / "dagster")

    again = pfo(office, 0o077, "run")

    assert again.returncode == 0, again.stdout + again.stderr
    assert [line for line in again.stdout.splitlines() if " new rows" in line and " 0 new rows" not in line] == []
    assert office.ask("from balances") == before
    assert (office.data_dir / "dagster" / "dagster.yaml").exists()


@pytest.mark.parametrize("broken", ["dagster.yaml", "history/runs.db"])
def test_servers_end_with_the_reason_if_the_storage_does_not_open(office: Office, broken: str) -> None:
    office.add_tenant("smith", "jane")
    assert pfo(office, 0o077, "migrate").returncode == 0
    (office.data_dir / "dagster" / broken).write_text("}{ not what it was" * 99, encoding="utf-8")
    shutil.copyfile(PROJECT / "workspace.yaml", office.folder / "workspace.yaml")

    ended = pfo(office, 0o077, "dev", "--port", "0")

    assert ended.returncode == 1
    assert ended.stderr.startswith("HistoryUnusable: Dagster's storage in ")
    assert "Traceback" not in ended.stdout + ended.stderr


def test_another_machine_continues_where_the_backup_ends(
    troubled: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pfo(troubled, 0o077, "run", "--tenant", "smith")
    made = pfo(troubled, 0o077, "backup", "--to", str(tmp_path / "backups"), "--with-secrets")
    (backup,) = (tmp_path / "backups").iterdir()
    new = Office(troubled.bank, tmp_path / "new", users=troubled.users)
    new.folder.mkdir()

    restored = pfo(new, 0o077, "restore", "--from", str(backup))
    again = pfo(new, 0o077, "run", "--tenant", "smith")
    verified = pfo(new, 0o077, "verify")

    assert made.returncode == restored.returncode == 0, made.stderr + restored.stderr
    assert again.returncode == 0, again.stdout + again.stderr
    assert all(" 0 new rows" in line for line in again.stdout.splitlines() if " new rows" in line)
    assert verified.returncode == 0, verified.stderr
    assert new.ask("select current_balance::varchar from balances") == [("10.0100000000",)]
    with duckdb.connect(str(new.files.published), read_only=True) as reader:
        assert reader.execute("select count(*) from ledger.ledger.positions").fetchall() == [(1,)]
