"""Errors of the ledger's files. The last published ledger stays readable after each of them.

LedgerError
├── LedgerBusy       another process has written for longer than the deadline
├── LedgerMissing    nothing has been published yet
├── LedgerDamaged    not a DuckDB file, or one that does not open
├── LedgerNewer      written by a newer version of this program
├── LedgerAhead      has loads that the backup which should replace it lacks
├── LedgerForeign    belongs to another office
├── LedgerFull       no space left on the disk
└── LedgerUnwritable no permission to write there
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pfo_pipeline.errors import PfoError


class LedgerError(PfoError):
    """The ledger cannot be used as requested; the message contains the remedy."""


class LedgerBusy(LedgerError):
    pass


class LedgerMissing(LedgerError):
    pass


class LedgerDamaged(LedgerError):
    pass


class LedgerNewer(LedgerError):
    pass


class LedgerAhead(LedgerError):
    pass


class LedgerKeyRefused(LedgerError):
    """The encryption key is wrong, missing or unexpected, or this installation cannot encrypt."""


class LedgerForeign(LedgerError):
    pass


class LedgerFull(LedgerError):
    pass


class LedgerUnwritable(LedgerError):
    pass


ASK_VERIFY = "Nothing was replaced. To see what is still whole, and the command that puts it right: pfo verify"
WRITTEN_AGAIN = "It is a copy only: run `pfo run`, which writes it again."


@contextmanager
def named_ledger_errors(path: Path, *, if_damaged: str = ASK_VERIFY) -> Iterator[None]:
    """Map errors of DuckDB and the system about `path` to the errors above; `if_damaged` is the remedy for damage."""
    try:
        yield
    except OSError as error:
        raise _of_the_system(error, path, if_damaged) from error
    except duckdb.Error as error:
        raise _of_duckdb(error, path, if_damaged) from error


@contextmanager
def named_schema_errors(path: Path, *, if_damaged: str = ASK_VERIFY) -> Iterator[None]:
    """As `named_ledger_errors`, for our own queries: if a table or column is missing, it was removed from the file."""
    with named_ledger_errors(path, if_damaged=if_damaged):
        try:
            yield
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            if _is_about_the_key(error):
                raise
            raise LedgerDamaged(f"{path}: its tables are not those of a ledger. {if_damaged}") from error


def _of_the_system(error: OSError, path: Path, if_damaged: str) -> LedgerError:
    if error.errno == errno.EIO:
        return LedgerDamaged(f"{path}: the disk does not give it ({error.strerror}). {if_damaged}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return LedgerFull(f"{path}: no room left on the disk. Free some and run again; nothing was lost.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return LedgerUnwritable(
            f"{path}: a file is where a folder is needed, or the reverse. Move it away, or set data_dir to another folder."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LedgerUnwritable(
            f"{path}: this account may not write there. Give it the right, or set data_dir to another folder."
        )
    return LedgerError(f"{path}: {error.strerror or type(error).__name__}.")


_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""DuckDB passes on the messages of the operating system; the last one is that of a limit on file sizes."""


def _is_about_the_key(error: duckdb.Error) -> bool:
    """Whether the error is about a wrong, missing or unexpected key. DuckDB has no error class for these."""
    text = str(error)
    return "encryption key" in text or "without a key" in text or "key is explicitly specified" in text


def _of_duckdb(error: duckdb.Error, path: Path, if_damaged: str) -> LedgerError:
    text = str(error)
    if "Could not set lock" in text:
        return LedgerBusy(
            f"{path}: another program has the file open. Nothing but the pipeline may open it; close that program."
        )
    if any(sign in text for sign in _FULL):
        return LedgerFull(f"{path}: no room left on the disk. Free some and run again; nothing was lost.")
    if "Permission denied" in text or "Read-only file system" in text:
        return LedgerUnwritable(
            f"{path}: this account may not write there. Give it the right, or set data_dir to another folder."
        )
    if _is_about_the_key(error):
        return LedgerKeyRefused(f"{path}: {_what_about_the_key(text)}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return LedgerError(
            f"{path}: reading it needs more memory than there is. Give this machine more, or ask for less."
        )
    if isinstance(error, duckdb.OutOfRangeException) and "HUGEINT" in text:
        return LedgerError(
            f"{path}: amounts add up to more than the 28 digits before the point that DuckDB can tell. Look for one that "
            "cannot be true: pfo balances."
        )
    # DuckDB 2.0 has no error class for a wrong checksum, and 1.5 has none for an encrypted block that was changed.
    if (
        "Corrupt database file" in text
        or "AES tag" in text
        or isinstance(
            error, duckdb.IOException | duckdb.SerializationException | duckdb.InternalException | duckdb.FatalException
        )
    ):
        return LedgerDamaged(f"{path}: the file does not open ({type(error).__name__}). {if_damaged}")
    raise error


def _what_about_the_key(text: str) -> str:
    if "without a key" in text:
        return "it is encrypted. Configure encryption_key, a reference to the key that it was written with."
    if "is not encrypted" in text:
        return "it is not encrypted, but encryption_key is configured. To encrypt it: pfo rekey."
    return (
        "encryption_key is not the key that it was written with. Configure that one; to change from it to a new one: "
        "pfo rekey --old-key REFERENCE."
    )
