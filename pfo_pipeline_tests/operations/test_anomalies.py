"""Movements of a balance that are implausible by its own history."""

from decimal import Decimal

import pytest

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import DailyBalances
from pfo_pipeline.operations.anomalies import Jump, implausible_jumps


def account(*moves: str) -> DailyBalances:
    """Return daily balances that differ by these movements."""
    balances = [Decimal(1000)]
    for move in moves:
        balances.append(EXACT.add(balances[-1], Decimal(move)))
    return DailyBalances("acc_1", balances)


DAILY = ("-20", "-35", "-12.5", "-41", "-8", "-27", "-33", "-19", "-22", "-30", "-25")
SALARY = ("-20", "-35", "4200", "-41", "-8", "-27", "-33", "-19", "-22", "-30", "-25")


def test_an_extra_digit_is_reported_with_its_move_and_the_largest_before() -> None:
    assert implausible_jumps([account(*DAILY, "-2200.00")]) == [Jump("acc_1", Decimal("-2200.00"), Decimal(41))]


@pytest.mark.parametrize(
    "moves",
    [
        (*DAILY, "-41"),
        (*DAILY, "-82"),
        (*SALARY, "4200"),
        (*SALARY, "4310.10"),
        (*DAILY, "0"),
        ("-20", "-35", "99999"),
        (*(["0"] * 80), "5000"),
        (),
    ],
    ids=["usual", "twice the largest", "a salary", "a raise", "no move", "little history", "never moved", "new"],
)
def test_usual_moves_and_short_histories_are_not_reported(moves: tuple[str, ...]) -> None:
    assert implausible_jumps([account(*moves)]) == []


def test_ten_earlier_moves_are_enough_history_and_nine_are_not() -> None:
    assert implausible_jumps([account(*DAILY[:9], "-2200")]) == []
    assert implausible_jumps([account(*DAILY[:9], "0", "-2200")]) == [], "a day without a move is none"
    assert implausible_jumps([account(*DAILY[:10], "-2200")]) == [Jump("acc_1", Decimal(-2200), Decimal(41))]


@pytest.mark.parametrize(("usual", "beyond"), [("31", "31.01"), ("-29", "-29.01")])
def test_only_a_move_beyond_ten_deviations_from_the_median_is_reported(usual: str, beyond: str) -> None:
    around_one = ("-2", "4", "1", "-2", "4", "1", "-2", "4", "1", "-2", "4")  # Median 1, median deviation 3.

    assert implausible_jumps([account(*around_one, usual)]) == []
    assert implausible_jumps([account(*around_one, beyond)]) == [Jump("acc_1", Decimal(beyond), Decimal(4))]


def test_a_move_just_beyond_twice_the_largest_is_reported() -> None:
    steady = ("-20", "-21", "-20", "-21", "-20", "-21", "-20", "-21", "-20", "-21")

    assert implausible_jumps([account(*steady, "-42")]) == []
    assert implausible_jumps([account(*steady, "-42.01")]) == [Jump("acc_1", Decimal("-42.01"), Decimal(21))]


def test_no_digit_is_lost_on_amounts_beyond_pythons_own_context() -> None:
    long = "1234567890123456789012345678.0000000001"

    (jump,) = implausible_jumps([account(*DAILY, long)])

    assert jump.move == Decimal(long)
