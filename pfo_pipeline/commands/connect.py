"""`pfo connect` and `pfo reconnect`: send a member to Powens' pages, wait for the return, sync."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

from pfo_pipeline.commands.keeping import require_admin
from pfo_pipeline.commands.place import Place
from pfo_pipeline.commands.returning import listening_for, wait_for_return
from pfo_pipeline.commands.run import run_and_show
from pfo_pipeline.config import Config, ConfigError, Tenant, User
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.operations.onboarding import MemberAccess, NotConnected, explained, member_token
from pfo_pipeline.operations.selection import owner_of
from pfo_pipeline.operations.signals import run_interruptible
from pfo_pipeline.operations.sync import user_of
from pfo_pipeline.powens.auth import connect_link, reconnect_link
from pfo_pipeline.powens.client import client_of
from pfo_pipeline.powens.errors import PowensError

_OPENS_DATA = "A link opens a member's data"


def connect_and_show(place: Place, tenant_id: str, member_id: str, *, open_page: bool) -> int:
    """Make the member's Powens user if there is none, have a bank connected, and sync the tenant.

    Returns: Exit status, as of `pfo run`.
    Raises:
        ConfigError, SecretError: something that is needed is not configured, or cannot be written.
        OperationRefused: not an admin, or no such member.
        CannotWait: the port of redirect_uri is taken.
        NotConnected: Powens refused or could not be reached, the member came back without a bank, or another program is at
            work for the member.
    """
    require_admin(place, _OPENS_DATA)
    assert place.config is not None
    tenant = place.config.tenant(tenant_id)
    user = user_of(tenant, member_id)
    return _send_to_page(
        place, tenant, user, lambda code, state: connect_link(tenant, code, state), wait=True, open_page=open_page
    )


def reconnect_and_show(place: Place, tenant_id: str, connection_id: str, *, wait: bool, open_page: bool) -> int:
    """Have a connection mended by its member, and sync the tenant.

    Args:
        wait: Else the link is told, for a member who is elsewhere, and nothing more is done.
    Returns, Raises: as `connect_and_show`; OperationRefused also where the ledger knows no such connection.
    """
    require_admin(place, _OPENS_DATA)
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
    assert place.config is not None
    missing = [key for key in ("client_id", "redirect_uri") if getattr(tenant, key) is None]
    if missing:
        raise ConfigError(f"tenants.{tenant.id}.{missing[0]}: is missing; without it Powens' page does not open.")
    redirect_uri = tenant.redirect_uri or ""
    with ExitStack() as held:
        held.enter_context(alone_with_member(place, tenant, user))
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
def alone_with_member(place: Place, tenant: Tenant, user: User) -> Iterator[None]:
    """One program at a time makes or ends what a member has at Powens.

    Raises: NotConnected: another one is at it.
    """
    with ExitStack() as held:
        lock = place.files.private / "members" / f"{tenant.id}.{user.id}.lock"
        try:
            held.enter_context(queue_for(lock, deadline_seconds=0))
        except TurnNotReached as holder:
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
