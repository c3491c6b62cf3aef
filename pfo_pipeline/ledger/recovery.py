"""Choose the command that repairs a damaged ledger: it depends on which of its files is still intact."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.verify import Finding

Load = tuple[int, str, datetime]
"""Number, run and time of a load, which together identify it."""


@dataclass(frozen=True)
class Copy:
    """The known state of one of the ledger's files. `findings` are only about its own content."""

    is_there: bool
    is_readable: bool
    """Every block could be read, and the file has the tables of a ledger."""
    is_earlier: bool = False
    """The file is of an earlier version, so its content cannot be checked before it is migrated."""
    findings: tuple[Finding, ...] = ()
    newest_load: Load | None = None
    """None if it has no load, or its load log cannot be read."""
    holds_other: bool = True
    """Whether it has the newest load of the other file, as far as that file can be read."""
    lacks_personal: bool = False

    @property
    def is_whole(self) -> bool:
        return self.is_readable and not self.findings

    @property
    def is_whole_but_for_views(self) -> bool:
        """Whether every row is as it was written."""
        return self.is_readable and all(finding.is_of_views for finding in self.findings)

    @property
    def can_be_primary(self) -> bool:
        """Whether it can replace the primary; it is checked again before it does."""
        return (self.is_whole_but_for_views or self.is_earlier) and not self.lacks_personal


@dataclass(frozen=True)
class LastBackup:
    """Time and place of the last backup, as `pfo backup` recorded them."""

    at: datetime
    folder: Path


def last_backup(files: LedgerFiles) -> LastBackup | None:
    """Return the last backup; None if none was made or none is recorded."""
    try:
        memory = json.loads(files.backup_memory.read_bytes())
        return LastBackup(datetime.fromisoformat(memory["at"]), Path(memory["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remedy(files: LedgerFiles, primary: Copy, published: Copy) -> str:
    """Return the command that repairs the ledger, and its cost. At least one of the two files has a finding."""
    if primary.is_whole_but_for_views and primary.holds_other:
        return _publish_again(primary)
    if published.can_be_primary:
        return _from_published(primary, published)
    backup = last_backup(files)
    if backup is not None and backup.folder.is_dir() and not _is_newer(primary, backup):
        return (
            f"pfo restore --from {shlex.quote(str(backup.folder))} --replace-newer\n"
            f"  It puts the last backup back, of {backup.at:%Y-%m-%d %H:%M} UTC. Later loads are lost."
        )
    if primary.is_whole_but_for_views:
        return _go_on_without_published(files, primary)
    return _begin_anew(files)


def _is_newer(primary: Copy, backup: LastBackup) -> bool:
    """Whether the primary is usable and has a load that the backup cannot have."""
    return primary.is_whole_but_for_views and primary.newest_load is not None and primary.newest_load[2] > backup.at


def _publish_again(primary: Copy) -> str:
    if primary.findings:
        return "pfo migrate\n  It makes views and macros anew and touches no row."
    return "pfo run\n  The primary is whole. The run publishes it again."


def _from_published(primary: Copy, published: Copy) -> str:
    state = "checked before it takes the primary's place" if published.is_earlier else "whole"
    if primary.newest_load is None or published.holds_other:
        return f"pfo restore --from-published\n  The published copy is {state} and has every load that can be read."
    return (
        f"pfo restore --from-published --replace-newer\n  The published copy is {state}. Loads that it lacks are lost, the "
        f"newest of {primary.newest_load[2]:%Y-%m-%d %H:%M} UTC."
    )


def _go_on_without_published(files: LedgerFiles, primary: Copy) -> str:
    """Return the remedy that moves the published file away: a run refuses to publish less than is published."""
    aside = shlex.quote(str(free_name(files.published.with_name(f"{files.published.name}.altered"))))
    command = "pfo migrate" if primary.findings else "pfo run"
    return (
        f"mv {shlex.quote(str(files.published))} {aside} && {command}\n  The primary is whole, but an older state than "
        "what is published. Loads that only the published copy has are put aside with it."
    )


def _begin_anew(files: LedgerFiles) -> str:
    folder = shlex.quote(str(free_name(files.data_dir / "damaged")))
    log = files.primary.with_name(f"{files.primary.name}.wal")
    doomed = " ".join(shlex.quote(str(file)) for file in (files.primary, log, files.published) if file.exists())
    return (
        f"mkdir {folder} && mv {doomed} {folder} && pfo run\n  No whole copy is known, so the history begins anew. If you "
        "have a backup elsewhere, name it instead: pfo restore --from FOLDER --replace-newer"
    )


def free_name(path: Path) -> Path:
    """Return the path, with a number appended if it exists already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(name for name in chain((path,), numbered) if not name.exists())
