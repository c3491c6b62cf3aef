"""`pfo connect`, `pfo reconnect` and `pfo disconnect`: a member's access at Powens, made, renewed and removed."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import click

from pfo_pipeline.cli.context import Place, find_place, require_admin, working
from pfo_pipeline.cli.ledger import erase_rows
from pfo_pipeline.cli.options import MEMBER, TENANT, YES, complete_connections, confirming, examples
from pfo_pipeline.cli.run import run_and_show
from pfo_pipeline.config import Config, ConfigError, Tenant, User
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.onboarding import (
    MemberAccess,
    NotConnected,
    delete_user,
    explained,
    member_token,
    revoke_token,
)
from pfo_pipeline.operations.selection import owner_of
from pfo_pipeline.operations.signals import run_interruptible
from pfo_pipeline.operations.sync import user_of
from pfo_pipeline.powens.auth import connect_link, reconnect_link
from pfo_pipeline.powens.client import client_of
from pfo_pipeline.powens.errors import PowensError

_OPENS_DATA = "A link opens a member's data"


def connect_member(place: Place, tenant_id: str, member_id: str, *, open_page: bool) -> int:
    """Make the member's Powens user if there is none, have a bank connected, and sync the tenant.

    Returns: Exit status, as of `pfo run`.
    Raises:
        ConfigError, SecretError: something that is needed is not configured, or cannot be written.
        OperationRefused: not an admin, or no such member.
        CannotWait: the port of redirect_uri is taken.
        NotConnected: Powens refused or could not be reached, the member came back without a bank, or another program is at
            work for the member.
    """
    require_admin(_OPENS_DATA)
    assert place.config is not None
    tenant = place.config.tenant(tenant_id)
    user = user_of(tenant, member_id)
    return _send_to_page(
        place, tenant, user, lambda code, state: connect_link(tenant, code, state), wait=True, open_page=open_page
    )


def reconnect_member(place: Place, tenant_id: str, connection_id: str, *, wait: bool, open_page: bool) -> int:
    """Have a connection fixed by its member, and sync the tenant.

    Args:
        wait: If False, the link is printed, for a member who is elsewhere, and nothing else is done.
    Returns, Raises: as `connect_member`; OperationRefused also where the ledger knows no such connection.
    """
    require_admin(_OPENS_DATA)
    assert place.config is not None
    tenant = place.config.tenant(tenant_id)
    user = owner_of(tenant, place.reader, connection_id)
    if place.config.powens_id(tenant, user) is None:
        place.config.user_token(tenant, user)  # Raises where it is lost: a new user would have no such connection.
    return _send_to_page(
        place,
        tenant,
        user,
        lambda code, state: reconnect_link(tenant, connection_id, code, state),
        wait=wait,
        open_page=open_page,
    )


def _send_to_page(
    place: Place,
    tenant: Tenant,
    user: User,
    link: Callable[[str, str | None], str],
    *,
    wait: bool,
    open_page: bool,
) -> int:
    from pfo_pipeline.cli.callback_server import listening_for, wait_for_return  # It imports a web server.

    assert place.config is not None
    missing = [key for key in ("client_id", "redirect_uri") if getattr(tenant, key) is None]
    if missing:
        raise ConfigError(f"tenants.{tenant.id}.{missing[0]}: is missing; without it Powens' page does not open.")
    redirect_uri = tenant.redirect_uri or ""
    with ExitStack() as held:
        held.enter_context(locking_member(place, tenant, user))
        listener = listening_for(redirect_uri) if wait else None
        if listener is not None:
            held.enter_context(listener)
        state = secrets.token_urlsafe(32) if listener is not None else None
        page = link(run_interruptible(_page_code(place.config, tenant, user)), state)
        click.echo("For the member alone; it holds half an hour, or one use:", err=True)
        click.echo(page)
        if open_page:
            click.launch(page)
        if listener is None:
            click.echo(f"The next run reads what was connected: pfo run --tenant {tenant.id}", err=True)
            return 0
        click.echo(f"Waiting at {redirect_uri} for the member. Ctrl-C ends it; nothing is lost.", err=True)
        assert state is not None
        returned = run_interruptible(wait_for_return(listener, redirect_uri, state, sleep=asyncio.sleep))
    again = "The same command gives a new link."
    if returned is None:
        raise NotConnected(f"Nobody came back within half an hour, and the link has ended. {again}")
    if returned.error is not None:
        raise NotConnected(f"{returned.error} {again}")
    for connection_id in returned.connection_ids:
        click.echo(f"{tenant.id}: {user.id} has come back from the bank of connection {connection_id}.")
    return run_and_show(place, (tenant.id,))


@contextmanager
def locking_member(place: Place, tenant: Tenant, user: User) -> Iterator[None]:
    """Exclude other programs that make or delete a member's access at Powens.

    Raises: NotConnected: another one is at it.
    """
    with ExitStack() as held:
        lock = place.files.private / "members" / f"{tenant.id}.{user.id}.lock"
        try:
            held.enter_context(hold_lock(lock, deadline_seconds=0))
        except LockTimeout as holder:
            raise NotConnected(
                f"{holder} is at work for member {user.id} of {tenant.id} (pfo connect, reconnect or disconnect). "
                "End it, or wait until it has ended."
            ) from None
        yield


async def _page_code(config: Config, tenant: Tenant, user: User) -> str:
    async with client_of(config, tenant) as client:
        access = MemberAccess(config, tenant, user, client)
        member = access.member(await member_token(access))
        try:
            if not await member.may_return_to(tenant.client_id or "", tenant.redirect_uri or ""):
                raise ConfigError(
                    f"tenants.{tenant.id}.redirect_uri: {tenant.redirect_uri} is not among the addresses that the Powens "
                    "console allows for this client. Add it there, to the letter, and run this again."
                )
            return await member.page_code()
        except PowensError as error:
            raise explained(access, error) from None


T = TypeVar("T")
Confirm = Callable[[str], None]
"""Shows what will happen and asks; it does not return if the answer is no."""


def disconnect_member(
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
    require_admin("Disconnecting takes a member's data away")
    config, tenant, user = configured_member(place, tenant_id, member_id)
    with locking_member(place, tenant, user):
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
    """Call Powens for one member; an error is explained in the operator's words.

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
        files.forget_user()  # Last: a second attempt needs the id of the deleted user.
    click.echo(
        f"Take {user.id} out of the configuration now, or every run misses the token and notes it in the ledger."
    )


OPEN = click.option("--open", "open_page", is_flag=True, help="Open the page in this machine's browser too.")


@click.command(
    short_help="Connect a member's bank.",
    epilog=examples("pfo connect --tenant smith --member jane", "pfo connect --tenant smith --member jane --open"),
)
@TENANT
@MEMBER
@OPEN
def connect(tenant: str, member: str, open_page: bool) -> None:
    """Connect a member's bank: make the Powens user if there is none, show the link, wait for the member, sync.

    Whatever fails, the same command goes on; there is never a second user. Where redirect_uri is not an address of this
    machine (http://127.0.0.1:PORT/...), it ends with the link, and the next run reads the bank.
    """
    with working(find_place()) as place:
        status = connect_member(place, tenant, member, open_page=open_page)
    sys.exit(status)


@click.command(
    short_help="Fix a connection, or renew its consent.",
    epilog=examples(
        "pfo reconnect --tenant smith --connection 4822", "pfo reconnect --tenant smith --connection 4822 --no-wait"
    ),
)
@TENANT
@click.option(
    "--connection",
    required=True,
    metavar="ID",
    shell_complete=complete_connections,
    help="As `pfo connections` shows it.",
)
@click.option("--no-wait", is_flag=True, help="Only show the link, for a member who is elsewhere.")
@OPEN
def reconnect(tenant: str, connection: str, no_wait: bool, open_page: bool) -> None:
    """Have a member fix a connection, or renew its consent: show the link, wait for the member, sync."""
    with working(find_place()) as place:
        status = reconnect_member(place, tenant, connection, wait=not no_wait, open_page=open_page)
    sys.exit(status)


@click.command(
    short_help="Revoke a token, delete a connection or a member.",
    epilog=examples(
        "pfo disconnect --tenant smith --member jane",
        "pfo disconnect --tenant smith --member jane --connection 4822",
        "pfo disconnect --tenant smith --member jane --erase",
    ),
)
@TENANT
@MEMBER
@click.option("--connection", metavar="ID", shell_complete=complete_connections, help="Delete this connection alone.")
@click.option("--erase", is_flag=True, help="Delete the user at Powens, and what the ledger holds of them.")
@YES
def disconnect(tenant: str, member: str, connection: str | None, erase: bool, yes: bool) -> None:
    """Revoke a member's token, delete one connection, or delete the member. After a failure, the same again goes on."""
    if connection is not None and erase:
        raise click.UsageError("--erase deletes the member with every connection; leave --connection out.")

    disconnect_member(find_place(), tenant, member, connection, erase=erase, confirm=confirming(yes))
