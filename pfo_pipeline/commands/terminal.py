"""The console that people read: wide enough for a table where there is no terminal, plain on a pipe or with NO_COLOR."""

import sys

from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 180


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False)
