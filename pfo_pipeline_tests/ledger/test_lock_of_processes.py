"""Writers in many threads and processes take turns; readers never wait and make nobody wait."""

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from pfo_pipeline.ledger.errors import LedgerBusy
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger import program
from pfo_pipeline_tests.ledger.program import other_process
from pfo_pipeline_tests.ledger.samples import a_ledger, ask, balance, batch


def tickets(ledger: Ledger) -> list[Path]:
    """Return the places in the queue of writers."""
    return sorted(ledger.files.private.glob("*.ticket"))


def test_eight_writers_in_four_processes_lose_nothing(ledger: Ledger) -> None:
    with ExitStack() as stack:
        words = (program.merge_in_threads, ledger.files.data_dir)
        writers = [stack.enter_context(other_process(*words, name, 2, 2)) for name in "abcd"]
        for writer in writers:
            assert writer.says() == "ready"
        for writer in writers:
            writer.go_on()
        assert [writer.says() for writer in writers] == ["done"] * 4

    accounts = [f"{name}-{thread}" for name in "abcd" for thread in range(2)]
    rows = ask(ledger, "select account_id, list(current_balance order by as_of) from balances group by 1 order by 1")
    assert rows == [(account_id, [0, 1]) for account_id in accounts]
    assert ask(ledger, "select count(*), count(distinct load_id), max(load_id) from loads") == [(16, 16, 16)]
    disorder = (
        "select count(*) from (select recorded_at <= lag(recorded_at) over (order by load_id) as late from loads)"
    )
    assert ask(ledger, f"{disorder} where late") == [(0,)]
    assert ask(ledger, "select account_id, current_balance from balances_latest order by 1") == [
        (account_id, 1) for account_id in accounts
    ]
    with open_published(ledger.files.published) as con:
        assert con.execute("select count(*) from balances").fetchall() == [(16,)]


def test_threads_of_one_process_take_turns(ledger: Ledger) -> None:
    def work(name: str) -> None:
        for number in range(3):
            ledger.merge(batch(balance(str(number), account_id=name)))

    threads = [threading.Thread(target=work, args=(f"acc_{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ask(ledger, "select count(*) from balances") == [(12,)]


def test_a_writer_that_waits_too_long_gets_the_holders_name(ledger: Ledger) -> None:
    impatient = a_ledger(ledger.files.data_dir, deadline_seconds=0.05)
    with other_process(program.hold_the_lock, ledger.files.data_dir) as holder:
        assert holder.says() == "inside"

        for attempt in (lambda: impatient.merge(batch(balance())), impatient.publish, impatient.reader().tenants):
            with pytest.raises(
                LedgerBusy, match=rf"process {holder.pid} has blocked other writers for over 0\.05 s"
            ) as busy:
                attempt()

    assert "run again; nothing was lost" in str(busy.value)


def test_a_killed_writer_blocks_nobody_and_leaves_nothing(ledger: Ledger) -> None:
    with other_process(program.hold_the_lock, ledger.files.data_dir) as holder:
        assert holder.says() == "inside"
        holder.kill()
    assert len(tickets(ledger)) == 1

    ledger.merge(batch(balance("222")))

    assert tickets(ledger) == []
    assert ask(ledger, "select current_balance from balances") == [(222,)]


def test_a_writer_killed_in_the_middle_of_a_transaction_leaves_nothing_of_it(ledger: Ledger) -> None:
    with other_process(program.write_half, ledger.files.data_dir) as writer:
        assert writer.says() == "half written"
        writer.kill()

    merged = ledger.merge(batch(balance("222")))

    assert merged.load_id == 1
    assert ask(ledger, "select current_balance from balances") == [(222,)]
    assert ask(ledger, "select count(*) from accounts") == [(0,)]


def test_committed_rows_of_a_killed_writer_are_published(ledger: Ledger) -> None:
    ledger.merge(batch(balance()))
    with other_process(program.leave_a_log, ledger.files.data_dir) as writer:
        assert writer.says() == "committed"
        writer.kill()
    assert (ledger.files.private / "canonical.duckdb.wal").exists()

    ledger.publish()

    with open_published(ledger.files.published) as con:
        assert con.execute("select run_id from loads").fetchall() == [("from the log",)]
    assert not (ledger.files.private / "canonical.duckdb.wal").exists()


def test_readers_can_read_during_a_merge(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1")))
    ledger.publish()
    with other_process(program.hold_the_lock, ledger.files.data_dir) as writer:
        assert writer.says() == "inside"

        with open_published(ledger.files.published) as con:
            assert con.execute("select current_balance from balances").fetchall() == [(1,)]


def test_an_open_reader_blocks_no_writer_and_keeps_what_it_opened(ledger: Ledger) -> None:
    ledger.merge(batch(balance("1")))
    ledger.publish()
    with other_process(program.read, ledger.files.published) as reader:
        assert reader.says() == 1

        ledger.merge(batch(balance("2")))
        ledger.publish()
        reader.go_on()

        assert reader.says() == 1
    with other_process(program.read, ledger.files.published) as new_reader:
        assert new_reader.says() == 2


def test_another_program_on_the_primary_is_reported_as_the_cause(ledger: Ledger) -> None:
    with other_process(program.open_primary, ledger.files.primary) as other:
        assert other.says() == "open"

        with pytest.raises(LedgerBusy, match="close that program"):
            ledger.merge(batch(balance()))

    assert ledger.merge(batch(balance())).load_id == 1


def test_one_of_two_writers_creates_a_missing_ledger(tmp_path: Path) -> None:
    with ExitStack() as stack:
        writers = [
            stack.enter_context(other_process(program.merge_in_threads, tmp_path / "data", name, 1, 1)) for name in "ab"
        ]
        for writer in writers:
            writer.says()
        for writer in writers:
            writer.go_on()
        assert [writer.says() for writer in writers] == ["done"] * 2

    ledger = a_ledger(tmp_path / "data")
    assert ask(ledger, "select account_id from balances order by 1") == [("a-0",), ("b-0",)]
    assert ask(ledger, "select count(*) from office") == [(1,)]
