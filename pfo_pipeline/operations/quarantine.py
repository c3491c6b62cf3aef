"""Quarantined records of Powens: each stays open until a read of the same lists no longer quarantines it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from pfo_pipeline.contracts.tables import QuarantineRow, table_of

OF_SYNC = frozenset({"connection", "account"})
"""The kinds of records that a full sync reads completely for a user."""
OF_REFRESH = frozenset({"connection", "balance"})
"""The kinds of records that a refresh reads completely: its list has no disabled accounts."""

CLEARED = "cleared"
_KEY = table_of(QuarantineRow).key


def cleared(
    known: Iterable[QuarantineRow],
    told: Iterable[QuarantineRow],
    kinds: Collection[str],
    users: Collection[str],
    *,
    is_everyone: bool,
) -> Iterator[QuarantineRow]:
    """Yield a row for each record that is no longer quarantined.

    Args:
        known: The open rows of the ledger.
        told: The rows of this read.
        kinds: The kinds of records that this read has completely.
        users: Users who were read completely.
        is_everyone: Whether they are all users of the tenant; a row of release 0.1.0 does not name its user.
    """
    still = {_key(row) for row in told}
    for row in known:
        is_read = row.record in kinds and (row.user_id in users or (row.user_id is None and is_everyone))
        if is_read and _key(row) not in still:
            yield replace(row, state=CLEARED)


def _key(row: QuarantineRow) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in _KEY)
