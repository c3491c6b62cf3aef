"""The judge agrees with the true totals, and with itself when a script is told in another way."""

from random import Random

import pytest

from pfo_pipeline_tests.oracle.bank import recorded
from pfo_pipeline_tests.oracle.cases import Case
from pfo_pipeline_tests.oracle.generate import generated
from pfo_pipeline_tests.oracle.more_cases import ALL_CASES
from pfo_pipeline_tests.oracle.oracle import judge
from pfo_pipeline_tests.oracle.relations import RELATIONS, Relation
from pfo_pipeline_tests.oracle.script import Script

SEEDS = range(8)


def disagreement(script: Script, relation: Relation, seed: int) -> str | None:
    """Return the first moment at which totals changed that must not."""
    told = relation(script, Random(seed))  # noqa: S311 - chance, not secrecy
    if told is None:
        return None
    before, after = judge(recorded(script), script.decisions), judge(recorded(told.script), told.script.decisions)
    for old, new in told.same:
        if not before[old].agrees(after[new].totals) and not after[new].agrees(before[old].totals):
            return f"seed {seed}, {relation.__name__}, moment {old}: {before[old].totals} became {after[new].totals}"
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_the_judge_finds_the_true_totals_when_no_bank_is_in_trouble(seed: int) -> None:
    made = generated(seed)
    for number, (answer, truth) in enumerate(zip(judge(recorded(made.script)), made.truth, strict=True)):
        assert truth is None or answer.agrees(truth), f"seed {seed}, moment {number}: {answer.totals}, not {truth}"


def test_half_years_have_calm_moments() -> None:
    truths = [truth for seed in SEEDS for truth in generated(seed).truth]
    assert sum(truth is not None for truth in truths) > len(truths) / 8


def test_a_seed_gives_the_same_half_year_again() -> None:
    assert generated(3) == generated(3) != generated(4)


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_total_of_a_half_year_moves(relation: Relation, seed: int) -> None:
    assert disagreement(generated(seed).script, relation, seed) is None


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)
@pytest.mark.parametrize("case", [c for c in ALL_CASES if not c.script.decisions], ids=lambda case: case.name)
def test_no_total_of_a_case_moves(relation: Relation, case: Case) -> None:
    assert disagreement(case.script, relation, 0) is None


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)
def test_each_relation_applies_to_some_half_year(relation: Relation) -> None:
    told = [relation(generated(seed).script, Random(seed)) for seed in SEEDS]  # noqa: S311
    assert sum(len(one.same) for one in told if one is not None) > 20
