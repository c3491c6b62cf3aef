"""Apply an operation to everything that a tenant has, or to a selected part; failures are sorted and nothing is lost."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from pfo_pipeline.config import SecretError, Tenant, User
from pfo_pipeline.contracts.operations import REFRESH_BALANCES, SYNC_ACCOUNTS, RefreshBalancesInput, SyncAccountsInput
from pfo_pipeline.contracts.tables import AccountRow, QuarantineRow, TenantRow, UserRow
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection, KnownUser
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.force_sync import force_sync
from pfo_pipeline.operations.identities import KnownMatching
from pfo_pipeline.operations.refresh import NoBalance, refresh_balances
from pfo_pipeline.operations.selection import Scope
from pfo_pipeline.operations.step_result import OF_REFRESH, OF_SYNC, StepResult, cleared, failure_event, success_event
from pfo_pipeline.operations.sync import (
    CommandContext,
    Lists,
    Served,
    no_longer_read,
    standing_in,
    sync_accounts,
    told_missing,
)
from pfo_pipeline.powens.errors import Invalid, Missing, PowensError, Refused, Transient, WrongClock, WrongHost
from pfo_pipeline.powens.mapping import account_id, booked_balance, connection_row, quarantined
from pfo_pipeline.powens.models import Connection
from pfo_pipeline.powens.schema_drift import dated_ahead
from pfo_pipeline.powens.session import Records
from pfo_pipeline.powens.values import StoredAmount


@dataclass(frozen=True)
class _Known:
    """What the ledger knows of a tenant before the step."""

    accounts: list[KnownAccount]
    connections: list[KnownConnection]
    users: list[KnownUser]
    quarantine: list[QuarantineRow]
    matching: KnownMatching
    read_before: datetime | None
    """When the tenant was last read completely."""

    @classmethod
    def of(cls, reader: Reader, tenant_id: str) -> "_Known":
        """Read everything in one opening of the ledger. Raises: LedgerError."""
        with reader.at_once() as ledger:
            return cls(
                ledger.linked_accounts(tenant_id),
                ledger.connections(tenant_id),
                ledger.users(tenant_id),
                ledger.quarantine(tenant_id),
                KnownMatching.of(ledger, tenant_id),
                ledger.last_loads([tenant_id], SYNC_ACCOUNTS.key).get(tenant_id),
            )

    def accounts_of(self, user: User) -> list[KnownAccount]:
        return [a for a in self.accounts if a.user_id == user.id and a.deleted_at is None]

    def connections_of(self, user: User) -> list[KnownConnection]:
        return [c for c in self.connections if c.user_id == user.id and c.status != "gone"]


async def sync_scope(context: CommandContext, scope: Scope) -> StepResult:
    """Run `openbanking.accounts.sync` for every connection of the scope.

    Something can be marked as gone only if everything was read: an account that one user no longer lists may have moved to
    another.
    """
    tenant = context.tenant
    known = _Known.of(context.known, tenant.id)
    gathered = await asyncio.gather(*(_sync_user(context, user, known, scope) for user in scope.users))
    result = StepResult.of([part for part, _ in gathered])
    _add_tenant(tenant, result)
    if scope.is_everything:
        _add_absent(context, known, [served for _, served in gathered if served], result)
        _add_cleared(known.quarantine, OF_SYNC, scope, [part for part, _ in gathered], result)
    balances = await _balances(context, [served.user for _, served in gathered if served and served.accounts])
    decided = known.matching.match(context.now, result.rows_of(AccountRow), balances)
    result.add(known.matching.rows(tenant.id, decided))
    account_of = {linked_id: placed.canonical_id for linked_id, placed in decided.placements.items()}
    result.add(standing_in(tenant.id, known.accounts, result.rows_of(AccountRow), account_of, balances))
    result.add(known.matching.changes(tenant.id, decided, result.rows_of(AccountRow)))
    result.known_load = known.matching.newest_load
    return result


async def _balances(context: CommandContext, users: list[User]) -> dict[str, Decimal | None]:
    """Return the balances just read, by account, as the refresh will store them; None where it will store none."""
    found: dict[str, Decimal | None] = {}
    for user in users:
        for account, record in (await context.bank.accounts(user)).items:
            booked = booked_balance(account, record, context.now)
            found[account_id(context.tenant, account.id)] = booked.amount if isinstance(booked, StoredAmount) else None
    return found


async def _sync_user(
    context: CommandContext, user: User, known: _Known, scope: Scope
) -> tuple[StepResult, Served | None]:
    """Return what Powens lists for the user, or None in its place if not even the connections could be read."""
    tenant = context.tenant
    result = StepResult()
    connections: Records[Connection] | None = None
    mine = [account for account in known.accounts_of(user) if scope.has_account(account)]
    requested = sorted(c.connection_id for c in known.connections_of(user) if scope.has_connection(c.connection_id))
    try:
        context = await _forced(context, user, scope, result)
        connections = await context.bank.connections(user)
        _add_connections(context, user, connections, result)
        listed = [connection.id for connection, _ in connections.items]
        if scope.is_everything:
            requested = listed
        accounts = await context.bank.accounts(user)
    except (PowensError, SecretError) as error:
        for connection_id in requested:
            request = _sync_request(tenant, user, connection_id, mine, scope)
            result.telemetry += failure_event(SYNC_ACCOUNTS, request, error, context.now)
        _user_failed(context, user, error, result, count=max(1, len(mine)))
        return result, Served(user, None, connections) if connections else None
    result.add(accounts.quarantine)
    result.add_drift(tenant.id, accounts.drift)
    for connection_id in requested:
        request = _sync_request(tenant, user, connection_id, mine, scope)
        try:
            output, rows = await sync_accounts(context, request)
        except OperationRefused as reason:
            result.add_failure(f"{reason} A run of everything records why.")
            result.telemetry += failure_event(SYNC_ACCOUNTS, request, reason, context.now)
            continue
        result.add(rows)
        result.synced += output.synced
        if output.errors:
            result.add_failure("; ".join(output.errors), count=output.failed)
        result.telemetry += success_event(SYNC_ACCOUNTS, request, output, context.now)
    for account, raw in accounts.items:
        if account.id_connection not in listed:
            result.add([quarantined(tenant.id, user.id, "account", raw, "id_connection: no connection of this user")])
    _user_read(tenant, user, result)
    return result, Served(user, accounts, connections)


def _sync_request(
    tenant: Tenant, user: User, connection_id: str, chosen: list[KnownAccount], scope: Scope
) -> SyncAccountsInput:
    account_ids = tuple(a.account_id for a in chosen if a.connection_id == connection_id)
    return SyncAccountsInput(
        tenant_id=tenant.id,
        user_id=user.id,
        connection_id=connection_id,
        account_ids=None if scope.account_ids is None else account_ids,
        force_full_refresh=connection_id == scope.forced or None,
    )


async def _forced(context: CommandContext, user: User, scope: Scope, result: StepResult) -> CommandContext:
    """Request a sync at the bank first if the scope says so; data read afterwards has a later time.

    Raises:
        OperationRefused: Powens has no such connection, or may not request its bank.
        PowensError, SecretError: as for any other call.
    """
    if scope.forced is None:
        return context
    try:
        result.forced = await force_sync(
            context.bank,
            user,
            scope.forced,
            clock=context.clock,
            sleep=context.sleep,
            member_present=scope.member_present,
        )
    except (Missing, Invalid) as refusal:
        raise OperationRefused(
            f"The bank of connection {scope.forced} cannot be asked: {refusal}. Run without force: that records how it stands."
        ) from refusal
    return replace(context, now=context.clock())


def _add_absent(context: CommandContext, known: _Known, served: list[Served], result: StepResult) -> None:
    """Add rows for connections and accounts that Powens no longer lists for any user, and for users who are no longer read."""
    tenant = context.tenant
    lists = Lists(tenant, served, known.connections, context.now)
    absent = lists.absent(known.accounts, result.rows_of(AccountRow), known.read_before)
    result.add(absent.rows)
    for connection_id, count in absent.missing:
        result.add_failure(told_missing(connection_id, count), count=count)
    result.add(no_longer_read(tenant, known.users, known.accounts, context.now))


async def refresh_scope(context: CommandContext, scope: Scope) -> StepResult:
    """Run `openbanking.balances.refresh` for every account of the scope that the ledger knows as enabled."""
    with context.known.at_once() as ledger:
        linked, quarantine = ledger.linked_accounts(context.tenant.id), ledger.quarantine(context.tenant.id)
    known = [account for account in linked if account.is_enabled]
    read = await asyncio.gather(*(_refresh_user(context, user, known, scope) for user in scope.users))
    result = StepResult.of(read)
    _add_tenant(context.tenant, result)
    if scope.is_everything:
        _add_cleared(quarantine, OF_REFRESH, scope, read, result)
    if scope.account_ids is not None:
        for account_id in sorted(scope.account_ids - {account.account_id for account in known}):
            result.add_failure(f"account {account_id}: not enabled at Powens, so it has no new figure")
    return result


async def _refresh_user(context: CommandContext, user: User, known: list[KnownAccount], scope: Scope) -> StepResult:
    tenant = context.tenant
    result = StepResult()
    mine = [account for account in known if account.user_id == user.id and scope.has_account(account)]
    requests = [(account, RefreshBalancesInput(tenant_id=tenant.id, account_id=account.account_id)) for account in mine]
    try:
        context = await _forced(context, user, scope, result)
        _add_connections(context, user, await context.bank.connections(user), result)
        served = await context.bank.enabled_accounts(user)
    except (PowensError, SecretError) as error:
        for _, request in requests:
            result.telemetry += failure_event(REFRESH_BALANCES, request, error, context.now)
        _user_failed(context, user, error, result, count=max(1, len(requests)))
        return result
    result.add(served.quarantine)
    result.add_drift(tenant.id, served.drift)
    result.add_drift(tenant.id, dated_ahead((account for account, _ in served.items), context.now))
    missing: Counter[str] = Counter()
    for account, request in requests:
        try:
            output, rows = await refresh_balances(context, request, account)
        except NoBalance as reason:
            result.add(reason.rows)
            if account.missing_since and not reason.rows:
                missing[account.connection_id] += 1
            else:
                result.add_failure(str(reason), count=0 if reason.rows else 1)
            result.telemetry += failure_event(REFRESH_BALANCES, request, reason, context.now)
            continue
        result.add(rows)
        if output.errors:
            result.add_failure("; ".join(output.errors))
        else:
            result.synced += 1
        result.telemetry += success_event(REFRESH_BALANCES, request, output, context.now)
    for connection_id, count in missing.items():
        result.add_failure(told_missing(connection_id, count), count=count)
    known_ids = {account.source_id for account in known}
    for wire, raw in served.items:
        if wire.id not in known_ids:
            result.add(
                [quarantined(tenant.id, user.id, "balance", raw, "account: not synced yet; run the accounts sync")]
            )
    _user_read(tenant, user, result)
    return result


def _add_cleared(
    known: list[QuarantineRow], kinds: frozenset[str], scope: Scope, parts: list[StepResult], result: StepResult
) -> None:
    """Add rows for quarantined records that these reads of the scope's users did not quarantine again."""
    users = {user.id for user, part in zip(scope.users, parts, strict=True) if part.users_read}
    is_everyone = len(users) == len(scope.users)
    result.add(list(cleared(known, result.rows_of(QuarantineRow), kinds, users, is_everyone=is_everyone)))


def _add_connections(context: CommandContext, user: User, found: Records[Connection], result: StepResult) -> None:
    result.add(found.quarantine)
    result.add_drift(context.tenant.id, found.drift)
    result.add(connection_row(context.tenant, user.id, c, raw, context.now) for c, raw in found.items)


def _add_tenant(tenant: Tenant, result: StepResult) -> None:
    if result.users_read:  # Otherwise no answer has shown whether our clock is right.
        result.add([TenantRow(tenant.id, tenant.timezone)])


def _user_read(tenant: Tenant, user: User, result: StepResult) -> None:
    result.users_read += 1
    result.add([UserRow(tenant.id, user.id, "ok", None, None, None)])


def _user_failed(
    context: CommandContext, user: User, error: PowensError | SecretError, result: StepResult, *, count: int
) -> None:
    """Record that one user's reads failed; the others continue."""
    result.add_failure(f"user {user.id}: {error}", count=count)
    if isinstance(error, WrongClock):
        result.wrong_clock = error  # Not a fact about the user, and a row of it would have the wrong clock's date.
        return
    if isinstance(error, WrongHost):
        result.transient.append(error)
        remedy = (
            f"If it lasts: check tenants.{context.tenant.id}.domain in the configuration; then this machine's network, "
            "proxy and clock."
        )
        row = UserRow(context.tenant.id, user.id, "unreachable", error.code, "operator", remedy)
    elif isinstance(error, Transient):
        result.transient.append(error)
        row = UserRow(
            context.tenant.id, user.id, "unreachable", error.code, "powens", "Nothing to do: the next run asks again."
        )
    elif isinstance(error, Refused):
        remedy = (
            f"Issue a new token for user {user.id}: remove the old one from where the configuration's token reference points, "
            f"then pfo connect --tenant {context.tenant.id} --member {user.id}. "
            "If the user was deleted there, take it out of the configuration."
        )
        row = UserRow(context.tenant.id, user.id, "refused", error.code, "operator", remedy)
    elif isinstance(error, SecretError):
        row = UserRow(context.tenant.id, user.id, "refused", "secret", "operator", str(error))
    else:
        remedy = "Check domain and user in the configuration; ask Powens support if they are right."
        row = UserRow(context.tenant.id, user.id, "refused", error.code, "operator", remedy)
    result.add([row])
