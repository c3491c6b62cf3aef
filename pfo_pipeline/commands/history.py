"""Dagster's own storage of runs and events, in `DAGSTER_HOME`: made by one program at a time, its troubles named.

Imported by what needs Dagster, when it runs.
"""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import named_ledger_errors
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for

_DEADLINE_SECONDS = 60.0


class HistoryUnusable(PfoError):
    """Dagster's storage does not open, or breaks while it is used. The ledger is not touched by it."""


@contextmanager
def opened_history(lock: Path) -> Iterator[DagsterInstance]:
    """Dagster's storage. Two programs that make it at once would each find it half made.

    Raises: HistoryUnusable.
    """
    with alone_in_history(lock):
        try:
            instance = DagsterInstance.get()
        except Exception as error:  # Settings and databases that anything may be wrong with: each has its own class.
            raise _unusable(error) from error
    with instance:
        try:
            yield instance
        except SQLAlchemyError as error:
            raise _unusable(error) from error


@contextmanager
def alone_in_history(lock: Path) -> Iterator[None]:
    """Programs that are started at once make or change the storage in turn.

    Raises: HistoryUnusable, LedgerError.
    """
    try:
        with named_ledger_errors(lock), queue_for(lock, deadline_seconds=_DEADLINE_SECONDS):
            yield
    except TurnNotReached as holder:
        raise HistoryUnusable(
            f"{holder} has been making Dagster's storage for over {_DEADLINE_SECONDS:g} s. Let it finish, or end it."
        ) from None


def _unusable(error: Exception) -> HistoryUnusable:
    reason = textwrap.shorten(str(getattr(error, "orig", error)), 300, placeholder=" …")
    return HistoryUnusable(
        f"Dagster's storage in {os.environ['DAGSTER_HOME']} cannot be used: {reason} ({type(error).__name__}). "
        "Free the disk if it is full, mend dagster.yaml there if that is named; else move the folder away, and the next "
        "run makes a new one. The ledger is not touched."
    )
