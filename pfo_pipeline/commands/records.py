"""`pfo accounts`, `pfo balances`: the contracts' records of one tenant, the newest or those of a moment."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from pfo_pipeline.commands.place import Place
from pfo_pipeline.contracts.model import Message
from pfo_pipeline.contracts.operations import ListAccountsInput
from pfo_pipeline.operations.queries import QueryContext, get_every_balance, list_accounts


def account_records(place: Place, tenant_id: str, as_of: date | None, known_at: date | None) -> list[Message]:
    """`openbanking.accounts.list`, every page of every user; as of a moment, by what was known at another.

    Args:
        as_of, known_at: None for the newest; a date is the end of that day in the tenant's time zone.
    """
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


def balance_records(place: Place, tenant_id: str, as_of: date | None, known_at: date | None) -> list[Message]:
    """`openbanking.balances.get` for every account that was enabled, likewise."""
    context = _context(place, tenant_id, as_of, known_at)
    return [record for answer in get_every_balance(context) for record in answer.balances]


def _context(place: Place, tenant_id: str, as_of: date | None, known_at: date | None) -> QueryContext:
    moments = (place.reader.moment(tenant_id, given) for given in (as_of, known_at))
    return QueryContext(tenant_id, place.role, place.reader, *moments)


def wire(records: Sequence[Message]) -> list[dict[str, Any]]:
    """Records in their wire form: camelCase, amounts as exact text, moments in UTC."""
    return [record.model_dump(mode="json", by_alias=True) for record in records]


def with_class(row: dict[str, Any]) -> dict[str, Any]:
    """A record in its wire form, for people: the account's class beside the rest."""
    return row | {"accountClass": (row.get("metadata") or {}).get("accountClass")}
