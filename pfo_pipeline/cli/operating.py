"""Commands that keep a machine in order: backups, what a monitor asks, old history."""

import sys
from datetime import timedelta
from pathlib import Path

import click

from pfo_pipeline.cli.group import examples


@click.command(
    short_help="Write all that a new machine needs into a folder.",
    epilog=examples("pfo backup --to backups", "pfo backup --to backups --keep 14"),
)
@click.option("--to", "folder", required=True, metavar="PATH", type=click.Path(path_type=Path), help="For backups.")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Afterwards remove this office's older ones there."
)
@click.option("--with-secrets", is_flag=True, help="Also the secret files that the configuration names.")
def backup(folder: Path, keep: int | None, with_secrets: bool) -> None:
    """Write ledger, Dagster's history, the pipeline's memory and the configuration into a new folder in FOLDER.

    All of it or nothing. Runs go on meanwhile. The folder is private, and its manifest names each file's SHA-256.
    """
    from pfo_pipeline.commands.backup import backup_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress
    from pfo_pipeline.ledger.store import utc_now

    with progress():
        backup_and_show(find_place(), folder, utc_now(), with_secrets=with_secrets, keep=keep)


@click.command(
    short_help="Put a backup or the published copy back.",
    epilog=examples("pfo restore --from backups/pfo-smith-2026-11-05T120000Z", "pfo restore --from-published"),
)
@click.option(
    "--from", "folder", metavar="BACKUP", type=click.Path(path_type=Path), help="A folder that pfo backup made."
)
@click.option(
    "--from-published", is_flag=True, help="The published copy takes the place of a damaged or lost private ledger."
)
@click.option("--replace-newer", is_flag=True, help="Even when the ledger that is there holds more loads.")
def restore(folder: Path | None, from_published: bool, replace_newer: bool) -> None:
    """Put a backup back, here or on a new machine, and check every row of it. End the servers first.

    Everything is checked before anything is changed. What is replaced is put aside, and a configuration or secret that is
    there stays as it is. With --from-published the ledger alone is put back, from the copy that readers have.
    """
    from pfo_pipeline.commands.restore import restore_and_show, restore_published_and_show
    from pfo_pipeline.commands.terminal import progress
    from pfo_pipeline.ledger.store import utc_now

    if (folder is None) != from_published:
        raise click.UsageError("Name either --from BACKUP or --from-published.")
    with progress():
        if folder is None:
            restore_published_and_show(utc_now(), replace_newer=replace_newer)
        else:
            restore_and_show(folder, utc_now(), replace_newer=replace_newer)


@click.command(short_help="Bring the ledger to this version of pfo.", epilog=examples("pfo migrate"))
def migrate() -> None:
    """Bring the ledger and Dagster's storage to this version; make Dagster's where there is none. End the servers first.

    What a newer version wrote is refused, and stays as it is.
    """
    from pfo_pipeline.commands.migrate import migrate_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        migrate_and_show(find_place())


@click.command(
    short_help="Is everything at work? For monitors.", epilog=examples("pfo health", "pfo health --json --hours 24")
)
@click.option(
    "--hours",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Warn of a tenant not read for so long, and of a ledger not published; twice that is critical.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
def health(hours: int, as_json: bool) -> None:
    """Is everything at work? For monitors: exit status 0 ok, 1 warning, 2 critical; one line for each finding."""
    from pfo_pipeline.commands.health import health_and_show
    from pfo_pipeline.ledger.store import utc_now

    sys.exit(health_and_show(utc_now(), timedelta(hours=hours), as_json=as_json))


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
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress
    from pfo_pipeline.commands.tidy import tidy_and_show
    from pfo_pipeline.ledger.store import utc_now

    with progress():
        tidy_and_show(find_place(), utc_now(), timedelta(days=days))
