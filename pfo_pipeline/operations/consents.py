"""The consent calendar: consents that expire soon, and the balances that become stale with them.

Facts: Powens docs, "SCA and connection states": a consent given to a bank is valid for 180 days (PSD2); after that the
connection waits for the user. Powens sends no event for it, so the dates are checked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import APART, KnownAccount, KnownConnection

STAGES_DAYS = (0, 1, 7, 14)
"""Days before expiry at which a warning is due; 0 is the expiry itself."""


@dataclass(frozen=True)
class EndingConsent:
    """A consent that expires within the first stage, or has expired; `totals` and `accounts` become stale with it."""

    tenant_id: str
    connection_id: str
    user_id: str
    institution_name: str
    ends_at: datetime
    stage_days: int
    accounts: int
    totals: tuple[tuple[str, Decimal], ...]
    """Booked balances per currency, without loans and unclassified accounts."""


def ending_consents(
    tenant_id: str, connections: Iterable[KnownConnection], accounts: Iterable[KnownAccount], now: datetime
) -> list[EndingConsent]:
    """Return the tenant's consents for which a warning is due, the most urgent first."""
    accounts = list(accounts)
    found = []
    for connection, ends_at in consents_that_matter(connections):
        stage = next((days for days in STAGES_DAYS if ends_at - now <= timedelta(days=days)), None)
        if stage is None:
            continue
        mine = [a for a in accounts if a.connection_id == connection.connection_id and a.is_enabled]
        found.append(
            EndingConsent(
                tenant_id,
                connection.connection_id,
                connection.user_id,
                connection.institution_name,
                ends_at,
                stage,
                len(mine),
                _totals(mine),
            )
        )
    return found


def consents_that_matter(connections: Iterable[KnownConnection]) -> list[tuple[KnownConnection, datetime]]:
    """Return connections whose balances become stale when a consent expires, with the expiry time, earliest first."""
    dated = [(c, c.consent_expires_at) for c in connections if c.consent_expires_at is not None and c.status != "gone"]
    matter = [(c, ends_at) for c, ends_at in dated if not _was_synced_after(c, ends_at)]
    return sorted(matter, key=lambda found: (found[1], found[0].connection_id))


def _was_synced_after(connection: KnownConnection, ends_at: datetime) -> bool:
    """Whether the bank still answers after the date: then only one of the connection's sources needs a consent."""
    synced_at = connection.last_success_at
    return connection.status == "healthy" and synced_at is not None and synced_at > ends_at


def _totals(accounts: list[KnownAccount]) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    for account in accounts:
        if account.current_balance is not None and account.currency and account.account_class not in APART:
            sums[account.currency] = EXACT.add(sums.get(account.currency, Decimal(0)), account.current_balance)
    return tuple(sorted(sums.items()))
