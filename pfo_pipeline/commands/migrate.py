"""`pfo migrate`: bring what an earlier version wrote to this version, and make what a server expects to be there."""

import os
from decimal import Decimal

import click
import duckdb

from pfo_pipeline.commands.history import opened_history
from pfo_pipeline.commands.place import Place, prepare
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.ledger.errors import LedgerDamaged, LedgerMissing
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.identities import KnownMatching


def migrate_and_show(place: Place) -> None:
    """The ledger first: it is the one that refuses what a newer version wrote.

    Raises:
        OperationRefused: not an admin.
        LedgerNewer: written by a newer version of this program; nothing was changed.
        LedgerError, SecretError: the ledger does not open.
        HistoryUnusable: Dagster's storage cannot be made or migrated.
    """
    if place.role != "admin":
        raise OperationRefused("Migrating changes the private ledger, so it needs role admin (PFO_ROLE).")
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


def _match_again(place: Place) -> None:
    """Decide anew which linked accounts are one account, by what the ledger holds."""
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
    ):  # Also where the view was changed, which is about to be mended.
        return {}
    return {(tenant_id, currency): total for tenant_id, currency, total in rows}


def _show_changes(before: Totals, after: Totals) -> None:
    changed = [key for key in sorted(before | after) if before.get(key) != after.get(key)] if before else []
    if changed:
        click.echo("Totals that this version tells otherwise (pfo identity and the view coverage say why):")
    for tenant_id, currency in changed:
        then, now = before.get((tenant_id, currency)), after.get((tenant_id, currency))
        click.echo(f"  {tenant_id} {currency}: {_amount(then)} before, {_amount(now)} now")


def _amount(amount: Decimal | None) -> str:
    return "nothing" if amount is None else plain(amount)
