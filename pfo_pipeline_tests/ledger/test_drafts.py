"""A file that replaces another one is on disk before it does, and its name is on disk afterwards."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline.atomic_files import draft_of


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "figures.txt"
    path.write_text("old")
    return path


def replace(target: Path) -> None:
    with draft_of(target, 0o640) as draft:
        draft.write_text("new")


def test_the_draft_is_on_disk_before_it_is_renamed_and_the_folder_afterwards(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sync, rename = os.fsync, os.replace

    def watched_sync(handle: int) -> None:
        status = os.fstat(handle)
        if os.path.samestat(status, target.parent.stat()):
            seen.append("folder to disk")
        else:
            [draft] = target.parent.glob(".*.draft")
            assert os.path.samestat(status, draft.stat())
            seen.append(f"{draft.read_text()} with mode {status.st_mode & 0o777:o} to disk")
        sync(handle)

    def watched_rename(source: Any, destination: Any) -> None:
        assert Path(destination) == target
        seen.append("rename")
        rename(source, destination)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_rename)
    replace(target)

    assert seen == ["new with mode 640 to disk", "rename", "folder to disk"]
    assert target.read_text() == "new"


def test_a_draft_that_is_not_on_disk_replaces_nothing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        replace(target)

    assert [path.name for path in target.parent.iterdir()] == ["figures.txt"]
    assert target.read_text() == "old"
