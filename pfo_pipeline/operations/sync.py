"""Sync the accounts of a user from Powens.

Source: ContractSpec `openbanking.accounts.sync`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.contracts.operations import (
    SYNC_ACCOUNTS,
    SyncAccountsInput,
    SyncAccountsOutput,
)
from pfo_pipeline.contracts.tables import LedgerRow
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused, authorize
from pfo_pipeline.operations.force_sync import Sleep
from pfo_pipeline.powens.mapping import account_row, connection_row, lacks_a_date, situation
from pfo_pipeline.powens.session import BankSession


@dataclass(frozen=True)
class CommandContext:
    """The context of a command: a tenant, a role, the bank session, the ledger's data, the time and how to wait.

    `now` dates everything that is read; `clock` shows when a wait is over.
    """

    tenant: Tenant
    role: Role
    bank: BankSession
    known: Reader
    now: datetime
    clock: Callable[[], datetime]
    sleep: Sleep = asyncio.sleep


def user_of(tenant: Tenant, user_id: str | None) -> User:
    """Return the user. Raises: OperationRefused: no such user."""
    user = tenant.user(user_id or "")
    if user is None:
        known = ", ".join(u.id for u in tenant.users)
        raise OperationRefused(f"Tenant {tenant.id} has no user {user_id!r}. Known users: {known}.")
    return user


async def sync_accounts(
    context: CommandContext, request: SyncAccountsInput
) -> tuple[SyncAccountsOutput, list[LedgerRow]]:
    """Read one connection and its accounts, as Powens has them now.

    Every read is a full one, so `force_full_refresh` changes nothing here: fan_out.py requests the bank before the first read.
    The after-sync sensor handles `trigger_workflows`.

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
    mine = [item for item in (await context.bank.accounts(user)).items if item[0].id_connection == connection.id]
    is_asked = any(lacks_a_date(account, context.now) for account, _ in mine)
    known = {a.source_id: a for a in context.known.linked_accounts(tenant.id)} if is_asked else {}
    rows = [
        account_row(tenant, user.id, account, connection, raw, context.now, known.get(account.id))
        for account, raw in mine
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
