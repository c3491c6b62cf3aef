"""How often and how long apart a step is attempted; who may call what."""

import pytest
from dagster import Backoff, RetryPolicy
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.model import Backoff as ContractBackoff
from pfo_pipeline.contracts.model import Policy, Retry, Role
from pfo_pipeline.contracts.workflows import WORKFLOWS

steady = settings(derandomize=True, deadline=None)
DAGSTER_BACKOFF = {"exponential": Backoff.EXPONENTIAL, "linear": Backoff.LINEAR}


def delays_of_dagster(retry: Retry) -> tuple[float, ...]:
    policy = RetryPolicy(
        max_retries=retry.max_retries, delay=retry.delay_ms / 1000, backoff=DAGSTER_BACKOFF[retry.backoff]
    )
    return tuple(policy.calculate_delay(attempt) for attempt in range(1, retry.max_attempts))


@pytest.mark.parametrize("retry", [step.retry for w in WORKFLOWS for step in w.steps], ids=str)
def test_the_waits_of_each_step_are_those_of_dagster(retry: Retry) -> None:
    assert retry.delays_seconds() == pytest.approx(delays_of_dagster(retry))


@steady
@given(
    st.integers(min_value=1, max_value=12),
    st.sampled_from(["exponential", "linear"]),
    st.integers(min_value=0, max_value=60_000),
)
def test_the_waits_of_any_retry_are_those_of_dagster(attempts: int, backoff: ContractBackoff, delay_ms: int) -> None:
    retry = Retry(attempts, backoff, delay_ms)

    assert retry.delays_seconds() == pytest.approx(delays_of_dagster(retry))


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(3, "exponential", 1_000), (1.0, 3.0)),
        (Retry(4, "exponential", 1_500), (1.5, 4.5, 10.5)),
        (Retry(2, "linear", 750), (0.75,)),
        (Retry(4, "linear", 750), (0.75, 1.5, 2.25)),
        (Retry(1, "linear", 750), ()),
    ],
    ids=str,
)
def test_the_first_attempt_counts_so_there_is_one_wait_fewer(retry: Retry, waits: tuple[float, ...]) -> None:
    assert retry.max_retries == len(waits)
    assert retry.delays_seconds() == waits


@pytest.mark.parametrize(
    ("needed", "role", "allowed"),
    [("admin", "admin", True), ("admin", "user", False), ("user", "user", True), ("user", "admin", True)],
)
def test_an_admin_may_do_what_a_user_may_but_not_the_other_way(needed: Role, role: Role, allowed: bool) -> None:
    assert Policy(auth=needed).allows(role) is allowed
