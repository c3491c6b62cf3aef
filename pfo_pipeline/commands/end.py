"""`pfo end`: a person says on which date accounts ended that no bank tells of any more. Their history stays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import click

from pfo_pipeline.commands.keeping import require_admin
from pfo_pipeline.commands.place import Place
from pfo_pipeline.config import ConfigError
from pfo_pipeline.contracts.tables import ChangeRow, LedgerRow
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.identities import COUNTS, ENDED
from pfo_pipeline.operations.presence import ended_user, gone_connection, kept_account

OPERATION = "ledger.end"
_FIRST_YEAR = 1970


@dataclass(frozen=True)
class Wanted:
    """What is to end: all linked accounts of a user, or one by its own id."""

    tenant_id: str
    user_id: str | None
    account_id: str | None
    on: date

    @property
    def whom(self) -> str:
        of = f"user {self.user_id}" if self.user_id is not None else f"account {self.account_id}"
        return f"{of} of tenant {self.tenant_id}"


@dataclass(frozen=True)
class _Ending:
    accounts: list[KnownAccount]
    connections: list[KnownConnection]
    user_ids: list[str]
    """Users who are not configured and of whom nothing counts afterwards."""


def end_and_show(place: Place, wanted: Wanted, confirm: Callable[[str], None]) -> None:
    """End linked accounts on a date, and publish it.

    Args:
        confirm: Asked with what will happen; does not return where the answer is no.
    Raises:
        ConfigError: the user is configured, so that the next run would find their accounts alive.
        OperationRefused: not an admin, a date that is none of the past, nothing to end, or a run is at work on the tenant.
        LedgerError: nothing was ended.
    """
    require_admin(place, "Ending accounts takes them out of the totals")
    now = utc_now()
    moment = _end_of_day(place, wanted, now)
    ending = _found(place, place.reader, wanted)
    confirm(
        f"From the end of {wanted.on} on {_counted(ending.accounts)} of {wanted.whom} will count in no total any more. "
        "Balances and history stay. An account lives again when its bank lists it again."
    )
    try:
        with queue_for(place.files.turn(wanted.tenant_id), deadline_seconds=0):
            ending = _found(place, place.ledger.reader(), wanted)
            place.ledger.merge(_batch(wanted, ending, moment))
            place.ledger.publish()
    except TurnNotReached as holder:
        raise OperationRefused(
            f"{holder} is at work on tenant {wanted.tenant_id} and would write again what it has read. End it first."
        ) from None
    click.echo(f"Ended on {wanted.on}: {_counted(ending.accounts)} of {wanted.whom}.")
    for account in ending.accounts:
        click.echo(f"  {account.account_id}  {account.institution_name}, {account.account_type}")
    click.echo("Pages that were written before still have them; the tenant's next run writes its page anew.")


def _counted(accounts: Sequence[KnownAccount]) -> str:
    return "1 linked account" if len(accounts) == 1 else f"{len(accounts)} linked accounts"


def _end_of_day(place: Place, wanted: Wanted, now: datetime) -> datetime:
    """The end of that day where the tenant lives, and no moment that is still to come.

    Raises: OperationRefused.
    """
    if wanted.on.year < _FIRST_YEAR:
        raise OperationRefused(
            f"{wanted.on} is before {_FIRST_YEAR}, when no account of a ledger had ended. Give a later date."
        )
    moment = place.reader.moment(wanted.tenant_id, wanted.on)
    if moment is None or moment > now + timedelta(days=1):
        raise OperationRefused(f"{wanted.on} is still to come: until then the accounts count. Give a date up to today.")
    return min(moment, now)


def _found(place: Place, reader: Reader, wanted: Wanted) -> _Ending:
    """Raises: ConfigError, OperationRefused, LedgerError."""
    tenant_id = wanted.tenant_id
    if tenant_id not in (tenants := reader.tenants()):
        raise OperationRefused(f"The ledger has no tenant {tenant_id}. It has: {', '.join(tenants) or 'none yet'}.")
    accounts = reader.linked_accounts(tenant_id)
    chosen = _of_user(place, reader, accounts, wanted) if wanted.user_id is not None else _one(place, accounts, wanted)
    counting = [account for account in chosen if account.deleted_at is None]
    if not counting:
        raise OperationRefused(f"Nothing of {wanted.whom} counts any more, so there is nothing to end.")
    left = {account.user_id for account in accounts if account.deleted_at is None and account not in counting}
    users = sorted(
        user.user_id for user in reader.users(tenant_id) if user.status == "not_configured" and user.user_id not in left
    )
    connections = [c for c in reader.connections(tenant_id) if c.user_id == wanted.user_id and c.status != "gone"]
    return _Ending(counting, connections, users)


def _of_user(place: Place, reader: Reader, accounts: Sequence[KnownAccount], wanted: Wanted) -> list[KnownAccount]:
    if _is_configured(place, wanted.tenant_id, wanted.user_id or ""):
        raise ConfigError(
            f"user {wanted.user_id} of tenants.{wanted.tenant_id} is still configured: the next run would find their accounts "
            "alive. Take them out of the configuration first; to end one account that is missing, give --account."
        )
    known = {account.user_id for account in accounts} | {user.user_id for user in reader.users(wanted.tenant_id)}
    if wanted.user_id not in known:
        raise OperationRefused(
            f"The ledger has no user {wanted.user_id} of tenant {wanted.tenant_id}. It has: {', '.join(sorted(known))}."
        )
    return [account for account in accounts if account.user_id == wanted.user_id]


def _is_configured(place: Place, tenant_id: str, user_id: str) -> bool:
    tenant = place.config.by_id.get(tenant_id) if place.config else None
    return tenant is not None and tenant.user(user_id) is not None


def _one(place: Place, accounts: Sequence[KnownAccount], wanted: Wanted) -> list[KnownAccount]:
    account = next((a for a in accounts if a.account_id == wanted.account_id), None)
    if account is None:
        raise OperationRefused(
            f"Tenant {wanted.tenant_id} has no linked account {wanted.account_id}. "
            f"See: pfo accounts --tenant {wanted.tenant_id} --json"
        )
    is_listed = account.missing_since is None and _is_configured(place, wanted.tenant_id, account.user_id)
    if account.deleted_at is None and is_listed:
        raise OperationRefused(
            f"Account {account.account_id} is not missing: its bank lists it, and the next run would find it alive. "
            "To have it out of the totals, let the member take it out of what the bank shares: "
            f"pfo reconnect --tenant {wanted.tenant_id} --connection {account.connection_id}"
        )
    return [account]


def _batch(wanted: Wanted, ending: _Ending, moment: datetime) -> Batch:
    tenant_id = wanted.tenant_id
    rows: list[LedgerRow] = []
    for account in ending.accounts:
        rows.append(kept_account(tenant_id, account, deleted_at=moment, missing_since=None, ended_by="operator"))
        rows.append(ChangeRow(tenant_id, account.account_id, COUNTS, ENDED, seen=True))
    rows += [gone_connection(tenant_id, c, "Ended with the accounts of its user") for c in ending.connections]
    rows += [ended_user(tenant_id, user_id) for user_id in ending.user_ids]
    return Batch.by_hand(tenant_id, OPERATION, "1.0.0", rows)
