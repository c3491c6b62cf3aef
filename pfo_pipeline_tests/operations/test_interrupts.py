"""A signal ends asynchronous work at any point; the work first releases what it holds."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from pfo_pipeline.operations.signals import run_interruptible

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


class Interrupted(BaseException):
    """An exception like the one that Dagster's handler raises."""


@pytest.fixture(autouse=True)
def raising_handlers() -> Iterator[None]:
    def raising(_: int, __: FrameType | None) -> None:
        raise Interrupted

    before = {number: signal.signal(number, raising) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@BOTH
def test_a_signal_inside_the_event_loop_is_not_swallowed(number: signal.Signals) -> None:
    async def waits_for_ever() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(waits_for_ever())


@BOTH
def test_a_signal_during_the_loops_setup_ends_the_work_too(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    def interrupted_policy() -> asyncio.AbstractEventLoop:
        signal.raise_signal(number)
        return asyncio.SelectorEventLoop()

    monkeypatch.setattr(asyncio.get_event_loop_policy(), "new_event_loop", interrupted_policy)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(waits_for_ever())


@BOTH
def test_the_work_cleans_up_before_it_ends(number: signal.Signals) -> None:
    done: list[str] = []

    async def holds_something() -> None:
        try:
            signal.raise_signal(number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("let go")

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(holds_something())
    assert done == ["let go"]


def test_work_that_ended_in_the_same_moment_counts_as_interrupted() -> None:
    async def ends() -> int:
        signal.raise_signal(signal.SIGINT)
        return 1

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(ends())


def test_an_error_caused_by_the_cancellation_is_not_a_failure() -> None:
    async def gives_up() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("could not wait") from None

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(gives_up())


def test_afterwards_the_earlier_handlers_are_restored() -> None:
    async def answers() -> int:
        return 42

    assert run_interruptible(answers()) == 42
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_an_error_of_the_work_is_raised_unchanged() -> None:
    async def fails() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        run_interruptible(fails())


def test_it_runs_in_a_thread_that_gets_no_signals() -> None:
    answers: list[int] = []

    async def answer() -> int:
        return 42

    thread = threading.Thread(target=lambda: answers.append(run_interruptible(answer())))
    thread.start()
    thread.join()
    assert answers == [42]
