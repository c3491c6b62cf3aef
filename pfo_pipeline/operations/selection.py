"""Select the part of a tenant for a run: everything, or selected connections or accounts."""

from dataclasses import dataclass

from pfo_pipeline.config import Tenant, User
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.sync import user_of


@dataclass(frozen=True)
class Choice:
    """A selection as a person enters it. An empty one selects everything, as schedules and sensors do."""

    connection_id: str | None = None
    account_ids: tuple[str, ...] = ()
    force: bool = False
    member_present: bool = False

    @property
    def is_everything(self) -> bool:
        return self.connection_id is None and not self.account_ids


EVERYTHING = Choice()


@dataclass(frozen=True)
class Scope:
    """A selection whose names the ledger knows. None selects all."""

    users: tuple[User, ...]
    connection_ids: frozenset[str] | None = None
    account_ids: frozenset[str] | None = None
    forced: str | None = None
    """The user's connection for which a sync at the bank is requested first."""
    member_present: bool = False

    @property
    def is_everything(self) -> bool:
        return self.connection_ids is None

    def has_connection(self, connection_id: str) -> bool:
        return self.connection_ids is None or connection_id in self.connection_ids

    def has_account(self, account: KnownAccount) -> bool:
        chosen = self.account_ids is None or account.account_id in self.account_ids
        return chosen and self.has_connection(account.connection_id)


def scope_of(tenant: Tenant, known: Reader, choice: Choice) -> Scope:
    """Resolve a selection, before the bank is requested.

    Raises:
        OperationRefused: the ledger knows no such connection or account of the tenant, or the selection contradicts itself.
        LedgerError: the ledger cannot be read.
    """
    if choice.force and choice.connection_id is None:
        raise OperationRefused("A bank is asked for one connection: force needs connection_id.")
    if choice.member_present and not choice.force:
        raise OperationRefused("member_present tells the bank that somebody can answer it: give it with force.")
    if choice.is_everything:
        return Scope(tenant.users)
    if choice.connection_id is not None:
        owner_of(tenant, known, choice.connection_id)
    accounts = _chosen_accounts(tenant, known, choice)
    connection_ids = frozenset([choice.connection_id] if choice.connection_id else [a.connection_id for a in accounts])
    owners = {owner_of(tenant, known, connection_id).id for connection_id in connection_ids}
    return Scope(
        users=tuple(user for user in tenant.users if user.id in owners),
        connection_ids=connection_ids,
        account_ids=frozenset(a.account_id for a in accounts) if accounts else None,
        forced=choice.connection_id if choice.force else None,
        member_present=choice.member_present,
    )


def owner_of(tenant: Tenant, known: Reader, connection_id: str) -> User:
    """Return the user of a connection.

    Raises:
        OperationRefused: the ledger knows no such connection, or it was removed, or its user is not configured.
    """
    there = {c.connection_id: c for c in known.connections(tenant.id) if c.status != "gone"}
    if connection_id not in there:
        raise OperationRefused(
            f"Tenant {tenant.id} has no connection {connection_id}. It has: {', '.join(there) or 'none'}."
        )
    return user_of(tenant, there[connection_id].user_id)


def _chosen_accounts(tenant: Tenant, known: Reader, choice: Choice) -> list[KnownAccount]:
    """Return the selected accounts. An account with links in two connections is selected with both, unless one is selected."""
    there = [a for a in known.linked_accounts(tenant.id) if a.deleted_at is None] if choice.account_ids else []
    chosen: list[KnownAccount] = []
    for account_id in choice.account_ids:
        found = [a for a in there if account_id in (a.account_id, a.canonical_id)]
        if not found:
            raise OperationRefused(
                f"Tenant {tenant.id} has no account {account_id}. Its accounts: pfo accounts --tenant {tenant.id} --json"
            )
        within = [a for a in found if choice.connection_id in (None, a.connection_id)]
        if not within:
            of = " and ".join(a.connection_id for a in found)
            raise OperationRefused(f"Account {account_id} is of connection {of}, not of {choice.connection_id}.")
        chosen += within
    return chosen
