"""Errors show whether another attempt can help, in one line with call, reason, code and request."""

import pytest

from pfo_pipeline.errors import PfoError
from pfo_pipeline.powens.errors import (
    Invalid,
    Missing,
    NotJson,
    Permanent,
    PowensError,
    RateLimited,
    Refused,
    ServerFault,
    TooSlow,
    Transient,
    Unreachable,
)


@pytest.mark.parametrize("kind", [Unreachable, TooSlow, ServerFault, NotJson, RateLimited])
def test_errors_that_another_attempt_may_cure_are_transient(kind: type[PowensError]) -> None:
    assert issubclass(kind, Transient)
    assert not issubclass(kind, Permanent)


@pytest.mark.parametrize("kind", [Refused, Missing, Invalid])
def test_errors_that_another_attempt_cannot_cure_are_permanent(kind: type[PowensError]) -> None:
    assert issubclass(kind, Permanent)
    assert not issubclass(kind, Transient)


def test_an_error_reads_as_call_reason_code_and_request() -> None:
    error = Refused("unauthorized", "GET /2.0/users/me", "Powens answered 401", "90210041")

    assert str(error) == "GET /2.0/users/me: Powens answered 401 [unauthorized] (request 90210041)"
    assert isinstance(error, PfoError)


def test_an_error_without_a_request_id_does_not_mention_one() -> None:
    assert str(TooSlow("timeout", "GET /x", "no answer within 60 s")) == "GET /x: no answer within 60 s [timeout]"


def test_too_many_calls_read_like_any_other_error() -> None:
    error = RateLimited("tooManyRequests", "GET /x", "Powens answered 429", None, retry_after_seconds=7)

    assert str(error) == "GET /x: Powens answered 429 [tooManyRequests]"


# A data class that compares by value has no hash, but callers keep exceptions in sets.
@pytest.mark.parametrize("kind", [Unreachable, RateLimited, Refused])
def test_an_error_can_be_in_a_set_and_equals_only_itself(kind: type[PowensError]) -> None:
    one, other = kind("code", "GET /x", "reason"), kind("code", "GET /x", "reason")

    assert len({one, other}) == 2
