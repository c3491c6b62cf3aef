"""`pfo export`: one tenant's data as files, for people and programs without DuckDB."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import click

from pfo_pipeline.commands.place import Place, chosen_tenants
from pfo_pipeline.commands.terminal import visible
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.export import Form, export_tenant
from pfo_pipeline.ledger.store import utc_now


class MomentUnreadable(PfoError):
    """What was given as a moment is none."""


def moment_of(text: str, *, option: str) -> datetime:
    """A moment from ISO text, in UTC. A date means the end of that day; without a zone it is UTC.

    Raises: MomentUnreadable.
    """
    try:
        moment = _parsed(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MomentUnreadable(
            f"{option}: {text!r} is no moment. Give a date such as 2026-03-31 (the end of that day in UTC), or a date "
            "and time such as 2026-03-31T18:00+02:00 (without a zone: UTC)."
        ) from None


def _parsed(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time.max)
    except ValueError:
        return datetime.fromisoformat(text)


def export_and_show(
    place: Place, tenant_id: str, folder: Path, form: Form, as_of: str | None, known_at: str | None
) -> None:
    """Write the tenant's files, and print what was written.

    Raises:
        MomentUnreadable: one of the moments is none.
        ConfigError: the ledger has no such tenant.
        ExportError, LedgerError, SecretError: nothing was written.
    """
    at = None if as_of is None else moment_of(as_of, option="--as-of")
    known = None if known_at is None else moment_of(known_at, option="--known-at")
    chosen_tenants(place, (tenant_id,))
    with place.opened() as con:
        exported = export_tenant(con, tenant_id, folder, form, as_of=at, known_at=known, now=utc_now())
    click.echo(visible(f"{exported.folder}: tenant {tenant_id}"))
    for name, count in exported.rows.items():
        click.echo(f"  {name}  {count} rows")
    click.echo("The files are not encrypted and hold personal data; no one but this account may read them.")
