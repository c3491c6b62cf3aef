"""Opens the files of a ledger: where they are, and with which settings.

Plain files have the format that every version of DuckDB from 1.4 on reads, encrypted files that of 1.5.
Facts: DuckDB docs, ATTACH (encryption since 1.4, AES-256-GCM); the wheel alone reads encrypted files; writing them needs
OpenSSL, which comes with the extension httpfs.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import duckdb

from pfo_pipeline.ledger.errors import LedgerKeyRefused


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

    @property
    def backup_memory(self) -> Path:
        """When and where the last backup was made."""
        return self.private / "backup.json"

    def turn(self, tenant_id: str) -> Path:
        """What a run of the tenant holds from its first step to its last."""
        return self.private / "turns" / f"{tenant_id}.lock"


# Without this a 2.0 writer would lock out every 1.x reader.
STORAGE_VERSION = "v1.4.0"
_TAKEN = frozenset({"memory", "temp", "system"})
"""Names of databases that DuckDB has of its own."""


def open_file(path: Path, *, key: str | None = None, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection whose default database is the file at `path`, as it is now.

    DuckDB keeps a file that a process has connected to by its path, and gives its old content for as long as any such
    connection is open, whatever stands at the path by then. What is attached is opened anew each time.

    Args:
        key: The key that the file is encrypted with; None for a plain file.
    Raises:
        LedgerKeyRefused: encrypted files cannot be written by this installation.
        duckdb.Error: the file does not open, with this key or without one.
    """
    if key is None and not read_only:
        return duckdb.connect(str(path), config={"storage_compatibility_version": STORAGE_VERSION})
    con = duckdb.connect()
    name = "canonical" if key is not None or path.stem in _TAKEN else path.stem  # As DuckDB names what it connects to.
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
        options.append("encryption_key $key")  # As a parameter: the text of a statement may be logged.
        if not read_only:
            _load_openssl(con)
    literal = str(path).replace("'", "''")
    con.execute(
        f"attach '{literal}' as {quoted(name)} ({', '.join(options)})", {"key": key} if key is not None else None
    )


def _spill_nothing_in_the_clear(
    con: duckdb.DuckDBPyConnection, path: Path, *, is_encrypted: bool, read_only: bool
) -> None:
    """DuckDB (1.5) would write what memory does not hold into the working directory, for everybody to read.

    Who only reads an encrypted file has no OpenSSL to encrypt it with, and writes none of it.
    """
    if is_encrypted and read_only:
        con.execute("set temp_directory = ''")
        return
    if is_encrypted:
        con.execute("set temp_file_encryption = true")
    literal = f"{path}.tmp".replace("'", "''")
    con.execute(f"set temp_directory = '{literal}'")


def quoted(name: str) -> str:
    """A name as SQL has it, whatever it is made of."""
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
