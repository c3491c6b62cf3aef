"""Refresh the balances of a user from Powens.

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
    """Powens has no balance to record for the account; the message gives the reason. `rows` has the quarantined records."""

    def __init__(self, text: str, rows: tuple[LedgerRow, ...] = ()) -> None:
        super().__init__(text)
        self.rows = rows


async def refresh_balances(
    context: CommandContext, request: RefreshBalancesInput, account: KnownAccount
) -> tuple[RefreshBalancesOutput, list[LedgerRow]]:
    """Read the newest balance of one account, as Powens has it now.

    Only `force_refresh` requests the bank itself, which Powens allows for one user at that user's request: no schedule and no
    sensor sets it. A manual run requests the bank once for all accounts of a connection (fan_out.py).

    Args:
        account: The ledger's version of `request.account_id`.
    Returns:
        The contract's output; `errors` is set if there is a balance but its connection has an error.
    Raises:
        OperationRefused: role.
        NoBalance: Powens does not serve the account, or has no balance that can be stored.
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
    """Return why the balance may be older than it looks; None if connection and account are in order."""
    if stands is None:
        return "its connection is gone"
    if not stands.is_synced:
        return stands.state or stands.status
    return word(account.error) if account.error else None


def _same_currency(tenant: Tenant, account: KnownAccount, row: BalanceRow | str | None) -> BalanceRow | str | None:
    """Return the row, or the reason to quarantine it: a history in two currencies is an error until a person confirms it."""
    if not isinstance(row, BalanceRow) or account.as_of is None or row.currency == account.currency:
        return row
    if tenant.currency_changes.get(account.account_id) == row.currency:
        return row
    return f"currency: not the one until now; if that is right, put the account in tenants.{tenant.id}.currency_changes"
