"""From a seed to a tenant's half-year: its members, its events, and the times when automation is awake.

A plan is a pure function of its seed. On quiet days no run is played: each reading takes a tenth of a second of real pipeline
time.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from zoneinfo import ZoneInfo

from pfo_pipeline_tests.simulation.draft import Draft
from pfo_pipeline_tests.simulation.episodes import EPISODES
from pfo_pipeline_tests.simulation.events import Event, Wake

DAYS = 182
WAKES = 6
_EPISODES = 16
_ZONES = ("Europe/Paris", "Europe/London", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC")
_CLOCK_CHANGES = (date(2026, 3, 29), date(2026, 10, 25))


@dataclass(frozen=True)
class Plan:
    """`events` in order of time; events of the same time keep the order in which they were drawn."""

    seed: int
    start: datetime
    zone: str
    members: tuple[str, ...]
    events: tuple[Event, ...]
    secrets: frozenset[str]
    """All personal data in it, which must not be in any log."""

    def told(self, last: int | None = None) -> str:
        """The plan in lines, or its last ones."""
        chosen = self.events if last is None else self.events[-last:]
        return "\n".join(f"  {event.at:%Y-%m-%d %H:%M:%S}Z {event.what}{_details(event)}" for event in chosen)


def _details(event: Event) -> str:
    named = {name: getattr(event, name, None) for name in ("member", "connection", "account")}
    words = [f"{name} {value}" for name, value in named.items() if isinstance(value, str)]
    return f" ({', '.join(words)})" if words else ""


def draw(seed: int) -> Plan:
    rng = random.Random(seed)  # noqa: S311
    zone = ZoneInfo(rng.choice(_ZONES))
    start = _start(rng)
    wakes = _wakes(rng, start, zone)
    draft = Draft(rng, seed, datetime.combine(start, datetime.min.time(), UTC), wakes)
    draft.settle(rng.choice((("ana",), ("ana", "ben"), ("ana", "ben"), ("ana", "ben", "cleo"))))
    for episode in rng.sample(EPISODES, _EPISODES):
        episode(draft)
    events = sorted([*draft.events, *wakes], key=lambda event: event.at)
    return Plan(seed, draft.start, zone.key, draft.members, tuple(events), frozenset(draft.secrets))


def _start(rng: random.Random) -> date:
    """A start day with a clock change of Paris within the half-year."""
    change = rng.choice(_CLOCK_CHANGES)
    return change - timedelta(days=rng.randint(5, DAYS - 10))


def _wakes(rng: random.Random, start: date, zone: ZoneInfo) -> list[Wake]:
    """The first days, a day of a clock change, the last day, and some between; never two neighbouring days."""
    changes = [day for day in _CLOCK_CHANGES if start < day < start + timedelta(days=DAYS)]
    days = {1, DAYS - 1, *((day - start).days for day in changes)}
    while len(days) < WAKES:
        day = rng.randint(2, DAYS - 3)
        if all(abs(day - other) > 2 for other in days):
            days.add(day)
    ordered = sorted(days)
    assert all(later - earlier > 1 for earlier, later in pairwise(ordered))
    works = ["night", *("day" if rng.random() < 0.25 else "night" for _ in ordered[1:-1]), "night"]
    return [_wake(start + timedelta(days=n), zone, work) for n, work in zip(ordered, works, strict=True)]


def _wake(day: date, zone: ZoneInfo, work: str) -> Wake:
    hour = 4 if work == "night" else 11
    at = datetime(day.year, day.month, day.day, hour, 50, tzinfo=zone).astimezone(UTC)
    return Wake(at, f"awake by {work}", "night" if work == "night" else "day")


def counted(plans: list[Plan]) -> Mapping[str, int]:
    """The number of plans with each kind of event."""
    found: dict[str, int] = {}
    for plan in plans:
        for what in {event.what for event in plan.events}:
            found[what] = found.get(what, 0) + 1
    return MappingProxyType(found)
