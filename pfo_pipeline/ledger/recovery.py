"""Which command puts a damaged ledger right: the remedy depends on which of its files is still whole."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pfo_pipeline.ledger.files import LedgerFiles
from pfo_pipeline.ledger.verify import Finding

Load = tuple[int, str, datetime]
"""Number, run and moment of a load: what tells it from any other."""


@dataclass(frozen=True)
class Copy:
    """What is known of one of the ledger's files. `findings` are about its own content alone."""

    is_there: bool
    is_readable: bool
    findings: tuple[Finding, ...] = ()
    newest_load: Load | None = None
    """None where it has no load, or its load log cannot be read."""
    holds_other: bool = True
    """Whether it has the newest load of the other file, as far as that can be read."""
    lacks_personal: bool = False

    @property
    def is_whole(self) -> bool:
        return self.is_there and self.is_readable and not self.findings


@dataclass(frozen=True)
class LastBackup:
    """When and where the last backup was made, as `pfo backup` remembers it."""

    at: datetime
    folder: Path


def last_backup(files: LedgerFiles) -> LastBackup | None:
    """None where no backup was made, or none is remembered."""
    try:
        memory = json.loads(files.backup_memory.read_bytes())
        return LastBackup(datetime.fromisoformat(memory["at"]), Path(memory["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remedy(files: LedgerFiles, primary: Copy, published: Copy) -> str:
    """The command that puts the ledger right, and what it costs. At least one of the two files is not in order."""
    if primary.is_whole and (primary.holds_other or not published.is_whole):
        return _publish_again(files, primary, published)
    if primary.is_readable and primary.findings and all(finding.is_of_views for finding in primary.findings):
        return "pfo migrate\n  It makes views and macros anew and touches no row."
    if published.is_whole and not published.lacks_personal:
        return _from_published(primary, published)
    backup = last_backup(files)
    if backup is not None and backup.folder.is_dir():
        return (
            f"pfo restore --from {shlex.quote(str(backup.folder))} --replace-newer\n"
            f"  It puts the last backup back, of {backup.at:%Y-%m-%d %H:%M} UTC. Later loads are lost."
        )
    return _begin_anew(files)


def _publish_again(files: LedgerFiles, primary: Copy, published: Copy) -> str:
    away = ""
    if published.is_there and not primary.holds_other:  # A run refuses to publish less than what is published.
        name = shlex.quote(str(files.published))
        away = f"mv {name} {name}.altered && "
    return f"{away}pfo run\n  The primary is whole. The run publishes it again."


def _from_published(primary: Copy, published: Copy) -> str:
    if primary.newest_load is None or published.holds_other:
        return "pfo restore --from-published\n  The published copy is whole and has every load that can be read."
    return (
        "pfo restore --from-published --replace-newer\n  The published copy is whole. Loads that it lacks are lost, the "
        f"newest of {primary.newest_load[2]:%Y-%m-%d %H:%M} UTC."
    )


def _begin_anew(files: LedgerFiles) -> str:
    folder = shlex.quote(str(files.data_dir / "damaged"))
    doomed = f"{shlex.quote(str(files.primary))}*"
    if files.published.exists():
        doomed += f" {shlex.quote(str(files.published))}"
    return (
        f"mkdir {folder} && mv {doomed} {folder} && pfo run\n  No whole copy is known, so the history begins anew. If you "
        "have a backup elsewhere, name it instead: pfo restore --from FOLDER --replace-newer"
    )
