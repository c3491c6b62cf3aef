"""The operations on accounts: sync (from Powens), list and get (from the ledger).

Source: ContractSpec `openbanking.accounts.sync`, `.list`, `.get`.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.contracts.accounts import (
    GET_ACCOUNT,
    LIST_ACCOUNTS,
    SYNC_ACCOUNTS,
    GetAccountInput,
    ListAccountsInput,
    ListAccountsOutput,
    SyncAccountsInput,
    SyncAccountsOutput,
)
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.contracts.privacy import mask
from pfo_pipeline.contracts.records import BankAccountRecord
from pfo_pipeline.contracts.tables import LedgerRow
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.forced import Sleep
from pfo_pipeline.operations.guards import OperationRefused, authorize
from pfo_pipeline.powens.bank import BankSession
from pfo_pipeline.powens.mapping import account_row, connection_row, situation

DEFAULT_PAGE_SIZE = 200
_CURSOR = "account after "


@dataclass(frozen=True)
class CommandContext:
    """What a command works with: a tenant, a role, the bank's session, what the ledger knows, the time and how to wait.

    `now` dates everything that is read; `clock` tells when a wait is over.
    """

    tenant: Tenant
    role: Role
    bank: BankSession
    known: Reader
    now: datetime
    clock: Callable[[], datetime]
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True)
class QueryContext:
    """What a query works with. Its reader is asked for `tenant_id` and for nothing else.

    `as_of` and `known_at` are the moment that is asked about, and that whose knowledge counts; None: the newest.
    """

    tenant_id: str
    role: Role
    reader: Reader
    as_of: datetime | None = None
    known_at: datetime | None = None


def user_of(tenant: Tenant, user_id: str | None) -> User:
    """Raises: OperationRefused: no such user."""
    user = tenant.user(user_id or "")
    if user is None:
        known = ", ".join(u.id for u in tenant.users)
        raise OperationRefused(f"Tenant {tenant.id} has no user {user_id!r}. Known users: {known}.")
    return user


async def sync_accounts(
    context: CommandContext, request: SyncAccountsInput
) -> tuple[SyncAccountsOutput, list[LedgerRow]]:
    """Read one connection and its accounts, as Powens has them now.

    Every read is a full one, so `force_full_refresh` changes nothing here: before the first read, fan_out.py has the bank
    asked. `trigger_workflows` is the after-sync sensor's work.

    Returns:
        The contract's output, and the rows for the ledger.
    Raises:
        OperationRefused: role, unknown user or unknown connection.
        PowensError: a call failed.
    """
    authorize(SYNC_ACCOUNTS, context.role)
    tenant = context.tenant
    user = user_of(tenant, request.user_id)
    connections = await context.bank.connections(user)
    found = connections.find(request.connection_id)
    if found is None:
        raise OperationRefused(f"User {user.id} of tenant {tenant.id} has no connection {request.connection_id}.")
    connection, record = found
    wanted = set(request.account_ids) if request.account_ids is not None else None
    rows = [
        account_row(tenant, user.id, account, connection, raw)
        for account, raw in (await context.bank.accounts(user)).items
        if account.id_connection == connection.id
    ]
    rows = [row for row in rows if wanted is None or row.account_id in wanted]
    stands = situation(connection, context.now)
    missing = sorted((wanted or set()) - {row.account_id for row in rows})
    errors = [] if stands.is_synced else [f"connection {connection.id}: {stands.state or stands.status}"]
    errors += [
        f"account {account_id}: Powens lists it no more; a run of everything records why" for account_id in missing
    ]
    output = SyncAccountsOutput(
        synced=len(rows) if stands.is_synced else 0,
        failed=len(missing) + (0 if stands.is_synced else max(1, len(rows))),
        errors=tuple(errors) or None,
        next_sync_suggested_at=connection.next_try,
    )
    return output, [connection_row(tenant, user.id, connection, record, context.now), *rows]


def list_accounts(context: QueryContext, request: ListAccountsInput) -> ListAccountsOutput:
    """One page of a user's enabled accounts, ordered by id.

    Raises:
        OperationRefused: role, another tenant, or a cursor that this operation did not give.
    """
    authorize(LIST_ACCOUNTS, context.role)
    same_tenant(context, request.tenant_id)
    size = request.page_size or DEFAULT_PAGE_SIZE
    found = context.reader.accounts(
        request.tenant_id,
        user_id=request.user_id,
        connection_id=request.connection_id,
        institution_id=request.institution_id,
        after=_position(request.cursor),
        limit=size + 1,
        as_of=context.as_of,
        known_at=context.known_at,
    )
    page = found[:size]
    more = len(found) > size
    return ListAccountsOutput(
        accounts=tuple(
            account_record(request.tenant_id, a, with_balances=bool(request.include_balances)) for a in page
        ),
        next_cursor=_cursor(page[-1].account_id) if more else None,
        has_more=more,
    )


def get_account(context: QueryContext, request: GetAccountInput) -> BankAccountRecord:
    """One account, enabled or not.

    Raises:
        OperationRefused: role, another tenant, no such account, or transactions asked for.
    """
    authorize(GET_ACCOUNT, context.role)
    same_tenant(context, request.tenant_id)
    if request.include_latest_transactions:
        raise OperationRefused("Transactions are not in the ledger; leave includeLatestTransactions out.")
    found = account_asked_for(context, request.account_id)
    return account_record(request.tenant_id, found, with_balances=bool(request.include_balances))


def account_asked_for(context: QueryContext, account_id: str) -> KnownAccount:
    """The account, enabled or not. Raises: OperationRefused: there is none of this id."""
    found = context.reader.accounts(
        context.tenant_id,
        account_id=account_id,
        include_hidden=True,
        as_of=context.as_of,
        known_at=context.known_at,
    )
    if not found:
        raise OperationRefused(f"Tenant {context.tenant_id} has no account {account_id}.")
    return found[0]


def same_tenant(context: QueryContext, tenant_id: str) -> None:
    """Raises: OperationRefused: the request names another tenant than the context is for."""
    if tenant_id != context.tenant_id:
        raise OperationRefused(f"This read is for tenant {context.tenant_id}; it may not see another.")


def account_record(tenant_id: str, account: KnownAccount, *, with_balances: bool) -> BankAccountRecord:
    return BankAccountRecord(
        id=account.account_id,
        tenant_id=tenant_id,
        user_id=account.user_id,
        connection_id=account.connection_id,
        external_id=account.source_id,
        institution_id=account.institution_id,
        institution_name=account.institution_name,
        iban=account.iban,
        bic=account.bic,
        account_type=account.account_type,
        currency=account.currency,
        display_name=account.display_name,
        account_number_masked=mask(account.number) if account.number else None,
        balance=account.current_balance if with_balances else None,
        available_balance=account.available_balance if with_balances else None,
        last_synced_at=account.as_of or account.last_success_at or account.updated_at,
        created_at=account.created_at,
        updated_at=account.updated_at,
        metadata={
            "usage": account.usage,
            "ownership": account.ownership,
            "parentAccountId": account.parent_account_id,
            "disabledAt": account.disabled_at.isoformat() if account.disabled_at else None,
            "deletedAt": account.deleted_at.isoformat() if account.deleted_at else None,
        },
    )


def _cursor(account_id: str) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{account_id}".encode()).decode()


def _position(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_CURSOR):
        raise OperationRefused(f"{cursor!r} is not a cursor of this list; take nextCursor of the page before.")
    return text.removeprefix(_CURSOR)
