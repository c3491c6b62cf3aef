"""Operations that are announced in `coming` and post into the balance days later, or never.

Here: what is pending on an account, its settling day by day, purchases that come by themselves.
Not here: when a day is played (movement.py).
Facts: Powens docs, Bank accounts: `coming` is the sum of the operations not yet debited, and no part of `balance`.
Assumed: it takes one to four days to post, and one announcement in eight is dropped.
"""

from datetime import date, timedelta
from decimal import Decimal

from pfo_pipeline.simulator.catalogue import precision_of
from pfo_pipeline.simulator.dice import pick, swing
from pfo_pipeline.simulator.records import Account, Pending

DAYS_TO_POST = (1, 4)
ONE_DROPPED_IN = 8


def announce_purchases(account: Account, key: tuple[object, ...], day: date) -> None:
    """Add what is bought on a day to what is pending: on every other day something, always an expense."""
    if not pick(0, 1, "purchase", *key, day):
        return
    amount = -abs(swing(account.swing, precision_of(account.currency), "purchase amount", *key, day))
    due = day + timedelta(days=pick(*DAYS_TO_POST, "purchase due", *key, day))
    dropped = pick(1, ONE_DROPPED_IN, "purchase dropped", *key, day) == 1
    account.pending.append(Pending(amount, due, dropped))


def settle(account: Account, day: date) -> None:
    """Post or drop what is due up to a day; what remains is `coming`."""
    if not account.announces:
        return
    due = [item for item in account.pending if item.due <= day]
    account.pending = [item for item in account.pending if item.due > day]
    if account.balance is not None:
        account.balance += sum((item.amount for item in due if not item.dropped), Decimal(0))
    account.coming = sum((item.amount for item in account.pending), Decimal(0))
