"""Check both files of a ledger: the findings of each, and the command that repairs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import ASK_VERIFY, WRITTEN_AGAIN, LedgerDamaged, named_schema_errors
from pfo_pipeline.ledger.recovery import Copy, Load, remedy
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
class _Look:
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


def _look(path: Path, opened: Opened, name: str, *, withheld: Sequence[tuple[str, str]]) -> _Look:
    if opened is None:
        return _Look(None, (Finding("", name, "is not there"),))
    if isinstance(opened, LedgerDamaged):
        return _Look(None, (Finding("", name, _without_advice(opened)),))
    newest = _newest_load_if_any(opened)
    try:
        with named_schema_errors(path):
            if not is_of_today(opened):
                return _Look(None, (Finding("", name, "is of an earlier version"),), newest, is_earlier=True)
            verified = verify(opened, withheld=withheld)
    except LedgerDamaged as damage:
        return _Look(None, (Finding("", name, _without_advice(damage)),), newest)
    is_complete = not any(finding.is_of_tables for finding in verified.findings)
    return _Look(verified if is_complete else None, verified.findings, newest)


def _said_again(ours: _Look) -> tuple[Finding, ...]:
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
