"""What the shell completes beyond words that are always the same: tenants, members, connections, accounts.

From the published ledger and the configuration, never from the network; where neither tells, nothing is proposed, and nothing
is ever said: whoever presses Tab is in the middle of something else.
"""

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from pfo_pipeline.cli.starting import without_pandas

if TYPE_CHECKING:
    from pfo_pipeline.commands.place import Place

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_Found = Iterable[tuple[str, str]]
"""Words, and what each stands for."""


def _completing(find: Callable[["Place", list[str]], _Found]) -> Complete:
    """`find` is given the place and the tenants that are named on the line."""

    @without_pandas
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with redirect_stderr(io.StringIO()):
                from pfo_pipeline.commands.place import find_place

                found = dict(find(find_place(), _tenants_named(ctx)))
        except Exception:  # Whatever is wrong is told by the command itself, once it is run.
            return []
        return [item(word, about) for word, about in sorted(found.items()) if word.startswith(incomplete)]

    return complete


def item(word: str, about: str) -> CompletionItem:
    """Shells are told one thing on a line; `about` holds what banks are called."""
    from pfo_pipeline.commands.terminal import visible

    return CompletionItem(word, help=visible(about) or None)


def _tenants_named(ctx: click.Context) -> list[str]:
    one, several = ctx.params.get("tenant"), ctx.params.get("tenants")
    return [one] if one else list(several or ())


def _tenants(place: "Place", _: list[str]) -> _Found:
    """Those who are configured, and those who were and are in the ledger still."""
    configured = [tenant.id for tenant in place.config.tenants] if place.config else []
    yield from ((tenant_id, "") for tenant_id in configured)
    if place.files.published.exists():
        yield from ((tenant_id, "") for tenant_id in place.reader.tenants())


def _members(place: "Place", tenants: list[str]) -> _Found:
    if place.config:
        named = [tenant for tenant in place.config.tenants if tenant.id in tenants]
        yield from ((user.id, tenant.id) for tenant in named for user in tenant.users)
    if place.files.published.exists():
        with place.at_once() as at_once:
            yield from ((user.user_id, name) for name in tenants for user in at_once.reader.users(name))


def _connections(place: "Place", tenants: list[str]) -> _Found:
    for tenant_id in tenants:
        for c in place.reader.connections(tenant_id):
            yield c.connection_id, f"{c.institution_name}, {c.user_id}: {c.status}"


def _accounts(place: "Place", tenants: list[str]) -> _Found:
    for tenant_id in tenants:
        for a in place.reader.linked_accounts(tenant_id):
            yield a.account_id, f"{a.institution_name}, {a.user_id}: {a.account_type}"


TENANTS = _completing(_tenants)
MEMBERS = _completing(_members)
CONNECTIONS = _completing(_connections)
ACCOUNTS = _completing(_accounts)
