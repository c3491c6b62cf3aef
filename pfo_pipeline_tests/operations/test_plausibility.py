"""Which moves of a balance its own history makes hard to believe."""

from decimal import Decimal

import pytest

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import Closings
from pfo_pipeline.operations.plausibility import Jump, implausible_jumps


def account(*moves: str) -> Closings:
    """Day's ends that differ by these moves."""
    balances = [Decimal(1000)]
    for move in moves:
        balances.append(EXACT.add(balances[-1], Decimal(move)))
    return Closings("acc_1", balances)


DAILY = ("-20", "-35", "-12.5", "-41", "-8", "-27", "-33", "-19", "-22", "-30", "-25")
SALARY = ("-20", "-35", "4200", "-41", "-8", "-27", "-33", "-19", "-22", "-30", "-25")


def test_a_digit_too_many_is_told_with_its_move_and_the_largest_before() -> None:
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
def test_what_history_knows_or_is_too_short_for_is_not_told(moves: tuple[str, ...]) -> None:
    assert implausible_jumps([account(*moves)]) == []


def test_no_digit_is_lost_on_amounts_beyond_pythons_own_context() -> None:
    long = "1234567890123456789012345678.0000000001"

    (jump,) = implausible_jumps([account(*DAILY, long)])

    assert jump.move == Decimal(long)
