"""Runs asynchronous work so that Ctrl-C and SIGTERM end it between two of its steps, never inside the event loop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but a signal cancels the work, which can tidy up, and then raises here.

    Handlers that raise, Python's own and Dagster's, do so wherever the program happens to be. In the midst of the event
    loop that is logged and swallowed as an error of a connection, and the cancelled run goes on.

    Raises: KeyboardInterrupt: SIGINT or SIGTERM came, whether or not the work had ended or failed by then.
    """
    interruption = _Interruption()

    async def watched() -> T:
        with interruption.cancels_this_task():
            return await work

    with _handled_by(interruption):
        try:
            result = asyncio.run(watched())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None  # Nobody else cancels this task.
        except Exception:
            if interruption.came:  # What the work made of being cancelled is no failure to be tried again.
                raise KeyboardInterrupt from None
            raise
    if interruption.came:
        raise KeyboardInterrupt
    return result


class _Interruption:
    """Handler of signals that never raises: it notes that one came, and cancels the task when there is one."""

    def __init__(self) -> None:
        self.came = False
        self._cancel: Callable[[], object] | None = None

    def __call__(self, _: int, __: FrameType | None) -> None:
        self.came = True
        if self._cancel is not None:
            self._cancel()

    @contextmanager
    def cancels_this_task(self) -> Iterator[None]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.came:
            self._cancel()
        try:
            yield
        finally:
            self._cancel = None


@contextmanager
def _handled_by(interruption: _Interruption) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals reach the main thread only, which sees to its own.
        return
    before = {number: signal.signal(number, interruption) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
