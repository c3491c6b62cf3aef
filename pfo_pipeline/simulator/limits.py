"""The calls a domain may make in a minute.

Here: counting in real time.
Not here: the 429 itself (errors.py, gateway.py).
Facts: Powens docs, Fair usage policy: 30 calls a minute in a sandbox. The window's shape is assumed: it
opens with the first call and lasts 60 seconds.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0


@dataclass
class RateLimiter:
    """Counts per domain. `ticks` gives monotonic seconds."""

    ticks: Callable[[], float] = time.monotonic
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict)

    def seconds_to_wait(self, domain: str, limit: int) -> int | None:
        """Count a call; null when it is within the limit, else whole seconds until the window ends."""
        if limit <= 0:
            return None
        now = self.ticks()
        opened, calls = self._windows.get(domain, (now, 0))
        if now - opened >= WINDOW_SECONDS:
            opened, calls = now, 0
        if calls >= limit:
            return max(1, math.ceil(opened + WINDOW_SECONDS - now))
        self._windows[domain] = (opened, calls + 1)
        return None

    def clear(self, domain: str) -> None:
        """Open a new window with the next call."""
        self._windows.pop(domain, None)
