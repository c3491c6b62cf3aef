"""Failed reads: which are retried, which are not, and that nothing successful is lost or requested twice."""

from typing import Any

import pytest

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.operations.steps import StepFailed, TryAgain
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, REFRESH, SYNC, Household, token_file

BOTH = pytest.mark.parametrize("step", [SYNC, REFRESH], ids=lambda step: step.id)


@pytest.fixture
def households(family: Household) -> Household:
    """Jane, John and June have one account each, which the ledger knows without a balance."""
    for number, member in enumerate(family.members):
        family.connect(member, str(number + 1))
    family.sync(run_id="run-0")
    family.merged.clear()
    return family


def fail(household: Household, member: str | None, path: str = ACCOUNTS, kind: str = "status", **order: Any) -> None:
    """Order a fault, by default once, for one user or for all."""
    user = household.members[member].id if member else None
    household.bank.fault(kind, domain=household.domain, user=user, path=f"^{path}$", **order)


def revoke(household: Household, *members: str) -> None:
    for member in members:
        token_file(household.ledger.files.data_dir, household.tenant.id, member).write_text("revoked")


def statuses(household: Household) -> dict[str, str]:
    return {user_id: user.status for user_id, user in household.users().items()}


def loads(household: Household, run_id: str = "run-1") -> list[tuple[Any, ...]]:
    return household.ask(f"select attempt, complete from loads where run_id = '{run_id}' order by load_id")  # noqa: S608


@pytest.mark.parametrize(
    ("kind", "order"),
    [("status", {"status": 500}), ("status", {"status": 503}), ("html", {}), ("reset", {}), ("truncated", {})],
    ids=["500", "503", "HTML", "reset", "cut short"],
)
def test_a_failure_that_another_attempt_may_cure_is_retried(
    family: Household, kind: str, order: dict[str, Any]
) -> None:
    family.connect("john", "1")
    fail(family, "john", kind=kind, **order)

    with pytest.raises(TryAgain) as again:
        family.attempt(SYNC)

    assert f"GET /smith-sandbox/2.0{ACCOUNTS}" in str(again.value)
    assert again.value.wait_seconds is None


def test_successful_reads_are_in_the_ledger_before_the_next_attempt(family: Household) -> None:
    for number, member in enumerate(family.members):
        family.connect(member, str(number + 1))
    fail(family, "john", status=503)

    with pytest.raises(TryAgain):
        family.attempt(SYNC)

    assert sorted(account.user_id for account in family.accounts()) == ["jane", "june"]
    assert [connection.user_id for connection in family.connections()] == ["jane", "john", "june"]
    assert loads(family) == [(1, False)]


def test_balances_that_were_read_are_in_the_ledger_before_the_next_attempt(households: Household) -> None:
    fail(households, "john", status=503)

    with pytest.raises(TryAgain):
        households.attempt(REFRESH)

    assert [account.current_balance for account in households.accounts()] == [1, None, 3]


@BOTH
@pytest.mark.parametrize("path", [CONNECTIONS, ACCOUNTS])
def test_the_next_attempt_repeats_only_the_failed_call(households: Household, step: Step, path: str) -> None:
    fail(households, "john", path, status=503)
    with pytest.raises(TryAgain):
        households.attempt(step)

    with households.asked() as asked:
        outcome = households.run(step, attempt=2)

    expected = [("john", ACCOUNTS)] if path == ACCOUNTS else [("john", ACCOUNTS), ("john", CONNECTIONS)]
    assert asked == expected
    assert (outcome.batch.synced, outcome.batch.failed, outcome.errors) == (3, 0, ())
    assert loads(households) == [(1, False), (2, True)]


@BOTH
def test_a_refused_token_is_not_used_again_in_the_next_attempt(households: Household, step: Step) -> None:
    revoke(households, "june")
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(step)

    with households.asked() as asked:
        outcome = households.run(step, attempt=2)

    assert {member for member, _ in asked} == {"john"}
    assert outcome.batch.failed == 1
    assert statuses(households) == {"jane": "ok", "john": "ok", "june": "refused"}


def test_two_attempts_end_in_the_state_of_one(households: Household) -> None:
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(REFRESH)

    households.run(REFRESH, attempt=2)

    assert [account.current_balance for account in households.accounts()] == [1, 2, 3]
    assert households.ask("select count(*) from balances") == [(3,)]
    assert households.ask("select attempts, complete, added, synced, failed from runs where run_id = 'run-1'") == [
        (2, True, 3, 3, 0)
    ]


@BOTH
def test_a_member_who_is_read_at_the_second_attempt_was_never_unreachable(households: Household, step: Step) -> None:
    """The status means "after all attempts"; regression: it was written after the first."""
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(step)
    assert statuses(households)["john"] == "ok"

    households.run(step, attempt=2)

    assert households.ask("select distinct status from users") == [("ok",)]


@BOTH
def test_after_its_end_a_step_requests_everything_again(households: Household, step: Step) -> None:
    households.run(step)

    with households.asked() as asked:
        households.run(step, run_id="run-2")

    assert asked == sorted((member, path) for member in households.members for path in (ACCOUNTS, CONNECTIONS))


def test_a_run_that_ends_between_its_attempts_leaves_no_answers_for_the_next(households: Household) -> None:
    """Regression: an attempt's answers were kept for the next attempt, and were used by the next run instead."""
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(SYNC)
    made = households.connect("jane", "9")

    households.run(SYNC, run_id="run-2")

    assert str(made.account_ids[0]) in {account.source_id for account in households.accounts()}


def test_another_process_requests_everything_again_and_loses_nothing(households: Household) -> None:
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(REFRESH)
    households.banking = OpenBanking(households.banking.config)

    with households.asked() as asked:
        households.run(REFRESH, attempt=2)

    assert len(asked) == 6
    assert households.ask("select count(*) from balances") == [(3,)]


@BOTH
def test_one_member_who_fails_on_the_last_attempt_does_not_fail_the_run(households: Household, step: Step) -> None:
    fail(households, "john", status=503, times=None)

    outcome = households.run(step, attempt=3, last=True)

    assert (outcome.batch.synced, outcome.batch.failed) == (2, 1)
    (error,) = outcome.errors
    assert error.startswith(f"user john: GET /smith-sandbox/2.0{ACCOUNTS}: Powens answered 503 [")
    assert statuses(households) == {"jane": "ok", "john": "unreachable", "june": "ok"}
    john = households.users()["john"]
    assert (john.who_acts, john.remedy) == ("powens", "Nothing to do: the next run asks again.")
    assert loads(households) == [(3, True)]


def test_a_member_who_could_not_be_read_keeps_his_accounts(households: Household) -> None:
    fail(households, "john", status=503, times=None)

    households.run(SYNC, attempt=3, last=True)

    assert [(account.user_id, account.deleted_at) for account in households.accounts()] == [
        ("jane", None),
        ("john", None),
        ("june", None),
    ]


@BOTH
def test_when_nobody_can_be_read_on_the_last_attempt_the_step_fails(households: Household, step: Step) -> None:
    fail(households, None, CONNECTIONS, status=503, times=None)

    with pytest.raises(StepFailed, match="Tenant smith: no user could be read") as failed:
        households.attempt(step, attempt=3, last=True)

    assert failed.value.who_acts == "powens"
    assert set(statuses(households).values()) == {"unreachable"}
    assert loads(households) == [(3, True)]
    assert households.ask("select failed from loads where run_id = 'run-1'") == [(3,)]


def test_when_nobody_can_be_read_at_the_first_attempt_there_is_a_second(households: Household) -> None:
    fail(households, None, CONNECTIONS, status=503, times=3)
    with pytest.raises(TryAgain):
        households.attempt(SYNC)

    outcome = households.run(SYNC, attempt=2)

    assert (outcome.batch.synced, outcome.batch.failed) == (3, 0)


@BOTH
def test_a_member_whose_token_is_refused_does_not_stop_the_others(households: Household, step: Step) -> None:
    revoke(households, "john")

    outcome = households.run(step)

    assert (outcome.batch.synced, outcome.batch.failed) == (2, 1)
    assert statuses(households) == {"jane": "ok", "john": "refused", "june": "ok"}
    john = households.users()["john"]
    assert john.who_acts == "operator"
    assert john.remedy is not None
    assert "Issue a new token for user john" in john.remedy


@BOTH
def test_when_all_tokens_are_refused_the_step_fails_at_once(households: Household, step: Step) -> None:
    revoke(households, "jane", "john", "june")

    with pytest.raises(StepFailed) as failed:
        households.attempt(step)

    assert failed.value.who_acts == "operator"
    assert "Issue a new token for user" in str(failed.value)
    assert set(statuses(households).values()) == {"refused"}
    assert loads(households) == [(1, True)]


def test_a_missing_token_refuses_only_its_member_and_the_key_is_named(households: Household) -> None:
    token_file(households.ledger.files.data_dir, "smith", "john").unlink()

    outcome = households.run(SYNC)

    john = households.users()["john"]
    assert (john.status, john.code, john.who_acts) == ("refused", "secret", "operator")
    assert john.remedy is not None
    assert john.remedy.startswith("tenants.smith.users.john.token: file ")
    assert (outcome.batch.synced, outcome.batch.failed) == (2, 1)


def test_an_unreachable_member_is_retried_although_another_is_refused(households: Household) -> None:
    revoke(households, "jane", "june")
    fail(households, "john", status=503)
    with pytest.raises(TryAgain):
        households.attempt(SYNC)

    outcome = households.run(SYNC, attempt=2)

    assert statuses(households) == {"jane": "refused", "john": "ok", "june": "refused"}
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 2)


def test_a_failed_step_names_the_reason_that_somebody_can_repair(family: Household) -> None:
    revoke(family, "june")
    fail(family, "jane", CONNECTIONS, status=503)
    fail(family, "john", CONNECTIONS, status=503)

    with pytest.raises(StepFailed, match="Issue a new token for user june") as failed:
        family.attempt(SYNC, attempt=3, last=True)

    assert failed.value.who_acts == "operator"


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_an_answer_that_a_retry_cannot_change_is_not_retried(family: Household, status: int) -> None:
    fail(family, "john", status=status)

    outcome = family.run(SYNC)

    assert outcome.batch.failed == 1
    assert statuses(family) == {"jane": "ok", "john": "refused", "june": "ok"}


def test_a_member_who_recovers_is_ok_again(households: Household) -> None:
    fail(households, "john", status=503)
    households.run(SYNC, attempt=3, last=True)

    households.run(SYNC, run_id="run-2")

    assert statuses(households)["john"] == "ok"


@pytest.mark.parametrize(
    ("found", "waited"),
    [
        ([7], 7),
        ([0], 0),
        ([7, 30], 30),
        ([299], 299),
        ([301], 300),
        ([86_400], 300),
        ([None], None),
        ([None, 12], 12),
    ],
    ids=str,
)
def test_a_rate_limit_is_waited_for_up_to_a_bound(
    family: Household, found: list[int | None], waited: float | None
) -> None:
    for member, seconds in zip(family.members, found, strict=False):
        order: dict[str, Any] = {} if seconds is None else {"retry_after": seconds}
        fail(family, member, CONNECTIONS, status=429, **order)

    with pytest.raises(TryAgain) as again:
        family.attempt(SYNC)

    assert again.value.wait_seconds == waited


def test_a_rate_limit_and_another_failure_wait_as_long_as_the_limit(family: Household) -> None:
    fail(family, "jane", status=429, retry_after=20)
    fail(family, "john", status=503)

    with pytest.raises(TryAgain) as again:
        family.attempt(SYNC)

    assert again.value.wait_seconds == 20


def test_a_real_rate_limit_is_overcome(households: Household) -> None:
    households.bank.change_domain(households.domain, rate_limit_per_minute=3)
    households.bank.clear_rate_limit(households.domain)
    with pytest.raises(TryAgain) as again:
        households.attempt(SYNC)
    assert again.value.wait_seconds is not None
    households.bank.clear_rate_limit(households.domain)

    with households.asked() as asked:
        outcome = households.run(SYNC, attempt=2)

    assert len(asked) == 3
    assert (outcome.batch.synced, outcome.batch.failed) == (3, 0)


def test_a_failed_page_in_the_middle_of_a_list_discards_the_list(family: Household) -> None:
    family.connect("jane", "1", "2", "3")
    family.bank.change_domain(family.domain, page_size=1)
    fail(family, "jane", ACCOUNTS, status=503, skip=2)

    with pytest.raises(TryAgain):
        family.attempt(SYNC)

    assert family.accounts() == []
    assert len(family.run(SYNC, attempt=2).batch.rows) > 0
    assert len(family.accounts()) == 3
