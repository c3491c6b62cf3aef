"""The console that people read: wide enough for a table where there is no terminal, plain on a pipe or with NO_COLOR.

What banks and people named is shown, never obeyed: no markup of rich's, no escape sequence of the terminal's.
"""

import sys
import unicodedata

from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 180
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, formats (changes of direction among them), surrogates and line ends."""


def console() -> Console:
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(width=width, highlight=False, markup=False, emoji=False)


def visible(text: str) -> str:
    """The text on one line; a character that a terminal would obey is spelt, such as `\\x1b`."""
    return "".join(_spelt(c) if unicodedata.category(c) in _OBEYED else c for c in text)


def visible_lines(text: str) -> str:
    """As `visible`, but line ends stay: for a plan of a query, or a message of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
