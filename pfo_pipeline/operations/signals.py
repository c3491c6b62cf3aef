"""Run asynchronous work so that Ctrl-C and SIGTERM end it between two steps, never inside the event loop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but a signal cancels the work, which can clean up, and then raises here.

    Handlers that raise, like those of Python and Dagster, raise at any point of the program. Inside the event loop such an
    exception is logged and swallowed as an error of a connection, and the cancelled run continues.

    Raises: KeyboardInterrupt: SIGINT or SIGTERM arrived, even if the work had ended or failed by then.
    """
    interruption = _Interruption()

    async def watched() -> T:
        with interruption.cancels_this_task():
            return await work

    with _handled_by(interruption):
        try:
            result = asyncio.run(watched())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None  # Only our handler cancels this task.
        except Exception:
            if interruption.came:  # An error caused by the cancellation is not a failure to retry.
                raise KeyboardInterrupt from None
            raise
    if interruption.came:
        raise KeyboardInterrupt
    return result


class _Interruption:
    """Signal handler that never raises: it records the signal, and cancels the task if there is one."""

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
        yield  # Signals reach only the main thread, which has its own handlers.
        return
    before = {number: signal.signal(number, interruption) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
