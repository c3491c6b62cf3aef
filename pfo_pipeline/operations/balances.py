"""The operations on balances: refresh (from Powens) and get (from the ledger).

Source: ContractSpec `openbanking.balances.refresh`, `.get`. Powens gives no list of balances; the snapshot is the account's
`balance` at its `last_update` (Powens docs, Balances).
"""

from dataclasses import replace
from datetime import datetime

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.balances import (
    GET_BALANCES,
    REFRESH_BALANCES,
    GetBalancesInput,
    GetBalancesOutput,
    RefreshBalancesInput,
    RefreshBalancesOutput,
)
from pfo_pipeline.contracts.privacy import word
from pfo_pipeline.contracts.records import AccountBalanceRecord, BalanceType
from pfo_pipeline.contracts.tables import BalanceRow, LedgerRow
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.operations.accounts import CommandContext, QueryContext, account_asked_for, same_tenant, user_of
from pfo_pipeline.operations.forced import force_sync
from pfo_pipeline.operations.guards import authorize
from pfo_pipeline.powens.mapping import balance_row, quarantined, situation
from pfo_pipeline.powens.states import Situation
from pfo_pipeline.powens.wire import Account

BALANCE_TYPES: tuple[BalanceType, ...] = ("current", "available")


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
        put_aside = quarantined(context.tenant.id, "balance", raw, row)
        raise NoBalance(f"account {account.account_id}: quarantined, {row}", (put_aside,))
    connections = await context.bank.connections(user)
    connection = connections.find(connection_id)
    stands = situation(connection[0], context.now) if connection else None
    problem = _problem(wire, stands)
    output = RefreshBalancesOutput(
        balances=_records(context.tenant.id, request.balance_types, row, context.now),
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


def get_balances(context: QueryContext, request: GetBalancesInput) -> GetBalancesOutput:
    """The newest balances of one account in the ledger; none when it has none yet.

    Raises:
        OperationRefused: role, another tenant, or no such account.
    """
    authorize(GET_BALANCES, context.role)
    same_tenant(context, request.tenant_id)
    found = account_asked_for(context, request.account_id)
    records = account_balances(request.tenant_id, found, request.balance_types)
    return GetBalancesOutput(balances=records, as_of=found.as_of)


def get_every_balance(context: QueryContext) -> list[GetBalancesOutput]:
    """`get_balances` for every enabled account of the tenant, in one read of the ledger.

    Raises: OperationRefused: role.
    """
    authorize(GET_BALANCES, context.role)
    return [
        GetBalancesOutput(balances=account_balances(context.tenant_id, account), as_of=account.as_of)
        for account in context.reader.accounts(context.tenant_id, as_of=context.as_of, known_at=context.known_at)
    ]


def account_balances(
    tenant_id: str, account: KnownAccount, types: tuple[BalanceType, ...] | None = None
) -> tuple[AccountBalanceRecord, ...]:
    """The contract's records for the newest balance that the ledger has of an account; none when it has none yet."""
    return _records(tenant_id, types, account, account.balance_recorded_at)


def _records(
    tenant_id: str,
    types: tuple[BalanceType, ...] | None,
    figure: BalanceRow | KnownAccount,
    created_at: datetime | None,
) -> tuple[AccountBalanceRecord, ...]:
    """One record per balance type: `current`, and `available` where it is known."""
    current, currency, as_of = figure.current_balance, figure.currency, figure.as_of
    if current is None or currency is None or as_of is None:
        return ()
    wanted = [t for t in types or BALANCE_TYPES if t == "current" or figure.available_balance is not None]
    return tuple(
        AccountBalanceRecord(
            id=f"{figure.account_id}:{as_of.isoformat()}:{balance_type}",
            account_id=figure.account_id,
            tenant_id=tenant_id,
            connection_id=figure.connection_id,
            balance_type=balance_type,
            current_balance=current,
            available_balance=figure.available_balance if balance_type == "available" else None,
            currency=currency,
            last_updated_at=as_of,
            created_at=created_at or as_of,
            metadata={"availableBasis": figure.available_basis} if balance_type == "available" else None,
        )
        for balance_type in wanted
    )
