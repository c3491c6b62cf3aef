"""The book as a file, `data/private/alerts.json`: replaced as a whole, changed by one process at a time.

What is garbled counts as empty: told twice is better than never. What may not be read or written is named.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pfo_pipeline.alerts.book import Book, Entry, Outage, TargetMemory, Told
from pfo_pipeline.alerts.conditions import Key
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.drafts import draft_of
from pfo_pipeline.ledger.lock import TurnNotReached, queue_for

BOOK = "alerts.json"
_LOCK_SECONDS = 30.0


class AlertsError(PfoError):
    """What was told cannot be read or remembered, so nothing can be told."""


@dataclass(frozen=True)
class _Told:
    key: Key
    told: Told


@dataclass(frozen=True)
class _Target:
    name: str
    told: list[_Told]
    outage: Outage | None


@dataclass(frozen=True)
class _File:
    entries: list[Entry]
    targets: list[_Target]


_FILE = TypeAdapter(_File)


def read_book(private: Path) -> Book:
    """Raises: AlertsError: it may not be read."""
    path = private / BOOK
    try:
        found = _FILE.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Book()
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be read: {error.strerror}. Give this account the right to read it, or move it away: "
            "every open alert is then told again."
        ) from None
    return Book(
        {entry.condition.key: entry for entry in found.entries},
        {t.name: TargetMemory({each.key: each.told for each in t.told}, t.outage) for t in found.targets},
    )


def change_book(private: Path, change: Callable[[Book], Book]) -> Book:
    """Read, change and replace the book, alone. Returns: the book as it is now.

    Raises: AlertsError.
    """
    path = private / BOOK
    with _named(path), queue_for(path.with_suffix(".lock"), deadline_seconds=_LOCK_SECONDS):
        before = read_book(private)
        after = change(before)
        if after != before:
            _write(path, after)
    return after


def _write(path: Path, book: Book) -> None:
    targets = [
        _Target(name, [_Told(key, told) for key, told in memory.told.items()], memory.outage)
        for name, memory in book.targets.items()
    ]
    with draft_of(path, 0o600) as draft:
        draft.write_bytes(_FILE.dump_json(_File(list(book.entries.values()), targets)))


@contextmanager
def alone_in_telling(private: Path) -> Iterator[bool]:
    """Whether we are the only ones who tell now: two at once would tell the same. Raises: AlertsError."""
    path = private / BOOK
    with _named(path):
        try:
            with queue_for(path.with_suffix(".telling.lock"), deadline_seconds=0):
                yield True
                return
        except TurnNotReached:
            pass
        yield False


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except TurnNotReached as holder:
        raise AlertsError(
            f"{path}: {holder} has held it for over {_LOCK_SECONDS:g} s. Let it finish, or end it."
        ) from None
    except OSError as error:
        raise AlertsError(
            f"{path} cannot be written: {error.strerror}. Free the disk if it is full, or give this account the right to "
            "write there; until then no alert is told."
        ) from None
