"""`pfo accounts` and `pfo balances`: the contracts' records, the newest or those of a moment.

Imports stand in the functions: the help of these commands is shown without DuckDB and pydantic.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from pfo_pipeline.cli.options import AS_OF, KNOWN_AT, TENANTS, examples, formats, without_pandas

if TYPE_CHECKING:
    from pfo_pipeline.cli.context import Place
    from pfo_pipeline.contracts.model import Message
    from pfo_pipeline.operations.queries import QueryContext


def account_records(place: "Place", tenant_id: str, as_of: date | None, known_at: date | None) -> "list[Message]":
    """`openbanking.accounts.list`, every page of every user; as of a moment, by what was known at another.

    Args:
        as_of, known_at: None for the newest; a date is the end of that day in the tenant's time zone.
    """
    from pfo_pipeline.contracts.operations import ListAccountsInput
    from pfo_pipeline.operations.queries import list_accounts

    context = _context(place, tenant_id, as_of, known_at)
    records: list[Message] = []
    for user in place.reader.users(tenant_id):
        cursor, more = None, True
        while more:
            request = ListAccountsInput(tenant_id=tenant_id, user_id=user.user_id, include_balances=True, cursor=cursor)
            page = list_accounts(context, request)
            records += page.accounts
            cursor, more = page.next_cursor, bool(page.has_more)
    return records


def balance_records(place: "Place", tenant_id: str, as_of: date | None, known_at: date | None) -> "list[Message]":
    """`openbanking.balances.get` for every account that was enabled, likewise."""
    from pfo_pipeline.operations.queries import get_every_balance

    context = _context(place, tenant_id, as_of, known_at)
    return [record for answer in get_every_balance(context) for record in answer.balances]


def _context(place: "Place", tenant_id: str, as_of: date | None, known_at: date | None) -> "QueryContext":
    from pfo_pipeline.operations.queries import QueryContext

    moments = (place.reader.moment(tenant_id, given) for given in (as_of, known_at))
    return QueryContext(tenant_id, place.role, place.reader, *moments)


def wire(records: "Sequence[Message]") -> list[dict[str, Any]]:
    """Records in their wire form: camelCase, amounts as exact text, moments in UTC."""
    return [record.model_dump(mode="json", by_alias=True) for record in records]


def with_class(row: dict[str, Any]) -> dict[str, Any]:
    """A record in its wire form, for people: the account's class beside the rest."""
    return row | {"accountClass": (row.get("metadata") or {}).get("accountClass")}


@click.command(
    short_help="List the accounts, now or at a time.",
    epilog=examples("pfo accounts", "pfo accounts --tenant martin --as-of 2026-10-31", "pfo accounts --json"),
)
@TENANTS
@AS_OF
@KNOWN_AT
@formats
@without_pandas
def accounts(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, form: str | None) -> None:
    """The enabled bank accounts, with their newest balance; or those of a moment, with their balance then."""
    from pfo_pipeline.contracts.records import BankAccountRecord

    shown = (
        "tenantId",
        "userId",
        "institutionName",
        "displayName",
        "accountType",
        "accountClass",
        "accountNumberMasked",
        "currency",
        "balance",
        "id",
    )
    _print_records(tenants, as_of, known_at, form, account_records, BankAccountRecord, shown)


@click.command(
    short_help="List the newest balances, or those at a time.",
    epilog=examples(
        "pfo balances --tenant martin --csv",
        "pfo balances --as-of 2026-10-31",
        "pfo balances --as-of 2026-10-31 --known-at 2026-11-05T12:00+01:00 --json",
    ),
)
@TENANTS
@AS_OF
@KNOWN_AT
@formats
@without_pandas
def balances(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, form: str | None) -> None:
    """The newest balances, or those of a moment: current, and available where it is known."""
    from pfo_pipeline.contracts.records import AccountBalanceRecord

    shown = (
        "tenantId",
        "accountId",
        "accountClass",
        "balanceType",
        "currentBalance",
        "availableBalance",
        "currency",
        "lastUpdatedAt",
    )
    _print_records(tenants, as_of, known_at, form, balance_records, AccountBalanceRecord, shown)


def _print_records(
    tenants: tuple[str, ...],
    as_of: date | None,
    known_at: date | None,
    form: str | None,
    read: Any,
    kind: Any,
    shown: tuple[str, ...],
) -> None:

    from pfo_pipeline.cli.context import find_place, select_tenants
    from pfo_pipeline.cli.output import print_rows

    with find_place().at_once() as place:
        chosen = select_tenants(place, tenants)
        rows = [row for tenant_id in chosen for row in wire(read(place, tenant_id, as_of, known_at))]
    columns = [field.alias for field in kind.model_fields.values()] if form else list(shown)
    print_rows(columns, rows if form else [with_class(row) for row in rows], form)
