"""Acting on a connection from the command line."""

import asyncio

from pfo_pipeline.commands.place import Place
from pfo_pipeline.config import ConfigError
from pfo_pipeline.operations.accounts import user_of
from pfo_pipeline.operations.guards import OperationRefused
from pfo_pipeline.powens.bank import OpenBanking


def access_link(place: Place, tenant_id: str, connection_id: str) -> str:
    """A reconnect link with a temporary code, asked of Powens now.

    Raises:
        ConfigError: nothing is configured, or not this tenant.
        OperationRefused: not an admin, or the ledger knows no such connection.
        PowensError: Powens gave no code.
    """
    if place.role != "admin":
        raise OperationRefused("A link opens a member's data, so it needs role admin.")
    if place.config is None:
        raise ConfigError(
            "Nothing is configured: the simulated bank has no page to open. Copy pfo.example.toml to pfo.toml."
        )
    tenant = place.config.tenant(tenant_id)
    known = {c.connection_id: c for c in place.reader.connections(tenant_id)}
    if connection_id not in known:
        raise OperationRefused(f"Tenant {tenant_id} has no connection {connection_id}. It has: {', '.join(known)}.")
    missing = [key for key in ("client_id", "redirect_uri") if getattr(tenant, key) is None]
    if missing:
        raise ConfigError(f"tenants.{tenant_id}.{missing[0]}: is missing; without it Powens' page does not open.")
    user = user_of(tenant, known[connection_id].user_id)
    banking = OpenBanking(place.config)

    async def ask() -> str:
        async with banking.session(tenant, "link") as bank:
            return await bank.access_link(user, connection_id)

    return asyncio.run(ask())
