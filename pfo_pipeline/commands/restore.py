"""`pfo restore`: put a backup back, on this machine or a new one.

Everything is checked before anything is touched, and what is replaced is put aside, not deleted. The ledger goes first: it
is the one that may refuse. Interrupted, it is run again.
Not here: what a backup holds (backup.py), its manifest (manifest.py).
"""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from pfo_pipeline.commands import manifest as names
from pfo_pipeline.commands.demo import serving_lock, turns
from pfo_pipeline.commands.manifest import Manifest, check_files, read_manifest
from pfo_pipeline.commands.place import Place, find_place
from pfo_pipeline.config import Config, SecretError, config_path, load_config, role_of_process
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.drafts import draft_of
from pfo_pipeline.ledger.errors import LedgerForeign
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline.operations.guards import OperationRefused
from pfo_pipeline.telemetry.progress import steps


class RestoreFailed(PfoError):
    """The backup was not put back, or not all of it."""


@dataclass(frozen=True)
class Restored:
    """What was put back. `aside` holds what was there before; `unresolved` are the secrets that are still to be set."""

    place: Place
    manifest: Manifest
    config_written: Path | None
    secrets_written: tuple[Path, ...]
    aside: Path | None
    heads: dict[str, str]
    unresolved: tuple[str, ...]


def restore(backup: Path, now: datetime, *, replace_newer: bool = False) -> Restored:
    """Put a backup back into the data folder that the configuration names: the one that is there, else the backup's.

    Args:
        replace_newer: Even when the ledger that is there holds loads that the backup lacks.
    Raises:
        OperationRefused: not an admin.
        BackupDamaged: a file of the backup is missing or changed.
        LedgerError: see `Ledger.take_back`.
        RestoreFailed: something is at work on the data folder, or a file cannot be written.
    """
    if role_of_process() != "admin":
        raise OperationRefused("Restoring replaces the private ledger, so it needs role admin (PFO_ROLE).")
    manifest = read_manifest(backup)
    check_files(backup, manifest)
    _refuse_other_office(manifest)
    try:
        config_written, secrets_written = _put_configuration(backup, manifest)
        place = find_place()
        with ExitStack() as alone:
            for lock in (serving_lock(place.data_dir), *turns(place.files)):
                alone.enter_context(queue_for(lock, deadline_seconds=0))
            aside = place.files.private / f"before-restore-{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}"
            place.ledger.take_back(backup / names.LEDGER, aside, replace_newer=replace_newer)
            _put_state(backup, manifest, place, aside)
    except TurnNotReached as holder:
        raise RestoreFailed(
            f"{holder} is at work on the data folder (pfo dev or a run). End it, and run again."
        ) from None
    except OSError as error:
        raise RestoreFailed(
            f"{error.filename or backup}: {error.strerror or error}. Mend that and run it again; nothing was lost."
        ) from None
    return Restored(
        place,
        manifest,
        config_written,
        secrets_written,
        aside if any(aside.iterdir()) else None,
        place.ledger.verify().heads,
        tuple(_unresolved(place.config)) if place.config else (),
    )


def _refuse_other_office(manifest: Manifest) -> None:
    """Before anything is written: the backup's secrets would be taken for those of the office that is configured.

    Raises: LedgerForeign.
    """
    path = config_path()
    if not path.exists():
        return
    office = load_config().office
    if office != manifest.office:
        raise LedgerForeign(
            f"The backup is of office {manifest.office!r}, and {path} is of office {office!r}. Nothing was changed. "
            "Name another configuration in PFO_CONFIG, one that is not there yet for the backup's own."
        )


def _put_configuration(backup: Path, manifest: Manifest) -> tuple[Path | None, tuple[Path, ...]]:
    """The configuration and its secrets, where there are none: what an operator has written is never replaced."""
    target = config_path()
    written = []
    for secret in manifest.secrets:
        path = target.parent / secret.reference.partition(":")[2]
        if not path.exists():
            _put(backup / secret.file, path)
            written.append(path)
    source = f"{names.CONFIG}/pfo.toml"
    if source not in manifest.files or target.exists():
        return None, tuple(written)
    _put(backup / source, target)
    return target, tuple(written)


def _put_state(backup: Path, manifest: Manifest, place: Place, aside: Path) -> None:
    """Dagster's home and what the pipeline remembers beside the ledger."""
    home = place.dagster_home
    for file in (*home.glob("schedules/*.db*"), *home.glob("history/**/*.db*")):
        _put_aside(file, aside / names.HISTORY / file.relative_to(home))
    for file in place.files.private.glob("*.sqlite-*"):  # Journals: SQLite would mix them into what is put back.
        _put_aside(file, aside / names.PRIVATE / file.name)
    folders = {names.HISTORY: home, names.PRIVATE: place.files.private, names.ALERTS: place.data_dir}
    for name in steps("Putting files back", manifest.files):
        folder, _, rest = name.partition("/")
        if folder in folders:
            target = folders[folder] / rest
            _put_aside(target, aside / folder / rest)
            _put(backup / name, target)


def _put_aside(file: Path, target: Path) -> None:
    if file.exists():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(file, target)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with draft_of(target, 0o600) as draft:
        shutil.copyfile(source, draft)


def _unresolved(config: Config) -> list[str]:
    problems = []
    for key, reference in config.secret_references():
        try:
            config.secret(reference, key=key)
        except SecretError as problem:
            problems.append(str(problem))
    return problems


def restore_and_show(backup: Path, now: datetime, *, replace_newer: bool) -> None:
    """Raises: as `restore`."""
    done = restore(backup, now, replace_newer=replace_newer)
    told, place = done.manifest, done.place
    click.echo(
        f"Restored the ledger of office {told.office} as of {told.made_at:%Y-%m-%d %H:%M} UTC, and Dagster's history:"
    )
    for path in (place.files.primary, place.files.published, place.dagster_home, *done.secrets_written):
        click.echo(f"  {path}")
    for tenant_id, head in done.heads.items():
        click.echo(f"  {tenant_id}  {head}")
    if done.heads != told.heads and told.schema_version == known_migrations()[-1].version:
        raise RestoreFailed("The chains do not end as the manifest says. Restore another backup.")
    click.echo("Every row is as it was written.")
    if done.config_written:
        click.echo(f"The configuration was not there; the backup's is in {done.config_written} now.")
    if done.aside:
        click.echo(f"What was replaced is in {done.aside}. Delete it once it is of no use.")
    click.echo("Next:")
    for problem in done.unresolved:
        click.echo(f"  {problem}")
    click.echo("  pfo run, which fetches what has happened since; then start the servers.")
