"""The manifest of a backup: its files with their SHA-256, and the ledger that they belong to."""

import hashlib
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pfo_pipeline.errors import PfoError
from pfo_pipeline.telemetry import steps

FILE = "manifest.json"
FORMAT = 1
LEDGER = "ledger/canonical.duckdb"
PRIVATE, HISTORY, ALERTS, CONFIG, SECRETS = "private", "dagster", "alerts", "config", "secrets"
"""Folders of a backup: the private folder's state beside the ledger, Dagster's home, the alerts, the configuration."""

_OURS = re.compile(
    rf"{re.escape(LEDGER)}|{PRIVATE}/(?!backup\.json)[^/]+\.(sqlite|json)|{HISTORY}/dagster\.yaml|{HISTORY}/schedules/[^/]+\.db"
    rf"|{HISTORY}/history/([^/]+/)*[^/]+\.db|{ALERTS}/alerts\.jsonl|{CONFIG}/pfo\.toml|{SECRETS}/[0-9]+"
)
"""Names of files that `pfo backup` writes. A restore accepts no other, which might replace a file that it must not touch."""


class BackupDamaged(PfoError):
    """A backup is not whole, or not one at all."""


class SecretFile(BaseModel):
    """A secret that was backed up: the reference that the configuration has for it, and the file of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reference: str
    file: str


class Manifest(BaseModel):
    """`heads` are the last hashes of the tenants' chains, which `pfo verify` prints too."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int
    made_at: datetime
    program_version: str
    schema_version: int
    office: str
    encrypted: bool
    loads: int
    heads: dict[str, str]
    secrets: tuple[SecretFile, ...]
    files: dict[str, str]
    """SHA-256 of each file, by its path in the backup."""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(backup: Path) -> Manifest:
    """Raises: BackupDamaged: there is none that can be read, or it is of a newer program."""
    path = backup / FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BackupDamaged(
            f"{path} cannot be read: {error.strerror}. Name a folder that `pfo backup` has made, such as pfo-OFFICE-DATE."
        ) from None
    except ValidationError as error:
        keys = ", ".join(sorted({".".join(map(str, issue["loc"])) or "all of it" for issue in error.errors()}))
        raise BackupDamaged(f"{path} is not what `pfo backup` writes ({keys}). Take another backup.") from None
    if manifest.format > FORMAT:
        raise BackupDamaged(f"{path} has format {manifest.format}; this program knows {FORMAT}. Update the program.")
    return manifest


def check_files(backup: Path, manifest: Manifest) -> None:
    """Every file is one that `pfo backup` writes, is there as it was written, and lies within the backup.

    Raises: BackupDamaged: each file that is not, in a line.
    """
    problems = list(_problems(backup, manifest))
    if problems:
        raise BackupDamaged(
            f"{backup} is damaged. Nothing was restored. Name another backup.\n" + "\n".join(f"  {p}" for p in problems)
        )


def _problems(backup: Path, manifest: Manifest) -> Iterable[str]:
    if LEDGER not in manifest.files:
        yield f"{LEDGER}: is not in the manifest"
    for name in (secret.file for secret in manifest.secrets if secret.file not in manifest.files):
        yield f"{name}: is not in the manifest"
    for name, digest in steps("Checking files", manifest.files.items()):
        path = backup / name
        if "\0" in name or not path.resolve().is_relative_to(backup.resolve()):
            yield f"{name}: lies outside the backup"
        elif not _OURS.fullmatch(name) or ".." in Path(name).parts:
            yield f"{name}: is not part of a backup"
        elif not path.is_file():
            yield f"{name}: is missing"
        elif sha256_of(path) != digest:
            yield f"{name}: is not what was written (SHA-256)"
        elif path.suffix in (".sqlite", ".db") and not _is_whole_database(path):
            yield f"{name}: is a damaged database"


def _is_whole_database(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as con:
            return con.execute("pragma integrity_check(1)").fetchall() == [("ok",)]
    except sqlite3.Error:
        return False
