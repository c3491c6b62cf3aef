"""Replacing a file as a whole: readers have the old one or the new one, a crash leaves the old one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(target: Path, mode: int) -> Iterator[Path]:
    """A path beside `target`: what the block writes there takes its place when the block ends well, on disk, with `mode`.

    Only for who holds the ledger's turn: a draft that lies there already was begun by somebody who died.
    """
    for abandoned in target.parent.glob(f".{target.name}.*.draft*"):
        abandoned.unlink()
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
        draft.chmod(mode)
        _to_disk(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
