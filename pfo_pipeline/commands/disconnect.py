"""`pfo disconnect`: take a connection, a token or a whole user away from Powens. Again after any failure, it goes on."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from pfo_pipeline.commands.connect import alone_with_member
from pfo_pipeline.commands.keeping import erase_rows, require_admin
from pfo_pipeline.commands.place import Place
from pfo_pipeline.config import Config, Tenant, User
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.onboarding import MemberAccess, delete_user, explained, revoke_token
from pfo_pipeline.operations.signals import run_interruptible
from pfo_pipeline.operations.sync import user_of
from pfo_pipeline.powens.client import client_of
from pfo_pipeline.powens.errors import PowensError

T = TypeVar("T")
Confirm = Callable[[str], None]
"""Asked with what will happen; does not return where the answer is no."""


def disconnect_and_show(
    place: Place, tenant_id: str, member_id: str, connection_id: str | None, *, erase: bool, confirm: Confirm
) -> None:
    """
    Args:
        connection_id: This one alone, by Powens' id; else the member's token.
        erase: Delete the user at Powens, and what the ledger holds of them.
    Raises:
        ConfigError, SecretError: nothing is configured, or a secret is missing or cannot be removed.
        OperationRefused: not an admin, no such member or connection, or a run is at work on the tenant.
        NotConnected: Powens refused or could not be reached; or another program is at work for the member.
        LedgerError: the ledger could not be written.
    """
    require_admin(place, "Disconnecting takes a member's data away")
    config, tenant, user = configured_member(place, tenant_id, member_id)
    with alone_with_member(place, tenant, user):
        if connection_id is not None:
            _delete_connection(place, config, tenant, user, connection_id, confirm)
        elif erase:
            _erase(place, config, tenant, user, confirm)
        else:
            _revoke(config, tenant, user, confirm)


def configured_member(place: Place, tenant_id: str, member_id: str | None) -> tuple[Config, Tenant, User]:
    """Raises: ConfigError, OperationRefused."""
    config = place.configured()
    tenant = config.tenant(tenant_id)
    return config, tenant, user_of(tenant, member_id)


def ask_powens(config: Config, tenant: Tenant, user: User, ask: Callable[[MemberAccess], Awaitable[T]]) -> T:
    """Calls for one member, with what failed told in the operator's words.

    Raises: ConfigError, SecretError, NotConnected.
    """

    async def asked() -> T:
        async with client_of(config, tenant) as client:
            access = MemberAccess(config, tenant, user, client)
            try:
                return await ask(access)
            except PowensError as error:
                raise explained(access, error) from None

    return run_interruptible(asked())


def _delete_connection(
    place: Place, config: Config, tenant: Tenant, user: User, connection_id: str, confirm: Confirm
) -> None:
    token = config.user_token(tenant, user)
    at_powens = ask_powens(config, tenant, user, lambda access: access.member(token).connection_ids())
    if connection_id not in at_powens:
        known = place.reader.connections(tenant.id) if place.files.published.exists() else []
        if any(c.connection_id == connection_id and c.user_id == user.id for c in known):
            click.echo(f"Connection {connection_id} is not at Powens any more. The next run takes note of it.")
            return
        raise OperationRefused(
            f"Member {user.id} of {tenant.id} has no connection {connection_id}. At Powens: {', '.join(at_powens) or 'none'}."
        )
    confirm(
        f"Connection {connection_id} of member {user.id} of {tenant.id} is deleted at Powens, with its accounts and what "
        "they hold there. The ledger keeps its history. A bank that is connected again has new ids at Powens."
    )
    ask_powens(config, tenant, user, lambda access: access.member(token).delete_connection(connection_id))
    click.echo(f"Connection {connection_id} is deleted at Powens. The next run takes note of it; history stays.")


def _revoke(config: Config, tenant: Tenant, user: User, confirm: Confirm) -> None:
    confirm(
        f"The token of member {user.id} of {tenant.id} is revoked and removed here. The Powens user and the connections "
        "stay at Powens, are synced there, and billed. pfo connect gets another token for the same user."
    )
    if not ask_powens(config, tenant, user, revoke_token):
        click.echo(f"Member {user.id} of {tenant.id} has no token here.")
        return
    if config.member_files(user) is None:
        click.echo(f"Unset {user.token.partition(':')[2]}: its token is good for nothing any more.")
    click.echo(
        f"The token of {user.id} is revoked. Take the user out of the configuration, or every run misses the token."
    )


def _erase(place: Place, config: Config, tenant: Tenant, user: User, confirm: Confirm) -> None:
    confirm(
        f"Member {user.id} of {tenant.id} is deleted at Powens, with every connection, account and figure there; the token "
        "is removed here; and what the ledger holds of them is erased for good."
    )
    found = ask_powens(config, tenant, user, delete_user)
    click.echo(f"{user.id}: {'deleted at Powens' if found else 'no such user at Powens (any more)'}; no token is kept.")
    is_erased = place.files.published.exists() and erase_rows(place, tenant.id, user.id)
    if not is_erased:
        click.echo(f"The ledger holds nothing of {user.id}.")
    files = config.member_files(user)
    if files is not None:
        files.forget_user()  # Last: until here it tells a second attempt who was deleted.
    click.echo(
        f"Take {user.id} out of the configuration now, or every run misses the token and notes it in the ledger."
    )
