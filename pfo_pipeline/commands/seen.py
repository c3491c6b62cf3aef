"""`pfo seen`: a person says that they saw which accounts count differently than before, or are in no total."""

import click

from pfo_pipeline.commands.keeping import require_admin
from pfo_pipeline.commands.place import Place
from pfo_pipeline.contracts.tables import ChangeRow
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused

OPERATION = "ledger.seen"

_WAITING = """
with newest as (
    from account_changes where tenant_id = $tenant
    qualify row_number() over (partition by account_id order by load_id desc) = 1
),
unclassified as (
    select distinct account_id from coverage where tenant_id = $tenant and reason = 'unclassified'
),
waiting as (
    select account_id, was, stands from newest where not seen and account_id not in (from unclassified)
    union all
    select account_id, 'unclassified', 'unclassified' from unclassified
    where account_id not in (select account_id from newest where seen and stands = 'unclassified')
)
select $tenant, w.account_id, w.was, w.stands, true
from waiting w join accounts_latest a on a.tenant_id = $tenant and a.account_id = w.account_id
where $connection is null or a.connection_id = $connection
order by w.account_id
"""


def see_and_show(place: Place, tenant_id: str, connection_id: str | None) -> None:
    """Record that the changes of a tenant, or of one connection of it, were seen, and publish it.

    Raises:
        OperationRefused: not an admin, or an unknown tenant.
        LedgerError: nothing was recorded.
    """
    require_admin(place, "What was seen waits for nobody any more")
    reader = place.ledger.reader()
    waiting = _waiting(reader, tenant_id, connection_id)
    if not waiting:
        whose = f"connection {connection_id} of tenant {tenant_id}" if connection_id else f"tenant {tenant_id}"
        click.echo(f"No account of {whose} waits to be seen.")
        return
    place.ledger.merge(Batch.by_hand(tenant_id, OPERATION, "1.0.0", waiting))
    place.ledger.publish()
    for row in waiting:
        change = row.stands if row.was == row.stands else f"{row.was} -> {row.stands}"
        click.echo(f"{row.account_id}  {change}")
    click.echo("Seen: 1 account." if len(waiting) == 1 else f"Seen: {len(waiting)} accounts.")


def _waiting(reader: Reader, tenant_id: str, connection_id: str | None) -> list[ChangeRow]:
    if tenant_id not in (tenants := reader.tenants()):
        raise OperationRefused(f"The ledger has no tenant {tenant_id}. It has: {', '.join(tenants) or 'none yet'}.")
    return reader.typed(ChangeRow, _WAITING, {"tenant": tenant_id, "connection": connection_id})
