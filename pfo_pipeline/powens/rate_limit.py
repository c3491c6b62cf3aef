"""Rate limiter of one Powens domain: each caller, in any process of this machine, reserves a distinct time.

Facts: Powens docs, Fair usage policy: a sandbox accepts 30 calls a minute and 86,400 a day. Powens publishes no limit for
production, so only a configured limit applies there. The docs do not say how the window moves; we assume a sliding window.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from pfo_pipeline.config import Config, Tenant, data_dir
from pfo_pipeline.errors import PfoError
from pfo_pipeline.powens.errors import RateLimitReached
from pfo_pipeline.telemetry import recorded

SANDBOX_PER_MINUTE = 30
SANDBOX_PER_DAY = 86_400
LONGEST_WAIT_SECONDS = 300
MARGIN_SECONDS = 1
"""Network time varies: two calls that leave a minute apart may reach the server less than a minute apart."""
_DAY_SECONDS = 86_400

_CREATE = (
    "create table if not exists calls (at real not null)",
    "create index if not exists calls_at on calls (at)",
)
# A time beyond the longest wait was recorded before the machine's clock was put back.
_FORGET = "delete from calls where at < :day_ago or at > :farthest"
_NTH_NEWEST = "select at from calls order by at desc limit 1 offset :n"


class RateLimitUnusable(PfoError):
    """The file that counts the calls cannot be read or written."""


class RateLimiter:
    """Rate limiter of one domain: each caller reserves a distinct time."""

    def __init__(
        self,
        path: Path,
        limits: tuple[tuple[int, int], ...],
        *,
        longest_wait_seconds: int = LONGEST_WAIT_SECONDS,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """
        Args:
            path: File shared by all processes that call the domain; created on first use.
            limits: Pairs (calls, seconds): the most calls within any such period.
            clock: Seconds since 1970, the same for all processes.
        """
        self._path = path
        self._limits = limits
        self._longest_wait_seconds = longest_wait_seconds
        self._clock = clock
        self._sleep = sleep

    async def wait(self, call: str) -> None:
        """Wait until the call may be made.

        Raises:
            RateLimitReached: the wait would be longer than the limit; the call is then not counted.
            RateLimitUnusable: the file cannot be read or written.
        """
        wait_seconds = self._reserve(call)
        recorded("pfo.powens.rate_limit_wait", wait_seconds)
        if wait_seconds > 0:
            await self._sleep(wait_seconds)

    def _reserve(self, call: str) -> float:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as counted:
                counted.execute("pragma synchronous = off")  # After a power cut the count may restart.
                counted.execute("begin immediate")
                with counted:
                    for statement in _CREATE:
                        counted.execute(statement)
                    return self._next_time(counted, call)
        except (sqlite3.Error, OSError) as error:
            raise RateLimitUnusable(
                f"{self._path}, which counts the calls to Powens, cannot be used ({error}). "
                "Free the disk if it is full; else delete that file: it is made again."
            ) from None

    def _next_time(self, counted: sqlite3.Connection, call: str) -> float:
        now = self._clock()
        farthest = now + self._longest_wait_seconds
        counted.execute(_FORGET, {"day_ago": now - _DAY_SECONDS - MARGIN_SECONDS, "farthest": farthest})
        at = now
        for calls, seconds in self._limits:
            found = counted.execute(_NTH_NEWEST, {"n": calls - 1}).fetchone()
            if found is None or found[0] + seconds + MARGIN_SECONDS <= at:
                continue
            at = found[0] + seconds + MARGIN_SECONDS
            if at > farthest:
                reason = f"the limit of {calls} calls in {seconds} s is reached for another {at - now:.0f} s"
                raise RateLimitReached("rateLimit", call, reason, retry_after_seconds=at - now)
        counted.execute("insert into calls values (?)", (at,))
        return at - now


def find_rate_limiter(config: Config, tenant: Tenant) -> RateLimiter | None:
    """The rate limiter of the tenant, shared by all tenants of one domain; None for no limit."""
    # With a base_url the server is not Powens' own sandbox.
    is_sandbox = tenant.domain.endswith("-sandbox") and not tenant.base_url
    per_minute = tenant.requests_per_minute or (SANDBOX_PER_MINUTE if is_sandbox else None)
    per_day = tenant.requests_per_day or (SANDBOX_PER_DAY if is_sandbox else None)
    limits = tuple((calls, seconds) for calls, seconds in ((per_minute, 60), (per_day, _DAY_SECONDS)) if calls)
    return (
        RateLimiter(data_dir(config) / "private" / "rate_limit" / f"{tenant.domain}.sqlite", limits) if limits else None
    )
