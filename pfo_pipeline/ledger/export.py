"""Export one tenant of the published ledger: Parquet or CSV with a dictionary of the columns, or beancount; and a manifest.

The folder has all files or does not exist.
ExportError
├── ExportRefused     the target exists already, or the tenant was not yet known
├── ExportFull        no space left on the disk
└── ExportUnwritable  no permission to write there
"""

import csv
import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import duckdb

from pfo_pipeline.contracts.records import FORMULA
from pfo_pipeline.contracts.tables import tables
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.beancount import write_beancount
from pfo_pipeline.ledger.connection import quoted
from pfo_pipeline.ledger.export_queries import QUERIES
from pfo_pipeline.ledger.schema import SCHEMA, known_migrations, version_of
from pfo_pipeline.telemetry import steps


class ExportError(PfoError):
    """The files could not be written; no partial export remains."""


class ExportRefused(ExportError):
    pass


class ExportFull(ExportError):
    pass


class ExportUnwritable(ExportError):
    pass


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a private draft folder beside `folder`; it is renamed to `folder` if the block succeeds."""
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
        draft.replace(folder)  # Replaces an empty folder; fails if somebody has filled it meanwhile.
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove drafts of killed programs: they contain personal data, and nobody would look for them."""
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
    return int(pid) != os.getpid()  # A draft with our own process id is from an earlier process.


@contextmanager
def named_errors(folder: Path) -> Iterator[None]:
    """Map errors of writing the files to ExportError; errors of reading the ledger pass unchanged."""
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


Form = Literal["parquet", "csv", "csv-exact", "beancount"]

DICTIONARY = "data_dictionary.csv"
MANIFEST = "export.json"


@dataclass(frozen=True)
class Exported:
    """The number of rows written, by file name."""

    folder: Path
    rows: dict[str, int]


# Texts for columns that have no comment in the database, or have it under another name.
_MEANINGS = {"balances.superseded_at": "When a correction of the same date was learnt; null where none was."}
_COMMENTED_AS = {"accounts.canonical_id": "account_identity.canonical_id"}
_UNITS = {"DECIMAL(38,10)": "the row's currency", "TIMESTAMP WITH TIME ZONE": "UTC"}
_OPTIONS = {
    "parquet": "format parquet, compression zstd",
    "csv": "format csv, header, timestampformat '%Y-%m-%dT%H:%M:%S.%fZ'",
}


def export_tenant(
    con: duckdb.DuckDBPyConnection,
    tenant_id: str,
    folder: Path,
    form: Form,
    *,
    as_of: datetime | None,
    known_at: datetime | None,
    now: datetime,
) -> Exported:
    """Write one tenant's rows of the ledger behind `con` into a new folder: all files or none.

    Args:
        con: A connection that has entered the schema (schema.py).
        as_of: Leave out balances with a later date of the bank; None leaves out none.
        known_at: Leave out rows recorded later, so that the same two times give the same rows; None leaves out none.
        now: The time of the export, for the manifest.
    Raises:
        ExportError: the folder is not empty or cannot be written, or the tenant was not known at `known_at`.
        duckdb.Error: a block of the ledger cannot be read.
    """
    folder = Path(os.path.realpath(folder))  # Unlike resolve(), realpath raises no error for circular links.
    parameters = {"tenant": tenant_id, "as_of": _sql_moment(as_of), "known_at": _sql_moment(known_at)}
    _refuse_older_schema(con)
    _refuse_before_the_first_load(con, parameters)
    with named_errors(folder), new_folder(folder) as draft:
        str(draft).encode()  # Raises a clear error for a path that is not UTF-8; DuckDB's error depends on its version.
        con.execute(
            f"set temp_directory = {_literal(draft / 'temp')}"
        )  # A sort that exceeds memory spills personal data.
        withheld = [f"{table}.{column}" for table, column in con.execute("from withheld order by all").fetchall()]
        if form == "beancount":
            rows = write_beancount(con, draft, parameters)
        else:
            rows = _write_tables(con, draft, form, parameters, withheld)
        shutil.rmtree(draft / "temp", ignore_errors=True)
        manifest = {
            **_origin(con, tenant_id),
            "as_of": _text(as_of),
            "known_at": _text(known_at),
            "exported_at": _text(now),
            "program": f"pfo-pipeline {version('pfo-pipeline')}",
            "withheld": withheld,
            "files": {name: {"rows": count, "sha256": _sha256(draft / name)} for name, count in rows.items()},
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return Exported(folder, rows)


def _refuse_older_schema(con: duckdb.DuckDBPyConnection) -> None:
    if version_of(con) < known_migrations()[-1].version:
        raise ExportRefused("An earlier version of this program published the ledger. Run `pfo run`, which renews it.")


def _refuse_before_the_first_load(con: duckdb.DuckDBPyConnection, parameters: dict[str, str]) -> None:
    query = "select min(recorded_at), min(recorded_at) <= $known_at::timestamptz from loads where tenant_id = $tenant"
    [(first, was_known)] = con.execute(query, _used(parameters, query)).fetchall()
    if first is None:
        raise ExportRefused(f"The ledger has no tenant {parameters['tenant']!r}.")
    if not was_known:
        raise ExportRefused(
            f"Nothing of tenant {parameters['tenant']} was known at that moment: its first load is of {_text(first)}. "
            "Give a later --known-at, or none."
        )


def _origin(con: duckdb.DuckDBPyConnection, tenant_id: str) -> dict[str, Any]:
    """Return the ledger's identity and state: the last hash of the tenant's chain, as `pfo verify` prints it."""
    [(office,)] = con.execute("select office from office").fetchall()
    [(load_id, digest, recorded_at)] = con.execute(
        """
        select c.load_id, c.hash, l.recorded_at from chain c join loads l on l.load_id = c.load_id
        where c.tenant_id = $tenant order by c.load_id desc limit 1
        """,
        {"tenant": tenant_id},
    ).fetchall()
    return {
        "office": office,
        "tenant": tenant_id,
        "schema_version": version_of(con),
        "chain_head": {"load_id": load_id, "recorded_at": _text(recorded_at), "hash": digest},
    }


def _write_tables(
    con: duckdb.DuckDBPyConnection, draft: Path, form: str, parameters: dict[str, str], withheld: list[str]
) -> dict[str, int]:
    """Write a file for each of QUERIES, and the dictionary. Return the number of rows in each."""
    rows = {}
    kind = form.partition("-")[0]
    for name, query in steps("Writing files", QUERIES.items()):
        file = f"{name}.{kind}"
        written = _harmless(con, query, parameters) if form == "csv" else query
        [(rows[file],)] = con.execute(
            f"copy ({written}) to {_literal(draft / file)} ({_OPTIONS[kind]})", _used(parameters, query)
        ).fetchall()
    rows[DICTIONARY] = _write_dictionary(con, draft, kind, parameters, withheld)
    return rows


def _harmless(con: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, str]) -> str:
    """Return the query with an apostrophe before each text that a spreadsheet would evaluate as a formula."""
    columns = con.execute(f"describe {query}", _used(parameters, query)).fetchall()
    texts = [quoted(str(name)) for name, kind, *_ in columns if kind == "VARCHAR"]
    replaced = ", ".join(f"if(regexp_matches({t}, '^{FORMULA.pattern}'), chr(39) || {t}, {t}) as {t}" for t in texts)
    return f"select * replace ({replaced}) from ({query})"


def _write_dictionary(
    con: duckdb.DuckDBPyConnection, draft: Path, form: str, parameters: dict[str, str], withheld: list[str]
) -> int:
    """Write one line for each column of each file. Return the number of lines."""
    comments = {
        f"{table}.{column}": comment
        for table, column, comment in con.execute(
            "select table_name, column_name, comment from duckdb_columns() "
            "where database_name = current_database() and schema_name = $schema",
            {"schema": SCHEMA},
        ).fetchall()
    }
    personal = {column.name for table in tables() for column in table.columns if column.personal}
    left_out = {column.partition(".")[2] for column in withheld}
    lines = []
    for name, query in QUERIES.items():
        for column, kind, *_ in con.execute(f"describe {query}", _used(parameters, query)).fetchall():
            full_name = f"{name}.{column}"
            meaning = _MEANINGS.get(full_name) or comments[_COMMENTED_AS.get(full_name, full_name)]
            has_person = "withheld" if column in left_out else "yes" if column in personal else "no"
            lines.append([f"{name}.{form}", column, kind, _UNITS.get(kind, ""), meaning, has_person])
    with (draft / DICTIONARY).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [["file", "column", "type", "unit", "meaning", "personal"], *lines]
        )
    return len(lines)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _used(parameters: dict[str, str], query: str) -> dict[str, str]:
    """Return the parameters that the query uses: DuckDB refuses any other."""
    return {name: value for name, value in parameters.items() if f"${name}" in query}


def _sql_moment(moment: datetime | None) -> str:
    return "infinity" if moment is None else moment.astimezone(UTC).isoformat()


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _literal(path: Path) -> str:
    """Quote a path as an SQL literal: COPY takes no parameter for its file."""
    return "'" + str(path).replace("'", "''") + "'"
