"""Refreshes the balances of a user from Powens.

Source: ContractSpec `openbanking.balances.refresh`. Powens has no list of balances; the snapshot is the account's
`balance` at its `last_update` (Powens docs, Balances).
"""

from dataclasses import replace

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.operations import (
    REFRESH_BALANCES,
    RefreshBalancesInput,
    RefreshBalancesOutput,
)
from pfo_pipeline.contracts.tables import BalanceRow, LedgerRow
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.operations.access import authorize
from pfo_pipeline.operations.force_sync import force_sync
from pfo_pipeline.operations.queries import records_of
from pfo_pipeline.operations.sync import CommandContext, user_of
from pfo_pipeline.powens.mapping import balance_row, quarantined, situation
from pfo_pipeline.powens.models import Account
from pfo_pipeline.powens.states import Situation
from pfo_pipeline.redaction import word


class NoBalance(PfoError):
    """Powens has nothing to record for the account; the message says why. `rows` holds what was put aside."""

    def __init__(self, text: str, rows: tuple[LedgerRow, ...] = ()) -> None:
        super().__init__(text)
        self.rows = rows


async def refresh_balances(
    context: CommandContext, request: RefreshBalancesInput, account: KnownAccount
) -> tuple[RefreshBalancesOutput, list[LedgerRow]]:
    """Read the newest balance of one account, as Powens has it now.

    Only `force_refresh` has the bank itself asked, which Powens allows for one user at that user's request: no schedule
    and no sensor sets it. A run by hand has the bank asked once for all accounts of a connection (fan_out.py).

    Args:
        account: What the ledger knows of `request.account_id`.
    Returns:
        The contract's output; `errors` is set when the figure is there but its connection is not in order.
    Raises:
        OperationRefused: role.
        NoBalance: Powens does not serve the account, or no figure that can be kept.
        PowensError: a call failed.
    """
    authorize(REFRESH_BALANCES, context.role)
    user = user_of(context.tenant, account.user_id)
    if request.force_refresh:
        await force_sync(context.bank, user, account.connection_id, clock=context.clock, sleep=context.sleep)
        context = replace(context, now=context.clock())
    served = await context.bank.enabled_accounts(user)
    unreadable = next((row for row in served.quarantine if row.source_id == account.source_id), None)
    if unreadable is not None:
        raise NoBalance(f"account {account.account_id}: quarantined, {unreadable.reason}", (unreadable,))
    found = served.find(account.source_id)
    if found is None:
        raise NoBalance(f"account {account.account_id}: Powens no longer serves it; the next accounts sync records why")
    wire, raw = found
    connection_id = wire.id_connection or account.connection_id
    row = _same_currency(context.tenant, account, balance_row(context.tenant, wire, connection_id, raw, context.now))
    if row is None:
        raise NoBalance(f"account {account.account_id}: Powens has no balance yet")
    if isinstance(row, str):
        put_aside = quarantined(context.tenant.id, user.id, "balance", raw, row)
        raise NoBalance(f"account {account.account_id}: quarantined, {row}", (put_aside,))
    connections = await context.bank.connections(user)
    connection = connections.find(connection_id)
    stands = situation(connection[0], context.now) if connection else None
    problem = _problem(wire, stands)
    output = RefreshBalancesOutput(
        balances=records_of(context.tenant.id, request.balance_types, row, context.now),
        refreshed_at=context.now,
        errors=(f"account {account.account_id}: {problem}",) if problem else None,
    )
    return output, [row]


def _problem(account: Account, stands: Situation | None) -> str | None:
    """Why the figure may be older than it looks; None when connection and account are in order."""
    if stands is None:
        return "its connection is gone"
    if not stands.is_synced:
        return stands.state or stands.status
    return word(account.error) if account.error else None


def _same_currency(tenant: Tenant, account: KnownAccount, row: BalanceRow | str | None) -> BalanceRow | str | None:
    """The row, or why it is put aside: a history in two currencies is a mistake until a person says that it is none."""
    if not isinstance(row, BalanceRow) or account.as_of is None or row.currency == account.currency:
        return row
    if tenant.currency_changes.get(account.account_id) == row.currency:
        return row
    return f"currency: not the one until now; if that is right, put the account in tenants.{tenant.id}.currency_changes"
