"""`pfo verify`, `pfo erase`, `pfo rekey`: what an operator does with the ledger as a whole."""

import uuid
from collections.abc import Callable

import click

from pfo_pipeline.commands.place import Place
from pfo_pipeline.config import Config, ConfigError, secret_reference
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.report.output import remove_pages


class LedgerNotAsWritten(PfoError):
    """What the ledger holds is not what was written into it."""


def verify_and_show(place: Place) -> None:
    """Print what was checked, with the last hash of each tenant's chain.

    Raises:
        LedgerNotAsWritten: something differs; each finding in a line.
        LedgerError: the ledger is missing, or a block of it cannot be read.
    """
    require_admin(place, "Verifying reads the private ledger")
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


def erase_and_show(place: Place, tenant_id: str, user_id: str | None, confirm: Callable[[str], None]) -> None:
    """Remove what the ledger holds of a tenant, or of one user.

    Args:
        confirm: Asked with what will happen; does not return where the answer is no.
    Raises:
        ConfigError: still configured, so that the next run would read everything again.
        OperationRefused: not an admin, or the ledger knows nobody of that name.
        LedgerError: nothing was removed, or what was begun is finished by erasing again.
    """
    require_admin(place, "Erasing deletes history")
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
    """Remove what the ledger holds, and tell how much; whether there was anything.

    Raises: OperationRefused: a run is at work on the tenant; LedgerError.
    """
    if tenant_id not in place.reader.tenants():
        return False
    try:
        with queue_for(place.files.turn(tenant_id), deadline_seconds=0):
            erased = place.ledger.erase(tenant_id, user_id, f"erase-{uuid.uuid4()}")
    except TurnNotReached as holder:
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
        click.echo(f"Removed {page}, which the tenant's next run writes anew, if there is one.")
    click.echo("Not erased: backups, exports, pages that `pfo report` wrote, and copies that a reader still has open.")
    return True


def _whom(tenant_id: str, user_id: str | None) -> str:
    return f"tenant {tenant_id}" if user_id is None else f"user {user_id} of tenant {tenant_id}"


def rekey_and_show(place: Place, old_reference: str | None) -> None:
    """Write the ledger anew under the configured key, or plain where none is.

    Args:
        old_reference: Where the key is that it is encrypted with until now; None where it is plain.
    Raises: ConfigError, SecretError, OperationRefused, LedgerError.
    """
    require_admin(place, "A new key rewrites the ledger")
    config = place.configured()
    old_key = _secret(config, old_reference) if old_reference else None
    place.ledger.rekey(old_key)
    if not config.writes_pages:  # What is encrypted now shall not lie beside it in the clear.
        for page in remove_pages(place.data_dir):
            click.echo(f"Removed {page}.")
    state = "encrypted with encryption_key" if config.encryption_key else "plain"
    click.echo(f"{place.files.primary} and {place.files.published} are {state} now.")


def _secret(config: Config, reference: str) -> str:
    try:
        return config.secret(secret_reference(reference), key="--old-key")
    except ValueError as error:
        raise ConfigError(f"--old-key: {error}") from None


def require_admin(place: Place, why: str) -> None:
    """Raises: OperationRefused."""
    if place.role != "admin":
        raise OperationRefused(f"{why}, so it needs role admin (PFO_ROLE).")
