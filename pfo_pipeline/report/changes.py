"""The change of every account between two states of the ledger, and its reason. Exact: changes add up from one total to the
other.

Let b be the balance of an account in the earlier state. The balance now known for the date of b, less b, is a restatement; the
balance of the account now, less that, is a movement.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import AccountAsOf, BalanceAsOf, CoverageRow
from pfo_pipeline.ledger.moments import account_ids_at, accounts_at, balances_at
from pfo_pipeline.ledger.reader import ALWAYS, Reader
from pfo_pipeline.report.model import Bridge, Change, Changes, Reason, Side, side_of
from pfo_pipeline.report.totals import exact_sum

Key = tuple[str, str]
"""Tenant and account."""
_REASONS: tuple[Reason, ...] = get_args(Reason)
_SIDES: tuple[Side, ...] = get_args(Side)
_WITHOUT_DIFFERENCE = ("carried forward", "not counted")
Column = tuple[Side, str]
"""The total that an account with a balance is part of, and its currency."""


@dataclass(frozen=True)
class _State:
    """Every account at one time, and the account of each linked account."""

    accounts: Mapping[Key, AccountAsOf]
    belongings: Mapping[Key, str]

    def counted(self, key: Key) -> AccountAsOf | None:
        """The account, if it is counted and has a balance."""
        account = self.accounts.get(key)
        return account if account and account.counts and account.current_balance is not None else None

    def all_counted(self) -> Iterator[AccountAsOf]:
        return (account for key in self.accounts if (account := self.counted(key)))

    def instead_of(self, key: Key) -> AccountAsOf | None:
        """The other account as which this linked account was counted."""
        tenant_id, account_id = key
        counted_as = self.belongings.get(key, account_id)
        return self.accounts.get((tenant_id, counted_as)) if counted_as != account_id else None


def changes_since(
    reader: Reader,
    tenant_ids: Sequence[str],
    since: datetime,
    last_report: datetime | None,
    now: Iterable[AccountAsOf],
    known_at: datetime,
    stale: Collection[Key],
    covered: Iterable[CoverageRow],
) -> Changes:
    """Changes from a report at `since`, as known then, to `now`.

    Args:
        now: Every account as the page has it, including hidden ones.
        known_at: The known time of `now`; not before `since`.
        stale: Accounts of `now` with a balance older than its limit.
        covered: Every linked account, counted or not, as the page has it.
    """
    # A report shows the newest balances, including those that a bank has dated in the future.
    until = ALWAYS if since == last_report else since
    earlier = _state(accounts_at(reader, tenant_ids, until, since), account_ids_at(reader, tenant_ids, since))
    later = _state(now, account_ids_at(reader, tenant_ids, known_at))
    in_both = {
        _key(before): (before, after)
        for before in earlier.all_counted()
        if (after := later.counted(_key(before))) and _column(before) == _column(after)
    }
    dates = {key: before.as_of for key, (before, _) in in_both.items() if before.as_of is not None}
    restated = balances_at(reader, dates, known_at)
    changes = [
        *(
            change
            for key, (before, after) in in_both.items()
            for change in _of_one(before, after, restated.get(key), key in stale)
        ),
        *_gone(earlier, later),
        *_new(earlier, later),
        *_not_counted(earlier, later, covered),
    ]
    changes.sort(key=lambda c: (c.tenant_id, c.institution_name, c.display_name, c.account_id, c.currency))
    return Changes(since.astimezone(UTC), since == last_report, _bridges(earlier, later, changes), tuple(changes))


def _state(accounts: Iterable[AccountAsOf], belongings: Mapping[Key, str]) -> _State:
    return _State({_key(account): account for account in accounts}, belongings)


def _key(account: AccountAsOf) -> Key:
    return account.tenant_id, account.account_id


def _column(account: AccountAsOf) -> Column:
    return side_of(account.account_class), account.currency or ""


def _of_one(before: AccountAsOf, after: AccountAsOf, restated: BalanceAsOf | None, is_stale: bool) -> Iterator[Change]:
    """Changes of an account that is in both states, in the same currency and on the same side."""
    was, now = _figure(before), _figure(after)
    # An account that was split off since may have no balance of that date: then the split explains the whole difference.
    says_now = restated.current_balance if restated and restated.currency == before.currency else now
    if says_now != was:
        yield _change(after, "restatement", EXACT.subtract(says_now, was), before.as_of)
    if now != says_now:
        yield _change(after, "movement", EXACT.subtract(now, says_now), after.as_of)
    if is_stale and after.as_of == before.as_of:
        yield _change(after, "carried forward", Decimal(0), after.as_of)


def _gone(earlier: _State, later: _State) -> Iterator[Change]:
    for before in earlier.all_counted():
        after = later.counted(_key(before))
        if after is None or _column(after) != _column(before):
            why = _why_elsewhere(before, after, "now") if after else _why_gone(before, later)
            yield _change(before, "account gone", EXACT.minus(_figure(before)), before.as_of, why)


def _new(earlier: _State, later: _State) -> Iterator[Change]:
    for after in later.all_counted():
        before = earlier.counted(_key(after))
        if before is None or _column(before) != _column(after):
            why = _why_elsewhere(after, before, "until then") if before else _why_new(after, earlier)
            yield _change(after, "new account", _figure(after), after.as_of, why)


def _why_elsewhere(account: AccountAsOf, other: AccountAsOf, when: str) -> str:
    if account.currency != other.currency:
        return f"in {other.currency} {when}"
    if side_of(other.account_class) == "loans":
        return f"a liability {when}"
    if side_of(other.account_class) == "unclassified":
        return f"of no known class {when}"
    return (
        f"no liability {when}"
        if side_of(account.account_class) == "loans"
        else f"of class {other.account_class} {when}"
    )


def _why_gone(before: AccountAsOf, later: _State) -> str:
    key = _key(before)
    if other := later.instead_of(key):
        return f"counted now as the same account as {other.display_name}, {other.institution_name}"
    after = later.accounts.get(key)
    if after is None or after.counts:
        return "told apart from the account whose figure it had"
    if after.deleted_at is None and after.counts_as is not None:
        return _why_not_counted(after, later)
    return "disabled" if after.deleted_at is None else "deleted"


def _why_new(after: AccountAsOf, earlier: _State) -> str:
    key = _key(after)
    if other := earlier.instead_of(key):
        return f"counted until then as the same account as {other.display_name}, {other.institution_name}"
    before = earlier.accounts.get(key)
    if before is None:
        return "newly linked"
    return "first figure" if before.counts else "appeared again"


def _not_counted(earlier: _State, later: _State, covered: Iterable[CoverageRow]) -> Iterator[Change]:
    """New accounts that are in no total, and new links of an account that is already counted."""
    out = ("disabled", "deleted", "gone", "ended", "one_of", "part_of", "quarantined")
    links = Counter((one.tenant_id, one.account_id) for one in covered if one.reason not in out)
    for key, after in later.accounts.items():
        before = earlier.accounts.get(key)
        is_known = before is not None and (before.counts_as == after.counts_as or earlier.counted(key) is not None)
        if after.counts_as is not None and not is_known:
            yield _change(after, "not counted", Decimal(0), after.as_of, _why_not_counted(after, later))
    for (tenant_id, linked_id), account_id in later.belongings.items():
        key = tenant_id, linked_id
        is_new = account_id not in (linked_id, earlier.belongings.get(key, linked_id))
        account = later.counted((tenant_id, account_id))
        # A link that replaced another one is not an additional link.
        if is_new and account is not None and links[tenant_id, account_id] > 1 and earlier.counted(key) is None:
            why = f"linked again, as {linked_id}: counted once"
            yield _change(account, "not counted", Decimal(0), account.as_of, why)


def _why_not_counted(account: AccountAsOf, state: _State) -> str:
    others = (account.others or "").split(",")
    named = " or ".join(_called(state.accounts.get((account.tenant_id, other)), other) for other in others)
    return f"part of {named}" if account.counts_as == "part_of" else f"one of {named}: it is not known which"


def _called(account: AccountAsOf | None, account_id: str) -> str:
    return f"{account.display_name}, {account.institution_name}" if account else account_id


def _figure(account: AccountAsOf) -> Decimal:
    assert account.current_balance is not None, f"{account.account_id} counts and has no figure"
    return account.current_balance


def _change(
    account: AccountAsOf, reason: Reason, difference: Decimal, as_of: datetime | None, detail: str = ""
) -> Change:
    return Change(
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        institution_name=account.institution_name,
        display_name=account.display_name,
        side=side_of(account.account_class),
        currency=account.currency or "",
        reason=reason,
        difference=difference,
        as_of=as_of,
        detail=detail,
    )


def _bridges(earlier: _State, later: _State, changes: Iterable[Change]) -> tuple[Bridge, ...]:
    """Totals first, then loans, then unclassified accounts; each by currency."""
    before, after = _totals(earlier), _totals(later)
    differences: dict[Column, dict[Reason, Decimal]] = defaultdict(dict)
    for change in changes:
        if change.reason not in _WITHOUT_DIFFERENCE:
            of_column = differences[change.side, change.currency]
            of_column[change.reason] = EXACT.add(of_column.get(change.reason, Decimal(0)), change.difference)
    columns = sorted({*before, *after}, key=lambda column: (_SIDES.index(column[0]), column[1]))
    return tuple(_bridge(column, before, after, differences[column]) for column in columns)


def _totals(state: _State) -> dict[Column, Decimal]:
    figures: dict[Column, list[Decimal]] = defaultdict(list)
    for account in state.all_counted():
        figures[_column(account)].append(_figure(account))
    return {column: exact_sum(some) for column, some in figures.items()}


def _bridge(
    column: Column,
    before: Mapping[Column, Decimal],
    after: Mapping[Column, Decimal],
    differences: Mapping[Reason, Decimal],
) -> Bridge:
    side, currency = column
    was, now = before.get(column, Decimal(0)), after.get(column, Decimal(0))
    by_reason = tuple((reason, differences[reason]) for reason in _REASONS if reason in differences)
    assert exact_sum([was, *differences.values()]) == now, f"{currency}: the changes do not lead from before to after"
    return Bridge(currency, side, was, by_reason, now)
