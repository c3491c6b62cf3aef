"""The virtual clock, and times in Powens' form.

Facts: datetimes are `YYYY-MM-DD HH:MM:SS` without an offset, in Paris wall time. The hour that October repeats is therefore
ambiguous on the wire, and here too.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")


def to_wire(moment: datetime | None) -> str | None:
    """Paris wall time in whole seconds, without an offset; null stays null."""
    if moment is None:
        return None
    return moment.astimezone(PARIS).strftime("%Y-%m-%d %H:%M:%S")


def from_text(text: str) -> datetime:
    """An aware UTC time from ISO 8601 or the wire form; without an offset it is Paris wall time.

    Raises:
        ValueError: not a date and time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=PARIS)
    return moment.astimezone(UTC).replace(microsecond=0)


def paris_day(moment: datetime) -> date:
    """The calendar day in Paris at `moment`."""
    return moment.astimezone(PARIS).date()


def paris_moment(day: date, at: time_of_day) -> datetime:
    """The aware UTC time of a Paris wall time."""
    return datetime.combine(day, at, PARIS).astimezone(UTC)


def last_daily(at: time_of_day, moment: datetime) -> datetime:
    """The latest daily occurrence of the Paris wall time `at` that is not after `moment`."""
    today = paris_moment(paris_day(moment), at)
    return today if today <= moment else paris_moment(paris_day(moment) - timedelta(days=1), at)


def next_daily(at: time_of_day, moment: datetime) -> datetime:
    """The first daily occurrence of the Paris wall time `at` after `moment`."""
    today = paris_moment(paris_day(moment), at)
    return today if today > moment else paris_moment(paris_day(moment) + timedelta(days=1), at)


class Clock:
    """The world's time: constant if frozen, else it runs with real time from its set value.

    Args:
        start: Aware datetime; whole seconds are kept.
        frozen: Whether only `put` and `advance` move it.
        ticks: Monotonic seconds, an argument so that a test can control them.
    """

    def __init__(self, start: datetime, *, frozen: bool, ticks: Callable[[], float] = time.monotonic) -> None:
        self._base = start.astimezone(UTC).replace(microsecond=0)
        self._frozen = frozen
        self._ticks = ticks
        self._base_ticks = ticks()

    def now(self) -> datetime:
        """The current time, aware, in whole seconds."""
        if self._frozen:
            return self._base
        return self._base + timedelta(seconds=int(self._ticks() - self._base_ticks))

    def put(self, moment: datetime) -> None:
        """Move to `moment`.

        Raises:
            ValueError: it is in the past; events in a world cannot be undone.
        """
        if moment < self.now():
            raise ValueError("the clock only moves forward")
        self._base = moment.astimezone(UTC).replace(microsecond=0)
        self._base_ticks = self._ticks()

    def advance(self, seconds: int) -> None:
        """Move forward by `seconds`."""
        self.put(self.now() + timedelta(seconds=seconds))
