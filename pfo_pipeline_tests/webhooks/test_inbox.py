"""The inbox: it keeps each event once, in order, and not forever."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pfo_pipeline.powens.webhooks import Hint
from pfo_pipeline.webhooks.inbox import KEPT, Inbox, InboxError

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Moving:
    """A clock that moves only on request."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def hint(number: int, event: str = "CONNECTION_SYNCED") -> Hint:
    return Hint(event, number, 4821, 731, None)


@pytest.fixture
def clock() -> Moving:
    return Moving()


@pytest.fixture
def inbox(tmp_path: Path, clock: Moving) -> Inbox:
    made = Inbox(tmp_path / "private" / "webhooks.sqlite", clock)
    made.prepare()
    return made


def numbers(inbox: Inbox, after: int = 0) -> list[int]:
    return [event.hint.webhook_id for event in inbox.after(after, 1000)]


def test_events_are_read_as_they_were_stored(inbox: Inbox) -> None:
    failed = Hint("CONNECTION_SYNCED", 7, 4821, 731, "SCARequired")

    assert inbox.keep("smith", failed)

    (event,) = inbox.after(0, 10)
    assert (event.tenant_id, event.hint) == ("smith", failed)


def test_events_of_one_microsecond_and_of_a_clock_that_went_back_stay_in_order(inbox: Inbox, clock: Moving) -> None:
    for number in (3, 1, 2):
        inbox.keep("smith", hint(number))
    clock.now -= timedelta(hours=1)
    inbox.keep("smith", hint(0))

    assert numbers(inbox) == [3, 1, 2, 0]


def test_a_copy_is_kept_once_for_each_tenant_and_event(inbox: Inbox) -> None:
    kept = [
        inbox.keep(*post)
        for post in [
            ("smith", hint(1)),
            ("smith", hint(1)),
            ("jones", hint(1)),
            ("smith", hint(1, "ACCOUNT_FOUND")),
        ]
    ]

    assert kept == [True, False, True, True]
    assert numbers(inbox) == [1, 1, 1]


def test_a_read_event_is_forgotten_once_its_copies_would_be_refused(inbox: Inbox, clock: Moving) -> None:
    inbox.keep("smith", hint(1))
    inbox.keep("smith", hint(2))
    inbox.keep("smith", hint(3))
    read = inbox.after(0, 2)[-1].seq

    inbox.forget(through=read)
    assert numbers(inbox) == [1, 2, 3]
    clock.now += KEPT + timedelta(seconds=1)
    inbox.forget(through=read)
    assert numbers(inbox) == [3]


def test_a_new_inbox_continues_after_the_cursor(tmp_path: Path, inbox: Inbox, clock: Moving) -> None:
    """Otherwise its events would be before the sensor's cursor, and be lost."""
    inbox.keep("smith", hint(1))
    cursor = inbox.after(0, 1)[0].seq
    (tmp_path / "private" / "webhooks.sqlite").unlink()
    clock.now += timedelta(seconds=1)

    inbox.prepare()
    inbox.keep("smith", hint(2))

    assert numbers(inbox, cursor) == [2]


def test_many_writers_at_once_lose_and_repeat_nothing(inbox: Inbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda number: inbox.keep("smith", hint(number % 50)), range(100)))

    assert sum(kept) == 50
    assert sorted(numbers(inbox)) == list(range(50))


def test_a_missing_inbox_is_empty(tmp_path: Path, clock: Moving) -> None:
    inbox = Inbox(tmp_path / "webhooks.sqlite", clock)

    inbox.forget(through=1)

    assert inbox.after(0, 10) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_inbox_is_named_with_the_remedy(tmp_path: Path, clock: Moving) -> None:
    path = tmp_path / "webhooks.sqlite"
    path.write_bytes(b"no database" * 1000)

    inbox = Inbox(path, clock)
    uses: list[Callable[[], object]] = [inbox.prepare, lambda: inbox.keep("smith", hint(1)), lambda: inbox.after(0, 1)]

    for use in uses:
        with pytest.raises(InboxError, match="delete it: the nightly runs"):
            use()


def test_the_inbox_is_readable_only_by_its_user(tmp_path: Path, inbox: Inbox) -> None:
    path = tmp_path / "private" / "webhooks.sqlite"

    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_commit_waits_for_the_disk(inbox: Inbox) -> None:
    with inbox._opened() as con:
        (level,) = con.execute("pragma synchronous").fetchone()
    assert level == 3, "EXTRA"
