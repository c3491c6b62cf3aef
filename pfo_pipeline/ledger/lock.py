"""Lock for writers of different processes, served first come, first served, with a deadline.

This is a lock file of our own, beside the ledger, because DuckDB's own lock refuses instead of waiting. Each waiting process
takes a ticket: a numbered file that it keeps locked. With a lock file alone, the process that polls first would get the lock,
often the one that has just released it. The operating system releases the locks of a process that ends, so a crashed writer
blocks nobody. Local disks only: such locks are not reliable on NFS.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pfo_pipeline.telemetry import recorded

_POLL_SECONDS = 0.02


class LockTimeout(Exception):
    """The deadline passed; the text names the process that holds the lock."""


@contextmanager
def hold_lock(path: Path, *, deadline_seconds: float) -> Iterator[None]:
    """Hold the lock file `path`.

    Raises:
        LockTimeout: the deadline passed.
    """
    holder = path.with_suffix(path.suffix + ".holder")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    begun = time.monotonic()
    until = begun + deadline_seconds
    with _ticket(path) as ticket:
        while _is_anyone_before(ticket, path):
            if time.monotonic() >= until:
                raise LockTimeout(_who(holder))
            time.sleep(_POLL_SECONDS)
        try:
            left = max(0.0, until - time.monotonic())
            with FileLock(path, timeout=left, poll_interval=_POLL_SECONDS, mode=0o600):
                recorded("pfo.lock.wait", time.monotonic() - begun, lock=_kind(path))
                holder.write_text(f"process {os.getpid()}", encoding="utf-8")
                try:
                    yield
                finally:
                    holder.unlink(missing_ok=True)
        except Timeout:
            raise LockTimeout(_who(holder)) from None


def _kind(path: Path) -> str:
    """Return the kind of lock for telemetry; the locks of all tenants have the same kind."""
    return "turn" if path.parent.name == "turns" else path.stem


def _who(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:
        return "another process"


@contextmanager
def _ticket(path: Path) -> Iterator[Path]:
    """Yield the last place in the queue for `path`: a file that stays locked while we wait or write."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.draft")
    handle = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Linked into the queue only now: a ticket in the queue that is not locked belongs to a dead process.
        ticket = _enqueue(draft, path)
        draft.unlink()
        try:
            yield ticket
        finally:
            ticket.unlink(missing_ok=True)
    finally:
        os.close(handle)
        draft.unlink(missing_ok=True)


def _enqueue(draft: Path, path: Path) -> Path:
    number = max((_number(ticket) for ticket in _queue(path)), default=0)
    while True:
        number += 1
        ticket = path.with_name(f"{path.name}.{number:09d}.ticket")
        try:
            ticket.hardlink_to(draft)
        except FileExistsError:
            continue  # Another process took the same number first.
        return ticket


def _queue(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*.ticket"), key=_number)


def _number(ticket: Path) -> int:
    return int(ticket.suffixes[-2].removeprefix("."))


def _is_anyone_before(ticket: Path, path: Path) -> bool:
    """Whether a live process came earlier; tickets of dead processes are removed."""
    for other in _queue(path):
        if other == ticket:
            return False
        if _is_held(other):
            return True
        other.unlink(missing_ok=True)
    return False


def _is_held(ticket: Path) -> bool:
    try:
        handle = os.open(ticket, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
