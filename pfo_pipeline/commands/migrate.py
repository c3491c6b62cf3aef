"""`pfo migrate`: bring what an earlier version wrote to this version, and make what a server expects to be there."""

import os

import click

from pfo_pipeline.commands.history import opened_history
from pfo_pipeline.commands.place import Place, prepare
from pfo_pipeline.operations.guards import OperationRefused


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
        click.echo(f"{place.ledger.remake_views().path} is of this version.")
    else:
        click.echo("There is no ledger yet; the first run makes it.")
    prepare(place)
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    with opened_history(place.history_lock) as instance:
        instance.upgrade()
    click.echo(f"{place.dagster_home} is of this version.")
