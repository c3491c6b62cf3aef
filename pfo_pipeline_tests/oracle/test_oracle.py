"""The judge itself: it gives the answers that were written by hand, and does not depend on the product."""

import ast
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from pfo_pipeline_tests.oracle.bank import recorded
from pfo_pipeline_tests.oracle.cases import Case
from pfo_pipeline_tests.oracle.more_cases import ALL_CASES
from pfo_pipeline_tests.oracle.oracle import Answer, Totals, judge
from pfo_pipeline_tests.oracle.recording import Link
from pfo_pipeline_tests.oracle.variants import variants_of

HERE = Path(__file__).parent
JUDGE = (
    "oracle",
    "links",
    "reading",
    "classes",
    "recording",
    "bank",
    "script",
    "cases",
    "variants",
    "relations",
    "generate",
)
TOLD = [told for case in ALL_CASES for told in (case, *variants_of(case))]


def by_name(totals: Totals) -> dict[str, Decimal]:
    return {f"{kind} {currency}": value for (kind, currency), value in totals.items()}


def answers_to(case: Case) -> list[Answer]:
    return judge(recorded(case.script), case.script.decisions)


@pytest.mark.parametrize("case", TOLD, ids=lambda case: case.name)
def test_the_judge_gives_the_answers_calculated_by_hand(case: Case) -> None:
    answers = answers_to(case)
    assert len(answers) == len(case.right)
    for number, (answer, right) in enumerate(zip(answers, case.right, strict=True)):
        where = f"moment {number}: {answer}"
        if right.totals is not None:
            assert answer.totals == right.decimals(), where
        if right.accounts is not None:
            assert len(answer.accounts) == right.accounts, where
        if right.double is not None:
            assert by_name(answer.possibly_double) == {k: Decimal(v) for k, v in right.double.items()}, where
        assert {link: answer.says[link] for link in right.says} == dict(right.says), where
        if right.same_as is not None:
            before = {account.number for account in answers[right.same_as].accounts}
            assert {account.number for account in answer.accounts} >= before, where


@pytest.mark.parametrize(
    ("name", "moment", "pair"),
    [
        ("one_mask_of_two_accounts", 0, {("jane", 11), ("john", 21)}),
        ("a_whole_number_that_ends_as_a_mask_does", 0, {("jane", 11), ("john", 21)}),
        ("a_second_list_with_one_pocket_of_two", 0, {("jane", 11), ("john", 21)}),
        ("a_bank_with_only_masks_comes_back", 2, {("jane", 11), ("jane", 21)}),
        ("a_number_reused_after_half_a_year", 2, {("jane", 11), ("john", 21)}),
    ],
)
def test_undecided_matches_are_proposed_to_a_person(name: str, moment: int, pair: set[Link]) -> None:
    case = next(case for case in ALL_CASES if case.name == name)
    assert frozenset(pair) in answers_to(case)[moment].proposals


def test_a_bank_that_shares_no_account_is_named() -> None:
    case = next(case for case in ALL_CASES if case.name == "a_consent_that_shares_no_account")
    assert answers_to(case)[0].empty_connections == {("jane", 1)}


@pytest.mark.parametrize("name", JUDGE)
def test_no_module_of_the_judge_imports_the_product(name: str) -> None:
    tree = ast.parse((HERE / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = {module for module in imported if module.startswith("pfo_pipeline_tests.oracle.")}
    assert not [module for module in imported - allowed if module.startswith("pfo_pipeline")]


def test_the_judge_loads_nothing_of_the_product() -> None:
    modules = ", ".join(f"pfo_pipeline_tests.oracle.{name}" for name in JUDGE)
    code = f"import sys, {modules}; print([m for m in sys.modules if m.split('.')[0] == 'pfo_pipeline'])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
