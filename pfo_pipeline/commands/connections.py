"""Asking the bank of one connection, and whose a connection is."""

import asyncio

from pfo_pipeline.commands.place import Place
from pfo_pipeline.config import Config, Tenant, User
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.accounts import user_of
from pfo_pipeline.operations.forced import Forced, force_sync
from pfo_pipeline.operations.guards import OperationRefused, authorize, require_integration
from pfo_pipeline.powens.bank import OpenBanking
from pfo_pipeline.powens.links import reconnect_link


def force_connection(
    place: Place, config: Config, tenant_id: str, connection_id: str, *, member_present: bool = False
) -> str:
    """Have the bank asked for one connection now, at its member's request; a line or two that say how it ended.

    Raises:
        ConfigError: no such tenant.
        OperationRefused: not an admin, the tenant rests, or the ledger knows no such connection.
        PowensError, SecretError: a call failed.
    """
    step = REFRESH_OPENBANKING_BALANCES.step("refresh-balances")
    authorize(step.operation, place.role)
    tenant, user = owner_of(place, config, tenant_id, connection_id)
    banking = OpenBanking(config)
    require_integration(step, banking.binding(tenant))

    async def ask() -> Forced:
        async with banking.session(tenant, "force") as bank:
            return await force_sync(
                bank, user, connection_id, clock=utc_now, sleep=asyncio.sleep, member_present=member_present
            )

    forced = asyncio.run(ask())
    told = f"{tenant_id}: connection {connection_id}: {forced.end}."
    if forced.stands.remedy:
        told += f" {forced.stands.remedy}"
    if forced.stands.who_acts == "member":
        told += f"\n  {reconnect_link(tenant, connection_id)}"
    return told


def owner_of(place: Place, config: Config, tenant_id: str, connection_id: str) -> tuple[Tenant, User]:
    """Raises: ConfigError, OperationRefused: the ledger knows no such connection, or its user is not configured."""
    tenant = config.tenant(tenant_id)
    known = {c.connection_id: c for c in place.reader.connections(tenant_id)}
    if connection_id not in known:
        raise OperationRefused(f"Tenant {tenant_id} has no connection {connection_id}. It has: {', '.join(known)}.")
    return tenant, user_of(tenant, known[connection_id].user_id)
