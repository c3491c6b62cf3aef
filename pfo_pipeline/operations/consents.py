"""The consent calendar: which consents end soon, what goes stale with them, and who has been told of which stage.

Here: dates, figures, and the memory of what was told. Not here: the links (powens/links.py), where a warning goes to.
Facts: Powens docs, "SCA and connection states": a consent given to a bank holds 180 days (PSD2); after that the connection
waits for the member. No event announces it, so the dates are watched.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.contracts.tables import LOAN_TYPES
from pfo_pipeline.ledger.drafts import draft_of
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.ledger.lock import queue_for

STAGES_DAYS = (0, 1, 7, 14)
"""A warning for each, the last when the consent has ended."""
_LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class EndingConsent:
    """A consent that ends within the first stage, or has ended; `totals` and `accounts` are what goes stale."""

    tenant_id: str
    connection_id: str
    user_id: str
    institution_name: str
    ends_at: datetime
    stage_days: int
    accounts: int
    totals: tuple[tuple[str, Decimal], ...]
    """Booked balances per currency, loans apart."""


def ending_consents(
    tenant_id: str, connections: Iterable[KnownConnection], accounts: Iterable[KnownAccount], now: datetime
) -> list[EndingConsent]:
    """The tenant's consents that a warning is due for, the most pressing first."""
    accounts = list(accounts)
    found = []
    for connection in connections:
        ends_at = connection.consent_expires_at
        if ends_at is None or connection.status == "gone" or _was_synced_after(connection, ends_at):
            continue
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
    return sorted(found, key=lambda consent: (consent.ends_at, consent.connection_id))


def _was_synced_after(connection: KnownConnection, ends_at: datetime) -> bool:
    """The bank still answers, so the date says nothing: only one of the connection's sources needs a consent."""
    synced_at = connection.last_success_at
    return connection.status == "healthy" and synced_at is not None and synced_at > ends_at


def _totals(accounts: list[KnownAccount]) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    for account in accounts:
        if account.current_balance is not None and account.currency and account.account_type not in LOAN_TYPES:
            sums[account.currency] = EXACT.add(sums.get(account.currency, Decimal(0)), account.current_balance)
    return tuple(sorted(sums.items()))


def tell_once(memory: Path, consents: Iterable[EndingConsent], tell: Callable[[EndingConsent], None]) -> int:
    """Tell each consent once per stage, whoever asks and how often; a consent that was renewed is forgotten.

    Args:
        memory: File of what was told.
        consents: All that end soon, of all tenants.
    Returns: How many were told now.
    Raises:
        OSError: the memory, or what `tell` writes to, cannot be written. What was not told is told the next time.
        TurnNotReached: another process holds the memory for too long.
    """
    with queue_for(memory.with_suffix(".lock"), deadline_seconds=_LOCK_SECONDS):
        told_before = _read(memory)
        ending = {f"{consent.tenant_id}/{consent.connection_id}": consent for consent in consents}
        # Also where telling one fails: what the others were told is not forgotten.
        told = {key: stage for key, stage in told_before.items() if key in ending}
        count = 0
        try:
            for key, consent in ending.items():
                before = told_before.get(key)
                if before is None or consent.stage_days < before:
                    tell(consent)
                    count += 1
                told[key] = consent.stage_days
        finally:
            if told != told_before:
                _write(memory, told)
    return count


def _read(memory: Path) -> dict[str, int]:
    """What cannot be read was not told: twice is better than never."""
    try:
        found = json.loads(memory.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, int)} if isinstance(found, dict) else {}


def _write(memory: Path, told: dict[str, int]) -> None:
    with draft_of(memory, 0o600) as draft:
        draft.write_text(json.dumps(told), encoding="utf-8")
