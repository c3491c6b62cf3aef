"""Atomic file replacement: readers see the old file or the new one, and a crash leaves the old one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(target: Path, mode: int) -> Iterator[Path]:
    """Yield a path beside `target`. When the block ends without error, the file replaces `target`, synced to disk, with
    `mode`.

    The caller must hold the lock of `target`.
    """
    with scratch_beside(target) as draft:
        yield draft
        draft.chmod(mode)
        sync_to_disk(draft)
        draft.replace(target)
    sync_to_disk(target.parent)


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` for a file that is deleted when the block ends.

    The caller must hold the lock of `target`: a file that already exists there was left by a process that died.
    """
    for abandoned in target.parent.glob(f".{target.name}.*.draft*"):
        if abandoned.is_dir():  # DuckDB's spill files of a process that died.
            shutil.rmtree(abandoned)
        else:
            abandoned.unlink()
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
