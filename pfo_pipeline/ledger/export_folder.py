"""A folder that has all of an export's files or does not exist, and what keeps it from being written, by name.

ExportError
├── ExportRefused     something is in the folder's place, or the tenant was not yet known
├── ExportFull        no room on the disk
└── ExportUnwritable  no right to write there
"""

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pfo_pipeline.errors import PfoError


class ExportError(PfoError):
    """The files could not be written; there is no half of an export."""


class ExportRefused(ExportError):
    pass


class ExportFull(ExportError):
    pass


class ExportUnwritable(ExportError):
    pass


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A private folder beside `folder`: what the block writes there stands in its place when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir() and any(folder.iterdir()):
        raise ExportRefused(f"{folder} is not empty. Give a folder that is empty or does not exist yet.")
    if folder.exists() and not folder.is_dir():
        raise ExportRefused(f"{folder} is a file. Give a folder that is empty or does not exist yet.")
    _remove_abandoned(folder)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    draft.mkdir(mode=0o700)
    try:
        yield draft
        for file in draft.iterdir():
            file.chmod(0o600)
            _to_disk(file)
        _to_disk(draft)
        draft.replace(folder)  # An empty folder gives way; one that has been filled meanwhile does not.
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Drafts of programs that were killed: they hold personal data that nobody would look for."""
    for draft in folder.parent.glob(f".{glob.escape(folder.name)}.*.draft"):
        if not _is_running(draft.name.split(".")[-2]):
            shutil.rmtree(draft, ignore_errors=True)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return int(pid) != os.getpid()  # This very program begins only now.


@contextmanager
def named_errors(folder: Path) -> Iterator[None]:
    """Name what keeps the files from being written; what keeps the ledger from being read passes."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise ExportRefused(
                f"{folder} is not empty any more: another export was first. Nothing was written."
            ) from None
        in_the_way = error.errno in (errno.EEXIST, errno.ENOTDIR)
        reason = "a file is where a folder is needed" if in_the_way else error.strerror or type(error).__name__
        raise _named(folder, error.errno, reason) from None
    except duckdb.IOException as error:
        numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
        number = next((n for n in numbers if os.strerror(n) in str(error)), None)
        if number is None:
            raise
        raise _named(folder, number, os.strerror(number)) from None
    except UnicodeEncodeError:
        raise ExportUnwritable(f"{str(folder)!r}: the name is not UTF-8. Give another folder.") from None


def _named(folder: Path, number: int | None, reason: str) -> ExportError:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ExportFull(f"{folder}: no room left on the disk. Free some and run again; nothing was written.")
    return ExportUnwritable(f"{folder} cannot be written: {reason}. Give a folder that this account may write.")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
