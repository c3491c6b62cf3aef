"""Lock for writers of different processes, served first come, first served, with a deadline.

This is a lock file of our own, beside the ledger, because DuckDB's own lock refuses instead of waiting. Each waiting process
takes a ticket: a numbered file that it keeps locked. With a lock file alone, the process that polls first would get the lock,
often the one that has just released it. The operating system releases the locks of a process that ends, so a crashed writer
blocks nobody. Local disks only: such locks are not reliable on NFS.
"""

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pfo_pipeline.telemetry import recorded

_POLL_SECONDS = 0.02
_DRAFT_SECONDS = 60.0
"""A draft of a ticket exists for some milliseconds; an older one that nobody locks was left by a killed process."""


_TICKET = re.compile(r"\.[0-9]+\.ticket$")


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
        while (earlier := _earlier_waiter(ticket, path)) is not None:
            if time.monotonic() >= until:
                # If nobody holds the lock, a process that waits before us is stopped or hangs.
                raise LockTimeout(_who(holder if _is_held(path) else earlier))
            time.sleep(_POLL_SECONDS)
        try:
            left = max(0.0, until - time.monotonic())
            with FileLock(path, timeout=left, poll_interval=_POLL_SECONDS, mode=0o600):
                recorded("pfo.lock.wait", time.monotonic() - begun, lock=_kind(path))
                holder.write_text(_this_process(), encoding="utf-8")
                try:
                    yield
                finally:
                    holder.unlink(missing_ok=True)
        except Timeout:
            raise LockTimeout(_who(holder)) from None


def _kind(path: Path) -> str:
    """Return the kind of lock for telemetry; the locks of all tenants have the same kind."""
    return "turn" if path.parent.name == "turns" else path.stem


def _this_process() -> str:
    return f"process {os.getpid()}"


def _who(file: Path) -> str:
    """Return the name of the process that wrote a holder file or a ticket."""
    try:
        return file.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


@contextmanager
def _ticket(path: Path) -> Iterator[Path]:
    """Yield the last place in the queue for `path`: a file that stays locked while we wait or write."""
    _remove_abandoned_drafts(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.draft")
    handle = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, _this_process().encode())
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


def _remove_abandoned_drafts(path: Path) -> None:
    for draft in path.parent.glob(f"{path.name}.*.draft"):
        with suppress(FileNotFoundError):  # Another process removed it.
            if time.time() - draft.stat().st_mtime > _DRAFT_SECONDS and not _is_held(draft):
                draft.unlink()


def _queue(path: Path) -> list[Path]:
    """Return the tickets in order. A file that only looks like a ticket is ignored."""
    tickets = [ticket for ticket in path.parent.glob(f"{path.name}.*.ticket") if _TICKET.search(ticket.name)]
    return sorted(tickets, key=_number)


def _number(ticket: Path) -> int:
    return int(ticket.suffixes[-2].removeprefix("."))


def _earlier_waiter(ticket: Path, path: Path) -> Path | None:
    """Return the ticket of a live process that came earlier; tickets of dead processes are removed."""
    for other in _queue(path):
        if other == ticket:
            return None
        if _is_held(other):
            return other
        other.unlink(missing_ok=True)
    return None


def _is_held(file: Path) -> bool:
    """Whether a live process has locked a ticket, a draft or the lock file."""
    try:
        handle = os.open(file, os.O_RDWR)
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
