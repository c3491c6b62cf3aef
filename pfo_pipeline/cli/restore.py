"""`pfo restore`: put a backup back, on this machine or a new one, or the published copy in the place of a damaged primary.

Everything is checked before anything is changed, and replaced files are put aside, not deleted. The ledger goes first: it is
the one that may refuse. An interrupted restore is run again.
"""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from pfo_pipeline.atomic_files import draft_of
from pfo_pipeline.cli import manifest as names
from pfo_pipeline.cli.context import DEMO_OFFICE, Place, find_place, place_of, require_admin, serving_lock
from pfo_pipeline.cli.manifest import BackupDamaged, Manifest, check_files, read_manifest
from pfo_pipeline.cli.options import examples
from pfo_pipeline.cli.output import progress
from pfo_pipeline.config import USER_NOTE, Config, SecretError, config_path, load_config
from pfo_pipeline.config.token_store import read_secret
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import LedgerForeign, LedgerMissing
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.recovery import free_name
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline.ledger.store import Ledger, utc_now
from pfo_pipeline.telemetry import steps

_CONFIG_FILE = f"{names.CONFIG}/pfo.toml"


class RestoreFailed(PfoError):
    """The backup was not put back, or not all of it."""


@dataclass(frozen=True)
class Restored:
    """The restored files. `aside` holds the replaced ones; `unresolved` are the secrets that must still be set."""

    place: Place
    manifest: Manifest
    config_written: Path | None
    secrets_written: tuple[Path, ...]
    secrets_outside: tuple[tuple[Path, Path], ...]
    """Secrets that belong outside of the configuration's folder: the backup's file, and its place. They are not written."""
    aside: Path | None
    heads: dict[str, str]
    unresolved: tuple[str, ...]


def restore_backup(backup: Path, now: datetime, *, replace_newer: bool = False) -> Restored:
    """Put a backup back into the data folder that the configuration names: the one that is there, else the backup's.

    Args:
        replace_newer: Even when the ledger that is there holds loads that the backup lacks.
    Raises:
        OperationRefused: not an admin.
        BackupDamaged: a file of the backup is missing, changed, or none that a backup has.
        ConfigError, SecretError: the backup's configuration cannot be used, or the key of its ledger is missing.
        LedgerError: see `Ledger.take_back`.
        RestoreFailed: something is at work on the data folder, or a file cannot be written.
    """
    require_admin("Restoring replaces the private ledger")
    manifest = read_manifest(backup)
    check_files(backup, manifest)
    config = _configuration(backup, manifest)
    _refuse_other_office(manifest, config)
    secrets, outside = _secrets(backup, manifest, config)
    place = place_of(config)
    ledger = _ledger(place, secrets)
    with _alone(place):
        aside = _aside(place, now)
        ledger.take_back(backup / names.LEDGER, aside, replace_newer=replace_newer)
        written = [path for path in secrets if not path.exists()]
        for path in written:
            _put(secrets[path], path)
        target = config_path()
        is_new = _CONFIG_FILE in manifest.files and not target.exists()
        if is_new:
            _put(backup / _CONFIG_FILE, target)
        _put_state(backup, manifest, place, aside)
    return Restored(
        place,
        manifest,
        target if is_new else None,
        tuple(written),
        outside,
        aside if any(aside.iterdir()) else None,
        ledger.verify().heads,
        tuple(_unresolved(config)) if config else (),
    )


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold every lock of the data folder.

    Raises: RestoreFailed: a server or a run is at work, or a file cannot be written.
    """
    tenants = [tenant.id for tenant in place.config.tenants] if place.config else []
    runs = {*map(place.files.tenant_lock, tenants), *place.files.tenant_lock("").parent.glob("*.lock")}
    try:
        with ExitStack() as held:
            for lock in (serving_lock(place.data_dir), *sorted(runs)):
                held.enter_context(hold_lock(lock, deadline_seconds=0))
            yield
    except LockTimeout as holder:
        raise RestoreFailed(
            f"{holder} is at work on the data folder (pfo dev or a run). End it, and run again."
        ) from None
    except OSError as error:
        raise RestoreFailed(
            f"{error.filename or place.data_dir}: {error.strerror or error}. Fix that and run it again; nothing was lost."
        ) from None


def _aside(place: Place, now: datetime) -> Path:
    return free_name(place.files.private / f"before-restore-{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}")


def _configuration(backup: Path, manifest: Manifest) -> Config | None:
    """The configuration that is there, else the backup's as it will be once it is written; None for the demonstration's."""
    target = config_path()
    if target.exists():
        return load_config(target)
    if _CONFIG_FILE not in manifest.files:
        return None
    return load_config(backup / _CONFIG_FILE).model_copy(update={"source": target})


def _refuse_other_office(manifest: Manifest, config: Config | None) -> None:
    """Before anything is written: the backup's secrets would be taken for those of the office that is configured.

    Raises: LedgerForeign.
    """
    office = config.office if config else DEMO_OFFICE
    if office != manifest.office:
        raise LedgerForeign(
            f"The backup is of office {manifest.office!r}, and {config_path()} is of office {office!r}. Nothing was changed. "
            "Name another configuration in PFO_CONFIG, one that is not there yet for the backup's own."
        )


def _secrets(
    backup: Path, manifest: Manifest, config: Config | None
) -> tuple[dict[Path, Path], tuple[tuple[Path, Path], ...]]:
    """The backup's files of secrets by the place where each belongs; and those whose place is outside of the
    configuration's folder, where a restore writes nothing.

    Raises: BackupDamaged: a secret that the configuration does not name.
    """
    folder = config_path().parent
    named = _named_files(config)
    within: dict[Path, Path] = {}
    outside = []
    for secret in manifest.secrets:
        if secret.reference not in named:
            raise BackupDamaged(
                f"{backup / names.FILE}: the configuration has no secret {secret.reference!r}. Nothing was restored. "
                "Name another backup."
            )
        path = folder / secret.reference.partition(":")[2]
        if path.resolve().is_relative_to(folder.resolve()):
            within[path] = backup / secret.file
        elif not path.exists():
            outside.append((backup / secret.file, path))
    return within, tuple(outside)


def _named_files(config: Config | None) -> set[str]:
    """The references to files that a configuration has, and those to the notes beside its tokens."""
    if config is None:
        return set()
    tokens = [user.token for tenant in config.tenants for user in tenant.users]
    references = [reference for _, reference in config.secret_references()]
    return {r for r in (*references, *(f"{token}{USER_NOTE}" for token in tokens)) if r.startswith("file:")}


def _ledger(place: Place, secrets: dict[Path, Path]) -> Ledger:
    """The ledger, by its key as it will be once the backup's secrets are written. Raises: SecretError."""
    config = place.config
    if config is None:
        return place.ledger
    reference = config.encryption_key or ""
    file = config.source.parent / reference.partition(":")[2]
    if file in secrets and not file.exists():
        key = read_secret(f"file:{secrets[file].absolute()}", folder=config.source.parent, key="encryption_key")
    else:
        key = config.ledger_key() or ""
    return Ledger(place.files, config.office, key=key or None, publish_personal=config.publish_personal_columns)


def _put_state(backup: Path, manifest: Manifest, place: Place, aside: Path) -> None:
    """Put back Dagster's home and the pipeline's state beside the ledger."""
    home = place.dagster_home
    for file in (*home.glob("schedules/*.db*"), *home.glob("history/**/*.db*")):
        _put_aside(file, aside / names.HISTORY / file.relative_to(home))
    for file in place.files.private.glob("*.sqlite-*"):  # Journals: SQLite would apply them to the restored files.
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


def restore_from_backup(backup: Path, now: datetime, *, replace_newer: bool) -> None:
    """Raises: as `restore_backup`."""
    done = restore_backup(backup, now, replace_newer=replace_newer)
    manifest, place = done.manifest, done.place
    click.echo(
        f"Restored the ledger of office {manifest.office} as of {manifest.made_at:%Y-%m-%d %H:%M} UTC, and Dagster's history:"
    )
    for path in (place.files.primary, place.files.published, place.dagster_home, *done.secrets_written):
        click.echo(f"  {path}")
    for tenant_id, head in done.heads.items():
        click.echo(f"  {tenant_id}  {head}")
    if done.heads != manifest.heads and manifest.schema_version == known_migrations()[-1].version:
        raise RestoreFailed("The chains do not end as the manifest says. Restore another backup.")
    click.echo("Every row is as it was written.")
    if done.config_written:
        click.echo(f"The configuration was not there; the backup's is in {done.config_written} now.")
    _show_aside(done.aside)
    if done.secrets_outside:
        click.echo("Not written, since their places are outside of the configuration's folder. To put them there:")
    for source, path in done.secrets_outside:
        click.echo(f"  cp {shlex.quote(str(source))} {shlex.quote(str(path))}")
    click.echo("Next:")
    for problem in done.unresolved:
        click.echo(f"  {problem}")
    click.echo("  pfo run, which fetches what has happened since; then start the servers.")


def restore_from_published(now: datetime, *, replace_newer: bool) -> None:
    """Put the published copy in the primary's place, and check every row of it.

    Raises:
        OperationRefused: not an admin.
        LedgerError: see `Ledger.take_back`; LedgerMissing: nothing was published.
        RestoreFailed: something is at work on the data folder, or a file cannot be written.
    """
    require_admin("Restoring replaces the private ledger")
    place = find_place()
    if not place.files.published.exists():
        raise LedgerMissing(f"There is no published ledger at {place.files.published}. Name a backup: --from BACKUP.")
    with _alone(place):
        aside = _aside(place, now)
        place.ledger.take_back(place.files.published, aside, replace_newer=replace_newer)
    click.echo(f"{place.files.primary} is what {place.files.published} holds. Every row is as it was written.")
    _show_aside(aside if any(aside.iterdir()) else None)
    click.echo("Next:\n  pfo run, which fetches what has happened since; then start the servers.")


def _show_aside(aside: Path | None) -> None:
    if aside:
        click.echo(f"What was replaced is in {aside}. Delete it once it is of no use.")


@click.command(
    short_help="Restore a backup or the published copy.",
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
    if (folder is None) != from_published:
        raise click.UsageError("Name either --from BACKUP or --from-published.")
    with progress():
        if folder is None:
            restore_from_published(utc_now(), replace_newer=replace_newer)
        else:
            restore_from_backup(folder, utc_now(), replace_newer=replace_newer)
