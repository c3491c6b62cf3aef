"""Replaces a file as a whole: readers have the old one or the new one, and a crash leaves the old one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(target: Path, mode: int) -> Iterator[Path]:
    """A path beside `target`: what the block writes there takes its place when the block ends well, on disk, with `mode`.

    Only for who holds the lock that belongs to `target`.
    """
    with scratch_beside(target) as draft:
        yield draft
        draft.chmod(mode)
        _to_disk(draft)
        draft.replace(target)
    _to_disk(target.parent)


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A path beside `target`, for a file that is gone when the block ends.

    Only for who holds the lock that belongs to `target`: one that lies there already was begun by somebody who died.
    """
    for abandoned in target.parent.glob(f".{target.name}.*.draft*"):
        if abandoned.is_dir():  # What DuckDB did not hold in memory, of a process that died.
            shutil.rmtree(abandoned)
        else:
            abandoned.unlink()
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
