"""The command steps of the workflows: an operation applied to everything a tenant has, failures sorted, nothing lost.

Here: fan-out over users, connections and accounts; what a failure of one means for the others; when another attempt is
worth it. Not here: who waits how long between attempts (the contract's retry policy, run by Dagster).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from pfo_pipeline.config import SecretError, Tenant, User
from pfo_pipeline.contracts.accounts import SYNC_ACCOUNTS, SyncAccountsInput
from pfo_pipeline.contracts.balances import REFRESH_BALANCES, RefreshBalancesInput
from pfo_pipeline.contracts.model import Role, Step
from pfo_pipeline.contracts.tables import AccountRow, ConnectionRow, UserRow
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.batch import Batch
from pfo_pipeline.ledger.reader import KnownAccount, KnownConnection
from pfo_pipeline.ledger.store import Clock, Ledger
from pfo_pipeline.operations import telemetry
from pfo_pipeline.operations.accounts import CommandContext, sync_accounts
from pfo_pipeline.operations.balances import NoBalance, refresh_balances
from pfo_pipeline.operations.guards import authorize, require_integration
from pfo_pipeline.operations.step_result import StepResult
from pfo_pipeline.powens.bank import OpenBanking
from pfo_pipeline.powens.decode import digest
from pfo_pipeline.powens.errors import PowensError, RateLimited, Refused, Transient
from pfo_pipeline.powens.mapping import connection_row, quarantined

LONGEST_WAIT_SECONDS = 300.0
"""The bound within which a server's own Retry-After is obeyed."""


@dataclass(frozen=True)
class Attempt:
    """Which attempt of a step this is, counted from 1, and whether another may follow."""

    number: int
    is_last: bool


class TryAgain(Exception):
    """Another attempt may cure what failed; what succeeded is already in the ledger."""

    def __init__(self, text: str, wait_seconds: float | None) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
        """As told by the server, within LONGEST_WAIT_SECONDS; None leaves it to the contract's policy."""


class StepFailed(PfoError):
    """No user of the tenant could be read; further attempts are over or would not help."""

    def __init__(self, text: str, code: str, who_acts: str) -> None:
        super().__init__(text)
        self.code = code
        self.who_acts = who_acts


@dataclass(frozen=True)
class StepContext:
    """What a command step of one tenant's run works with."""

    tenant: Tenant
    role: Role
    run_id: str
    attempt: Attempt
    banking: OpenBanking
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True)
class StepOutcome:
    """A step that ended: what the IO manager stores, and what the operator is shown."""

    batch: Batch
    errors: tuple[str, ...]
    drift: tuple[str, ...]


Gather = Callable[[CommandContext, StepResult], Awaitable[None]]


def perform(step: Step, context: StepContext) -> StepOutcome:
    """Run one attempt of a command step.

    Raises:
        OperationRefused: the role, the integration slot or a capability is missing.
        TryAgain: something failed that another attempt may cure; the rest is merged already.
        StepFailed: nobody could be read, and asking again would not help or is over.
        LedgerError: the ledger cannot be read or written.
    """
    authorize(step.operation, context.role)
    require_integration(step, context.banking.binding(context.tenant))
    if context.attempt.number == 1:
        context.banking.forget(context.tenant, step.id)  # Of an earlier run that was ended between its attempts.
    result = asyncio.run(_gathered(step, context))

    def batch(*, complete: bool) -> Batch:
        return result.batch(
            context.tenant.id, context.run_id, step.operation, context.attempt.number, complete=complete
        )

    if result.transient and not context.attempt.is_last:
        context.ledger.merge(batch(complete=False))
        raise _try_again(result.transient)
    context.banking.forget(context.tenant, step.id)
    if result.users_read == 0:
        context.ledger.merge(batch(complete=True))
        context.ledger.publish()  # No later step of this run does, and readers must see who must act.
        raise _nobody_was_read(context.tenant, result)
    drift = tuple(sorted(f"{row.field}={row.value}" if row.value else row.field for row in result.drift()))
    return StepOutcome(batch(complete=True), tuple(result.errors), drift)


async def _gathered(step: Step, context: StepContext) -> StepResult:
    result = StepResult()
    async with context.banking.session(context.tenant, step.id) as bank:
        command = CommandContext(context.tenant, context.role, bank, context.ledger.reader(), context.clock())
        await _GATHER[step.operation.key](command, result)
    return result


def _try_again(failures: list[Transient]) -> TryAgain:
    told = [f.retry_after_seconds for f in failures if isinstance(f, RateLimited) and f.retry_after_seconds is not None]
    wait = min(max(told), LONGEST_WAIT_SECONDS) if told else None
    return TryAgain("; ".join(sorted({str(failure) for failure in failures})), wait)


def _nobody_was_read(tenant: Tenant, result: StepResult) -> StepFailed:
    troubled = result.users_in_trouble()
    worst = next((row for row in troubled if row.status == "refused"), troubled[0])
    return StepFailed(
        f"Tenant {tenant.id}: no user could be read. "
        + " ".join(f"User {row.user_id}: {row.status} ({row.code}). {row.remedy}" for row in troubled)
        + " Calls: "
        + "; ".join(result.errors),
        code=worst.code or worst.status,
        who_acts=worst.who_acts or "operator",
    )


async def sync_every_connection(context: CommandContext, result: StepResult) -> None:
    """`openbanking.accounts.sync` for every connection of every user of the tenant."""
    known_accounts = context.known.accounts(context.tenant.id, include_hidden=True)
    known_connections = context.known.connections(context.tenant.id)
    await asyncio.gather(
        *(_sync_user(context, user, known_accounts, known_connections, result) for user in context.tenant.users)
    )


async def _sync_user(
    context: CommandContext,
    user: User,
    known_accounts: list[KnownAccount],
    known_connections: list[KnownConnection],
    result: StepResult,
) -> None:
    tenant = context.tenant
    connection_ids = sorted({c.connection_id for c in known_connections if c.user_id == user.id and c.status != "gone"})
    mine = [account for account in known_accounts if account.user_id == user.id and account.deleted_at is None]
    try:
        connections = await context.bank.connections(user)
        result.add(connections.quarantine)
        result.add_drift(tenant.id, connections.drift)
        result.add(connection_row(tenant, user.id, c, raw, context.now) for c, raw in connections.items)
        connection_ids = [connection.id for connection, _ in connections.items]
        accounts = await context.bank.accounts(user)
    except (PowensError, SecretError) as error:
        for connection_id in connection_ids:
            request = _sync_request(tenant, user, connection_id)
            result.telemetry += telemetry.failed(SYNC_ACCOUNTS, request, error, context.now)
        _user_failed(context, user, error, result, count=max(1, len(mine)))
        return
    result.add(accounts.quarantine)
    result.add_drift(tenant.id, accounts.drift)
    for connection_id in connection_ids:
        request = _sync_request(tenant, user, connection_id)
        output, rows = await sync_accounts(context, request)
        result.add(rows)
        result.synced += output.synced
        if output.errors:
            result.add_failure("; ".join(output.errors), count=output.failed)
        result.telemetry += telemetry.succeeded(SYNC_ACCOUNTS, request, output, context.now)
    for account, raw in accounts.items:
        if account.id_connection not in connection_ids:
            result.add([quarantined(tenant.id, "account", raw, "id_connection: no connection of this user")])
    served = {account.id for account, _ in accounts.items} | {q.source_id for q in accounts.quarantine}
    present = {*connection_ids, *(q.source_id for q in connections.quarantine)}
    # A record without a readable id may be any of those that seem to be missing: nothing is called gone then.
    if None not in served:
        result.add(_gone_account(tenant, a, context.now) for a in mine if a.source_id not in served)
    if None not in present:
        result.add(
            _gone_connection(tenant, c)
            for c in known_connections
            if c.user_id == user.id and c.status != "gone" and c.connection_id not in present
        )
    _user_read(tenant, user, result)


def _sync_request(tenant: Tenant, user: User, connection_id: str) -> SyncAccountsInput:
    return SyncAccountsInput(tenant_id=tenant.id, user_id=user.id, connection_id=connection_id)


async def refresh_every_account(context: CommandContext, result: StepResult) -> None:
    """`openbanking.balances.refresh` for every enabled account that the ledger knows."""
    known = context.known.accounts(context.tenant.id)
    await asyncio.gather(*(_refresh_user(context, user, known, result) for user in context.tenant.users))


async def _refresh_user(context: CommandContext, user: User, known: list[KnownAccount], result: StepResult) -> None:
    tenant = context.tenant
    mine = [account for account in known if account.user_id == user.id]
    requests = [(account, RefreshBalancesInput(tenant_id=tenant.id, account_id=account.account_id)) for account in mine]
    try:
        connections = await context.bank.connections(user)
        result.add(connections.quarantine)
        result.add_drift(tenant.id, connections.drift)
        result.add(connection_row(tenant, user.id, c, raw, context.now) for c, raw in connections.items)
        served = await context.bank.enabled_accounts(user)
    except (PowensError, SecretError) as error:
        for _, request in requests:
            result.telemetry += telemetry.failed(REFRESH_BALANCES, request, error, context.now)
        _user_failed(context, user, error, result, count=max(1, len(requests)))
        return
    result.add(served.quarantine)
    result.add_drift(tenant.id, served.drift)
    for account, request in requests:
        try:
            output, rows = await refresh_balances(context, request, account)
        except NoBalance as reason:
            result.add(reason.rows)
            result.add_failure(str(reason), count=0 if reason.rows else 1)
            result.telemetry += telemetry.failed(REFRESH_BALANCES, request, reason, context.now)
            continue
        result.add(rows)
        if output.errors:
            result.add_failure("; ".join(output.errors))
        else:
            result.synced += 1
        result.telemetry += telemetry.succeeded(REFRESH_BALANCES, request, output, context.now)
    known_ids = {account.source_id for account in mine}
    for wire, raw in served.items:
        if wire.id not in known_ids:
            result.add([quarantined(tenant.id, "balance", raw, "account: not synced yet; run the accounts sync")])
    _user_read(tenant, user, result)


def _user_read(tenant: Tenant, user: User, result: StepResult) -> None:
    result.users_read += 1
    result.add([UserRow(tenant.id, user.id, "ok", None, None, None)])


def _user_failed(
    context: CommandContext, user: User, error: PowensError | SecretError, result: StepResult, *, count: int
) -> None:
    """One user's reads failed; the others go on."""
    result.add_failure(f"user {user.id}: {error}", count=count)
    if isinstance(error, Transient):
        result.transient.append(error)
        row = UserRow(
            context.tenant.id, user.id, "unreachable", error.code, "powens", "Nothing to do: the next run asks again."
        )
    elif isinstance(error, Refused):
        remedy = f"Issue a new token for user {user.id} in Powens and put it where the configuration's token reference points."
        row = UserRow(context.tenant.id, user.id, "refused", error.code, "operator", remedy)
    elif isinstance(error, SecretError):
        row = UserRow(context.tenant.id, user.id, "refused", "secret", "operator", str(error))
    else:
        remedy = "Check domain and user in the configuration; ask Powens support if they are right."
        row = UserRow(context.tenant.id, user.id, "refused", error.code, "operator", remedy)
    result.add([row])


def _gone_account(tenant: Tenant, account: KnownAccount, now: datetime) -> AccountRow:
    """Powens lists the account no more, not even as deleted: its connection was removed. Kept, and out of positions."""
    kept = {name: getattr(account, name) for name in AccountRow.__dataclass_fields__ if hasattr(account, name)}
    kept |= {"tenant_id": tenant.id, "deleted_at": now, "payload_digest": digest({"gone": account.source_id})}
    return AccountRow(**kept)


def _gone_connection(tenant: Tenant, connection: KnownConnection) -> ConnectionRow:
    kept = {name: getattr(connection, name) for name in ConnectionRow.__dataclass_fields__ if hasattr(connection, name)}
    kept |= {
        "tenant_id": tenant.id,
        "status": "gone",
        "state": None,
        "who_acts": "nobody",
        "remedy": "Removed at Powens; its history stays.",
        "link": None,
        "active": False,
        "created_at": None,
        "payload_digest": digest({"gone": connection.connection_id}),
    }
    return ConnectionRow(**kept)


_GATHER: dict[str, Gather] = {
    SYNC_ACCOUNTS.key: sync_every_connection,
    REFRESH_BALANCES.key: refresh_every_account,
}
