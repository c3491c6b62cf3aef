"""`pfo connections`: every connection with its accounts, and those that wait for consent; and as `pfo status` has them."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date
from typing import Any

from pfo_pipeline.commands.place import Place
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.ledger.reader import ALWAYS
from pfo_pipeline.operations.coverage import coverage_of

WAITING_COLUMNS = ("account_id", "account", "type", "connection_id")
COLUMNS = (
    "tenant_id",
    "connection_id",
    "member",
    "bank",
    "state",
    "who_acts",
    "consent_expires_at",
    "accounts_enabled",
    "accounts_disabled",
)


def connection_records(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """One row for each connection that there is; `accounts_disabled` names what Powens found and may not read.

    Raises: LedgerError.
    """
    accounts = place.reader.linked_accounts(tenant_id)
    return [
        _record(tenant_id, connection, [a for a in accounts if a.connection_id == connection.connection_id])
        for connection in place.reader.connections(tenant_id)
        if connection.status != "gone"
    ]


def _record(tenant_id: str, connection: KnownConnection, accounts: Sequence[KnownAccount]) -> dict[str, Any]:
    values = (
        tenant_id,
        connection.connection_id,
        connection.user_id,
        connection.institution_name,
        connection.state or connection.status,
        connection.who_acts,
        connection.consent_expires_at,
        sum(account.is_enabled for account in accounts),
        " ".join(account.account_id for account in accounts if waits_for_consent(account)),
    )
    return dict(zip(COLUMNS, values, strict=True))


def waiting_accounts(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """The accounts that Powens found and may not read, as the member would tell them apart."""
    return [
        {
            "account_id": a.account_id,
            "account": a.display_name,
            "type": a.account_type,
            "connection_id": a.connection_id,
        }
        for a in place.reader.linked_accounts(tenant_id)
        if waits_for_consent(a)
    ]


def waits_for_consent(account: KnownAccount) -> bool:
    """Powens found it, and may not read it."""
    return account.disabled_at is not None and account.deleted_at is None


KNOWN_COLUMNS = ("tenant_id", *(f.name for f in fields(KnownConnection)), "tenant_coverage")
KNOWN_SHOWN = (
    "tenant_id",
    "user_id",
    "connection_id",
    "institution_name",
    "status",
    "last_success_at",
    "next_try_at",
    "consent_expires_at",
)


def known_connections(place: Place, tenant_id: str, known_at: date | None) -> list[dict[str, Any]]:
    """Every connection with all that is known of it, or was at a moment; each with what became of its tenant's accounts."""
    reader = place.reader
    moment = reader.moment(tenant_id, known_at) or ALWAYS
    [told] = coverage_of(reader, [tenant_id], at=moment, known_at=moment)
    covered = {
        "linked": told.linked,
        "counted": told.counted,
        "not_counted": dict(told.reasons),
        "unclassified_types": list(told.types),
        "missing": told.missing,
        "possibly_double": {currency: plain(amount) for currency, amount in told.possibly_double},
    }
    return [
        {"tenant_id": tenant_id, **asdict(c), "tenant_coverage": covered}
        for c in reader.connections(tenant_id, known_at=moment)
    ]
