"""Checks both files of a ledger, and names the command that repairs a damaged one."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import ASK_VERIFY, WRITTEN_AGAIN, LedgerDamaged, named_schema_errors
from pfo_pipeline.ledger.verify import (
    COPY,
    Finding,
    Verified,
    differences,
    differing_rows,
    is_of_today,
    of_published,
    verify,
)

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
        return "pfo migrate\n  It makes views and macros again and touches no row."
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
        f"mkdir {folder} && mv {doomed} {folder} && pfo run\n  No whole copy is known, so the history begins again. If you "
        "have a backup elsewhere, name it instead: pfo restore --from FOLDER --replace-newer"
    )


def free_name(path: Path) -> Path:
    """Return the path, with a number appended if it exists already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(name for name in chain((path,), numbered) if not name.exists())


Opened = duckdb.DuckDBPyConnection | LedgerDamaged | None
"""A connection, or the reason why the file does not open; None if there is no file."""


def open_or_damage(path: Path, connect: Callable[[], duckdb.DuckDBPyConnection | None]) -> Opened:
    """Return what `connect` returns, or the damage that prevents opening. Raises: LedgerError: anything else."""
    try:
        with named_schema_errors(path):
            return connect()
    except LedgerDamaged as damage:
        return damage


@dataclass(frozen=True)
class _FileCheck:
    """The result of checking one file. `verified` is None if its content could not be checked."""

    verified: Verified | None
    findings: tuple[Finding, ...]
    newest_load: Load | None = None

    is_earlier: bool = False
    """The file is of an earlier version of the program, which did not write this proof."""

    def as_copy(self, opened: Opened, other: Load | None, *, lacks_personal: bool) -> Copy:
        return Copy(
            is_there=opened is not None,
            is_readable=self.verified is not None,
            is_earlier=self.is_earlier,
            findings=self.findings,
            newest_load=self.newest_load,
            holds_other=other is None or _holds(opened, other),
            lacks_personal=lacks_personal,
        )


def inspect(
    files: LedgerFiles, primary: Opened, published: Opened, *, is_same: bool, withheld: Sequence[tuple[str, str]]
) -> Verified:
    """Check both files against their own proof and against each other.

    Args:
        is_same: The two files are byte for byte equal, so one check covers both.
        withheld: Table and column of the data that the published copy leaves out.
    """
    ours = _look(files.primary, primary, "primary", withheld=())
    theirs = ours if is_same else _look(files.published, published, "published copy", withheld=withheld)
    findings = [*ours.findings, *map(of_published, _said_again(ours) if is_same else theirs.findings)]
    if ours.verified and theirs.verified and not is_same:
        findings += differences(ours.verified, theirs.verified)
        if withheld:
            assert isinstance(primary, duckdb.DuckDBPyConnection)
            assert isinstance(published, duckdb.DuckDBPyConnection)
            findings += differing_rows(primary, published)
    verified = ours.verified or Verified(0, 0, {}, ())
    if not findings:
        return verified
    first = ours.as_copy(primary, theirs.newest_load, lacks_personal=False)
    second = theirs.as_copy(published, ours.newest_load, lacks_personal=bool(withheld))
    return replace(verified, findings=tuple(findings), remedy=remedy(files, first, second))


def _look(path: Path, opened: Opened, name: str, *, withheld: Sequence[tuple[str, str]]) -> _FileCheck:
    if opened is None:
        return _FileCheck(None, (Finding("", name, "is not there"),))
    if isinstance(opened, LedgerDamaged):
        return _FileCheck(None, (Finding("", name, _without_advice(opened)),))
    newest = _newest_load_if_any(opened)
    try:
        with named_schema_errors(path):
            if not is_of_today(opened):
                return _FileCheck(None, (Finding("", name, "is of an earlier version"),), newest, is_earlier=True)
            verified = verify(opened, withheld=withheld)
    except LedgerDamaged as damage:
        return _FileCheck(None, (Finding("", name, _without_advice(damage)),), newest)
    is_complete = not any(finding.is_of_tables for finding in verified.findings)
    return _FileCheck(verified if is_complete else None, verified.findings, newest)


def _said_again(ours: _FileCheck) -> tuple[Finding, ...]:
    """Report a finding once for two equal files."""
    return (Finding("", COPY, "is the same to the byte"),) if ours.findings else ()


def _without_advice(damage: LedgerDamaged) -> str:
    """Return the message without its remedy, which is chosen later from the state of both files."""
    return str(damage).removesuffix(ASK_VERIFY).removesuffix(WRITTEN_AGAIN).rstrip()


def newest_load(con: duckdb.DuckDBPyConnection) -> Load | None:
    """Return the newest load of the ledger behind `con`, whose schema is entered; None if nothing was loaded.

    Raises: duckdb.Error: it cannot be read.
    """
    rows = con.execute("select load_id, run_id, recorded_at from loads order by load_id desc limit 1").fetchall()
    return rows[0] if rows else None


def holds(con: duckdb.DuckDBPyConnection, load: Load) -> bool:
    """Whether the ledger behind `con` has this load. Raises: duckdb.Error: it cannot be read."""
    return bool(con.execute("select 1 from loads where (load_id, run_id, recorded_at) = (?, ?, ?)", load).fetchall())


def _newest_load_if_any(con: duckdb.DuckDBPyConnection) -> Load | None:
    """Like `newest_load`, but also None if the load log cannot be read."""
    try:
        return newest_load(con)
    except duckdb.Error:
        return None


def _holds(opened: Opened, load: Load) -> bool:
    try:
        return isinstance(opened, duckdb.DuckDBPyConnection) and holds(opened, load)
    except duckdb.Error:
        return False
