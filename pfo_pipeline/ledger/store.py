"""The ledger's files: the private primary that the pipeline writes, the published copy that everybody reads.

Who owns what: this module alone opens the primary, only while it holds the lock file, for one short transaction, and
closes it before the lock is let go. Nothing may open or copy the primary while a connection is open in the same process:
closing that second handle drops DuckDB's own lock. Readers open the published copy, which is replaced by one atomic
rename, so that nobody is ever refused and whoever has it open keeps what they opened.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from pfo_pipeline.ledger.batch import Batch, MergeResult
from pfo_pipeline.ledger.errors import LedgerBusy, LedgerDamaged, LedgerMissing, named_ledger_errors
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for
from pfo_pipeline.ledger.merge import apply
from pfo_pipeline.ledger.reader import Reader, open_published
from pfo_pipeline.ledger.schema import bring_up_to_date, enter, migrations, version_of
from pfo_pipeline.ledger.verify import Finding, Verified, verify

DEADLINE_SECONDS = 120.0
# Every DuckDB from 1.4 to 2.0 opens it; without this a 2.0 writer would lock out every 1.x reader.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "v1.4.0"}

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class LedgerFiles:
    """Where the ledger lives below the data folder."""

    data_dir: Path

    @property
    def published(self) -> Path:
        return self.data_dir / "ledger.duckdb"

    @property
    def private(self) -> Path:
        return self.data_dir / "private"

    @property
    def primary(self) -> Path:
        # Not named like the schema: DuckDB could not tell the catalog `ledger` from the schema `ledger`.
        return self.private / "canonical.duckdb"

    @property
    def lock(self) -> Path:
        return self.private / "canonical.lock"


@dataclass(frozen=True)
class Publication:
    path: Path
    size_bytes: int


class Ledger:
    """The writing side. One per process; threads of a process take turns like processes do."""

    def __init__(
        self, files: LedgerFiles, office: str, *, deadline_seconds: float = DEADLINE_SECONDS, clock: Clock = utc_now
    ) -> None:
        self.files = files
        self._office = office
        self._deadline_seconds = deadline_seconds
        self._clock = clock

    def merge(self, batch: Batch) -> MergeResult:
        """Merge a batch: all of it or nothing.

        Raises:
            LedgerError: busy beyond the deadline, full, damaged, newer, foreign or not writable.
        """
        with self._primary() as con:
            return apply(con, batch, self._clock())

    def publish(self) -> Publication:
        """Put a copy of the primary in the published place, by one atomic rename.

        Raises:
            LedgerError: as for `merge`, or the primary lacks what is published; the copy published before stays.
        """
        with self._turn(), named_ledger_errors(self.files.published):
            with self._connection() as con:
                self._refuse_lost_history(con)
                # Folds a write-ahead log, as a crash leaves it, into the file. Closing does that too, but keeps silent
                # when the disk is full.
                con.execute("checkpoint")
            return _copy_into_place(self.files.primary, self.files.published)

    def verify(self) -> Verified:
        """Check primary and published copy against their own proof, and against each other.

        Works on a copy, made in one turn: however long it takes, no run waits for it.
        Raises:
            LedgerError: as for `merge`; LedgerMissing: nothing was loaded yet; LedgerDamaged: a block cannot be read.
        """
        if not self.files.primary.exists() and not self.files.published.exists():
            raise LedgerMissing(f"There is no ledger at {self.files.primary} yet. Run `make run` (or `pfo run`) first.")
        draft = self.files.private / f".verify.{os.getpid()}.draft"
        with named_ledger_errors(self.files.primary), ExitStack() as until_checked:
            with self._turn():
                with self._connection() as con:
                    con.execute("checkpoint")
                until_checked.callback(draft.unlink, missing_ok=True)
                shutil.copyfile(self.files.primary, draft)
                draft.chmod(0o600)
                published = until_checked.enter_context(_published(self.files.published))
            copy = until_checked.enter_context(duckdb.connect(str(draft), read_only=True))
            enter(copy)
            verified = verify(copy)
            return replace(verified, findings=(*verified.findings, *_differences(verified, published)))

    def reader(self) -> Reader:
        """Reads of the primary, for the pipeline's own steps; people read the published copy."""
        return Reader(self._primary)

    @contextmanager
    def _primary(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._turn(), self._connection() as con:
            yield con

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with (
                named_ledger_errors(self.files.lock),
                queue_for(self.files.lock, deadline_seconds=self._deadline_seconds),
            ):
                yield
        except TurnNotReached as holder:
            raise LedgerBusy(
                f"{self.files.primary}: {holder} has been writing for over {self._deadline_seconds:g} s. "
                "Let it finish, or end it, and run again; nothing was lost."
            ) from None

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        path = self.files.primary
        with named_ledger_errors(path):
            is_new = not path.exists()
            if is_new and self.files.published.exists():
                raise LedgerDamaged(f"{path} is gone, but {self.files.published} is there. {self._put_back}")
            con = duckdb.connect(str(path), config=_CONFIG)
            try:
                if is_new:
                    path.chmod(0o600)
                elif self.files.published.exists() and version_of(con) == 0:
                    raise LedgerDamaged(
                        f"{path} holds no ledger, but {self.files.published} is there. {self._put_back}"
                    )
                bring_up_to_date(con, path, self._office, self._clock())
                yield con
            finally:
                con.close()

    def _refuse_lost_history(self, con: duckdb.DuckDBPyConnection) -> None:
        """An older backup in the primary's place would take from readers what they had, and number its loads anew.

        Raises: LedgerDamaged: what was published last is not in the primary.
        """
        newest = _newest_published_load(self.files.published)
        if (
            newest
            and not con.execute(
                "select 1 from loads where (load_id, run_id, recorded_at) = (?, ?, ?)", newest
            ).fetchall()
        ):
            raise LedgerDamaged(
                f"{self.files.primary} is not what {self.files.published} was copied from, or an older state of it. "
                f"{self._put_back}"
            )

    @property
    def _put_back(self) -> str:
        return (
            "Starting from it would replace what is published by less. Put that back first: "
            f"cp {self.files.published} {self.files.primary} && rm -f {self.files.primary}.wal "
            f"&& chmod 600 {self.files.primary}"
        )


@contextmanager
def _published(path: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    if not path.exists():
        yield None
        return
    with open_published(path) as con:
        yield con


def _differences(primary: Verified, published: duckdb.DuckDBPyConnection | None) -> list[Finding]:
    """What keeps the published copy from being the primary: equal chains that both hold mean equal contents."""
    if published is None:
        return [Finding("", "published copy", "is not there; the next run publishes it")]
    if version_of(published) < migrations()[-1].version:
        return [Finding("", "published copy", "is of an earlier version; the next run publishes it anew")]
    copy = verify(published)
    behind = [t for t in sorted(primary.heads | copy.heads) if primary.heads.get(t) != copy.heads.get(t)]
    return [
        *(Finding(f.tenant_id, f"published copy, {f.about}", f.problem) for f in copy.findings),
        *(
            Finding(t, "published copy", "ends at another load than the primary; the next run publishes it")
            for t in behind
        ),
    ]


def _newest_published_load(published: Path) -> tuple[Any, ...] | None:
    """What tells the published copy's newest load from any other; None where there is no copy that can be read."""
    if not published.exists():
        return None
    try:
        with duckdb.connect(str(published), read_only=True) as con:
            if version_of(con) == 0:
                return None
            enter(con)
            return con.execute(
                "select load_id, run_id, recorded_at from loads order by load_id desc limit 1"
            ).fetchone()
    except duckdb.Error:
        return None  # Garbled, it serves nobody: a whole one takes its place.


def _copy_into_place(source: Path, target: Path) -> Publication:
    if source.with_name(source.name + ".wal").exists():
        raise AssertionError("the primary was closed and still has a write-ahead log")
    for abandoned in target.parent.glob(f".{target.name}.*.draft"):
        abandoned.unlink()  # We hold the lock, so whoever began it is dead.
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        shutil.copyfile(source, draft)
        draft.chmod(0o444)
        _to_disk(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _to_disk(target.parent)
    return Publication(target, target.stat().st_size)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
