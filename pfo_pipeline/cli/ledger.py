"""`pfo verify`, `pfo end`, `pfo erase`, `pfo rekey`: the ledger as a whole, and what leaves it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import click

from pfo_pipeline.cli.context import Place, find_place, require_admin
from pfo_pipeline.cli.options import (
    TENANT,
    YES,
    complete_accounts,
    complete_members,
    confirming,
    examples,
    without_pandas,
)
from pfo_pipeline.cli.output import progress
from pfo_pipeline.config import Config, ConfigError, secret_reference
from pfo_pipeline.contracts.tables import ChangeRow, LedgerRow
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.report.output import remove_pages


class LedgerNotAsWritten(PfoError):
    """The ledger differs from what was written into it."""


def erase_history(place: Place, tenant_id: str, user_id: str | None, confirm: Callable[[str], None]) -> None:
    """Remove the rows of a tenant, or of one user, after a confirmation.

    Args:
        confirm: Shows what will happen and asks; it does not return if the answer is no.
    Raises:
        ConfigError: still configured, so that the next run would read everything again.
        OperationRefused: not an admin, or the ledger knows nobody of that name.
        LedgerError: nothing was removed, or what was begun is finished by erasing again.
    """
    require_admin("Erasing deletes history")
    tenant = place.config.by_id.get(tenant_id) if place.config else None
    if tenant is not None and (user_id is None or tenant.user(user_id) is not None):
        what = f"tenants.{tenant_id}" if user_id is None else f"user {user_id} of tenants.{tenant_id}"
        raise ConfigError(
            f"{what} is still configured: the next run would read everything again. Take it out of the configuration first."
        )
    confirm(f"This deletes the history of {_whom(tenant_id, user_id)} for good.")
    if not erase_rows(place, tenant_id, user_id):
        raise OperationRefused(f"The ledger holds nothing of {_whom(tenant_id, user_id)}.")


def erase_rows(place: Place, tenant_id: str, user_id: str | None) -> bool:
    """Remove rows and print how many. Returns: whether there were any.

    Raises: OperationRefused: a run is at work on the tenant; LedgerError.
    """
    if tenant_id not in place.reader.tenants():
        return False
    try:
        with hold_lock(place.files.tenant_lock(tenant_id), deadline_seconds=0):
            erased = place.ledger.erase(tenant_id, user_id, f"erase-{uuid.uuid4()}")
    except LockTimeout as holder:
        raise OperationRefused(
            f"{holder} is at work on tenant {tenant_id} and would write again what it has read. End it first."
        ) from None
    if not erased.total:
        return False
    whom = _whom(tenant_id, user_id)
    click.echo(f"Erased {erased.total} rows of {whom} from {place.files.primary} and {place.files.published}:")
    for name, count in erased.rows.items():
        if count and name != "balances_current":
            click.echo(f"  {name}  {count}")
    for page in remove_pages(place.data_dir, [tenant_id]):
        click.echo(f"Removed {page}, which the tenant's next run writes again, if there is one.")
    click.echo("Not erased: backups, exports, pages that `pfo report` wrote, and copies that a reader still has open.")
    return True


def _whom(tenant_id: str, user_id: str | None) -> str:
    return f"tenant {tenant_id}" if user_id is None else f"user {user_id} of tenant {tenant_id}"


def _secret(config: Config, reference: str) -> str:
    try:
        return config.secret(secret_reference(reference), key="--old-key")
    except ValueError as error:
        raise ConfigError(f"--old-key: {error}") from None


OPERATION = "ledger.end"
_FIRST_YEAR = 1970


@dataclass(frozen=True)
class Wanted:
    """The accounts to end: all linked accounts of a user, or one by its own id."""

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
    """Users who are not configured and have no counted account afterwards."""


def end_accounts(place: Place, wanted: Wanted, confirm: Callable[[str], None]) -> None:
    """End linked accounts on a date, and publish it.

    Args:
        confirm: Shows what will happen and asks; it does not return if the answer is no.
    Raises:
        ConfigError: the user is configured, so that the next run would find their accounts alive.
        OperationRefused: not an admin, a date that is none of the past, nothing to end, or a run is at work on the tenant.
        LedgerError: nothing was ended.
    """
    require_admin("Ending accounts takes them out of the totals")
    now = utc_now()
    moment = _end_of_day(place, wanted, now)
    ending = _found(place, place.reader, wanted)
    confirm(
        f"From the end of {wanted.on} on {_counted(ending.accounts)} of {wanted.whom} will count in no total any more. "
        "Balances and history stay. An account lives again when its bank lists it again."
    )
    try:
        with hold_lock(place.files.tenant_lock(wanted.tenant_id), deadline_seconds=0):
            ending = _found(place, place.ledger.reader(), wanted)
            place.ledger.merge(_batch(wanted, ending, moment))
            place.ledger.publish()
    except LockTimeout as holder:
        raise OperationRefused(
            f"{holder} is at work on tenant {wanted.tenant_id} and would write again what it has read. End it first."
        ) from None
    click.echo(f"Ended on {wanted.on}: {_counted(ending.accounts)} of {wanted.whom}.")
    for account in ending.accounts:
        click.echo(f"  {account.account_id}  {account.institution_name}, {account.account_type}")
    click.echo("Pages that were written before still have them; the tenant's next run writes its page again.")


def _counted(accounts: Sequence[KnownAccount]) -> str:
    return "1 linked account" if len(accounts) == 1 else f"{len(accounts)} linked accounts"


def _end_of_day(place: Place, wanted: Wanted, now: datetime) -> datetime:
    """The end of that day in the tenant's time zone, or now if that is earlier.

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
    from pfo_pipeline.operations.identities import (
        COUNTS,
        ENDED,
    )  # They import an HTTP client, which `pfo verify` does not need.
    from pfo_pipeline.operations.sync import ended_user, gone_connection, kept_account

    tenant_id = wanted.tenant_id
    rows: list[LedgerRow] = []
    for account in ending.accounts:
        rows.append(kept_account(tenant_id, account, deleted_at=moment, missing_since=None, ended_by="operator"))
        rows.append(ChangeRow(tenant_id, account.account_id, COUNTS, ENDED, seen=True))
    rows += [gone_connection(tenant_id, c, "Ended with the accounts of its user") for c in ending.connections]
    rows += [ended_user(tenant_id, user_id) for user_id in ending.user_ids]
    return Batch.by_hand(tenant_id, OPERATION, "1.0.0", rows)


@click.command(short_help="Verify that no row was changed.", epilog=examples("pfo verify"))
@without_pandas
def verify() -> None:
    """Check that every row is as it was written, that none is missing, and that the published copy holds the same.

    Prints the last hash of each tenant's chain: kept elsewhere, it proves later that nothing before it was changed.
    """
    place = find_place()
    with progress():
        require_admin("Verifying reads the private ledger")
        verified = place.ledger.verify()
        if verified.loads or not verified.findings:
            click.echo(f"{place.files.primary}: {verified.loads} loads, {verified.rows} rows")
        for tenant_id, head in verified.heads.items():
            click.echo(f"  {tenant_id}  {head}")
        if verified.findings:
            lines = [f"  {f'{f.tenant_id} {f.about}'.strip()}: {f.problem}" for f in verified.findings]
            way_out = ["To put it right:", f"  {verified.remedy}"]
            raise LedgerNotAsWritten("\n".join(["the ledger is not what was written into it:", *lines, *way_out]))
        click.echo("Everything is as it was written, and the published copy holds the same.")


@click.command(
    short_help="Delete the data of a tenant or a member.",
    epilog=examples("pfo erase --tenant martin --member claire", "pfo erase --tenant martin --member claire --yes"),
)
@TENANT
@click.option(
    "--member",
    metavar="NAME",
    shell_complete=complete_members,
    help="This member's data alone: their connections, accounts and balances. Without it, all of the tenant's.",
)
@YES
def erase(tenant: str, member: str | None, yes: bool) -> None:
    """Delete what the ledger holds of a tenant or a person, and record that it happened.

    Take them out of the configuration first. The chain of loads stays verifiable.
    """
    with progress():
        erase_history(find_place(), tenant, member, confirming(yes))


@click.command(
    short_help="End accounts on a date.",
    epilog=examples(
        "pfo end --tenant martin --member claire --on 2026-03-31 --yes",
        "pfo end --tenant martin --account acc_f040f667820e4d7f0d25 --on 2026-03-31 --yes",
    ),
)
@TENANT
@click.option(
    "--member",
    metavar="NAME",
    shell_complete=complete_members,
    help="All linked accounts of this user, who is no longer in the configuration.",
)
@click.option(
    "--account",
    metavar="ID",
    shell_complete=complete_accounts,
    help="One linked account that its bank no longer lists.",
)
@click.option(
    "--on",
    required=True,
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="An ISO date: they count until its end, in the tenant's time zone.",
)
@YES
def end(tenant: str, member: str | None, account: str | None, on: datetime, yes: bool) -> None:
    """Take linked accounts out of the totals from a date on: of a user who left, or one that the bank no longer shows.

    Balances and history stay. An account lives again when its bank lists it again.
    """
    if (member is None) == (account is None):
        raise click.UsageError("Give one of the two: --member or --account.")

    with progress():
        end_accounts(find_place(), Wanted(tenant, member, account, on.date()), confirming(yes))


@click.command(
    short_help="Write the ledger again under another key.",
    epilog=examples("pfo rekey", "pfo rekey --old-key file:secrets/old_key"),
)
@click.option("--old-key", metavar="REFERENCE", help="env:NAME or file:PATH of the key until now; none if it is plain.")
def rekey(old_key: str | None) -> None:
    """Write the ledger again under the configured encryption_key, or plain where none is configured."""
    place = find_place()
    with progress():
        require_admin("A new key rewrites the ledger")
        config = place.configured()
        place.ledger.rekey(_secret(config, old_key) if old_key else None)
        if not config.writes_pages:  # No plain page beside an encrypted ledger.
            for page in remove_pages(place.data_dir):
                click.echo(f"Removed {page}.")
        state = "encrypted with encryption_key" if config.encryption_key else "plain"
        click.echo(f"{place.files.primary} and {place.files.published} are {state} now.")
