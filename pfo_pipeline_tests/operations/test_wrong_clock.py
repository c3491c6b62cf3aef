"""A clock that Powens' own answers prove wrong: nothing is recorded, because its date would stay for ever."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.steps import StepFailed, TryAgain
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, OFFICE, REFRESH, SYNC, Household

FAR = timedelta(days=400)
BOTH = pytest.mark.parametrize("step", [SYNC, REFRESH], ids=lambda step: step.id)
SET_THE_CLOCK = (
    r"nothing was recorded, .* Set the clock of this machine and have it kept right \(NTP\)\. Then: pfo run "
)


class Dated(httpx.AsyncBaseTransport):
    """The bank's answers, with the date shifted as on a machine whose clock is `ahead`; from answer number `after` on."""

    def __init__(self, ahead: timedelta, after: int = 0) -> None:
        self._ahead = ahead
        self._after = after
        self._answered = 0
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        self._answered += 1
        ahead = self._ahead if self._answered > self._after else timedelta()
        response.headers["Date"] = format_datetime(datetime.now(UTC) - ahead, usegmt=True)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def set_clock(household: Household, ahead: timedelta, *, after: int = 0) -> None:
    """Set this machine's clock; the bank's does not change."""
    household.ahead = ahead
    household.ledger = Ledger(household.ledger.files, OFFICE, clock=household.machine_time)
    household.banking = OpenBanking(household.banking.config, lambda: Dated(ahead, after))


def kept(household: Household) -> list[list[tuple[Any, ...]]]:
    tables = ("loads", "telemetry", "users", "accounts", "connections", "balances", "quarantine", "drift")
    return [household.ask(f"select * from {table} order by all") for table in tables]  # noqa: S608


def refused(household: Household, step: Step, **how: Any) -> StepFailed:
    before = kept(household)
    published = household.ledger.files.published.exists()
    with pytest.raises(StepFailed, match=SET_THE_CLOCK) as failed:
        household.run(step, run_id="wrong", **how)
    assert (failed.value.code, failed.value.who_acts) == ("clock", "operator")
    assert kept(household) == before
    assert household.ledger.files.published.exists() == published
    return failed.value


@pytest.fixture
def synced(family: Household) -> Household:
    """Jane, John and June have one account each, read under the right clock."""
    for member in family.members:
        family.connect(member, "1")
    family.sync(run_id="right")
    family.refresh(run_id="right")
    return family


@BOTH
@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_under_a_wrong_clock_nothing_is_recorded_and_the_step_reports_it(
    synced: Household, step: Step, days: int
) -> None:
    set_clock(synced, timedelta(days=days))

    error = refused(synced, step)

    assert f"{abs(days) * 24}.0 hours {'ahead of' if days > 0 else 'behind'} that of Powens [clock]" in str(error)
    assert str(error).startswith("Tenant smith: ")
    assert "pfo run --tenant smith." in str(error)


def test_a_clock_that_jumps_repeatedly_dates_no_load_after_the_right_time(synced: Household) -> None:
    for ahead in (FAR, -FAR, FAR):
        set_clock(synced, ahead)
        refused(synced, SYNC)
        refused(synced, REFRESH)
        set_clock(synced, timedelta())
        synced.bank.advance(hours=1)
        synced.sync()
        synced.bank.advance(hours=1)
        synced.refresh()

    assert synced.ask("select max(recorded_at) from loads") == [(synced.now,)]
    assert {user.status for user in synced.users().values()} == {"ok"}


@BOTH
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("kind", ["status", "reset"])
def test_one_answer_proves_a_wrong_clock_even_if_the_others_failed(
    synced: Household, step: Step, is_last: bool, kind: str
) -> None:
    set_clock(synced, FAR)
    for member in ("jane", "june"):
        user = synced.members[member].id
        order = {"status": 503} if kind == "status" else {}
        synced.bank.fault(kind, domain=synced.domain, user=user, path=f"^{CONNECTIONS}$", times=None, **order)

    refused(synced, step, last=is_last)


@BOTH
def test_users_read_before_the_clock_jumped_are_not_recorded_either(synced: Household, step: Step) -> None:
    set_clock(synced, FAR, after=4)

    refused(synced, step)
    set_clock(synced, timedelta())
    with synced.asked() as asked:
        synced.run(step)

    assert len(asked) == 6, "what was read before the jump is asked for again"


def test_an_attempt_without_a_dated_answer_records_nothing(synced: Household) -> None:
    set_clock(synced, FAR)
    before = kept(synced)
    synced.bank.fault("reset", domain=synced.domain, times=3)
    with pytest.raises(TryAgain):
        synced.attempt(SYNC)
    assert kept(synced) == before

    refused(synced, SYNC, attempt=2)


def test_rows_of_the_attempt_before_the_clock_jumped_stay(family: Household) -> None:
    for member in family.members:
        family.connect(member, "1")
    family.bank.fault("status", domain=family.domain, user=family.members["june"].id, path=f"^{ACCOUNTS}$", status=503)
    with pytest.raises(TryAgain):
        family.attempt(SYNC)
    assert len(family.accounts()) == 2

    set_clock(family, FAR)
    refused(family, SYNC, attempt=2)

    assert len(family.accounts()) == 2
