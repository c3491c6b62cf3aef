"""`pfo report`: the cash page of chosen tenants, as of any moment."""

from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from pfo_pipeline.commands.demo import DEMO_OFFICE
from pfo_pipeline.commands.place import Place, chosen_tenants
from pfo_pipeline.commands.terminal import visible
from pfo_pipeline.report.files import write_page
from pfo_pipeline.report.gathering import Asked
from pfo_pipeline.report.making import make_page, timezone_of
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
        as_of, known_at, since: A date is the end of that day where the tenants are.
    Raises:
        ConfigError: the ledger has no such tenant.
        MomentRefused, RatesError, LedgerError, SecretError, PageNotWritten: what was at `path` stays.
    """
    chosen = tuple(chosen_tenants(place, tenants))
    zone = ZoneInfo(timezone_of(place.config, chosen))
    asked = Asked(chosen, *(_moment(given, zone) for given in (as_of, known_at, since)))
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


def _moment(given: date | None, zone: ZoneInfo) -> datetime | None:
    if given is None or isinstance(given, datetime):
        return given
    return datetime.combine(given, time.max, zone)
