"""`pfo migrate` and `pfo tidy`: the ledger and Dagster's storage brought to this version, and old runs deleted."""

import os
from datetime import timedelta
from decimal import Decimal

import click
import duckdb

from pfo_pipeline.cli.context import Place, find_place, prepare, require_admin
from pfo_pipeline.cli.options import examples
from pfo_pipeline.cli.output import progress
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.ledger.errors import LedgerDamaged, LedgerMissing
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.identities import KnownMatching


def _match_again(place: Place) -> None:
    """Decide again which linked accounts are one account, by what the ledger holds."""
    ledger = place.ledger
    for tenant_id in place.reader.tenants():
        known = KnownMatching.of(ledger.reader(), tenant_id)
        matching = known.match(utc_now())
        if known.is_changed_by(matching):
            known.record(ledger, tenant_id, matching)
    ledger.publish()


Totals = dict[tuple[str, str], Decimal | None]


def _totals(place: Place) -> Totals:
    """By tenant and currency; nothing where no published copy can be read."""
    try:
        with place.opened() as con:
            rows = con.execute("select tenant_id, currency, current_balance from totals order by all").fetchall()
    except (
        LedgerMissing,
        LedgerDamaged,
        duckdb.Error,
    ):  # Also where the view was changed, which is about to be fixed.
        return {}
    return {(tenant_id, currency): total for tenant_id, currency, total in rows}


def _show_changes(before: Totals, after: Totals) -> None:
    changed = [key for key in sorted(before | after) if before.get(key) != after.get(key)] if before else []
    if changed:
        click.echo("Totals that this version computes differently (pfo identity and the view coverage say why):")
    for tenant_id, currency in changed:
        then, now = before.get((tenant_id, currency)), after.get((tenant_id, currency))
        click.echo(f"  {tenant_id} {currency}: {_amount(then)} before, {_amount(now)} now")


def _amount(amount: Decimal | None) -> str:
    return "nothing" if amount is None else plain(amount)


@click.command(short_help="Migrate the ledger to this version.", epilog=examples("pfo migrate"))
def migrate() -> None:
    """Bring the ledger and Dagster's storage to this version; make Dagster's where there is none. End the servers first.

    What a newer version wrote is refused, and stays as it is.
    """
    from pfo_pipeline.cli.dagster_history import opened_history  # Importing Dagster costs a second.

    place = find_place()
    with progress():
        require_admin("Migrating changes the private ledger")
        if place.files.primary.exists() or place.files.published.exists():
            before = _totals(place)
            place.ledger.remake_views()
            _match_again(place)
            click.echo(f"{place.files.published} is of this version.")
            _show_changes(before, _totals(place))
        else:
            click.echo("There is no ledger yet; the first run makes it.")
        prepare(place)
        os.environ["DAGSTER_HOME"] = str(place.dagster_home)
        with opened_history(place.history_lock) as instance:
            instance.upgrade()
        click.echo(f"{place.dagster_home} is of this version.")


@click.command(short_help="Delete Dagster's history of old runs.", epilog=examples("pfo tidy", "pfo tidy --days 90"))
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="For how long the history of a run is kept.",
)
def tidy(days: int) -> None:
    """Delete what Dagster keeps of old runs, but never the newest state of a tenant. The ledger is not touched."""
    from pfo_pipeline.cli.dagster_history import delete_old_runs

    with progress():
        runs = delete_old_runs(find_place(), utc_now(), timedelta(days=days))
    click.echo(
        f"Deleted the history of {runs.deleted} runs older than {days} days; kept {runs.kept} of that age, "
        "which made the newest state of an asset. The ledger is not touched."
    )
