"""Find implausible movements of a balance: a misread amount, a missing digit, another account's balance.

The test is robust against salaries and rent: a movement is implausible only when it is far from the account's usual
movements and larger than any of them. It reports nothing while the history is short. Decimals are exact throughout.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import DailyBalances

LOOK_BACK = timedelta(days=90)
FEWEST_MOVES = 10
"""Minimum number of earlier days with a movement; with fewer, no movement counts as usual."""
DEVIATIONS = 10
"""Minimum distance from the median movement, in median absolute deviations."""
TIMES_THE_LARGEST = 2
"""Minimum ratio to the largest earlier movement."""


@dataclass(frozen=True)
class Jump:
    """The newest movement of an account, and the largest one before it; in the account's currency."""

    account_id: str
    move: Decimal
    largest_before: Decimal


def implausible_jumps(accounts: Iterable[DailyBalances]) -> list[Jump]:
    """Return the accounts whose newest daily balance is implausible after the one before."""
    return [jump for account in accounts if (jump := _jump(account)) is not None]


def _jump(account: DailyBalances) -> Jump | None:
    pairs = zip(account.balances, account.balances[1:], strict=False)
    moves = [EXACT.subtract(after, before) for before, after in pairs]
    earlier = [move for move in moves[:-1] if move]
    if len(earlier) < FEWEST_MOVES:
        return None
    newest = moves[-1]
    middle = _median(earlier)
    deviation = _median([_distance(move, middle) for move in earlier])
    largest = max(move.copy_abs() for move in earlier)
    is_far = _distance(newest, middle) > EXACT.multiply(deviation, DEVIATIONS)
    is_larger = newest.copy_abs() > EXACT.multiply(largest, TIMES_THE_LARGEST)
    return Jump(account.account_id, newest, largest) if is_far and is_larger else None


def _distance(one: Decimal, other: Decimal) -> Decimal:
    return EXACT.subtract(one, other).copy_abs()


def _median(values: list[Decimal]) -> Decimal:
    """Return the lower of the two middle values: there is no division, so nothing is rounded."""
    return sorted(values)[(len(values) - 1) // 2]
