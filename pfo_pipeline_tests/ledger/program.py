"""Another process that works on a ledger; a test starts it and communicates with it line by line.

It reports when it reaches the interesting point, and continues when the test tells it to. The processes are forked from one
that has everything imported already, because imports take most of the start.
"""

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb

from pfo_pipeline.ledger.errors import LedgerError
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline_tests.ledger.samples import MARCH_31, a_ledger, account, balance, batch

PATIENCE_SECONDS = 300
"""How long a test waits for a message before it fails; nothing is timed by it."""

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["__main__", __name__])


class Other:
    """The test's handle of the other process."""

    def __init__(self, work: "Work", *arguments: Any) -> None:
        self._line, far_end = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_at_work, args=(far_end, work, arguments), daemon=True)
        self._process.start()
        far_end.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def says(self) -> object:
        """Return its next message."""
        assert self._line.poll(PATIENCE_SECONDS), "the other process says nothing"
        return self._line.recv()

    def go_on(self) -> None:
        self._line.send("go on")

    def kill(self) -> None:
        """SIGKILL: the process cannot clean up."""
        self._process.kill()
        self._process.join()


@contextmanager
def other_process(work: "Work", *arguments: Any) -> Iterator[Other]:
    """Start the other process; it is ended with the block at the latest."""
    other = Other(work, *arguments)
    try:
        yield other
    finally:
        other.kill()


class Line:
    """The other process's connection to the test."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def say(self, word: object) -> None:
        """Report a point, and wait for the message to continue."""
        self._connection.send(word)
        self._connection.recv()


Work = Callable[..., None]


def _at_work(connection: "Connection[Any, Any]", work: Work, arguments: tuple[Any, ...]) -> None:
    work(Line(connection), *arguments)


def merge_in_threads(line: Line, data_dir: Path, name: str, threads: int, batches: int) -> None:
    """Merge this many batches in each of this many threads, all through one Ledger."""
    ledger = a_ledger(data_dir)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(batches):
                as_of = MARCH_31 + timedelta(days=number)
                ledger.merge(batch(balance(str(number), as_of, account_id=f"{name}-{thread}")))
                ledger.publish()
        except BaseException as error:
            failures.append(error)

    line.say("ready")
    workers = [Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    line.say([repr(failure) for failure in failures] or "done")


def hold_the_lock(line: Line, data_dir: Path) -> None:
    """Stop inside a merge, with the primary open."""

    def clock() -> datetime:
        line.say("inside")
        return MARCH_31

    a_ledger(data_dir, clock=clock).merge(batch(balance("111")))
    line.say("done")


class _Interrupted(dict[Any, Any]):
    """Rows of a batch that stop after the first table has been written."""

    line: Line

    def items(self) -> Any:
        for number, item in enumerate(super().items()):
            if number == 1:
                self.line.say("half written")
            yield item


def write_half(line: Line, data_dir: Path) -> None:
    """Stop in the middle of a transaction."""
    rows = _Interrupted(batch(balance("111"), account("acc_1")).rows)
    rows.line = line
    a_ledger(data_dir).merge(batch(rows=rows))


def leave_a_log(line: Line, data_dir: Path) -> None:
    """Commit, and stop before the write-ahead log is folded into the file."""
    with duckdb.connect(str(a_ledger(data_dir).files.primary)) as con:
        con.execute("update ledger.loads set run_id = 'from the log'")
        line.say("committed")


def read(line: Line, published: Path) -> None:
    """Open the published ledger, count its balances, and count again in the same session."""
    with open_published(published) as con:
        for _ in range(2):
            answer = con.execute("select count(*) from balances").fetchone()
            assert answer is not None
            line.say(answer[0])


def open_primary(line: Line, path: Path) -> None:
    """Open the primary with another program, which nobody should do."""
    with duckdb.connect(str(path), read_only=True):
        line.say("open")


def run_out_of_room(line: Line, data_dir: Path, room_bytes: int, rows: int) -> None:
    """Merge this many rows and publish, with a limit on the size of files; report the error."""
    ledger = a_ledger(data_dir)
    digests = [sha256(str(number).encode()).hexdigest() for number in range(rows)]
    figures = [balance("5", account_id=digest, payload_digest=digest) for digest in digests]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, room_bytes))
    try:
        if figures:
            ledger.merge(batch(*figures))
        ledger.publish()
    except LedgerError as error:
        line.say(f"{type(error).__name__}: {error}")
    else:
        line.say("no error")
