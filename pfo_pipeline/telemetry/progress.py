"""How far long work has come, told step by step to whoever shows it: the command line on a terminal, else nobody.

Here: the steps, announced by the loop that makes them. Not here: how they look (commands/terminal.py).
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
Show = Callable[[str, Collection[Any]], Iterator[Any]]
"""Given what is done and to what: yields each of them, and shows how many there were."""

_show: ContextVar[Show | None] = ContextVar("show", default=None)


def steps(about: str, things: Collection[T]) -> Iterator[T]:
    """The things one after the other; `about` says in a word or two what is done with them."""
    show = _show.get()
    return iter(things) if show is None else show(about, things)


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Meanwhile, the steps of this thread are shown."""
    token = _show.set(show)
    try:
        yield
    finally:
        _show.reset(token)
