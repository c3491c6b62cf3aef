"""A sync that a person requests: one connection, at the bank itself, with a bounded wait."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pfo_pipeline.contracts.operations import RefreshBalancesInput, RefreshBalancesOutput
from pfo_pipeline.contracts.tables import BalanceRow
from pfo_pipeline.operations.force_sync import POLL_DELAYS_SECONDS, Forced, force_sync
from pfo_pipeline.operations.refresh import refresh_balances
from pfo_pipeline.powens.errors import Missing, Refused
from pfo_pipeline_tests.operations.household import Household, Waiting, token_file

AN_HOUR_AGO = "2026-03-10 11:00:00+00:00"


class Forcing(Waiting):
    def force(self, connection_id: int, **how: bool) -> Forced:
        smith = self.household

        smith.banking.forget(smith.tenant, "force")

        async def ask() -> Forced:
            async with smith.banking.session(smith.tenant, "force") as bank:
                user = smith.tenant.users[0]
                return await force_sync(bank, user, str(connection_id), clock=smith.bank.now, sleep=self.sleep, **how)

        return asyncio.run(ask())


@pytest.fixture
def waiting(smith: Household) -> Forcing:
    return Forcing(smith)


def forced_calls(household: Household) -> list[tuple[str, str]]:
    return [(e["path"], e["query"]) for e in household.bank.journal(household.domain) if e["method"] == "PUT"]


def test_the_bank_is_requested_once_and_waited_for(smith: Household, waiting: Forcing) -> None:
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)

    forced = waiting.force(made.id)

    assert (forced.end, forced.stands.status) == ("synced", "healthy")
    assert forced_calls(smith) == [(f"/users/me/connections/{made.id}", "psu_requested=false")]
    # The simulated bank takes 20 seconds.
    assert waiting.slept == [2, 3, 5, 10]


def test_the_bank_is_informed_that_the_member_is_present(smith: Household, waiting: Forcing) -> None:
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)

    waiting.force(made.id, member_present=True)

    assert forced_calls(smith) == [(f"/users/me/connections/{made.id}", "psu_requested=true")]


def test_a_request_too_early_counts_as_up_to_date_and_is_not_repeated(smith: Household, waiting: Forcing) -> None:
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)
    waiting.force(made.id)

    forced = waiting.force(made.id)

    assert forced.end == "up to date"
    assert len(forced_calls(smith)) == 2
    assert waiting.slept == [2, 3, 5, 10]


@pytest.mark.parametrize("state", ["SCARequired", "wrongpass", "actionNeeded", "notSupported"])
def test_a_connection_that_waits_for_a_person_is_not_forced(smith: Household, waiting: Forcing, state: str) -> None:
    made = smith.connect("jane", "1", state=state)

    forced = waiting.force(made.id)

    assert (forced.end, forced.stands.state) == ("waits for a person", state)
    assert forced_calls(smith) == []


def test_a_question_of_the_bank_ends_the_wait_and_names_who_must_act(smith: Household, waiting: Forcing) -> None:
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)
    sleep = waiting.sleep

    async def ask(seconds: float) -> None:
        await sleep(seconds)
        smith.bank.change_connection(smith.domain, made.id, state="SCARequired")

    waiting.sleep = ask  # type: ignore[method-assign]
    forced = waiting.force(made.id)

    assert (forced.end, forced.stands.state, forced.stands.who_acts) == ("waits for a person", "SCARequired", "member")
    assert waiting.slept == [2]


def test_a_bank_that_takes_too_long_continues_without_us(smith: Household, waiting: Forcing) -> None:
    smith.bank.change_domain(smith.domain, sync_seconds=3600)
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)

    forced = waiting.force(made.id)

    assert forced.end == "still going on"
    assert tuple(waiting.slept) == POLL_DELAYS_SECONDS


def test_a_slow_answer_to_the_request_is_not_a_failure(smith: Household, waiting: Forcing) -> None:
    made = smith.connect("jane", "1", last_update=AN_HOUR_AGO)
    smith.tenant = smith.tenant.model_copy(update={"timeout_seconds": 1})
    smith.bank.fault("slow", method="PUT", seconds=5, executed=True)

    assert waiting.force(made.id).end == "synced"


def test_other_refusals_are_reported(smith: Household, waiting: Forcing) -> None:
    smith.connect("jane", "1")
    with pytest.raises(Missing):
        waiting.force(999_999)
    token_file(smith.ledger.files.data_dir, "smith", "jane").write_text("revoked")
    with pytest.raises(Refused):
        waiting.force(1)


def test_the_contracts_forced_refresh_returns_the_current_balance(smith: Household, waiting: Forcing) -> None:
    smith.connect("jane", "1", last_update=AN_HOUR_AGO)
    smith.sync()
    account = smith.accounts()[0]
    request = RefreshBalancesInput(tenant_id="smith", account_id=account.account_id, force_refresh=True)

    async def refresh() -> tuple[RefreshBalancesOutput, list[Any]]:
        async with smith.banking.session(smith.tenant, "by hand") as bank:
            await bank.enabled_accounts(smith.tenant.users[0])  # Data read before are not used.
            return await refresh_balances(replace(smith.command(bank), sleep=waiting.sleep), request, account)

    before = smith.now
    output, (row,) = asyncio.run(refresh())

    assert output.errors is None
    assert isinstance(row, BalanceRow)
    assert row.as_of > before
    assert len(forced_calls(smith)) == 1


def test_no_workflow_forces_a_bank(smith: Household) -> None:
    smith.connect("jane", "1")
    smith.sync()
    smith.refresh()

    assert forced_calls(smith) == []
