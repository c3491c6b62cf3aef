"""The product beside the judge, over real HTTP: its right answers, and a record of an earlier release's wrong ones.

The record is a file. It is documentation; it tests nothing of today's release.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from pfo_pipeline_tests.oracle.cases import Case, Right, cash
from pfo_pipeline_tests.oracle.driving import Shown, answers, first_moved, first_unlike, first_wrong, folded
from pfo_pipeline_tests.oracle.generate import generated
from pfo_pipeline_tests.oracle.more_cases import ALL_CASES
from pfo_pipeline_tests.oracle.record import Record, in_words
from pfo_pipeline_tests.oracle.relations import RELATIONS, Relation, split_over_two_connections

RECORD: Record = json.loads(Path(__file__).with_name("answers_of_0_1_0.json").read_text())

WRONG_IN_0_1_0 = {
    # Case: the first moment with a wrong total, and the answer then, by class and currency.
    "two_pockets_of_one_iban_come_back": (3, {"at hand EUR": "5000.00"}),
    "two_pockets_come_back_in_another_order": (1, {"at hand EUR": "100.00"}),
    "two_members_see_two_pockets_in_another_order": (0, {"at hand EUR": "10000.00"}),
    "two_members_see_two_pockets_numbered_the_other_way": (0, {"at hand EUR": "200.00"}),
    "one_mask_of_two_accounts": (0, {"at hand EUR": "111.00"}),
    "a_mask_without_any_digit": (0, {"at hand EUR": "111.00"}),
    "a_number_of_one_digit_repeated": (0, {"at hand EUR": "111.00"}),
    "one_account_through_two_sources": (0, {"at hand EUR": "4900.00"}),
    "an_iban_learnt_late": (3, {"at hand EUR": "20.00"}),
    "three_links_of_one_account": (1, {"at hand EUR": "20.00"}),
    "a_removed_connection_beside_an_unreadable_row": (1, {"at hand EUR": "1550.00"}),
    "old_and_new_side_by_side": (2, {"at hand EUR": "24000.00"}),
    "a_second_list_with_one_pocket_of_two": (0, {"at hand EUR": "10000.00"}),
    "a_joint_account_by_another_type": (0, {"at hand EUR": "16000.00"}),
    "a_joint_account_of_unknown_type": (0, {"at hand EUR": "16000.00"}),
    "a_card_under_the_iban_of_its_account": (0, {"at hand EUR": "-800.00"}),
    "a_loan_under_the_iban_it_is_repaid_from": (0, {"loan EUR": "-150000.00"}),
    "a_card_that_repeats_its_parent": (0, {"at hand EUR": "10000.00"}),
    "a_split_that_passes_on": (2, {"at hand EUR": "111.00"}),
    "two_numbers_under_one_iban": (0, {"at hand EUR": "100.00"}),
    "an_empty_list_of_a_healthy_bank": (1, {}),
    "no_account_of_a_healthy_bank": (1, {}),
    "an_empty_list_of_one_source_of_two": (1, {"at hand EUR": "40.00"}),
    "an_account_closed_without_a_stamp": (1, {"at hand EUR": "100.00"}),
    "an_unknown_type": (0, {"at hand EUR": "-8900.00"}),
    "the_noise_of_a_float": (0, {}),
    "zero_dates": (0, {}),
    "zero_dates_for_stamps": (0, {}),
    "a_currency_in_small_letters": (1, {"at hand EUR": "100.00"}),
    "disabled_false": (0, {}),
    "pockets_told_apart_by_name_come_back": (2, {"at hand EUR": "5000.00"}),
    "pockets_that_nothing_tells_apart_come_back": (1, {"at hand EUR": "30.00"}),
    "pockets_come_back_beside_another_member": (1, {"at hand EUR": "5000.00"}),
    "one_member_links_a_bank_of_pockets_twice": (0, {"at hand EUR": "10000.00"}),
    "two_accounts_with_one_short_number": (0, {"at hand EUR": "111.00"}),
    "two_sources_that_know_it_by_number": (0, {"at hand EUR": "4900.00"}),
    "old_and_new_side_by_side_with_a_mask": (1, {"at hand EUR": "24000.00"}),
    "old_and_new_side_by_side_at_first_sight": (0, {"at hand EUR": "24000.00"}),
    "a_successor_that_waits_to_be_enabled": (1, {}),
    "a_second_list_with_a_numbered_pocket": (0, {"at hand EUR": "10000.00"}),
    "three_types_of_one_joint_account": (0, {"at hand EUR": "24000.00"}),
    "a_card_that_repeats_its_parent_through_two_members": (0, {"at hand EUR": "10000.00"}),
    "a_card_that_ceases_to_repeat_its_parent": (0, {"at hand EUR": "10000.00"}),
    "a_split_of_two_sources_that_passes_on": (3, {"at hand EUR": "222.00"}),
    "an_empty_list_beside_a_living_one": (1, {"at hand EUR": "900.00"}),
    "a_short_list_whose_rest_stands_still": (1, {"at hand EUR": "100.00"}),
    "no_type_at_all": (0, {"at hand EUR": "63.00"}),
    "an_account_that_returns_after_it_was_gone": (1, {"at hand EUR": "100.00"}),
}
PAST_WRONG_IN_0_1_0 = {"two_pockets_of_one_iban_come_back": (2, {"0": "100.00", "1": "100.00"})}
BY_NAME = {case.name: case for case in ALL_CASES}


def without_classes(right: Right) -> dict[str, str]:
    return in_words(folded(right.decimals() or {}, has_classes=False))


def first_wrong_on_record(case: Case) -> tuple[int, dict[str, str]] | None:
    for moment, (right, said) in enumerate(zip(case.right, RECORD[case.name], strict=True)):
        if right.totals is not None and said["totals"] != without_classes(right):
            return moment, said["totals"]
    return None


def test_the_first_release_is_on_record_with_these_wrong_totals() -> None:
    found = {case.name: first_wrong_on_record(case) for case in ALL_CASES if case.name in RECORD}
    assert {name: wrong for name, wrong in found.items() if wrong is not None} == WRONG_IN_0_1_0


@pytest.mark.parametrize(("name", "wrong"), PAST_WRONG_IN_0_1_0.items(), ids=PAST_WRONG_IN_0_1_0)
def test_the_first_release_is_on_record_with_a_past_that_changed(name: str, wrong: tuple[int, dict[str, str]]) -> None:
    moment, said = wrong
    right = {str(earlier): amount for earlier, amount in BY_NAME[name].right[moment].past.items()}
    assert RECORD[name][moment]["past"] == said != right


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_the_product_gives_the_answers_calculated_by_hand(case: Case, tmp_path: Path) -> None:
    assert first_unlike(case, tmp_path) is None


def test_the_product_agrees_with_the_judge_on_the_bytes_that_it_was_sent(tmp_path: Path) -> None:
    assert first_wrong(BY_NAME["an_account_with_a_stamp"].script, tmp_path) is None


@pytest.mark.parametrize("seed", [7])
def test_the_product_agrees_with_the_judge_on_half_a_year(seed: int, tmp_path: Path) -> None:
    assert first_wrong(generated(seed).script, tmp_path) is None, f"seed {seed}"


@pytest.mark.parametrize("relation", [relation for relation in RELATIONS if relation is not split_over_two_connections])
@pytest.mark.parametrize("name", ["two_members_see_two_pockets_in_another_order", "a_joint_account_by_another_type"])
def test_the_product_gives_the_same_totals_for_a_script_told_in_another_way(
    relation: Relation, name: str, tmp_path: Path
) -> None:
    told = relation(BY_NAME[name].script, Random(0))  # noqa: S311 - chance, not secrecy
    assert told is not None
    assert first_moved(_as_it_is(name), told, tmp_path) is None


@cache
def _as_it_is(name: str) -> list[Shown]:
    with TemporaryDirectory() as folder:
        return answers(BY_NAME[name].script, Path(folder))


@pytest.mark.parametrize("wrong", [cash("100.01"), cash("100.00", past={0: "300.01"})])
def test_wrong_answers_of_the_product_are_noticed(wrong: Right, tmp_path: Path) -> None:
    case = BY_NAME["an_account_with_a_stamp"]
    said = first_unlike(replace(case, right=(case.right[0], wrong)), tmp_path)
    assert said is not None
    assert said.startswith("moment 1")
