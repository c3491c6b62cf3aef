"""The ledger of a configuration: its files, its key, and the columns that are published."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import duckdb

from pfo_pipeline.config import Config, data_dir
from pfo_pipeline.ledger.reader import Reader, open_published

if TYPE_CHECKING:
    from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.ledger.connection import LedgerFiles


def files_of(config: Config) -> LedgerFiles:
    return LedgerFiles(data_dir(config))


def ledger_of(config: Config) -> "Ledger":
    """Return the writing side. Raises: SecretError."""
    from pfo_pipeline.ledger.store import Ledger  # Imported here so that readers do not pay for it.

    return Ledger(
        files_of(config),
        config.office,
        key=config.ledger_key(),
        publish_personal=config.publish_personal_columns,
    )


def opened(config: Config) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Open the published ledger, read-only. Raises: SecretError; LedgerError when it is entered."""
    return open_published(files_of(config).published, config.office, config.ledger_key())


def reader_of(config: Config) -> Reader:
    """Return a reader of the published ledger. Its methods raise: SecretError, LedgerError."""
    return Reader(lambda: opened(config))
