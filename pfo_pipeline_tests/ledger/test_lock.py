"""The queue of writers alone: its order, and the files in its folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from pfo_pipeline.ledger.lock import LockTimeout, hold_lock


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "ledger.lock"
    path.parent.mkdir()
    return path


def ticket(lock: Path, number: int) -> Path:
    return lock.with_name(f"{lock.name}.{number:09d}.ticket")


def tickets(lock: Path) -> list[str]:
    return sorted(path.name for path in lock.parent.glob("*.ticket"))


@contextmanager
def somebody_with(place: Path, said: str = "") -> Iterator[None]:
    """A live process that waits with this ticket."""
    with place.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(said)
        held.flush()
        yield


def test_tickets_of_dead_processes_block_nobody_and_are_removed(lock: Path) -> None:
    for number in (3, 7):
        ticket(lock, number).touch()

    with hold_lock(lock, deadline_seconds=0):
        assert tickets(lock) == [ticket(lock, 8).name]

    assert tickets(lock) == []


@pytest.mark.parametrize("number", [1, 9, 999_999_999])
def test_nobody_overtakes_a_live_process_that_came_earlier(lock: Path, number: int) -> None:
    earlier = ticket(lock, number)
    with somebody_with(earlier):
        with pytest.raises(LockTimeout), hold_lock(lock, deadline_seconds=0):
            pass

        assert tickets(lock) == [earlier.name]


@pytest.mark.parametrize("left", [None, "process 1"])
def test_a_process_that_waits_and_does_not_go_on_is_named(lock: Path, left: str | None) -> None:
    """Also where a killed process has left the name of a holder."""
    if left is not None:
        lock.touch()
        lock.with_suffix(".lock.holder").write_text(left)
    with (
        somebody_with(ticket(lock, 1), "process 4711"),
        pytest.raises(LockTimeout, match="process 4711"),
        hold_lock(lock, deadline_seconds=0),
    ):
        pass


def test_a_waiting_process_writes_its_name_on_its_ticket(lock: Path) -> None:
    with hold_lock(lock, deadline_seconds=0):
        assert ticket(lock, 1).read_text() == f"process {os.getpid()}"


def test_a_file_that_only_looks_like_a_ticket_is_ignored(lock: Path) -> None:
    stray = lock.with_name(f"{lock.name}.abc.ticket")
    stray.touch()

    with hold_lock(lock, deadline_seconds=0):
        pass

    assert tickets(lock) == [stray.name]


@pytest.mark.parametrize(("age_seconds", "is_held", "stays"), [(61, False, False), (61, True, True), (1, False, True)])
def test_the_draft_of_a_killed_process_is_removed(lock: Path, age_seconds: int, is_held: bool, stays: bool) -> None:
    draft = lock.with_name(f"{lock.name}.4711-1.draft")
    draft.touch()
    with somebody_with(draft) if is_held else nullcontext():
        then = time.time() - age_seconds
        os.utime(draft, (then, then))

        with hold_lock(lock, deadline_seconds=0):
            pass

        assert draft.exists() == stays


def test_nobody_else_can_open_the_lock_files(lock: Path) -> None:
    with hold_lock(lock, deadline_seconds=0):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (lock, ticket(lock, 1))}

    assert modes == {lock.name: 0o600, ticket(lock, 1).name: 0o600}
