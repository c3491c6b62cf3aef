"""Records of Powens that were put aside: each is open until a read of the same lists no longer has to put it aside."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from pfo_pipeline.contracts.tables import QuarantineRow, table_of

OF_SYNC = frozenset({"connection", "account"})
"""The kinds of records of which a sync of everything reads all that a user has."""
OF_REFRESH = frozenset({"connection", "balance"})
"""Likewise of a refresh: the list that it reads has no disabled accounts."""

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
    """A row for each record that is no longer put aside.

    Args:
        known: The open rows of the ledger.
        told: The rows of this read.
        kinds: The kinds of records that this read has all of.
        users: Those who were read to the end.
        is_everyone: Whether they are all users of the tenant; a row of release 0.1.0 does not say whose it is.
    """
    still = {_key(row) for row in told}
    for row in known:
        is_read = row.record in kinds and (row.user_id in users or (row.user_id is None and is_everyone))
        if is_read and _key(row) not in still:
            yield replace(row, state=CLEARED)


def _key(row: QuarantineRow) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in _KEY)
