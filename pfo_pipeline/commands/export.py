"""`pfo export`: one tenant's data as files, for people and programs without DuckDB."""

from datetime import date
from pathlib import Path

import click

from pfo_pipeline.commands.place import Place, chosen_tenants
from pfo_pipeline.commands.terminal import visible
from pfo_pipeline.ledger.export import Form, export_tenant
from pfo_pipeline.ledger.store import utc_now


def export_and_show(
    place: Place, tenant_id: str, folder: Path, form: Form, as_of: date | None, known_at: date | None
) -> None:
    """Write the tenant's files, and print what was written.

    Raises:
        ConfigError: the ledger has no such tenant.
        ExportError, LedgerError, SecretError: nothing was written.
    """
    chosen_tenants(place, (tenant_id,))
    moments = {"as_of": as_of, "known_at": known_at}
    asked = {name: place.reader.moment(tenant_id, given) for name, given in moments.items()}
    with place.opened() as con:
        exported = export_tenant(con, tenant_id, folder, form, **asked, now=utc_now())
    click.echo(visible(f"{exported.folder}: tenant {tenant_id}"))
    for name, count in exported.rows.items():
        click.echo(f"  {name}  {count} {'row' if count == 1 else 'rows'}")
    click.echo("The files are not encrypted and hold personal data; no one but this account may read them.")
