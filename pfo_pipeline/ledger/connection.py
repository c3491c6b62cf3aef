"""Paths of a ledger's files, and the settings with which they are opened.

Plain files use the format that DuckDB 1.4 and all later versions read; encrypted files use that of 1.5.
Facts: DuckDB docs, ATTACH (encryption since 1.4, AES-256-GCM). The wheel alone reads encrypted files; writing them needs
OpenSSL, which comes with the extension httpfs.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.errors import LedgerKeyRefused


@dataclass(frozen=True)
class LedgerFiles:
    """Paths of the ledger's files below the data folder."""

    data_dir: Path

    @property
    def published(self) -> Path:
        return self.data_dir / "ledger.duckdb"

    @property
    def private(self) -> Path:
        return self.data_dir / "private"

    @property
    def primary(self) -> Path:
        # Not named `ledger`: DuckDB could not distinguish the catalog `ledger` from the schema `ledger`.
        return self.private / "canonical.duckdb"

    @property
    def lock(self) -> Path:
        return self.private / "canonical.lock"

    @property
    def backup_memory(self) -> Path:
        """Return the path of the file that records the time and place of the last backup."""
        return self.private / "backup.json"

    def tenant_lock(self, tenant_id: str) -> Path:
        """Return the path of the tenant lock, which a run holds from its first step to its last."""
        return self.private / "turns" / f"{tenant_id}.lock"


# Without this setting, a file written by DuckDB 2.0 could not be read by any 1.x.
STORAGE_VERSION = "v1.4.0"
_TAKEN = frozenset({"memory", "temp", "system"})
"""Names of DuckDB's own databases."""


def open_file(path: Path, *, key: str | None = None, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a connection whose default database is the current file at `path`.

    If a process has connected to a path, DuckDB caches the file and returns its old content as long as any such connection is
    open, even when the file at the path has been replaced. An attached file is always opened again.

    Args:
        key: The encryption key of the file; None for a plain file.
    Raises:
        LedgerKeyRefused: this installation cannot write encrypted files.
        duckdb.Error: the file does not open, with this key or without one.
    """
    if key is None and not read_only:
        return duckdb.connect(str(path), config={"storage_compatibility_version": STORAGE_VERSION})
    con = duckdb.connect()
    name = "canonical" if key is not None or path.stem in _TAKEN else path.stem  # As DuckDB would name it.
    try:
        attach(con, path, name, key=key, read_only=read_only)
        con.execute(f"use {quoted(name)}")
        _spill_nothing_in_the_clear(con, path, is_encrypted=key is not None, read_only=read_only)
    except BaseException:
        con.close()
        raise
    return con


def attach(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, *, key: str | None = None, read_only: bool = False
) -> None:
    """Attach the file at `path` to `con` under `name`. Raises: as `open_file`."""
    options = ["read_only"] if read_only else [f"storage_version '{STORAGE_VERSION}'"]
    if key is not None:
        options.append("encryption_key $key")  # As a parameter, because the text of a statement may be logged.
        if not read_only:
            _load_openssl(con)
    literal = str(path).replace("'", "''")
    con.execute(
        f"attach '{literal}' as {quoted(name)} ({', '.join(options)})", {"key": key} if key is not None else None
    )


def _spill_nothing_in_the_clear(
    con: duckdb.DuckDBPyConnection, path: Path, *, is_encrypted: bool, read_only: bool
) -> None:
    """Configure temporary files so that DuckDB writes no plain text of an encrypted ledger.

    DuckDB (1.5) would spill data that exceeds memory into the working directory, readable by everybody. A process that only
    reads an encrypted file has no OpenSSL for encrypted temporary files, so it writes none.
    """
    if is_encrypted and read_only:
        con.execute("set temp_directory = ''")
        return
    if is_encrypted:
        con.execute("set temp_file_encryption = true")
    literal = f"{path}.tmp".replace("'", "''")
    con.execute(f"set temp_directory = '{literal}'")


def quoted(name: str) -> str:
    """Quote any name as an SQL identifier."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _load_openssl(con: duckdb.DuckDBPyConnection) -> None:
    file = f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
    try:
        path = resources.files("duckdb_extension_httpfs").joinpath(file)
    except ModuleNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise LedgerKeyRefused(
            f"Writing an encrypted ledger needs OpenSSL for DuckDB {duckdb.__version__}: "
            "pip install 'pfo-pipeline[encryption]'. Reading needs the key alone."
        )
    con.execute("set autoinstall_known_extensions = false")
    con.execute(f"load '{path}'")
