"""Operations that the ledger answers without Powens: list and get accounts, get balances.

Source: ContractSpec `openbanking.accounts.list`, `.get`, `openbanking.balances.get`. The query steps of the workflows read
the snapshot through the same operations, before the published copy is replaced: a snapshot that cannot be read is not
published.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.contracts.operations import (
    GET_ACCOUNT,
    GET_BALANCES,
    LIST_ACCOUNTS,
    GetAccountInput,
    GetBalancesInput,
    GetBalancesOutput,
    ListAccountsInput,
    ListAccountsOutput,
)
from pfo_pipeline.contracts.records import AccountBalanceRecord, BalanceType, BankAccountRecord
from pfo_pipeline.contracts.tables import BalanceRow
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.access import OperationRefused, authorize
from pfo_pipeline.redaction import mask

DEFAULT_PAGE_SIZE = 200
_CURSOR = "account after "
_BALANCE_TYPES: tuple[BalanceType, ...] = ("current", "available")


@dataclass(frozen=True)
class QueryContext:
    """The context of a query. Its reader is queried only for `tenant_id`.

    `as_of` is the time that the query is about, `known_at` the time whose knowledge counts; None: the newest.
    """

    tenant_id: str
    role: Role
    reader: Reader
    as_of: datetime | None = None
    known_at: datetime | None = None


def list_accounts(context: QueryContext, request: ListAccountsInput) -> ListAccountsOutput:
    """Return one page of a user's enabled accounts, ordered by id.

    Raises:
        OperationRefused: role, another tenant, or a cursor that this operation did not return.
    """
    authorize(LIST_ACCOUNTS, context.role)
    same_tenant(context, request.tenant_id)
    size = request.page_size or DEFAULT_PAGE_SIZE
    found = context.reader.accounts(
        request.tenant_id,
        user_id=request.user_id,
        connection_id=request.connection_id,
        institution_id=request.institution_id,
        after=_position(request.cursor),
        limit=size + 1,
        as_of=context.as_of,
        known_at=context.known_at,
    )
    page = found[:size]
    more = len(found) > size
    return ListAccountsOutput(
        accounts=tuple(
            account_record(request.tenant_id, a, with_balances=bool(request.include_balances)) for a in page
        ),
        next_cursor=_cursor(page[-1].account_id) if more else None,
        has_more=more,
    )


def get_account(context: QueryContext, request: GetAccountInput) -> BankAccountRecord:
    """Return one account, enabled or not.

    Raises:
        OperationRefused: role, another tenant, no such account, or transactions requested.
    """
    authorize(GET_ACCOUNT, context.role)
    same_tenant(context, request.tenant_id)
    if request.include_latest_transactions:
        raise OperationRefused("Transactions are not in the ledger; leave includeLatestTransactions out.")
    found = account_asked_for(context, request.account_id)
    return account_record(request.tenant_id, found, with_balances=bool(request.include_balances))


def account_asked_for(context: QueryContext, account_id: str) -> KnownAccount:
    """Return the account, enabled or not. Raises: OperationRefused: there is none with this id."""
    found = context.reader.accounts(
        context.tenant_id,
        account_id=account_id,
        include_hidden=True,
        as_of=context.as_of,
        known_at=context.known_at,
    )
    if not found:
        raise OperationRefused(f"Tenant {context.tenant_id} has no account {account_id}.")
    return found[0]


def same_tenant(context: QueryContext, tenant_id: str) -> None:
    """Check the tenant. Raises: OperationRefused: the request names another tenant than the context."""
    if tenant_id != context.tenant_id:
        raise OperationRefused(f"This read is for tenant {context.tenant_id}; it may not see another.")


def account_record(tenant_id: str, account: KnownAccount, *, with_balances: bool) -> BankAccountRecord:
    return BankAccountRecord(
        id=account.account_id,
        tenant_id=tenant_id,
        user_id=account.user_id,
        connection_id=account.connection_id,
        external_id=account.source_id,
        institution_id=account.institution_id,
        institution_name=account.institution_name,
        iban=account.iban,
        bic=account.bic,
        account_type=account.account_type,
        currency=account.currency,
        display_name=account.display_name,
        account_number_masked=mask(account.number) if account.number else None,
        balance=account.current_balance if with_balances else None,
        available_balance=account.available_balance if with_balances else None,
        last_synced_at=account.as_of or account.last_success_at or account.updated_at,
        created_at=account.created_at,
        updated_at=account.updated_at,
        metadata={
            "accountClass": account.account_class,
            "usage": account.usage,
            "ownership": account.ownership,
            "parentAccountId": account.parent_account_id,
            "disabledAt": account.disabled_at.isoformat() if account.disabled_at else None,
            "deletedAt": account.deleted_at.isoformat() if account.deleted_at else None,
        },
    )


def get_balances(context: QueryContext, request: GetBalancesInput) -> GetBalancesOutput:
    """Return the newest balances of one account in the ledger; none if it has none yet.

    Raises:
        OperationRefused: role, another tenant, or no such account.
    """
    authorize(GET_BALANCES, context.role)
    same_tenant(context, request.tenant_id)
    found = account_asked_for(context, request.account_id)
    records = account_balances(request.tenant_id, found, request.balance_types)
    return GetBalancesOutput(balances=records, as_of=found.as_of)


def get_every_balance(context: QueryContext) -> list[GetBalancesOutput]:
    """Run `get_balances` for every enabled account of the tenant, in one read of the ledger.

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
    """Return contract records for the newest balance of an account in the ledger; none if it has none yet."""
    return records_of(tenant_id, types, account, account.balance_recorded_at)


def records_of(
    tenant_id: str,
    types: tuple[BalanceType, ...] | None,
    figure: BalanceRow | KnownAccount,
    created_at: datetime | None,
) -> tuple[AccountBalanceRecord, ...]:
    """Return one record per balance type: `current`, and `available` if it is known."""
    current, currency, as_of = figure.current_balance, figure.currency, figure.as_of
    if current is None or currency is None or as_of is None:
        return ()
    wanted = [t for t in types or _BALANCE_TYPES if t == "current" or figure.available_balance is not None]
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
            metadata=_about(figure, balance_type),
        )
        for balance_type in wanted
    )


def _about(figure: BalanceRow | KnownAccount, balance_type: BalanceType) -> dict[str, str | None] | None:
    known = {"accountClass": figure.account_class} if isinstance(figure, KnownAccount) else {}
    basis = {"availableBasis": figure.available_basis} if balance_type == "available" else {}
    return {**known, **basis} or None


def _cursor(account_id: str) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{account_id}".encode()).decode()


def _position(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_CURSOR):
        raise OperationRefused(f"{cursor!r} is not a cursor of this list; take nextCursor of the page before.")
    return text.removeprefix(_CURSOR)


_PAGE_SIZE = 1000
"""The contract's maximum: each page is a query over all of the tenant's accounts."""


@dataclass(frozen=True)
class Snapshot:
    """The data that a query step read back: `records` contract records, and the dates of their balances."""

    tenant_id: str
    records: int
    oldest_as_of: datetime | None
    newest_as_of: datetime | None


def fetch_accounts(context: QueryContext, tenant: Tenant) -> Snapshot:
    """Run `openbanking.accounts.list` for every user of the tenant, page by page.

    Raises: OperationRefused, LedgerError.
    """
    records, moments = 0, []
    for user in tenant.users:
        cursor, more = None, True
        while more:
            request = ListAccountsInput(
                tenant_id=tenant.id, user_id=user.id, include_balances=True, cursor=cursor, page_size=_PAGE_SIZE
            )
            page = list_accounts(context, request)
            records += len(page.accounts)
            moments += [account.last_synced_at for account in page.accounts]
            cursor, more = page.next_cursor, bool(page.has_more)
    return _snapshot(tenant, records, moments)


def fetch_balances(context: QueryContext, tenant: Tenant) -> Snapshot:
    """Run `openbanking.balances.get` for every enabled account of the tenant.

    Raises: OperationRefused, LedgerError.
    """
    answers = get_every_balance(context)
    records = sum(len(answer.balances) for answer in answers)
    return _snapshot(tenant, records, [answer.as_of for answer in answers if answer.as_of])


def _snapshot(tenant: Tenant, records: int, moments: list[datetime]) -> Snapshot:
    return Snapshot(tenant.id, records, min(moments, default=None), max(moments, default=None))
