"""docs/troubleshooting.md quotes the program's own messages."""

import ast
import re
from functools import cache
from typing import get_args

import pytest

from pfo_pipeline.operations.freshness import Delay
from pfo_pipeline.powens.states import STATES
from pfo_pipeline_tests.docs.pages import DOCS, PROJECT, read

PAGE = read(DOCS / "troubleshooting.md")
MESSAGES = re.findall(r"^- \*\*`([^`]+)`\*\*", PAGE, re.MULTILINE)


@cache
def words_of_the_program() -> tuple[str, ...]:
    """Every text in the code, with … for inserted values; make's own texts, and the cash page."""
    modules = [path for path in (PROJECT / "pfo_pipeline").rglob("*.py") if "simulator" not in path.parts]
    texts = [_text(node) for path in modules for node in ast.walk(ast.parse(path.read_text("utf-8"))) if _text(node)]
    others = [PROJECT / "Makefile", *(PROJECT / "pfo_pipeline" / "report" / "templates").glob("*.jinja")]
    return (*texts, *(path.read_text("utf-8") for path in others))


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
        return re.sub("…+", "…", "".join(parts))
    return ""


def is_said(message: str) -> bool:
    return any(message in text for text in words_of_the_program())


@pytest.mark.parametrize("message", MESSAGES)
def test_each_quoted_message_is_in_the_program(message: str) -> None:
    assert is_said(message)


def test_a_false_message_would_be_found() -> None:
    assert len(MESSAGES) > 50
    assert not is_said("There is no such ledger at …")


def test_each_state_has_its_owner_and_remedy() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|$", PAGE, re.MULTILINE)

    assert shown == [(state, owner.who_acts, owner.remedy) for state, owner in STATES.items()]


def test_each_cause_of_a_stale_balance_is_explained() -> None:
    shown = re.findall(r"^  \| `([\w ]+)` \|", PAGE, re.MULTILINE)

    assert set(shown) == set(get_args(Delay))


def test_each_code_is_in_the_program() -> None:
    part = PAGE[PAGE.index("| code | means | do |") :].partition("\n\n")[0]
    codes = [code for cell in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for code in re.findall(r"`(\w+)`", cell)]

    assert len(codes) > 6
    assert [code for code in codes if code not in words_of_the_program()] == []
