"""The query steps of the workflows: read the canonical snapshot back through the query operation, as any reader would.

What cannot be read back is not published: these run before the copy that analysts open is replaced.
"""

from dataclasses import dataclass
from datetime import datetime

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.accounts import ListAccountsInput
from pfo_pipeline.operations.queries import QueryContext, get_every_balance, list_accounts

_PAGE_SIZE = 1000
"""The contract's most: each page is a query over all of the tenant's accounts."""


@dataclass(frozen=True)
class Snapshot:
    """What a query step read back: `records` contract records, and the dates of their figures."""

    tenant_id: str
    records: int
    oldest_as_of: datetime | None
    newest_as_of: datetime | None


def fetch_accounts(context: QueryContext, tenant: Tenant) -> Snapshot:
    """`openbanking.accounts.list` for every user of the tenant, page after page.

    Raises: OperationRefused, LedgerError.
    """
    records, moments = 0, []
    for user in tenant.users:
        cursor, more = None, True
        while more:
            request = ListAccountsInput(
                tenant_id=tenant.id, user_id=user.id, include_balances=True, cursor=cursor, page_size=_PAGE_SIZE
            )
            page = list_accounts(context, request)
            records += len(page.accounts)
            moments += [account.last_synced_at for account in page.accounts]
            cursor, more = page.next_cursor, bool(page.has_more)
    return _snapshot(tenant, records, moments)


def fetch_balances(context: QueryContext, tenant: Tenant) -> Snapshot:
    """`openbanking.balances.get` for every enabled account of the tenant.

    Raises: OperationRefused, LedgerError.
    """
    answers = get_every_balance(context)
    records = sum(len(answer.balances) for answer in answers)
    return _snapshot(tenant, records, [answer.as_of for answer in answers if answer.as_of])


def _snapshot(tenant: Tenant, records: int, moments: list[datetime]) -> Snapshot:
    return Snapshot(tenant.id, records, min(moments, default=None), max(moments, default=None))
