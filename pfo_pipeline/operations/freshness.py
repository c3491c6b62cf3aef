"""The freshness of a tenant's balances: three ages of each, and the stale amounts per currency."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pfo_pipeline.contracts.operations import REFRESH_BALANCES, Freshness
from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import DatedBalance
from pfo_pipeline.ledger.reader import Reader

CLOCK_DRIFT = timedelta(minutes=5)
"""A date of this machine that is further ahead of its clock than this was written by a wrong clock, or just after it."""
Delay = Literal["no figure", "not read by us", "not synced by Powens", "not given by the bank"]
"""Where a stale balance is delayed."""


@dataclass(frozen=True)
class BalanceAge:
    """A balance and its three ages: since the bank's own date, since Powens' last successful sync, since we recorded it.

    The last is negative if a wrong clock has dated the record ahead of ours.
    """

    balance: DatedBalance
    limit: timedelta
    at_bank: timedelta | None
    at_powens: timedelta | None
    in_ledger: timedelta | None
    held: Delay | None
    """None while the balance is within its limit."""

    @property
    def is_stale(self) -> bool:
        return self.held is not None


@dataclass(frozen=True)
class Amounts:
    """A tenant's total in one currency, and its part from stale balances; without loans. Booked, exact."""

    currency: str
    total: Decimal
    stale: Decimal
    loans: Decimal
    stale_loans: Decimal


@dataclass(frozen=True)
class TenantFreshness:
    """The freshness of one tenant; `last_read_at` is when its balances were last read completely."""

    tenant_id: str
    accounts: tuple[BalanceAge, ...]
    amounts: tuple[Amounts, ...]
    last_read_at: datetime | None

    @property
    def stale(self) -> list[BalanceAge]:
        return [age for age in self.accounts if age.is_stale]

    @property
    def is_fresh(self) -> bool:
        """Whether every balance is within its limit, and there is a balance or no account that needs one."""
        return not self.stale and self.last_read_at is not None


def freshness_of(reader: Reader, tenant_ids: list[str], limits: Freshness, now: datetime) -> list[TenantFreshness]:
    """Return the freshness of each of these tenants, in their order, from three queries for all of them.

    Raises: LedgerError.
    """
    with reader.at_once() as at_once:
        figures = at_once.dated_balances(tenant_ids)
        read_at = at_once.last_loads(tenant_ids, REFRESH_BALANCES.key)
    by_tenant: dict[str, list[BalanceAge]] = defaultdict(list)
    for figure in figures:
        by_tenant[figure.tenant_id].append(compute_age(figure, limits, now, read_at.get(figure.tenant_id)))
    return [
        TenantFreshness(
            tenant_id,
            tuple(by_tenant[tenant_id]),
            amounts_by_currency(by_tenant[tenant_id]),
            read_at.get(tenant_id),
        )
        for tenant_id in tenant_ids
    ]


def compute_age(figure: DatedBalance, limits: Freshness, now: datetime, read_at: datetime | None) -> BalanceAge:
    """Compute the ages of one balance, and whether it is stale. A bank's date ahead of our clock is age zero.

    Args:
        read_at: When we last read the tenant's balances completely.
    """
    limit = limits.limit(figure.account_type, figure.connection_class)
    at_bank, at_powens, since_read = (
        None if at is None else max(now - at, timedelta(0)) for at in (figure.as_of, figure.synced_at, read_at)
    )
    in_ledger = None if figure.recorded_at is None else now - figure.recorded_at
    if in_ledger is not None and -CLOCK_DRIFT <= in_ledger < timedelta(0):
        in_ledger = timedelta(0)
    held: Delay | None = None
    if at_bank is None:
        held = "no figure"
    elif at_bank > limit:
        held = _held(limit, at_powens, since_read if figure.is_read else None)
    return BalanceAge(figure, limit, at_bank, at_powens, in_ledger, held)


def _held(limit: timedelta, at_powens: timedelta | None, since_read: timedelta | None) -> Delay:
    if since_read is None or since_read > limit:
        return "not read by us"
    if at_powens is None or at_powens > limit:
        return "not synced by Powens"
    return "not given by the bank"


def amounts_by_currency(accounts: Iterable[BalanceAge]) -> tuple[Amounts, ...]:
    """Return booked balances per currency, all and stale, without loans. An account without balance or class has no amount."""
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for account in accounts:
        amount, currency = account.balance.current_balance, account.balance.currency
        if amount is None or currency is None:
            continue
        if account.balance.account_class == "unclassified":
            continue
        first = 2 if account.balance.account_class == "loan" else 0
        for column in (first, first + 1) if account.is_stale else (first,):
            sums[currency][column] = EXACT.add(sums[currency][column], amount)
    return tuple(Amounts(currency, *columns) for currency, columns in sorted(sums.items()))
