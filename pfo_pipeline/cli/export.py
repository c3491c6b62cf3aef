"""`pfo export` and `pfo report`: data of the published ledger as files, and as the cash page."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from pfo_pipeline.cli.context import find_place, select_tenants
from pfo_pipeline.cli.options import AS_OF, KNOWN_AT, TENANT, TENANTS, Moment, examples, without_pandas
from pfo_pipeline.cli.output import progress, visible
from pfo_pipeline.ledger.export import export_tenant
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.report.build import MomentRefused, PageRequest, make_page
from pfo_pipeline.report.output import write_page
from pfo_pipeline.report.rates import rates_of

_PRIVATE_MODE = 0o600
"""Mode of a page that a person asked for; they may share it."""


def _moment(reader: Reader, tenant_ids: Sequence[str], given: date | None) -> datetime | None:
    """Raises: MomentRefused: a date that ends at several moments."""
    moments = {reader.moment(tenant_id, given) for tenant_id in tenant_ids}
    if len(moments) > 1:
        raise MomentRefused(
            f"{given} ends at {len(moments)} moments: these tenants are in several time zones. Give a moment with a zone, "
            f"such as {given}T23:59:59+01:00, or write a page for each tenant: --tenant."
        )
    return moments.pop() if moments else None


@click.command(
    short_help="Write one tenant's data into files.",
    epilog=examples(
        "pfo export --tenant martin --to martin-2026",
        "pfo export --tenant martin --to martin-2026-10 --as-of 2026-10-31 --format csv",
        "pfo export --tenant martin --to martin-books --format beancount",
    ),
)
@TENANT
@click.option(
    "--to", "folder", required=True, metavar="PATH", type=click.Path(path_type=Path), help="A new or empty folder."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "csv-exact", "beancount"]),
    default="parquet",
    show_default=True,
)
@AS_OF
@KNOWN_AT
@without_pandas
def export(tenant: str, folder: Path, form: Any, as_of: date | None, known_at: date | None) -> None:
    """Write one tenant's data from the published ledger into files that need no DuckDB: all of them, or none.

    A MOMENT is an ISO date, which means the end of that day in the tenant's time zone, or an ISO date and time, in UTC where
    no zone is given: 2026-03-31, 2026-03-31T18:00+02:00. Without one, nothing is left out. In csv a text that a spreadsheet
    would take for a formula begins with an apostrophe; csv-exact has every text as it is.
    """
    place = find_place()
    with progress():
        select_tenants(place, (tenant,))
        given = {"as_of": as_of, "known_at": known_at}
        times = {name: place.reader.moment(tenant, time) for name, time in given.items()}
        with place.opened() as con:
            exported = export_tenant(con, tenant, folder, form, **times, now=utc_now())
        click.echo(visible(f"{exported.folder}: tenant {tenant}"))
        for name, count in exported.rows.items():
            click.echo(f"  {name}  {count} {'row' if count == 1 else 'rows'}")
        click.echo("The files are not encrypted and hold personal data; no one but this account may read them.")


@click.command(
    short_help="Write the cash page.",
    epilog=examples(
        "pfo report",
        "pfo report --tenant martin --as-of 2026-10-31 --to martin-october.html",
        "pfo report --since 2026-11-01",
    ),
)
@TENANTS
@AS_OF
@KNOWN_AT
@click.option("--since", type=Moment(), metavar="MOMENT", help="What changed since then, not the last report.")
@click.option(
    "--to",
    "path",
    default="cash-page.html",
    show_default=True,
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page is written; a file that is there is replaced.",
)
def report(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, since: date | None, path: Path) -> None:
    """Write the cash page: how much there is, where, as of when, what changed and why, who must act.

    One HTML file for any browser, without a server or a network. Each refresh writes one for its tenant by itself.
    A MOMENT is an ISO date, which means the end of that day in the tenant's time zone, or an ISO date and time, in UTC
    where no zone is given.
    """
    place = find_place()
    with progress():
        chosen = tuple(select_tenants(place, tenants))
        request = PageRequest(chosen, *(_moment(place.reader, chosen, given) for given in (as_of, known_at, since)))
        rates = rates_of(place.config) if place.config else None
        office = place.office
        page, html = make_page(place.reader, request, office=office, config=place.config, rates=rates, now=utc_now())
        write_page(path, html, mode=_PRIVATE_MODE)
        written = f"{path}: {len(page.positions)} accounts as of {page.as_of:%Y-%m-%d %H:%M}Z"
        click.echo(visible(f"{written}, {page.stale_accounts} of them stale or without a figure"))
        waiting = page.waiting_for_a_person
        things = {0: "Nothing waits", 1: "1 thing waits"}.get(waiting, f"{waiting} things wait")
        click.echo(f"{things} for a person.")
        click.echo(
            "Open it in any browser, from the disk. It holds personal data; no one but this account may read it."
        )
