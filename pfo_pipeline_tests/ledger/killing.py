"""Run a process that is killed at a chosen point of its work, and check its ledger afterwards."""

import fcntl
import functools
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import duckdb

import pfo_pipeline.ledger
from pfo_pipeline.contracts.tables import BalanceRow, table_of, tables
from pfo_pipeline_tests.ledger.program import PATIENCE_SECONDS

_PROCESSES = multiprocessing.get_context("forkserver")
PRELOAD = ["__main__", "pandas", "pfo_pipeline_tests.ledger.program", __name__]
_PROCESSES.set_forkserver_preload(PRELOAD)

_LEDGER_CODE = os.path.dirname(pfo_pipeline.ledger.__file__)  # noqa: PTH120 - compared with names in code objects
_STATEMENTS = ("begin", "commit", "rollback", "close")

Told = Callable[[str], None]


@dataclass(frozen=True)
class At:
    """Just before or just after the nth step with this name."""

    when: Literal["before", "in the middle of", "after"]
    step: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.step}" + (f" {self.nth}" if self.nth > 1 else "")


@dataclass(frozen=True)
class AtStep:
    """At the nth of all steps."""

    nth: int


@dataclass(frozen=True)
class AtLine:
    """Before the nth line of the ledger's own code; with 0 the lines are only counted."""

    nth: int


@dataclass(frozen=True)
class AtMoment:
    """This many seconds after the start, at any point, including inside DuckDB or a system call."""

    seconds: float


Point = At | AtStep | AtLine | AtMoment


@dataclass(frozen=True)
class Ended:
    """The end of a process: the signal that killed it, or None, and the points that it passed if it was not killed."""

    killed_by: signal.Signals | None
    steps: tuple[str, ...] = ()
    lines: int = 0


def run_until(
    point: Point | None, work: Callable[..., object], *arguments: Any, also: Callable[[Told], None] | None = None
) -> Ended:
    """Do the work in a separate process, which dies at the point without clean-up, flushing or releasing anything.

    Args:
        also: Makes the process report further steps than those of the ledger.
    """
    ours, far_end = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_work_and_die, args=(far_end, point, work, arguments, also), daemon=True)
    process.start()
    far_end.close()
    assert ours.poll(PATIENCE_SECONDS), "the process neither ends nor dies"
    try:
        steps, lines = ours.recv()
    except EOFError:
        steps, lines = (), 0
    process.join()
    assert process.exitcode is not None
    if process.exitcode < 0:
        return Ended(signal.Signals(-process.exitcode))
    assert process.exitcode == 0, f"the work failed by itself, status {process.exitcode}"
    return Ended(None, steps, lines)


def kill(
    point: Point, work: Callable[..., object], *arguments: Any, also: Callable[[Told], None] | None = None
) -> None:
    """Like `run_until`, for a point that must be reached."""
    ended = run_until(point, work, *arguments, also=also)
    assert ended.killed_by == signal.SIGKILL, (
        f"{point} was never reached; the steps were {[*dict.fromkeys(ended.steps)]}"
    )


def _work_and_die(
    line: "Connection[Any, Any]",
    point: Point | None,
    work: Callable[..., object],
    arguments: tuple[Any, ...],
    also: Callable[[Told], None] | None,
) -> None:
    steps: list[str] = []
    lines = 0

    def reached(step: str) -> None:
        steps.append(step)
        match point:
            case At(when, name, nth):
                if step == f"{when} {name}" and steps.count(step) == nth:
                    _die()
            case AtStep(nth):
                if len(steps) == nth:
                    _die()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(_LEDGER_CODE):
            return None
        if event == "line":
            lines += 1
            if isinstance(point, AtLine) and lines == point.nth:
                _die()
        return trace

    tell_steps(reached)
    if also is not None:
        also(reached)
    if isinstance(point, AtMoment):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # The kernel then kills the process at any point.
        signal.setitimer(signal.ITIMER_REAL, point.seconds)
    if isinstance(point, AtLine):
        sys.settrace(trace)
    work(*arguments)
    sys.settrace(None)
    signal.setitimer(signal.ITIMER_REAL, 0)
    line.send((tuple(steps), lines))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tell_steps(output: Told) -> None:
    """Make this process report, for the rest of its life, each step that it takes outside of our code."""
    connect = duckdb.connect

    def watched_connect(database: Any = ":memory:", *more: Any, **options: Any) -> Any:
        name = _named(database)
        opened = step_of(output, f"open {name}", connect)(database, *more, **options)
        return _WatchedConnection(opened, name, output)

    copyfile, flock = shutil.copyfile, fcntl.flock

    def watched_copyfile(source: Any, target: Any, **options: Any) -> Any:
        output("before copy")
        whole = Path(source).read_bytes()
        Path(target).write_bytes(whole[: len(whole) // 2])
        output("in the middle of copy")
        copied = copyfile(source, target, **options)
        output("after copy")
        return copied

    def watched_flock(handle: Any, operation: int) -> None:
        step_of(output, "unlock" if operation & fcntl.LOCK_UN else "lock", flock)(handle, operation)

    def watch(name: str) -> None:
        real = getattr(os, name)

        @functools.wraps(real)
        def watched(path: Any, *more: Any, **options: Any) -> Any:
            return step_of(output, f"{name} {_named(more[0] if name == 'replace' else path)}", real)(
                path, *more, **options
            )

        setattr(os, name, watched)

    for module, watched in ((duckdb, watched_connect), (shutil, watched_copyfile), (fcntl, watched_flock)):
        setattr(module, watched.__name__.removeprefix("watched_"), watched)
    for name in ("replace", "chmod", "unlink", "fsync"):
        watch(name)


def _named(path: Any) -> str:
    """Return the path without its folder and without the number of a process."""
    if isinstance(path, int):
        return "file"
    name = Path(path).name
    return "draft" if name.endswith(".draft") else name


def step_of(output: Told, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a call so that it reports before and after."""

    def step(*words: Any, **options: Any) -> Any:
        output(f"before {name}")
        result = real(*words, **options)
        output(f"after {name}")
        return result

    return step


class _WatchedConnection:
    """A DuckDB connection that reports its transactions and statements."""

    def __init__(self, con: duckdb.DuckDBPyConnection, name: str, output: Told) -> None:
        self._con = con
        self._name = name
        self._told = output

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._con, name)
        return step_of(self._told, f"{name} {self._name}", real) if name in _STATEMENTS else real

    def execute(self, query: str, *more: Any) -> Any:
        words = (_named(word.strip("'")) if word.startswith("'/") else word.lower() for word in query.split()[:3])
        return step_of(self._told, " ".join(words), self._con.execute)(query, *more)

    def __enter__(self) -> "_WatchedConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def content_hash(path: Path) -> str:
    """SHA-256 of a ledger's content, independent of the writer and the time.

    It covers every row of every contract table and of balances_current, in their contract's columns, each with the number of
    its version of the key: the order of versions counts, their load ids do not. Left out are load_id, recorded_at, run_id,
    operation, and the logs of actions (loads, telemetry), which correctly include a run that was killed.
    """
    digest = sha256()
    with _opened(path) as con:
        for table in tables():
            columns, key = ", ".join(c.name for c in table.columns), ", ".join(table.key)
            version = f"row_number() over (partition by {key} order by load_id)"
            for row in con.execute(f"select {columns}, {version} from {table.name} order by all").fetchall():  # noqa: S608
                digest.update(f"{table.name} {row}\n".encode())
        columns = ", ".join(c.name for c in table_of(BalanceRow).columns)
        for row in con.execute(f"select {columns} from balances_current order by all").fetchall():  # noqa: S608
            digest.update(f"balances_current {row}\n".encode())
    return digest.hexdigest()


def contradictions(path: Path) -> list[str]:
    """Return contradictions that could only exist if a load had been stored in part, or twice; empty for an intact ledger."""
    added = " union all ".join(f"select load_id from {table.name}" for table in tables())  # noqa: S608
    questions = {
        "loads are not numbered from 1 without a gap": "select count(*) from loads having count(*) <> max(load_id)",
        "a load's number is there twice": "select load_id from loads group by all having count(*) > 1",
        "a load does not have the rows that it added": """
            select load_id from loads left join (select load_id, count(*) as found from stored group by all)
            using (load_id) where added <> coalesce(found, 0)
        """,
        "a row is of no load": "select load_id from stored anti join loads using (load_id)",
        "an event is of no load": "select load_id from telemetry anti join loads using (load_id)",
        "a load that is complete has no event": "select load_id from loads anti join telemetry using (load_id)",
        "what is current is not the newest of the history": """
            select * exclude (recorded_at) from balances_current
            except
            select * exclude (recorded_at) from balances
            qualify row_number() over (partition by tenant_id, account_id order by as_of desc, load_id desc) = 1
        """,
        "an account is current twice": "select account_id from balances_current group by all having count(*) > 1",
    }
    with _opened(path) as con:
        return [
            what for what, query in questions.items() if con.execute(f"with stored as ({added}) {query}").fetchall()
        ]


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(path), read_only=True)
    con.execute("set TimeZone = 'UTC'")
    [(catalog,)] = con.execute("select current_database()").fetchall()
    con.execute(f'use "{catalog}".ledger')
    return con
