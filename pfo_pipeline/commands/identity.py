"""`pfo identity`: which linked accounts are the same bank account; joining them, telling them apart."""

import uuid
from typing import Any

from pfo_pipeline.commands.place import Place
from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.batch import Batch
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.operations.guards import OperationRefused

OPERATION = "ledger.identity"
COLUMNS = ("tenant_id", "account_id", "same_as", "evidence", "decided_by", "institution", "display_name")


def identity_records(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """Accounts that are, or may be, the same as another; what was told apart by a person too."""
    accounts = {account.account_id: account for account in place.reader.linked_accounts(tenant_id)}
    return [
        {
            "tenant_id": tenant_id,
            "account_id": said.account_id,
            "same_as": said.same_as,
            "evidence": said.evidence,
            "decided_by": said.decided_by,
            "institution": accounts[said.account_id].institution_name,
            "display_name": accounts[said.account_id].display_name,
        }
        for said in place.reader.identities(tenant_id)
    ]


def join(place: Place, tenant_id: str, account_id: str, other_id: str) -> list[str]:
    """Say that two linked accounts are one bank account, which keeps the id and history of `other_id`.

    Returns:
        The accounts that are now the same as `other_id`'s.
    Raises: OperationRefused: not an admin, an unknown account, or one currency too many.
    """
    account, other = _known(place, tenant_id, account_id), _known(place, tenant_id, other_id)
    if account.canonical_id == other.canonical_id:
        raise OperationRefused(f"{account_id} and {other_id} are the same account already.")
    if account.currency != other.currency:
        raise OperationRefused(f"{account_id} and {other_id} have different currencies; they cannot be one account.")
    members = [a for a in place.ledger.reader().linked_accounts(tenant_id) if a.canonical_id == account.canonical_id]
    _decide(place, [IdentityRow(tenant_id, m.account_id, other.canonical_id, "decision", "operator") for m in members])
    return [member.account_id for member in members]


def split(place: Place, tenant_id: str, account_id: str) -> None:
    """Say that a linked account is a bank account of its own, whatever the evidence says; undoes a join.

    Raises: OperationRefused: not an admin, an unknown account, or the one that others were joined to.
    """
    account = _known(place, tenant_id, account_id)
    others = [
        a.account_id
        for a in place.reader.linked_accounts(tenant_id)
        if a.canonical_id == account_id and a.account_id != account_id
    ]
    if others:
        raise OperationRefused(f"{account_id} is what others were joined to. Split those: {', '.join(others)}.")
    _decide(place, [IdentityRow(tenant_id, account.account_id, account.account_id, "decision", "operator")])


def _known(place: Place, tenant_id: str, account_id: str) -> KnownAccount:
    if place.role != "admin":
        raise OperationRefused(
            "Which accounts are the same decides what is counted, so it needs role admin (PFO_ROLE)."
        )
    accounts = {account.account_id: account for account in place.reader.linked_accounts(tenant_id)}
    if account_id not in accounts:
        raise OperationRefused(
            f"Tenant {tenant_id} has no linked account {account_id}. See: pfo accounts, pfo identity."
        )
    return accounts[account_id]


def _decide(place: Place, rows: list[IdentityRow]) -> None:
    ledger = place.ledger
    ledger.merge(
        Batch(
            tenant_id=rows[0].tenant_id,
            run_id=f"identity-{uuid.uuid4()}",
            operation=OPERATION,
            code_version="1.0.0",
            attempt=1,
            complete=True,
            synced=0,
            failed=0,
            rows={IdentityRow: tuple(rows)},
        )
    )
    ledger.publish()
