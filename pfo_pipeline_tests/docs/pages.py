"""The pages and their contents, for tests of the documentation."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"
DOCS = PROJECT / "docs"
CONTRIBUTING = PROJECT / "CONTRIBUTING.md"
PAGES = (README, CONTRIBUTING, *sorted(DOCS.glob("*.md")))

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The texts of a page's blocks of one language; "" means blocks without a language."""
    return [found["text"] for found in _BLOCK.finditer(read(page)) if found["language"] == language]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _ANY_BLOCK.sub("", read(page))


def code_words(page: Path) -> list[str]:
    """The words in backquotes in a page's prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))
