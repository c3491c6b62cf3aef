"""The rate limit: shared by all callers of a domain, with a limited wait and an error beyond it."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pfo_pipeline.config import Config, Tenant
from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import RateLimitReached, Transient
from pfo_pipeline.powens.rate_limit import RateLimiter, RateLimitUnusable, find_rate_limiter
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser

MINUTE = 60
MARGIN = 1


@dataclass
class Time:
    """A clock that moves with each sleep."""

    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def rate_limiter(self, folder: Path, *limits: tuple[int, int], longest: int = 300) -> RateLimiter:
        path = folder / "rate_limit" / "smith.sqlite"
        return RateLimiter(path, limits, longest_wait_seconds=longest, clock=self.clock, sleep=self.sleep)


def turns(rate_limiter: RateLimiter, count: int) -> None:
    async def ask() -> None:
        for _ in range(count):
            await rate_limiter.wait("GET /x")

    asyncio.run(ask())


def test_calls_within_the_rate_limit_do_not_wait(tmp_path: Path) -> None:
    time = Time()

    turns(time.rate_limiter(tmp_path, (3, MINUTE)), 3)

    assert time.slept == []


def test_the_next_call_waits_until_the_first_is_a_minute_old(tmp_path: Path) -> None:
    time = Time()

    turns(time.rate_limiter(tmp_path, (3, MINUTE)), 4)

    assert time.slept == [MINUTE + MARGIN]


def test_no_minute_has_more_calls_than_the_rate_limit(tmp_path: Path) -> None:
    time = Time()
    rate_limiter = time.rate_limiter(tmp_path, (3, MINUTE))
    at = []
    for _ in range(20):
        turns(rate_limiter, 1)
        at.append(time.now)
        time.now += 7

    assert all(later - earlier > MINUTE for earlier, later in zip(at, at[3:], strict=False))


def test_a_waiting_call_keeps_its_reserved_time(tmp_path: Path) -> None:
    time = Time()
    rate_limiter = time.rate_limiter(tmp_path, (1, MINUTE))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    rate_limiter._sleep = sleep

    async def together() -> None:
        await asyncio.gather(*(rate_limiter.wait("GET /x") for _ in range(3)))

    asyncio.run(together())

    assert waits == [MINUTE + MARGIN, 2 * (MINUTE + MARGIN)]


def test_two_clients_of_one_domain_share_the_rate_limit(tmp_path: Path) -> None:
    time = Time()
    one, other = time.rate_limiter(tmp_path, (2, MINUTE)), time.rate_limiter(tmp_path, (2, MINUTE))

    turns(one, 2)
    turns(other, 1)

    assert time.slept == [MINUTE + MARGIN]


def test_the_daily_limit_applies_beside_the_minute_limit(tmp_path: Path) -> None:
    time = Time()
    rate_limiter = time.rate_limiter(tmp_path, (10, MINUTE), (3, 86_400))
    turns(rate_limiter, 3)

    with pytest.raises(
        RateLimitReached, match=r"GET /x: the limit of 3 calls in 86400 s is reached for another 86401 s"
    ):
        turns(rate_limiter, 1)

    assert time.slept == []


def test_a_wait_beyond_the_limit_is_refused_by_name_and_reserves_nothing(tmp_path: Path) -> None:
    time = Time()
    rate_limiter = time.rate_limiter(tmp_path, (1, MINUTE), longest=30)
    turns(rate_limiter, 1)

    for _ in range(2):
        with pytest.raises(RateLimitReached) as spent:
            turns(rate_limiter, 1)
        assert isinstance(spent.value, Transient)
        assert spent.value.retry_after_seconds == MINUTE + MARGIN
    time.now += 40
    turns(rate_limiter, 1)

    assert time.slept == [MINUTE + MARGIN - 40]


def test_a_clock_that_was_put_back_blocks_no_call(tmp_path: Path) -> None:
    time = Time()
    rate_limiter = time.rate_limiter(tmp_path, (1, MINUTE))
    turns(rate_limiter, 1)
    time.now -= 86_400

    turns(rate_limiter, 1)

    assert time.slept == []


def test_a_damaged_count_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "rate_limit").mkdir()
    (tmp_path / "rate_limit" / "smith.sqlite").write_bytes(b"no database" * 100)

    with pytest.raises(RateLimitUnusable, match=r"smith\.sqlite, which counts the calls .* delete that file"):
        turns(Time().rate_limiter(tmp_path, (1, MINUTE)), 1)


def test_processes_share_the_rate_limit(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from pfo_pipeline.powens.rate_limit import RateLimiter\n"
        "from pfo_pipeline.powens.errors import RateLimitReached\n"
        "limiter = RateLimiter(Path(sys.argv[1]), ((10, 3600),), longest_wait_seconds=1)\n"
        "async def ask():\n"
        "    had = 0\n"
        "    for _ in range(8):\n"
        "        try:\n"
        "            await limiter.wait('GET /x'); had += 1\n"
        "        except RateLimitReached: pass\n"
        "    print(had)\n"
        "asyncio.run(ask())\n"
    )
    path = str(tmp_path / "rate_limit" / "smith.sqlite")

    running = [
        subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    had = [int(process.communicate(timeout=60)[0]) for process in running]

    assert sum(had) == 10


def test_every_call_and_every_page_waits_for_the_rate_limit(
    tmp_path: Path, bank: SimulatedBank, user: SimulatedUser
) -> None:
    bank.change_domain(user.domain, page_size=1)
    bank.add_connection(user, accounts=[{}, {}, {}])
    time = Time()

    async def read() -> None:
        rate_limiter = time.rate_limiter(tmp_path, (2, MINUTE))
        async with PowensClient(user.base_url, timeout_seconds=10, rate_limiter=rate_limiter) as client:
            listing = await client.read_list("/users/me/accounts", "accounts", user.token)
            assert len(listing.records) == 3

    asyncio.run(read())

    assert time.slept == [MINUTE + MARGIN]
    assert len(bank.journal()) == 3


def tenant(**settings: object) -> Tenant:
    return Tenant.model_validate({"id": "smith", "users": [{"id": "jane", "token": "env:X"}], **settings})


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({"domain": "smith-sandbox"}, ((30, 60), (86_400, 86_400))),
        ({"domain": "smith-sandbox", "requests_per_minute": 60}, ((60, 60), (86_400, 86_400))),
        ({"domain": "smith", "requests_per_minute": 100}, ((100, 60),)),
        ({"domain": "smith", "requests_per_day": 5}, ((5, 86_400),)),
        ({"domain": "smith-sandbox", "base_url": "http://127.0.0.1:1/2.0", "requests_per_day": 5}, ((5, 86_400),)),
    ],
)
def test_a_sandbox_has_powens_limits_and_others_have_the_configured_ones(
    tmp_path: Path, settings: dict[str, object], limits: tuple[tuple[int, int], ...]
) -> None:
    smith = tenant(**settings)

    rate_limiter = find_rate_limiter(Config(source=tmp_path / "pfo.toml", office="north", tenants=(smith,)), smith)

    assert rate_limiter is not None
    assert rate_limiter._limits == limits
    assert rate_limiter._path.name == f"{smith.domain}.sqlite"


@pytest.mark.parametrize(
    "settings", [{"domain": "smith"}, {"domain": "smith-sandbox", "base_url": "http://127.0.0.1:1"}]
)
def test_without_a_known_limit_nothing_is_counted(tmp_path: Path, settings: dict[str, object]) -> None:
    smith = tenant(**settings)

    assert find_rate_limiter(Config(source=tmp_path / "pfo.toml", office="north", tenants=(smith,)), smith) is None
