"""Eight writers and eight readers at once: nobody is refused, nothing is lost, writers are served in order of arrival."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger import program
from pfo_pipeline_tests.ledger.killing import contradictions
from pfo_pipeline_tests.ledger.program import Line, Other, other_process
from pfo_pipeline_tests.ledger.samples import MARCH_31, a_ledger, ask, balance, batch, event

WRITERS = 8
READERS = 8
LOADS = 4
"""Merges of each writer, each followed by a publication."""
_PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Turn:
    """One merge: its load, and the writer's waits for it and for its publication."""

    load_id: int
    seconds: float


@dataclass
class Looks:
    """The observations of a reader over all its reads of the published ledger."""

    loads: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def write(line: Line, data_dir: Path, tenant: str, start: Barrier) -> None:
    """Merge and publish, without a pause, balances whose sum is zero at every time."""
    ledger = a_ledger(data_dir)
    turns = []
    start.wait()
    for number in range(1, LOADS + 1):
        as_of = MARCH_31 + timedelta(days=number)
        figures = [balance(str(f), as_of, tenant_id=tenant, account_id=f"acc_{f > 0}") for f in (number, -number)]
        began = time.monotonic()
        merged = ledger.merge(batch(*figures, run_id=f"{tenant} {number}"))
        ledger.publish()
        turns.append(Turn(merged.load_id, time.monotonic() - began))
    line.say(turns)


_WHOLE = """
select (select coalesce(max(load_id), 0) from loads), (select count(*) from loads), count(*) / 2,
    coalesce(sum(current_balance), 0), (select coalesce(sum(current_balance), 0) from balances_current)
from balances
"""


def look(line: Line, published: Path, start: Barrier, end: Event) -> None:
    """Read the published ledger again and again, and once more after the end."""
    looks = Looks()
    os.nice(10)  # Two processors for sixteen programs: the writers must not wait for processes that only read.
    start.wait()
    last = False
    while not last:
        last = end.is_set()
        try:
            with open_published(published) as con:
                newest, loads, pairs, total, current = con.execute(_WHOLE).fetchall()[0]
        except Exception as error:
            looks.refused.append(repr(error))
            continue
        if not (newest == loads == pairs and total == current == 0):
            looks.torn.append(f"load {newest}: {loads} loads, {pairs} pairs, totals {total} and {current}")
        looks.loads.append(newest)
        end.wait(0.1)
    line.say(looks)


@dataclass(frozen=True)
class Crowd:
    """The record of a period with many writers and readers."""

    ledger: Ledger
    turns: dict[str, list[Turn]]
    looks: list[Looks]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    ledger = a_ledger(tmp_path_factory.mktemp("crowd") / "data")
    ledger.publish()
    start, end = _PROCESSES.Barrier(WRITERS + READERS), _PROCESSES.Event()
    with ExitStack() as stack:
        writers = {
            tenant: stack.enter_context(other_process(write, ledger.files.data_dir, tenant, start))
            for tenant in (f"tenant-{number}" for number in range(WRITERS))
        }
        readers = [stack.enter_context(other_process(look, ledger.files.published, start, end)) for _ in range(READERS)]
        turns = {tenant: said(writer, list) for tenant, writer in writers.items()}
        end.set()
        return Crowd(ledger, turns, [said(reader, Looks) for reader in readers])


def said(other: Other, kind: type[Any]) -> Any:
    word = other.says()
    assert isinstance(word, kind)
    return word


def test_no_writer_is_refused_and_no_write_is_lost(crowd: Crowd) -> None:
    merged = sorted(turn.load_id for turns in crowd.turns.values() for turn in turns)
    assert merged == list(range(1, WRITERS * LOADS + 1))

    figures = [sign * number for number in range(1, LOADS + 1) for sign in (-1, 1)]
    question = "select tenant_id, list(current_balance order by as_of, account_id) from balances group by 1"
    assert dict(ask(crowd.ledger, question)) == dict.fromkeys(crowd.turns, figures)
    with open_published(crowd.ledger.files.published) as con:
        assert dict(con.execute(question).fetchall()) == dict.fromkeys(crowd.turns, figures)


def test_every_load_belongs_to_the_writer_that_got_its_number(crowd: Crowd) -> None:
    output = [
        (turn.load_id, f"{tenant} {number}")
        for tenant, turns in crowd.turns.items()
        for number, turn in enumerate(turns, 1)
    ]

    assert ask(crowd.ledger, "select load_id, run_id from loads order by 1") == sorted(output)


def test_no_reader_is_refused_or_sees_half_a_load(crowd: Crowd) -> None:
    for looks in crowd.looks:
        assert looks.refused == []
        assert looks.torn == []


def test_a_reader_never_loses_rows_and_finally_sees_everything(crowd: Crowd) -> None:
    for looks in crowd.looks:
        assert looks.loads == sorted(looks.loads)
        assert looks.loads[-1] == WRITERS * LOADS
    assert max(len(set(looks.loads)) for looks in crowd.looks) > 2, "readers saw no publication in between"


def test_writers_are_served_in_the_order_of_arrival(crowd: Crowd) -> None:
    """Counted in loads, because a machine may be slow but must not be unfair.

    Between two merges a writer waits twice: for its publication and for its next merge. If writers are served in the order of
    arrival, each of the others has at most two turns in that time, one of which is a merge. Twice that is allowed, because a
    writer that has just had a turn may lose the processor before it queues again, and others come first then.
    """
    allowed = 2 * (WRITERS - 1)
    for tenant, turns in crowd.turns.items():
        loads = [0, *(turn.load_id for turn in turns)]
        others = [later - earlier - 1 for earlier, later in pairwise(loads)]
        assert max(others) <= allowed, f"{tenant} waited while others merged {others} times"


@contextmanager
def waiting_writers(ledger: Ledger, names: str) -> Iterator[list[Other]]:
    """Yield writers that all wait for the lock that another one holds."""
    with ExitStack() as stack:
        words = (program.merge_in_threads, ledger.files.data_dir)
        writers = [stack.enter_context(other_process(*words, name, 1, 1)) for name in names]
        for writer in writers:
            assert writer.says() == "ready"
            writer.go_on()
        while len(list(ledger.files.private.glob("*.ticket"))) < 1 + len(names):  # The holder's ticket, and theirs.
            time.sleep(0.01)
        yield writers


def test_all_writers_that_wait_for_a_killed_one_are_served(ledger: Ledger) -> None:
    with other_process(program.hold_the_lock, ledger.files.data_dir) as holder:
        assert holder.says() == "inside"
        with waiting_writers(ledger, "abc") as writers:
            holder.kill()

            assert [writer.says() for writer in writers] == ["done"] * 3

    assert ask(ledger, "select account_id from balances order by 1") == [("a-0",), ("b-0",), ("c-0",)]


def test_a_writer_that_is_killed_while_waiting_blocks_nobody(ledger: Ledger) -> None:
    with other_process(program.hold_the_lock, ledger.files.data_dir) as holder:
        assert holder.says() == "inside"
        with waiting_writers(ledger, "ab") as (first, second):
            first.kill()
            holder.go_on()
            while holder.says() != "done":
                holder.go_on()

            assert second.says() == "done"

    impatient = a_ledger(ledger.files.data_dir, deadline_seconds=5)
    assert impatient.merge(batch(balance("3", account_id="c"))).load_id == 3
    assert list(ledger.files.private.glob("*.ticket")) == [], "the place of the dead is still kept"
    assert ask(ledger, "select account_id from balances order by 1") == [("acc_1",), ("b-0",), ("c",)]


def analyse(line: Line, published: Path) -> None:
    """Work like an analyst's notebook: an open transaction, half of a long result fetched, the rest later."""
    with duckdb.connect(str(published), read_only=True) as con:
        con.execute("begin transaction")
        con.execute("select current_balance from ledger.ledger.balances order by as_of")
        first = con.fetchmany(2_500)
        line.say("halfway")
        rest = con.fetchall()
        again = con.execute("select count(*) from ledger.ledger.balances").fetchall()
        line.say(([int(amount) for (amount,) in first + rest], again))


def attach(line: Line, published: Path) -> None:
    """Work like a BI tool: attach the file once and hold it."""
    with duckdb.connect() as con:
        con.execute(f"attach '{published}' as cash (read_only)")
        line.say("halfway")
        amounts = con.execute("select current_balance from cash.ledger.balances order by as_of").fetchall()
        again = con.execute("select count(*) from cash.ledger.balances").fetchall()
        line.say(([int(amount) for (amount,) in amounts], again))


@pytest.mark.parametrize("at_work", [analyse, attach])
def test_an_open_session_of_an_analyst_delays_no_run_and_keeps_its_content(
    at_work: Callable[..., None], ledger: Ledger
) -> None:
    rows = 5_000
    ledger.merge(batch(*(balance(str(n), MARCH_31 + timedelta(seconds=n)) for n in range(rows)), telemetry=(event(),)))
    ledger.publish()
    impatient = a_ledger(ledger.files.data_dir, deadline_seconds=5)
    with other_process(at_work, ledger.files.published) as analyst:
        assert analyst.says() == "halfway"

        for number in range(1, 4):
            later = MARCH_31 + timedelta(days=number)
            assert impatient.merge(batch(balance("-1", later), telemetry=(event(),))).load_id == number + 1
            impatient.publish()
            with other_process(program.read, ledger.files.published) as newcomer:
                assert newcomer.says() == rows + number
        analyst.go_on()

        assert analyst.says() == (list(range(rows)), [(rows,)])
    assert contradictions(ledger.files.published) == []
