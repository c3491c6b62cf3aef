"""Which linked accounts are the same bank account: one that came back under a new id, or is seen through two connections.

Strong evidence decides by itself: the same IBAN and currency, or the same number, institution, type and currency. Weak
evidence (a vanished account's name, or the end of its number) is put to a person. A decision of a person is never
overridden. Facts: ids of Powens are new after a bank was added again (Powens docs, Connections: deletion); one IBAN may hold
several currencies, and several pockets of one connection.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pfo_pipeline.contracts.tables import AccountRow, IdentityRow
from pfo_pipeline.ledger.known import KnownAccount


@dataclass(frozen=True)
class _Linked:
    """An account as one connection shows it. `canonical_id` is that of the bank account it is known to be."""

    account_id: str
    canonical_id: str
    connection_id: str
    institution_id: str
    account_type: str
    currency: str | None
    name: str
    number: str | None
    iban: str | None
    is_live: bool


def identify(known: Sequence[KnownAccount], rows: Iterable[AccountRow]) -> list[IdentityRow]:
    """What can be said of accounts about which nothing was decided yet; what was proposed may be certain by now.

    Args:
        known: Every account of the tenant that the ledger has, hidden ones too.
        rows: The accounts as they are now, those that are gone included.
    """
    now = {row.account_id: row for row in rows}
    earlier = [_linked(now.get(a.account_id) or a, a.canonical_id) for a in sorted(known, key=_first_seen)]
    known_ids = {account.account_id for account in known}
    unknown = (row for row in now.values() if row.account_id not in known_ids)
    new = [_linked(row, row.account_id) for row in sorted(unknown, key=lambda row: int(row.source_id))]
    undecided = {account.account_id for account in known if account.identity_decided_by in (None, "proposed")}
    linked = [*earlier, *new]
    found: list[IdentityRow] = []
    for position, account in enumerate(linked):
        if account.account_id in known_ids and account.account_id not in undecided:
            continue
        row = _said_of(account, linked[:position], now)
        if row is not None:
            found.append(row)
            linked[position] = account if row.decided_by == "proposed" else replace(account, canonical_id=row.same_as)
    return found


def _said_of(account: _Linked, earlier: Sequence[_Linked], now: dict[str, AccountRow]) -> IdentityRow | None:
    if account.account_id not in now:
        return None
    tenant_id = now[account.account_id].tenant_id
    for other in earlier:
        evidence = _strong(account, other)
        if evidence:
            return IdentityRow(tenant_id, account.account_id, other.canonical_id, evidence, "evidence")
    for other in earlier:
        evidence = _weak(account, other)
        if evidence:
            return IdentityRow(tenant_id, account.account_id, other.canonical_id, evidence, "proposed")
    return None


def _strong(one: _Linked, other: _Linked) -> str | None:
    if _side_by_side(one, other) or one.currency is None or one.currency != other.currency:
        return None
    if one.iban and other.iban:
        return "iban" if one.iban == other.iban else None
    same_number = one.number and one.number == other.number
    same_kind = (one.institution_id, one.account_type) == (other.institution_id, other.account_type)
    return "number" if same_number and same_kind else None


def _weak(one: _Linked, other: _Linked) -> str | None:
    """Only for one that took the place of another: two live accounts of one name are two accounts."""
    if other.is_live or not one.is_live or (one.iban and other.iban) or one.currency != other.currency:
        return None
    if (one.institution_id, one.account_type) != (other.institution_id, other.account_type):
        return None
    if one.number and other.number:
        return "end of number" if one.number[-4:] == other.number[-4:] else None
    return "name" if one.name == other.name else None


def _side_by_side(one: _Linked, other: _Linked) -> bool:
    """Two live accounts of one connection are two accounts, whatever they have in common: pockets share an IBAN."""
    return one.is_live and other.is_live and one.connection_id == other.connection_id


def _linked(account: KnownAccount | AccountRow, canonical_id: str) -> _Linked:
    return _Linked(
        account_id=account.account_id,
        canonical_id=canonical_id,
        connection_id=account.connection_id,
        institution_id=account.institution_id,
        account_type=account.account_type,
        currency=account.currency,
        name=account.display_name,
        number=account.number,
        iban="".join(account.iban.split()).upper() if account.iban else None,
        is_live=account.deleted_at is None,
    )


def _first_seen(account: KnownAccount) -> tuple[object, int]:
    return account.created_at, int(account.source_id)
