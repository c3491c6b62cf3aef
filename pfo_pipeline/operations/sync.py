"""Syncs the accounts of a user from Powens, and keeps those that Powens no longer lists.

Source: ContractSpec `openbanking.accounts.sync`. Facts: Powens sets `deleted` on an account that its bank no longer lists, and
erases a connection's accounts with it (Powens docs, Bank accounts). A list may be short or empty by mistake, for days, while
the connection looks healthy (seen live).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.contracts.operations import (
    SYNC_ACCOUNTS,
    SyncAccountsInput,
    SyncAccountsOutput,
)
from pfo_pipeline.contracts.tables import AccountRow, ConnectionRow, LedgerRow, UserRow
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection, KnownUser
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused, authorize
from pfo_pipeline.operations.force_sync import Sleep
from pfo_pipeline.powens.mapping import account_row, connection_row, lacks_a_date, situation
from pfo_pipeline.powens.models import Account, Connection
from pfo_pipeline.powens.schema_drift import FAR_AHEAD
from pfo_pipeline.powens.session import BankSession, Records
from pfo_pipeline.powens.values import digest


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
    errors += [f"account {account_id}: Powens no longer lists it; a full run records why" for account_id in missing]
    output = SyncAccountsOutput(
        synced=len(rows) if stands.is_synced else 0,
        failed=len(missing) + (0 if stands.is_synced else max(1, len(rows))),
        errors=tuple(errors) or None,
        next_sync_suggested_at=connection.next_try,
    )
    return output, [connection_row(tenant, user.id, connection, record, context.now), *rows]


APART = timedelta(hours=20)
"""Minimum time between the two reads that end a missing account: one sync of the bank each; Powens' daily sync may be a little
early.
"""


@dataclass(frozen=True)
class Served:
    """The complete lists of Powens for one user; `accounts` is None if that list could not be read."""

    user: User
    accounts: Records[Account] | None
    connections: Records[Connection]

    @property
    def account_ids(self) -> set[str]:
        return _ids(self.accounts) if self.accounts else set()

    @property
    def connection_ids(self) -> set[str]:
        return _ids(self.connections)

    @property
    def may_hold_any_connection(self) -> bool:
        """Whether a record without a readable id may be any connection that seems to be missing."""
        return any(record.id is None for record in self.connections.unread)


def _ids(records: Records[Account] | Records[Connection]) -> set[str]:
    return {record.id for record, _ in records.items} | {record.id for record in records.unread if record.id}


@dataclass(frozen=True)
class Absent:
    """Rows of what is no longer listed, or listed again; and the number of missing enabled accounts of each connection's
    source.
    """

    rows: list[AccountRow | ConnectionRow]
    missing: list[tuple[str, int]]


class Lists:
    """Everything that Powens lists for a tenant's users at one time, compared with the ledger.

    An account or connection that one user no longer lists may have moved to another user.
    """

    def __init__(
        self, tenant: Tenant, served: Sequence[Served], connections: Sequence[KnownConnection], now: datetime
    ) -> None:
        """
        Args:
            served: Lists of the users for whom at least the connections could be read.
            connections: The ledger's connections.
        """
        self._tenant = tenant
        self._now = now
        self._served = {s.user.id: s for s in served}
        self._accounts = frozenset[str]().union(*(s.account_ids for s in served))
        self._connections = frozenset[str]().union(*(s.connection_ids for s in served))
        self._live = {c.connection_id: c for c in connections if c.status != "gone"}

    def absent(
        self, accounts: Iterable[KnownAccount], read: Iterable[AccountRow], read_before: datetime | None
    ) -> Absent:
        """
        Args:
            accounts: The ledger's accounts of the tenant.
            read: The rows of this read.
            read_before: When the tenant was last read completely before this read.
        """
        rows: list[AccountRow | ConnectionRow] = [row for c in self._live.values() if (row := self._connection(c))]
        missing: Counter[tuple[str, str | None]] = Counter()
        written = {row.account_id for row in read}
        alive = [a for a in accounts if a.deleted_at is None and a.user_id in self._served]
        for account in alive:
            if account.account_id in written:
                continue
            said = self._account(account, alive, read_before)
            if said is None:
                continue
            rows.append(said)
            is_listed = account.source_id in self._accounts  # As a quarantined record.
            if said.deleted_at is None and said.missing_since and said.disabled_at is None and not is_listed:
                missing[account.connection_id, account.connection_source_id] += 1
        return Absent(rows, [(connection, count) for (connection, _), count in sorted(missing.items(), key=str)])

    def _connection(self, connection: KnownConnection) -> ConnectionRow | None:
        served = self._served.get(connection.user_id)
        if served is None or connection.connection_id in self._connections or served.may_hold_any_connection:
            return None
        return gone_connection(self._tenant.id, connection)

    def _account(
        self, account: KnownAccount, alive: Sequence[KnownAccount], read_before: datetime | None
    ) -> AccountRow | None:
        """Return the row for an account for which this read has no row; None if nothing changes."""
        connection = self._live.get(account.connection_id)
        owner = self._served.get(connection.user_id) if connection else None
        if account.connection_id not in self._connections:
            if connection and owner is None:
                return None  # It belongs to a user who was not read.
            if owner and owner.may_hold_any_connection:
                return self._missing(account, account.updated_at if account.ended_by else None)
        if account.source_id in self._accounts:
            return self._kept(account, missing_since=None, ended_by=None) if account.missing_since else None
        if account.connection_id not in self._connections:
            return self._kept(account, missing_since=None, deleted_at=self._now, ended_by="connection")
        if self._served[account.user_id].accounts is None:
            return None
        return self._judged(account, alive, read_before)

    def _judged(
        self, account: KnownAccount, alive: Sequence[KnownAccount], read_before: datetime | None
    ) -> AccountRow | None:
        """Return the row of a missing account. A second read ends it if another account of its source has advanced."""
        proved_at = account.updated_at if account.ended_by == "missing" else None
        if self._may_be_unread(account):
            return self._missing(account, proved_at)
        if proved_at is None:
            before = max((at for at in (read_before, account.missing_since) if at), default=None)
            is_proof = before is not None and self._has_advanced(account, alive, before)
            return self._missing(account, self._now if is_proof else None)
        if self._now - proved_at >= APART and self._has_advanced(account, alive, proved_at):
            # From the first missing read on: no balance was shown for the time between.
            return self._kept(account, missing_since=None, deleted_at=account.missing_since, ended_by="missing")
        return self._missing(account, proved_at)

    def _missing(self, account: KnownAccount, proved_at: datetime | None) -> AccountRow:
        since = account.missing_since or self._now
        return self._kept(account, missing_since=since, ended_by="missing" if proved_at else None)

    def _kept(self, account: KnownAccount, **changes: Any) -> AccountRow:
        return kept_account(self._tenant.id, account, **changes)

    def _may_be_unread(self, account: KnownAccount) -> bool:
        """Whether a record without a readable id may be this account: it is of its connection, or of an unreadable one."""
        return any(
            record.id is None and record.connection_id in (None, account.connection_id)
            for served in self._served.values()
            if served.user.id == account.user_id or account.connection_id in served.connection_ids
            for record in (served.accounts.unread if served.accounts else ())
        )

    def _has_advanced(self, account: KnownAccount, alive: Sequence[KnownAccount], since: datetime) -> bool:
        """Whether another account that the same source lists was updated after a time, which shows that the source works.

        A date far ahead proves nothing: the account would seem to advance until that date.
        """
        listed = [
            sibling
            for served in self._served.values()
            for sibling, _ in (served.accounts.items if served.accounts else ())
            if sibling.id_connection == account.connection_id and sibling.deleted is None
        ]
        if account.connection_source_id is None:
            # If Powens names no source, or only one, the connection is the source.
            named = {s.id_source for s in listed} | {
                a.connection_source_id for a in alive if a.connection_id == account.connection_id
            }
            siblings = listed if len(named - {None}) <= 1 else []
        else:
            siblings = [s for s in listed if s.id_source == account.connection_source_id]
        return any(s.last_update is not None and since < s.last_update <= self._now + FAR_AHEAD for s in siblings)


def standing_in(
    tenant_id: str,
    accounts: Sequence[KnownAccount],
    rows: Iterable[AccountRow],
    account_of: Mapping[str, str],
    balances: Mapping[str, Decimal | None],
) -> list[AccountRow]:
    """Return rows that mark links as missing instead of gone, if Powens has no balance yet for the link that replaced them.

    Such a link is the only one with a balance for its account, so its last balance counts until there is a newer one.

    Args:
        accounts: The ledger's accounts of the tenant.
        rows: The rows of this read.
        account_of: The account of each linked account.
        balances: The balances of this read, by linked account; the refresh that follows stores them.
    """
    known = {a.account_id: a for a in accounts}
    now: dict[str, KnownAccount | AccountRow] = {**known, **{row.account_id: row for row in rows}}
    links: dict[str, list[KnownAccount | AccountRow]] = defaultdict(list)
    for linked_id, account_id in account_of.items():
        links[account_id].append(now[linked_id])
    kept = []
    for of_account in links.values():
        alive = [link for link in of_account if link.disabled_at is None and link.deleted_at is None]
        if not alive or any(
            _has_balance(known.get(link.account_id)) or balances.get(link.account_id) is not None for link in alive
        ):
            continue
        gone = [
            known[link.account_id]
            for link in of_account
            if link.ended_by in ("connection", "missing") and _has_balance(known.get(link.account_id))
        ]
        if gone:
            last = max(gone, key=lambda a: (a.as_of or a.created_at, a.account_id))
            since = last.missing_since or last.deleted_at or now[last.account_id].deleted_at
            kept.append(kept_account(tenant_id, last, deleted_at=None, missing_since=since, ended_by=None))
    return kept


def _has_balance(account: KnownAccount | None) -> bool:
    return account is not None and account.as_of is not None


def told_missing(connection_id: str, count: int) -> str:
    """Return the message of a step about missing accounts, for any number of them."""
    what = "1 account is" if count == 1 else f"{count} accounts are"
    return f"connection {connection_id}: {what} missing from the bank's list; the last balance still counts"


def no_longer_read(
    tenant: Tenant, users: Iterable[KnownUser], accounts: Sequence[KnownAccount], now: datetime
) -> Iterator[UserRow]:
    """Yield a row for each user whom the ledger knows and the configuration no longer has."""
    counting = {account.user_id for account in accounts if account.deleted_at is None}
    for user in users:
        if tenant.user(user.user_id) is not None:
            continue
        if user.user_id not in counting:
            yield ended_user(tenant.id, user.user_id)
        elif user.status != "not_configured":
            yield UserRow(
                tenant.id, user.user_id, "not_configured", None, "operator", _ways_out(tenant, user.user_id, now)
            )


def _ways_out(tenant: Tenant, user_id: str, now: datetime) -> str:
    whom = f"--tenant {tenant.id} --member {user_id}"
    return (
        "The user is no longer in the configuration: their accounts still count, with old balances. Put the user back "
        f"into tenants.{tenant.id}.users; or end their accounts on a date: "
        f"pfo end {whom} --on {now.astimezone(tenant.zone):%Y-%m-%d}; or erase what is held of them: pfo erase {whom}"
    )


def ended_user(tenant_id: str, user_id: str) -> UserRow:
    """Return the row of a user who is no longer configured and of whom nothing counts."""
    return UserRow(tenant_id, user_id, "ended", None, None, None)


def kept_account(tenant_id: str, account: KnownAccount, **changes: Any) -> AccountRow:
    """Return the known account with changes that do not come from a record of Powens."""
    names = AccountRow.__dataclass_fields__
    kept = {name: getattr(account, name) for name in names if hasattr(account, name)} | changes
    what = "gone" if kept["deleted_at"] else "missing" if kept["missing_since"] else "listed"
    kept |= {
        "tenant_id": tenant_id,
        "provider_updated_at": None,
        "payload_digest": digest({what: account.source_id}),
    }
    return AccountRow(**kept)


def gone_connection(tenant_id: str, connection: KnownConnection, why: str = "Removed at Powens") -> ConnectionRow:
    """Return the row of a connection that no longer exists; its history remains."""
    names = ConnectionRow.__dataclass_fields__
    kept = {name: getattr(connection, name) for name in names if hasattr(connection, name)}
    kept |= {
        "tenant_id": tenant_id,
        "status": "gone",
        "state": None,
        "who_acts": "nobody",
        "remedy": f"{why}; its history stays.",
        "link": None,
        "active": False,
        "created_at": None,
        "payload_digest": digest({"gone": connection.connection_id}),
    }
    return ConnectionRow(**kept)
