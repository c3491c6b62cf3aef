"""A run of a person's selection: only the selection is read, and nothing else of the tenant is judged by it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from filelock import FileLock

from pfo_pipeline.contracts.operations import REFRESH_BALANCES
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.selection import Choice
from pfo_pipeline.operations.steps import StepFailed, TryAgain
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, REFRESH, SYNC, Household, Waiting, token_file

AN_HOUR_AGO = "2026-03-10 11:00:00+00:00"


@pytest.fixture
def two(family: Household) -> Household:
    """Jane has two connections, with two accounts and one, John has one; all synced an hour ago."""
    family.connect("jane", "1", "2", last_update=AN_HOUR_AGO)
    family.connect("jane", "3", last_update=AN_HOUR_AGO)
    family.connect("john", "4", last_update=AN_HOUR_AGO)
    family.sync()
    family.refresh()
    return family


def connection(household: Household, index: int = 0) -> str:
    return household.connections()[index].connection_id


def puts(household: Household) -> int:
    return sum(entry["method"] == "PUT" for entry in household.bank.journal(household.domain))


def test_a_selected_connection_is_read_with_only_its_users_lists(two: Household) -> None:
    with two.asked() as asked:
        outcome = two.sync(choice=Choice(connection(two)))

    assert asked == [("jane", ACCOUNTS), ("jane", CONNECTIONS)]
    assert (outcome.batch.synced, outcome.batch.failed, outcome.errors) == (2, 0, ())
    with two.asked() as asked:
        assert two.refresh(choice=Choice(connection(two))).batch.synced == 2
    assert {member for member, _ in asked} == {"jane"}


def test_only_selected_accounts_are_updated(two: Household) -> None:
    chosen = two.accounts()[1]
    choice = Choice(account_ids=(chosen.account_id,))
    for account in two.accounts():
        two.bank.change_account(two.domain, int(account.source_id), name="Renamed", balance="77")

    assert (two.sync(choice=choice).batch.synced, two.refresh(choice=choice).batch.synced) == (1, 1)

    assert [a.display_name == "Renamed" for a in two.accounts()] == [False, True, False, False]


def test_unselected_or_moved_accounts_are_not_marked_removed(two: Household) -> None:
    first, second, _ = two.connections()
    gone = two.accounts()[0]
    two.bank.delete_account(two.domain, int(gone.source_id))
    two.bank.delete_connection(two.domain, int(second.connection_id))

    outcome = two.sync(choice=Choice(first.connection_id, (gone.account_id,)))

    assert [account.deleted_at for account in two.accounts()] == [None] * 4
    assert "gone" not in {c.status for c in two.connections()}
    assert outcome.errors == (f"account {gone.account_id}: Powens no longer lists it; a full run records why",)
    two.sync(run_id="run-2")
    assert [bool(account.deleted_at) for account in two.accounts()].count(True) == 1
    assert [bool(account.missing_since) for account in two.accounts()] == [True, False, False, False]


def test_a_connection_that_powens_no_longer_lists_is_reported_but_not_gone(two: Household) -> None:
    chosen = connection(two)
    two.bank.delete_connection(two.domain, int(chosen))

    outcome = two.sync(choice=Choice(chosen))

    assert outcome.batch.failed == 1
    assert f"has no connection {chosen}. A run of everything records why." in outcome.errors[0]
    assert "gone" not in {c.status for c in two.connections()}


def test_accounts_of_other_connections_are_not_quarantined(two: Household) -> None:
    two.sync(choice=Choice(connection(two)))
    two.refresh(choice=Choice(connection(two)))

    assert two.ask("select count(*) from quarantine") == [(0,)]


def test_a_partial_run_does_not_count_as_a_full_sync(two: Household) -> None:
    reader = two.ledger.reader()
    before = reader.last_read(), reader.last_loads(["smith"], REFRESH_BALANCES.key)
    two.bank.advance(hours=3)

    two.sync(choice=Choice(connection(two)))
    two.refresh(choice=Choice(connection(two)))

    assert (reader.last_read(), reader.last_loads(["smith"], REFRESH_BALANCES.key)) == before
    assert ("openbanking.accounts.synced", connection(two)) in [(e, p.get("connectionId")) for e, p in two.events()]


def test_a_selected_account_that_is_not_enabled_is_reported(two: Household) -> None:
    account = two.accounts()[0]
    two.bank.change_account(two.domain, int(account.source_id), disabled=True)
    two.sync()

    outcome = two.refresh(choice=Choice(account_ids=(account.account_id,)))

    assert outcome.errors == (f"account {account.account_id}: not enabled at Powens, so it has no new figure",)


@pytest.mark.parametrize("step", [SYNC, REFRESH], ids=lambda step: step.id)
@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice("999"), "Tenant smith has no connection 999. It has: "),
        (Choice(account_ids=("acc_1",)), "Tenant smith has no account acc_1. Its accounts: pfo accounts"),
        (Choice(force=True), "force needs connection_id"),
        (Choice("1", member_present=True), "give it with force"),
    ],
)
def test_an_impossible_selection_is_refused_before_any_read_or_write(
    two: Household, step: Any, choice: Choice, reason: str
) -> None:
    loads = two.ask("select count(*) from loads")

    with two.asked() as asked, pytest.raises(OperationRefused, match=reason):
        two.run(step, choice=choice)

    assert asked == []
    assert two.ask("select count(*) from loads") == loads


def test_an_account_outside_the_selected_connection_is_reported_with_its_own(two: Household) -> None:
    account = two.accounts()[0]
    with pytest.raises(
        OperationRefused, match=f"is of connection {account.connection_id}, not of {connection(two, 2)}"
    ):
        two.sync(choice=Choice(connection(two, 2), (account.account_id,)))


def test_a_removed_connection_cannot_be_selected(two: Household) -> None:
    chosen = connection(two)
    two.bank.delete_connection(two.domain, int(chosen))
    two.sync()

    with pytest.raises(OperationRefused, match=f"has no connection {chosen}"):
        two.sync(choice=Choice(chosen))


@pytest.mark.parametrize("step", [SYNC, REFRESH], ids=lambda step: step.id)
def test_a_forced_step_reads_after_the_banks_answer_and_reports_the_result(two: Household, step: Any) -> None:
    chosen, waiting = connection(two), Waiting(two)

    outcome = two.run(step, choice=Choice(chosen, force=True), sleep=waiting.sleep)

    assert str(outcome.forced) == f"connection {chosen}: synced."
    # The simulated bank takes 20 seconds.
    assert waiting.slept == [2, 3, 5, 10]
    assert (puts(two), outcome.batch.failed) == (1, 0)
    assert two.connections()[0].last_success_at == datetime(2026, 3, 10, 12, 0, 20, tzinfo=UTC)


def test_the_ledger_is_not_locked_during_the_wait_for_the_bank(two: Household) -> None:
    waiting = Waiting(two)
    free: list[bool] = []

    async def sleep(seconds: float) -> None:
        with FileLock(two.ledger.files.lock, timeout=0):
            free.append(True)
        await waiting.sleep(seconds)

    two.sync(choice=Choice(connection(two), force=True), sleep=sleep)

    assert free == [True] * 4


def test_a_further_attempt_waits_without_a_second_request(two: Household) -> None:
    chosen, waiting = connection(two), Waiting(two)
    how: dict[str, Any] = {"choice": Choice(chosen, force=True), "sleep": waiting.sleep}
    two.bank.fault("status", path=ACCOUNTS, status=503, times=1)
    with pytest.raises(TryAgain):
        two.attempt(SYNC, **how)

    outcome = two.run(SYNC, attempt=2, **how)

    assert str(outcome.forced) == f"connection {chosen}: synced."
    assert (puts(two), waiting.slept) == (1, [2, 3, 5, 10, 2])


def test_the_next_attempt_repeats_a_failed_request_to_the_bank(two: Household) -> None:
    how: dict[str, Any] = {"choice": Choice(connection(two), force=True), "sleep": Waiting(two).sleep}
    two.bank.fault("status", method="PUT", status=503, times=1)
    with pytest.raises(TryAgain):
        two.attempt(SYNC, **how)

    assert str(two.run(SYNC, attempt=2, **how).forced).endswith(": synced.")


def test_a_connection_that_no_longer_exists_is_not_forced_and_its_user_is_ok(two: Household) -> None:
    chosen = connection(two)
    two.bank.delete_connection(two.domain, int(chosen))

    with pytest.raises(
        OperationRefused, match=f"The bank of connection {chosen} cannot be asked: .* Run without force"
    ):
        two.sync(choice=Choice(chosen, force=True))

    assert two.users()["jane"].status == "ok"


def test_a_revoked_token_fails_a_forced_step_with_a_remedy(two: Household) -> None:
    token_file(two.ledger.files.data_dir, "smith", "jane").write_text("revoked")

    with pytest.raises(StepFailed, match="Issue a new token for user jane"):
        two.sync(choice=Choice(connection(two), force=True))
