"""Action items and ending consents of a cash page, as they were known at its time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit

from pfo_pipeline.ledger.known import (
    APART,
    AccountThen,
    Attention,
    KnownConnection,
    TroubledUser,
    user_stands,
)
from pfo_pipeline.operations.consents import consents_that_matter
from pfo_pipeline.powens.states import waiting_is_enough
from pfo_pipeline.redaction import scrub
from pfo_pipeline.report.model import Consent, Task
from pfo_pipeline.report.totals import exact_sum


def tasks_of(
    users: Iterable[TroubledUser],
    connections: Iterable[tuple[str, KnownConnection]],
    attention: Iterable[Attention] = (),
) -> tuple[Task, ...]:
    """The open action items. Those that need a person come first, then by tenant, user and bank."""
    tasks = [
        *(_of_user(user) for user in users),
        *(_of_connection(tenant, c) for tenant, c in connections if c.is_troubled),
        *(_of_accounts(one) for one in attention),
    ]
    return tuple(
        sorted(tasks, key=lambda t: (not t.needs_person, t.tenant_id, t.user_id, t.institution_name or "", t.why))
    )


def _of_user(user: TroubledUser) -> Task:
    return Task(
        tenant_id=user.tenant_id,
        user_id=user.user_id,
        institution_name=None,
        why=user_stands(user.status, user.code),
        who=user.who_acts,
        remedy=_fit_to_show(user.remedy),
        link=None,
        next_try_at=None,
        needs_person=not waiting_is_enough(user.who_acts),
    )


def _of_connection(tenant_id: str, connection: KnownConnection) -> Task:
    return Task(
        tenant_id=tenant_id,
        user_id=connection.user_id,
        institution_name=connection.institution_name,
        why=connection.state or connection.status,
        who=connection.who_acts,
        remedy=_fit_to_show(connection.remedy),
        link=_web_address(connection.link),
        next_try_at=connection.next_try_at,
        needs_person=not waiting_is_enough(connection.who_acts),
    )


def _of_accounts(attention: Attention) -> Task:
    return Task(
        tenant_id=attention.tenant_id,
        user_id=attention.user_id,
        institution_name=attention.institution_name,
        why=attention.why,
        who=attention.who_acts,
        remedy=attention.remedy,
        link=None,
        next_try_at=None,
        needs_person=True,
    )


def _fit_to_show(remedy: str | None) -> str | None:
    return scrub(remedy) if remedy else None


def _web_address(link: str | None) -> str | None:
    """The link if a browser may follow it; any other text on a page could be a program."""
    if link is None or any(letter.isspace() or not letter.isprintable() for letter in link):
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc else None


def consents_of(
    connections: Iterable[tuple[str, KnownConnection]], accounts: Iterable[AccountThen], moment: datetime
) -> tuple[Consent, ...]:
    """Every consent with an end, the earliest first.

    Args:
        accounts: The counted accounts.
    """
    behind: dict[tuple[str, str], list[AccountThen]] = defaultdict(list)
    for account in accounts:
        behind[account.tenant_id, account.connection_id].append(account)
    tenants: dict[str, list[KnownConnection]] = defaultdict(list)
    for tenant_id, connection in connections:
        tenants[tenant_id].append(connection)
    consents = [
        Consent(
            tenant_id=tenant_id,
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            institution_name=connection.institution_name,
            ends_at=ends_at,
            days_left=(ends_at - moment).days,
            accounts=len(mine := behind[tenant_id, connection.connection_id]),
            amounts=_amounts(mine),
        )
        for tenant_id, some in tenants.items()
        for connection, ends_at in consents_that_matter(some)
    ]
    return tuple(sorted(consents, key=lambda consent: (consent.ends_at, consent.tenant_id, consent.connection_id)))


def _amounts(accounts: Sequence[AccountThen]) -> tuple[tuple[str, Decimal], ...]:
    by_currency: dict[str, list[Decimal]] = defaultdict(list)
    for account in accounts:
        if account.current_balance is not None and account.currency and account.account_class not in APART:
            by_currency[account.currency].append(account.current_balance)
    return tuple((currency, exact_sum(amounts)) for currency, amounts in sorted(by_currency.items()))
