"""`pfo report`: the cash page of chosen tenants, as of any moment."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import click

from pfo_pipeline.commands.demo import DEMO_OFFICE
from pfo_pipeline.commands.place import Place, chosen_tenants
from pfo_pipeline.commands.terminal import visible
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.report.build import Asked, MomentRefused, make_page
from pfo_pipeline.report.output import write_page
from pfo_pipeline.report.rates import rates_of

_PRIVATE_MODE = 0o600
"""Of a page that somebody asked for: where it lies, and who else reads there, is theirs to say."""


def report_and_show(
    place: Place,
    tenants: tuple[str, ...],
    path: Path,
    now: datetime,
    *,
    as_of: date | None,
    known_at: date | None,
    since: date | None,
) -> None:
    """Write one page about these tenants together, all that the ledger has when none is named; print where it is.

    Args:
        as_of, known_at, since: A date is the end of that day in the tenants' time zone.
    Raises:
        ConfigError: the ledger has no such tenant.
        MomentRefused, RatesError, LedgerError, SecretError, PageNotWritten: what was at `path` stays.
    """
    chosen = tuple(chosen_tenants(place, tenants))
    asked = Asked(chosen, *(_moment(place.reader, chosen, given) for given in (as_of, known_at, since)))
    rates = rates_of(place.config) if place.config else None
    office = place.config.office if place.config else DEMO_OFFICE
    page, html = make_page(place.reader, asked, office=office, config=place.config, rates=rates, now=now)
    write_page(path, html, mode=_PRIVATE_MODE)
    written = f"{path}: {len(page.positions)} accounts as of {page.as_of:%Y-%m-%d %H:%M}Z"
    click.echo(visible(f"{written}, {page.stale_accounts} of them stale or without a figure"))
    waiting = page.waiting_for_a_person
    things = {0: "Nothing waits", 1: "1 thing waits"}.get(waiting, f"{waiting} things wait")
    click.echo(f"{things} for a person.")
    click.echo("Open it in any browser, from the disk. It holds personal data; no one but this account may read it.")


def _moment(reader: Reader, tenant_ids: Sequence[str], given: date | None) -> datetime | None:
    """Raises: MomentRefused: a date that ends at several moments."""
    moments = {reader.moment(tenant_id, given) for tenant_id in tenant_ids}
    if len(moments) > 1:
        raise MomentRefused(
            f"{given} ends at {len(moments)} moments: these tenants are in several time zones. Give a moment with a zone, "
            f"such as {given}T23:59:59+01:00, or write a page for each tenant: --tenant."
        )
    return moments.pop() if moments else None
