"""Money meets no binary float, read from the source. Which part may import which is held by import-linter (pyproject.toml)."""

import ast
from pathlib import Path

import pytest

import pfo_pipeline

ROOT = Path(pfo_pipeline.__file__).parent
MONEY_PATHS = ("contracts", "powens", "ledger", "operations", "report")
"""Where amounts pass: a binary float there is a lost cent."""


@pytest.mark.parametrize("part", MONEY_PATHS)
def test_money_meets_no_binary_float(part: str) -> None:
    # Seconds to wait are no money.
    harmless = {("client.py", "header")}
    sources = sorted((ROOT / part).rglob("*.py"))
    calls = [
        (path.name, ast.unparse(node.args[0]) if node.args else "")
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]

    assert sources
    assert set(calls) <= harmless
