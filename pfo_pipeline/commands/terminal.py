"""The terminal that people read: wide enough for a table where there is none, bars on standard error while work is long.

Plain on a pipe, with NO_COLOR or on a dumb terminal. What banks and people named is shown, never obeyed: no markup of rich's,
no escape sequence of the terminal's.
"""

import os
import sys
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pfo_pipeline.telemetry import shown_by

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 180
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, formats (changes of direction among them), surrogates and line ends."""


def console(*, stderr: bool = False) -> "Console":
    from rich.console import Console  # Programs ask for no table.

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else _WIDTH_WITHOUT_TERMINAL
    is_plain = os.environ.get("NO_COLOR") or _is_dumb()
    return Console(
        stderr=stderr,
        width=width,
        color_system=None if is_plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


@contextmanager
def progress() -> Iterator[None]:
    """Show how far long work has come, on standard error and only where that is a terminal; nothing of it stays there."""
    if not sys.stderr.isatty() or _is_dumb():
        yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def show(about: str, things: Collection[Any]) -> Iterator[Any]:
        if bars.tasks:  # Steps of a step: its own are counted.
            yield from things
            return
        task = bars.add_task(about, total=len(things))
        bars.start()
        for thing in things:
            yield thing
            bars.advance(task)
        bars.stop()
        bars.remove_task(task)

    try:
        with shown_by(show):
            yield
    finally:
        bars.stop()


def visible(text: str) -> str:
    """The text on one line; a character that a terminal would obey is spelt, such as `\\x1b`."""
    return "".join(_spelt(c) if unicodedata.category(c) in _OBEYED else c for c in text)


def visible_lines(text: str) -> str:
    """As `visible`, but line ends stay: for a plan of a query, or a message of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
