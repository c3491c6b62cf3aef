"""`pfo backup`: everything that a new machine needs, in one folder, complete or not at all.

Dagster's history is copied first, then the private folder's state, then the ledger. So the ledger is the newest of them: no
run that the history calls done is missing in it, and a run that the history lacks is only asked for again. Every file is read
back in full before the backup gets its name. Left out: locks and the count of calls to Powens, which mean nothing elsewhere;
the published copy, which `pfo restore` makes from the primary; Dagster's captured output of steps.
"""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from io import BufferedWriter
from pathlib import Path

import click

from pfo_pipeline.alerts.notify import ALERTS
from pfo_pipeline.atomic_files import draft_of, sync_to_disk
from pfo_pipeline.cli import manifest as names
from pfo_pipeline.cli.context import Place, find_place, require_admin
from pfo_pipeline.cli.manifest import Manifest, SecretFile
from pfo_pipeline.cli.options import examples
from pfo_pipeline.cli.output import progress
from pfo_pipeline.config import USER_NOTE, Config
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles, open_file
from pfo_pipeline.ledger.errors import ASK_VERIFY, LedgerDamaged, named_ledger_errors
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.schema import version_of
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.ledger.verify import Verified, verify
from pfo_pipeline.telemetry import steps

_STAMP = "%Y-%m-%dT%H%M%SZ"
_BUSY_SECONDS = 30
_SQLITE = (".sqlite", ".db")


class BackupFailed(PfoError):
    """No backup was made; the ones before are as they were."""


@dataclass(frozen=True)
class Backup:
    """A backup that was made. `unread_secrets` are keys of the configuration whose files were asked for and are not there."""

    folder: Path
    manifest: Manifest
    size_bytes: int
    unread_secrets: tuple[str, ...]
    removed: tuple[Path, ...]


def back_up(place: Place, to: Path, now: datetime, *, with_secrets: bool = False, keep: int | None = None) -> Backup:
    """Write a backup into a new folder in `to`. Runs go on meanwhile.

    Args:
        with_secrets: Also the files that the configuration's references name.
        keep: Afterwards remove older backups of this office in `to`, so that so many are left.
    Raises:
        OperationRefused: not an admin.
        BackupFailed: another backup is under way, or the folder cannot be written.
        LedgerError, SecretError: there is no ledger, or it cannot be read.
    """
    require_admin("A backup holds the private ledger")
    office = place.office
    target = to.absolute() / f"pfo-{office}-{now.astimezone(UTC):{_STAMP}}"
    draft = target.with_name(f".{target.name}.draft")
    try:
        with hold_lock(place.files.private / "backup.lock", deadline_seconds=0):
            _begin(target, draft, office)
            manifest, unread = _write(place, office, draft, now, with_secrets=with_secrets)
            for path in (*draft.rglob("*"), draft):
                sync_to_disk(path)
            draft.rename(target)
            removed = _remove_others(target, office, keep)
            _remember(place.files.backup_memory, target, now)
    except LockTimeout as holder:
        raise BackupFailed(f"{holder} is making a backup of {place.data_dir}. Let it finish.") from None
    except LedgerDamaged as damage:
        raise BackupFailed(f"No backup was made, and the ones before are as they were. {damage}") from None
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        thing = getattr(error, "filename", None) or to
        raise BackupFailed(f"{thing}: {reason}. No backup was made; fix that and run again.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Backup(target, manifest, size, unread, removed)


def _remember(memory: Path, target: Path, now: datetime) -> None:
    with draft_of(memory, 0o600) as draft:
        draft.write_text(json.dumps({"at": now.isoformat(), "folder": str(target)}), encoding="utf-8")


def _begin(target: Path, draft: Path, office: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.exists():
        raise BackupFailed(f"{target} is there already. Wait a second, and run again.")
    for abandoned in target.parent.glob(f".pfo-{office}-*.draft"):
        shutil.rmtree(abandoned)  # Left by a backup that was killed; this process holds the lock.
    draft.mkdir(mode=0o700)


def _write(
    place: Place, office: str, draft: Path, now: datetime, *, with_secrets: bool
) -> tuple[Manifest, tuple[str, ...]]:
    _copy_all(place.dagster_home, draft / names.HISTORY, _history(place.dagster_home))
    _copy_all(place.files.private, draft / names.PRIVATE, _state(place.files))
    if (place.data_dir / ALERTS).exists():
        _copy(place.data_dir / ALERTS, draft / names.ALERTS / ALERTS)
    secrets: list[SecretFile] = []
    unread: list[str] = []
    if place.config:
        _copy(place.config.source, draft / names.CONFIG / "pfo.toml")
        if with_secrets:
            secrets, unread = _copy_secrets(place.config, draft)
    ledger = draft / names.LEDGER
    key = place.config.ledger_key() if place.config else None
    _make_folder(ledger.parent)
    with place.ledger.snapshot() as taken, _new_file(ledger) as copy:
        shutil.copyfileobj(taken, copy, 1024 * 1024)
    schema_version, verified = _verified(place.files.primary, ledger, key)
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    manifest = Manifest(
        format=names.FORMAT,
        made_at=now,
        program_version=version("pfo-pipeline"),
        schema_version=schema_version,
        office=office,
        encrypted=key is not None,
        loads=verified.loads,
        heads=verified.heads,
        secrets=tuple(secrets),
        files={str(path.relative_to(draft)): names.sha256_of(path) for path in steps("Hashing files", files)},
    )
    with _new_file(draft / names.FILE) as file:
        file.write(manifest.model_dump_json(indent=2).encode())
    return manifest, tuple(unread)


def _verified(primary: Path, copy: Path, key: str | None) -> tuple[int, Verified]:
    """The schema version of the ledger that was copied, and that every row of the copy is as it was written.

    Raises: LedgerDamaged: it is not, or a block cannot be read.
    """
    with named_ledger_errors(primary), open_file(copy, key=key, read_only=True) as con:
        version_found, verified = version_of(con), verify(con)
    if verified.findings:
        raise LedgerDamaged(f"{primary} is not what was written into it. {ASK_VERIFY}")
    return version_found, verified


def _history(home: Path) -> Iterator[Path]:
    """Dagster's settings and databases; the sensors' cursors before the runs that they asked for."""
    yield from home.glob("dagster.yaml")
    yield from home.glob("schedules/*.db")
    yield from home.glob("history/**/*.db")


def _state(files: LedgerFiles) -> Iterator[Path]:
    """State of the pipeline beside the ledger, such as the inbox of webhooks and the alerts."""
    found = (p for p in files.private.glob("*") if p.suffix in (".sqlite", ".json"))
    yield from sorted(path for path in found if path != files.backup_memory)


def _copy_all(source: Path, target: Path, files: Iterator[Path]) -> None:
    for file in steps("Copying files", list(files)):
        _copy(file, target / file.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    """A file as it is at one moment. Databases are in use: SQLite copies them, the rest is only replaced or appended to."""
    _make_folder(target.parent)
    if source.suffix in _SQLITE:
        try:
            with (
                closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as live,
                closing(sqlite3.connect(target)) as copy,
            ):
                live.backup(copy)
                problems = copy.execute("pragma integrity_check(1)").fetchall()
            target.chmod(0o600)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise BackupFailed(f"{source} cannot be copied: {error}. No backup was made; run again.") from None
            problems = [(error,)]
        if problems != [("ok",)]:
            raise BackupFailed(
                f"{source} is damaged ({problems[0][0]}). No backup was made. Move it away, with its -wal and -shm files; "
                "the next start makes it again."
            )
        return
    with source.open("rb") as live_file, _new_file(target) as copied:
        shutil.copyfileobj(live_file, copied)


def _copy_secrets(config: Config, draft: Path) -> tuple[list[SecretFile], list[str]]:
    """The secrets that are in files, each once, with the notes beside them, and the keys of those that are not there (yet)."""
    found: dict[str, SecretFile] = {}
    unread = []
    for key, reference in config.secret_references():
        kind, _, rest = reference.partition(":")
        if kind != "file" or reference in found:
            continue
        secret = SecretFile(reference=reference, file=f"{names.SECRETS}/{len(found) + 1}")
        try:
            _copy(config.source.parent / rest, draft / secret.file)
            found[reference] = secret
        except FileNotFoundError:
            unread.append(key)
    for reference in (f"{user.token}{USER_NOTE}" for tenant in config.tenants for user in tenant.users):
        # Without it, a user whose token is lost later would count as never made.
        kind, _, rest = reference.partition(":")
        note = config.source.parent / rest
        if kind == "file" and note.exists():
            found[reference] = SecretFile(reference=reference, file=f"{names.SECRETS}/{len(found) + 1}")
            _copy(note, draft / found[reference].file)
    return list(found.values()), unread


def _new_file(path: Path) -> BufferedWriter:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _make_folder(path: Path) -> None:
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700)


def _remove_others(made: Path, office: str, keep: int | None) -> tuple[Path, ...]:
    """Remove other backups of this office, the earliest first, so that `keep` are left. The one just made always stays.

    The name says whose a backup is and when it was made, the manifest that it is one.
    """
    if keep is None:
        return ()
    mine = re.compile(rf"pfo-{re.escape(office)}-\d{{4}}-\d\d-\d\dT\d{{6}}Z")
    others = sorted(
        p for p in made.parent.iterdir() if p != made and mine.fullmatch(p.name) and (p / names.FILE).is_file()
    )
    doomed = tuple(others[: max(0, len(others) - (keep - 1))])
    for path in doomed:
        shutil.rmtree(path)
    return doomed


@click.command(
    short_help="Back up everything that a new machine needs.",
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
    with progress():
        made = back_up(find_place(), folder, utc_now(), with_secrets=with_secrets, keep=keep)
    files = len(made.manifest.files)
    click.echo(f"{made.folder}: {made.manifest.loads} loads, {files} files, {made.size_bytes / 1e6:.1f} MB")
    for tenant_id, head in made.manifest.heads.items():
        click.echo(f"  {tenant_id}  {head}")
    for key in made.unread_secrets:
        click.echo(f"Not in it: {key}, whose file is not there.")
    if made.manifest.encrypted and not with_secrets:
        click.echo("Its ledger is encrypted and its key is not in it: keep encryption_key elsewhere too.")
    for path in made.removed:
        click.echo(f"Removed: {path}")
