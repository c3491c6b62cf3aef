"""The ledger's files: the private primary, which the pipeline writes, and the published copy, which everybody reads.

Only this module opens the primary: while it holds the lock file, for one short transaction, and it closes the connection
before it releases the lock. Nothing may open or copy the primary while a connection is open in the same process: closing that
second handle drops DuckDB's own lock. Readers open the published copy, which is replaced by one atomic rename: no reader is
ever refused, and an open reader keeps the content that it opened. Every file is read back in full before it replaces another.
"""

import filecmp
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import duckdb

from pfo_pipeline.atomic_files import draft_of, scratch_beside
from pfo_pipeline.ledger.connection import LedgerFiles, open_file
from pfo_pipeline.ledger.erasure import Erased, erase, write_anew
from pfo_pipeline.ledger.errors import (
    ASK_VERIFY,
    LedgerAhead,
    LedgerBusy,
    LedgerDamaged,
    LedgerMissing,
    named_ledger_errors,
    named_schema_errors,
)
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.merge import Batch, MergeResult, apply
from pfo_pipeline.ledger.reader import Reader, open_published
from pfo_pipeline.ledger.recovery import Load, holds, inspect, last_backup, newest_load, open_or_damage
from pfo_pipeline.ledger.schema import bring_up_to_date, enter, make_views, version_of
from pfo_pipeline.ledger.verify import PERSONAL_COLUMNS, Verified, read_every_block, verify
from pfo_pipeline.telemetry import counted, measured, tell

DEADLINE_SECONDS = 120.0
_TAKE_ANOTHER = "Nothing was changed. Name another backup."
_HEADER_BYTES = 12_288
"""Three headers of 4,096 bytes: a DuckDB file that is shorter never contained anything (DuckDB docs, Storage)."""
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Publication:
    path: Path
    size_bytes: int


class Ledger:
    """The writing side. One per process; threads of a process share the lock in the same way as processes."""

    def __init__(
        self,
        files: LedgerFiles,
        office: str,
        *,
        key: str | None = None,
        publish_personal: bool = True,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        """
        Args:
            key: The encryption key of primary and published copy; None for plain files.
            publish_personal: Whether the published copy has the columns that the contracts mark as personal.
        """
        self.files = files
        self._office = office
        self._key = key
        self._publish_personal = publish_personal
        self._deadline_seconds = deadline_seconds
        self._clock = clock

    def merge(self, batch: Batch) -> MergeResult:
        """Merge a batch: all of it or nothing.

        Raises:
            LedgerError: busy beyond the deadline, full, damaged, newer, foreign or not writable.
        """
        with measured("pfo.ledger.merge", tenant=batch.tenant_id, operation=batch.operation), self._primary() as con:
            merged = apply(con, batch, self._clock())
        for table, count in merged.counts.items():
            counted("pfo.ledger.rows", count.added, table=table, tenant=batch.tenant_id)
        for event in batch.telemetry:
            tell(event.event, tenant_id=event.tenant_id, run_id=batch.run_id, **event.properties)
        return merged

    def publish(self) -> Publication:
        """Publish a copy of the primary by one atomic rename.

        Raises:
            LedgerError: as for `merge`, or the primary lacks published loads; the earlier published copy stays.
        """
        with measured("pfo.ledger.publish"), self._writer_lock():
            return self._publish()

    def erase(self, tenant_id: str, user_id: str | None, run_id: str) -> Erased:
        """Remove a tenant's rows, or one user's, from the primary and the published file, and from the files' free space.

        Args:
            user_id: None for the whole tenant.
            run_id: The name of the erasure in the load log.
        Raises:
            LedgerError: as for `publish`. After a crash, erase again to finish.
            LedgerDamaged: the ledger is not as it was written; new seals would make the remaining rows look correct.
        """
        with self._writer_lock():
            with self._rewriting_primary(self._key) as con:
                if verify(con).findings:
                    raise LedgerDamaged(f"{self.files.primary} is not what was written into it. {ASK_VERIFY}")
                erased = erase(con, tenant_id, user_id, run_id, self._clock())
            self._publish()
        return erased

    def rekey(self, old_key: str | None) -> Publication:
        """Rewrite primary and published file with this ledger's key, or as plain files if it has none.

        Args:
            old_key: The current encryption key of the primary; None if it is plain.
        Raises:
            LedgerError: as for `publish`; LedgerKeyRefused: wrong old key; both files stay unchanged.
        """
        with self._writer_lock():
            with self._rewriting_primary(old_key):
                pass
            return self._publish()

    def verify(self) -> Verified:
        """Check primary and published copy against their own proof, and against each other.

        Works on a copy made under the lock, so that no run waits for the check. A file that cannot be read is a finding; the
        remedy names the command that repairs it.
        Raises:
            LedgerError: busy beyond the deadline, newer, foreign, or another key; LedgerMissing: nothing was loaded yet.
        """
        self._require_any()
        files = self.files
        with ExitStack() as until_checked:
            with self._writer_lock():
                primary = open_or_damage(files.primary, lambda: until_checked.enter_context(self._copied_primary()))
                published = open_or_damage(files.published, lambda: until_checked.enter_context(self._published()))
                is_same = (
                    files.primary.exists()
                    and files.published.exists()
                    and filecmp.cmp(files.primary, files.published, shallow=False)
                )
            withheld = () if self._publish_personal else PERSONAL_COLUMNS
            return inspect(files, primary, published, is_same=is_same, withheld=withheld)

    def remake_views(self) -> Publication:
        """Recreate the primary's views and macros, and publish it. Raises: LedgerError: as for `publish`."""
        with self._writer_lock():
            with self._connection(self._key) as con:
                _remake_views(con)
            return self._publish()

    @contextmanager
    def snapshot(self) -> Iterator[BinaryIO]:
        """Yield the bytes of the current primary, copied under the lock once: no run waits while they are read.

        Raises:
            LedgerError: as for `publish`; LedgerMissing: nothing was loaded yet.
        """
        self._require_any()
        with ExitStack() as until_read:
            with (
                named_ledger_errors(self.files.primary),
                self._writer_lock(),
                scratch_beside(self.files.primary) as draft,
            ):
                self._copy_primary(draft, lest_history_is_lost=True)
                taken = until_read.enter_context(draft.open("rb"))
            yield taken

    def take_back(self, copy: Path, aside: Path, *, replace_newer: bool = False) -> Publication:
        """Replace the primary by a copy from `snapshot`, and publish it.

        Args:
            aside: A folder on the same disk, for the replaced primary.
            replace_newer: Replace the primary even if it has loads that the copy lacks.
        Raises:
            LedgerError: as for `publish`; LedgerDamaged: the copy is not as it was written; LedgerAhead: the primary has
                more loads. All files then stay unchanged.
        """
        path = self.files.primary
        with named_ledger_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._writer_lock(), named_ledger_errors(path):
            with draft_of(path, 0o600) as draft:
                shutil.copyfile(copy, draft)
                with named_schema_errors(copy, if_damaged=_TAKE_ANOTHER):
                    self._bring_up_to_date(draft, copy)
                    with open_file(draft, key=self._key, read_only=True) as con:
                        enter(con)
                        if verify(con).findings:
                            raise LedgerDamaged(f"{copy} is not what was written into the ledger. {_TAKE_ANOTHER}")
                        if not replace_newer:
                            self._refuse_to_lose_loads(con, copy)
                self._put_aside(aside)
            return self._publish(replaces_newer=True)

    def reader(self) -> Reader:
        """Return a reader of the primary, for the pipeline's own steps; people read the published copy."""
        return Reader(self._primary)

    def _require_any(self) -> None:
        if not self.files.primary.exists() and not self.files.published.exists():
            raise LedgerMissing(f"There is no ledger at {self.files.primary} yet. Run `make run` (or `pfo run`) first.")

    @contextmanager
    def _primary(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writer_lock(), self._connection(self._key) as con:
            yield con

    @contextmanager
    def _writer_lock(self) -> Iterator[None]:
        try:
            with (
                named_ledger_errors(self.files.lock),
                hold_lock(self.files.lock, deadline_seconds=self._deadline_seconds),
            ):
                yield
        except LockTimeout as holder:
            raise LedgerBusy(
                f"{self.files.primary}: {holder} has blocked other writers for over {self._deadline_seconds:g} s. "
                "Let it finish, or end it, and run again; nothing was lost."
            ) from None

    @contextmanager
    def _rewriting_primary(self, key: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to the primary, opened with `key`; then rewrite the primary with this ledger's own key."""
        path = self.files.primary
        with named_ledger_errors(path), draft_of(path, 0o600) as draft, self._connection(key) as con:
            yield con
            con.execute("checkpoint")  # A remaining write-ahead log would be applied to the new file.
            write_anew(con, draft, key=self._key, withhold_personal=False)
            self._read_back(draft)

    def _publish(self, *, replaces_newer: bool = False) -> Publication:
        path = self.files.published
        with named_ledger_errors(path), draft_of(path, 0o444) as draft:
            with self._connection(self._key) as con:
                if not replaces_newer:
                    self._refuse_lost_history(con)
                if self._publish_personal:
                    con.execute("checkpoint")
                else:
                    write_anew(con, draft, key=self._key, withhold_personal=True)
            if self._publish_personal:
                _copy_closed(self.files.primary, draft)
            self._read_back(draft)
        return Publication(path, path.stat().st_size)

    def _read_back(self, draft: Path) -> None:
        """Read every block of the draft. Raises: LedgerDamaged: a block cannot be read, so the primary, its source, is
        damaged.
        """
        with (
            named_ledger_errors(self.files.primary),
            open_file(draft, key=self._key, read_only=True) as con,
        ):
            read_every_block(con)

    @contextmanager
    def _copied_primary(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to a copy of the current primary. The copy is unlinked when open, so a crash leaves nothing
        behind.
        """
        with scratch_beside(self.files.primary) as draft:
            self._copy_primary(draft)
            con = open_file(draft, key=self._key, read_only=True)
        with con:
            enter(con)
            yield con

    def _copy_primary(self, target: Path, *, lest_history_is_lost: bool = False) -> None:
        with self._connection(self._key) as con:
            if lest_history_is_lost:
                self._refuse_lost_history(con)
            con.execute("checkpoint")
        _copy_closed(self.files.primary, target)

    @contextmanager
    def _published(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        if not self.files.published.exists():
            yield None
            return
        with open_published(self.files.published, self._office, self._key) as con:
            yield con

    @contextmanager
    def _connection(self, key: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
        path = self.files.primary
        with named_schema_errors(path):
            if not path.exists() and self.files.published.exists():
                raise LedgerDamaged(f"{path} is gone, but {self.files.published} is there. {ASK_VERIFY}")
            if not path.exists() or self._was_never_begun():
                self._begin(key)
            con = open_file(path, key=key)
            try:
                path.chmod(0o600)  # Every time: a process that created the file may have died before this call.
                if self.files.published.exists() and version_of(con) == 0:
                    raise LedgerDamaged(f"{path} holds no ledger, but {self.files.published} is there. {ASK_VERIFY}")
                if bring_up_to_date(con, path, self._office, self._clock()):
                    con.close()  # DuckDB prints definitions that it has just made differently from those that it reads back.
                    con = open_file(path, key=key)
                    enter(con)
                if con.execute("select 1 from withheld limit 1").fetchall():
                    raise LedgerDamaged(f"{path} is a published copy without personal columns. {ASK_VERIFY}")
                yield con
            finally:
                con.close()

    def _was_never_begun(self) -> bool:
        """Whether the primary is the remainder of a first start that was interrupted before anything was written.

        Release 0.1.0 created the first file in place. Today it is created elsewhere and moved into place when complete.
        """
        path = self.files.primary
        log = path.with_name(path.name + ".wal")
        return (
            path.is_file()
            and path.stat().st_size < _HEADER_BYTES
            and _is_begun_header(path.read_bytes())
            and not (log.exists() and log.stat().st_size)
            and not self.files.published.exists()
            and last_backup(self.files) is None
        )

    def _begin(self, key: str | None) -> None:
        """Create the first file, which appears in place only when it is complete."""
        with draft_of(self.files.primary, 0o600) as draft, open_file(draft, key=key) as con:
            bring_up_to_date(con, self.files.primary, self._office, self._clock())
            con.execute("checkpoint")

    def _refuse_lost_history(self, con: duckdb.DuckDBPyConnection) -> None:
        """Refuse to publish less than is published: an older backup as primary would remove loads from readers and reuse their
        numbers.

        Raises: LedgerDamaged: the load that was published last is not in the primary.
        """
        newest = _newest_load(self.files.published, self._key)
        if newest and not holds(con, newest):
            raise LedgerDamaged(
                f"{self.files.primary} is not what {self.files.published} was copied from, or an older state of it. "
                f"{ASK_VERIFY}"
            )

    def _bring_up_to_date(self, draft: Path, copy: Path) -> None:
        """Migrate a draft to today's version; errors name the copy from which the draft was made."""
        with open_file(draft, key=self._key) as con:
            if version_of(con) == 0:
                raise LedgerDamaged(f"{copy} holds no ledger. {_TAKE_ANOTHER}")
            bring_up_to_date(con, copy, self._office, self._clock(), if_damaged=_TAKE_ANOTHER)
            if copy == self.files.published:  # The published file may have a forged view although every row is correct.
                _remake_views(con)
            con.execute("checkpoint")

    def _refuse_to_lose_loads(self, con: duckdb.DuckDBPyConnection, copy: Path) -> None:
        """Compare with a copy behind `con`. Raises: LedgerAhead: the primary or its published copy has loads that the copy
        lacks.
        """
        for path in (self.files.primary, self.files.published):
            newest = _newest_load(path, self._key)
            if newest and not holds(con, newest):
                raise LedgerAhead(
                    f"{path} holds loads that {copy} lacks, the newest of {newest[2]:%Y-%m-%d %H:%M} UTC. "
                    "Nothing was changed. To put that back all the same: --replace-newer."
                )

    def _put_aside(self, aside: Path) -> None:
        """Keep the primary aside, with the write-ahead log that a crash has left, which must not be applied to another file.

        The primary also stays in place until the new one replaces it: without a primary, a run would create a new ledger.
        """
        aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.files.primary
        log = path.with_name(path.name + ".wal")
        if path.is_file():
            (aside / path.name).hardlink_to(path)
        elif path.exists():
            path.replace(aside / path.name)
        if log.exists():
            log.replace(aside / log.name)


def _is_begun_header(content: bytes) -> bool:
    """Whether DuckDB has begun to write the file's header, or not even that (DuckDB docs, Storage: magic bytes)."""
    return not content.strip(b"\0") or content[8:12] == b"DUCK"


def _remake_views(con: duckdb.DuckDBPyConnection) -> None:
    con.begin()
    make_views(con)
    con.commit()


def _newest_load(path: Path, key: str | None) -> Load | None:
    """Return the newest load of a file; None if no file can be read."""
    if not path.exists():
        return None
    try:
        with open_file(path, key=key, read_only=True) as con:
            return newest_load(con) if version_of(con) else None
    except duckdb.Error:
        return None  # A damaged published file is useless to readers; an intact one replaces it.


def _copy_closed(primary: Path, target: Path) -> None:
    """Copy a primary that no connection has open.

    The caller's connection has already folded a write-ahead log, left by a crash, into the file. Closing would do that too,
    but silently ignores a full disk.
    """
    if primary.with_name(primary.name + ".wal").exists():
        raise AssertionError("the primary was closed and still has a write-ahead log")
    shutil.copyfile(primary, target)
