"""Writers of different processes queue here, with a deadline.

A lock file of our own, beside the ledger: the system drops the lock with the process, so a crashed writer blocks nobody.
DuckDB's own lock would refuse instead of queueing. Local disks only: such locks are not to be trusted on NFS.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_SECONDS = 0.02


class TurnNotReached(Exception):
    """The deadline passed; the text says which process holds the lock."""


@contextmanager
def queue_for(path: Path, *, deadline_seconds: float) -> Iterator[None]:
    """Hold the lock file `path`.

    Raises:
        TurnNotReached: the deadline passed.
    """
    holder = path.with_suffix(path.suffix + ".holder")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(path, timeout=deadline_seconds, poll_interval=_POLL_SECONDS, mode=0o600):
            holder.write_text(f"process {os.getpid()}", encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
    except Timeout:
        raise TurnNotReached(_who(holder)) from None


def _who(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:
        return "another process"
