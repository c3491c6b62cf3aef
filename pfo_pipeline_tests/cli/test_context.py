"""Folders that cannot be used, and a Dagster storage that is broken: named with a remedy, never a traceback."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.dagster_history import HistoryUnusable, locking_history, opened_history
from pfo_pipeline.defs.from_contract import TENANTS
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline_tests.defs.conftest import empty_history
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

__all__ = ["empty_history"]

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

READS = [["status"], ["accounts"], ["balances"], ["sql", "select 1"], ["demo", "remove"]]


def refused(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture
def configured(office: Office) -> Office:
    office.add_tenant("smith", "jane")
    return office


@pytest.mark.parametrize("words", [*READS, ["run"], ["dev"], ["reconnect", "--tenant", "smith", "--connection", "1"]])
@pytest.mark.parametrize(
    ("name", "why"), [("file", "it is a file"), ("file/below", "Not a directory"), ("a" * 300, "File name too long")]
)
def test_what_is_no_data_folder_is_named(
    configured: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], name: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / name))

    assert f"{name} cannot be the data folder: {why}. Set PFO_DATA_DIR" in refused(*words)


@pytest.mark.parametrize("words", [["run"], ["dev"]])
@pytest.mark.parametrize("variable", ["PFO_DATA_DIR", "DAGSTER_HOME"])
def test_a_folder_that_cannot_be_made_is_named(
    configured: Office, monkeypatch: pytest.MonkeyPatch, words: list[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "/proc/nowhere")

    printed = refused(*words)

    assert printed.startswith("PlaceError: /proc/nowhere cannot be written: No such file or directory. ")
    assert variable in printed


def test_a_folder_that_may_not_be_written_is_named(configured: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.TemporaryFile", full)

    assert f"PlaceError: {configured.data_dir} cannot be written: Permission denied. Set PFO_DATA_DIR" in refused("run")


def test_a_full_disk_leaves_no_half_of_dagsters_settings(configured: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended `pfo run` in a traceback, and the next one had Dagster's own settings instead of ours."""

    def full(_: Path, target: Path) -> None:
        target.write_text("")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "source")

    monkeypatch.setattr(shutil, "copyfile", full)

    printed = refused("run")

    home = configured.data_dir / "dagster"
    assert printed.startswith(f"PlaceError: {home / 'dagster.yaml'} cannot be written: No space left on device. ")
    assert list(home.iterdir()) == []


def test_what_the_system_refuses_elsewhere_is_told_too(configured: Office) -> None:
    (configured.data_dir / "private").write_text("")

    printed = refused("dev")

    assert printed == f"{configured.data_dir / 'private'}: File exists. Fix that and run again; nothing was lost.\n"


@pytest.mark.parametrize("words", [*READS, ["run"], ["reconnect", "--tenant", "smith", "--connection", "1"]])
def test_a_folder_in_the_ledgers_place_is_named(configured: Office, words: list[str]) -> None:
    configured.files.published.mkdir()

    assert "is a folder, in the ledger's place. Move it away and run `pfo run`." in refused(*words)


@pytest.mark.parametrize("text", [b"a: [b", b"nonsense: 5", b"\xff\xfe", b"storage: 5", b"- 1"])
def test_dagster_settings_that_cannot_be_read_are_named(configured: Office, text: bytes) -> None:
    (configured.data_dir / "dagster" / "dagster.yaml").write_bytes(text)

    printed = refused("run")

    assert printed.startswith(
        f"HistoryUnusable: Dagster's storage in {configured.data_dir / 'dagster'} cannot be used: "
    )
    assert "fix dagster.yaml there if that is named" in printed


def garble(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def as_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("history/runs.db", garble),
        ("history/runs/index.db", garble),
        ("schedules/schedules.db", garble),
        ("history", as_file),
    ],
)
def test_a_storage_that_is_damaged_is_named(
    empty_history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[Path], None]
) -> None:
    home = shutil.copytree(empty_history, tmp_path / "dagster")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    damage(home / name)

    with (
        pytest.raises(HistoryUnusable, match="The ledger is not touched") as printed,
        opened_history(tmp_path / "lock") as instance,
    ):
        instance.has_dynamic_partition(TENANTS, "smith")

    assert str(home) in str(printed.value)


def test_a_program_that_never_ends_its_turn_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfo_pipeline.cli.dagster_history._DEADLINE_SECONDS", 0.0)

    with (
        hold_lock(tmp_path / "lock", deadline_seconds=0),
        pytest.raises(HistoryUnusable, match=rf"process {os.getpid()} has been making Dagster's storage"),
        locking_history(tmp_path / "lock"),
    ):
        pass
