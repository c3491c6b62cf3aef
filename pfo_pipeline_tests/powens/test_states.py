"""A connection's state: its status, who must act, and whether its data is fresh."""

from datetime import UTC, datetime, timedelta

import pytest

from pfo_pipeline.powens.states import KNOWN_STATES, STATES, FailingSource, Situation, read_state, waiting_is_enough

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def reading(
    state: str | None = None,
    *sources: str | FailingSource,
    active: bool = True,
    last_success: timedelta | None = timedelta(hours=1),
    created: timedelta | None = timedelta(days=100),
    planned: bool = True,
) -> Situation:
    """The situation of a connection with this age of its last success and creation; with its next sync `planned` or not."""
    return read_state(
        state,
        tuple(FailingSource(source) if isinstance(source, str) else source for source in sources),
        active=active,
        last_success_at=None if last_success is None else NOW - last_success,
        created_at=None if created is None else NOW - created,
        next_try_at=NOW + timedelta(hours=8) if planned else None,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("state", "status", "who_acts"),
    [
        ("SCARequired", "needs-person", "member"),
        ("webauthRequired", "needs-person", "member"),
        ("additionalInformationNeeded", "needs-person", "member"),
        ("decoupled", "needs-person", "member"),
        ("wrongpass", "needs-person", "member"),
        ("passwordExpired", "needs-person", "member"),
        ("actionNeeded", "needs-person", "member"),
        ("notSupported", "needs-person", "operator"),
        ("validating", "temporary", "nobody"),
        ("rateLimiting", "temporary", "bank"),
        ("websiteUnavailable", "temporary", "bank"),
        ("bug", "temporary", "powens"),
    ],
)
def test_a_known_state_says_who_must_act_and_how(state: str, status: str, who_acts: str) -> None:
    situation = reading(state)

    assert (situation.state, situation.status, situation.who_acts) == (state, status, who_acts)
    assert situation.remedy
    assert situation.remedy.endswith(".")
    assert not situation.is_synced


def test_the_table_holds_the_documented_states_and_no_other() -> None:
    # Powens docs, Connections, of July 2026: `null` and these.
    documented = (
        "SCARequired webauthRequired additionalInformationNeeded decoupled validating wrongpass passwordExpired "
        "actionNeeded rateLimiting websiteUnavailable bug notSupported"
    )

    assert set(STATES) == KNOWN_STATES == set(documented.split())


@pytest.mark.parametrize("state", sorted(STATES))
def test_waiting_is_enough_only_if_the_bank_or_powens_continues_by_itself(state: str) -> None:
    assert STATES[state].waiting_is_enough == (STATES[state].status == "temporary")
    assert waiting_is_enough(reading(state).who_acts) == STATES[state].waiting_is_enough


def test_only_a_user_gets_a_link() -> None:
    for state in KNOWN_STATES:
        situation = reading(state)
        assert ("opens the link" in (situation.remedy or "")) == (situation.who_acts == "member"), state


@pytest.mark.parametrize("state", ["quantumRequired", "scarequired", "wrongPass"])
def test_an_unknown_state_belongs_to_the_operator(state: str) -> None:
    situation = reading(state)

    assert (situation.state, situation.status, situation.who_acts) == (state, "unknown", "operator")
    assert not situation.is_synced


@pytest.mark.parametrize("state", ["FR7630006000011234567890189", "fr7630006000011234567890189", "Jane Smith, 4 Rue X"])
def test_a_state_that_is_not_a_word_is_not_repeated(state: str) -> None:
    situation = reading(state)

    assert (situation.state, situation.status) == ("(not a word)", "unknown")


def test_no_state_and_a_sync_an_hour_ago_is_healthy() -> None:
    assert reading() == Situation(None, "healthy", None, None)
    assert reading().is_synced


@pytest.mark.parametrize("state", ["", None])
def test_an_empty_state_counts_as_none(state: str | None) -> None:
    assert reading(state).status == "healthy"


def test_a_failing_source_shows_under_a_connection_that_looks_fine() -> None:
    situation = reading(None, "bug")

    assert (situation.state, situation.status, situation.who_acts) == ("bug", "temporary", "powens")


@pytest.mark.parametrize(
    ("sources", "decisive"),
    [
        (("bug", "SCARequired"), "SCARequired"),
        (("SCARequired", "bug"), "SCARequired"),
        (("rateLimiting", "neverHeardOf"), "neverHeardOf"),
        (("neverHeardOf", "wrongpass"), "wrongpass"),
        (("websiteUnavailable", "bug"), "bug"),
    ],
)
def test_a_failing_source_that_needs_a_person_decides(sources: tuple[str, ...], decisive: str) -> None:
    assert reading(None, *sources).state == decisive


def failing_for(age: timedelta, state: str = "bug", *, planned: bool = True) -> FailingSource:
    return FailingSource(state, NOW - age, NOW + timedelta(hours=8) if planned else None)


@pytest.mark.parametrize("state", ["bug", "websiteUnavailable", "rateLimiting"])
def test_a_source_that_fails_over_three_days_belongs_to_the_operator(state: str) -> None:
    one_bad_day, lasting = (
        reading(None, failing_for(timedelta(days=3), state)),
        reading(None, failing_for(timedelta(days=4), state)),
    )

    assert (one_bad_day.status, waiting_is_enough(one_bad_day.who_acts)) == ("temporary", True)
    assert (lasting.state, lasting.status, lasting.who_acts) == (state, "temporary", "operator")


def test_a_source_that_waits_for_the_user_stays_the_users() -> None:
    situation = reading(None, failing_for(timedelta(days=30), "wrongpass"))

    assert (situation.status, situation.who_acts) == ("needs-person", "member")


def test_a_source_is_stuck_only_if_no_next_sync_is_planned() -> None:
    missed = timedelta(hours=40)

    assert reading(None, failing_for(missed, planned=False)).status == "temporary"
    assert reading(None, failing_for(missed), planned=False).status == "temporary"
    assert reading(None, failing_for(missed, planned=False), planned=False).status == "silent"


def test_the_longer_failing_source_decides() -> None:
    situation = reading(
        None, failing_for(timedelta(hours=1), "bug"), failing_for(timedelta(days=9), "websiteUnavailable")
    )

    assert (situation.state, situation.who_acts) == ("websiteUnavailable", "operator")


def test_a_source_without_dates_is_judged_by_those_of_its_connection() -> None:
    assert reading(None, FailingSource("bug")).who_acts == "powens"
    assert reading(None, FailingSource("bug"), last_success=timedelta(days=4)).who_acts == "operator"


def test_the_connections_own_state_comes_before_its_sources() -> None:
    assert reading("rateLimiting", "SCARequired").state == "rateLimiting"


def test_a_connection_is_silent_after_three_days_without_a_sync() -> None:
    at_the_limit = reading(last_success=timedelta(days=3))
    beyond = reading(last_success=timedelta(days=3, seconds=1))

    assert at_the_limit.status == "healthy"
    assert (beyond.state, beyond.status, beyond.who_acts) == (None, "silent", "operator")
    assert "3 days" in (beyond.remedy or "")
    assert not beyond.is_synced


def test_a_connection_made_just_now_is_not_silent_before_its_first_sync() -> None:
    assert reading(last_success=None, created=timedelta(hours=1)).status == "healthy"
    assert reading(last_success=None, created=timedelta(days=4)).status == "silent"


def test_a_connection_without_any_date_is_silent() -> None:
    assert reading(last_success=None, created=None).status == "silent"


def test_a_switched_off_connection_is_paused_at_any_age() -> None:
    for age in (timedelta(hours=1), timedelta(days=30)):
        situation = reading(active=False, last_success=age)
        assert (situation.status, situation.who_acts, situation.is_synced) == ("paused", "operator", False)


def test_a_state_that_needs_a_person_is_reported_even_if_switched_off() -> None:
    assert reading("wrongpass", active=False).status == "needs-person"


@pytest.mark.parametrize("state", [None, "bug", "websiteUnavailable", "rateLimiting", "validating"])
def test_a_missed_day_without_a_next_sync_belongs_to_the_operator(state: str | None) -> None:
    in_time = reading(state, last_success=timedelta(hours=36), planned=False)
    stuck = reading(state, last_success=timedelta(hours=37), planned=False)

    assert in_time == reading(state)
    assert (stuck.state, stuck.status, stuck.who_acts) == (state, "silent", "operator")
    assert "stuck" in (stuck.remedy or "")


@pytest.mark.parametrize("state", ["SCARequired", "actionNeeded", "notSupported", "neverHeardOf"])
def test_a_connection_that_waits_for_a_person_is_not_stuck(state: str) -> None:
    assert reading(state, last_success=timedelta(days=30), planned=False) == reading(state)


def test_a_new_connection_without_a_plan_is_stuck_only_after_a_day_and_a_half() -> None:
    assert reading(last_success=None, created=timedelta(hours=1), planned=False).status == "healthy"
    assert reading(last_success=None, created=timedelta(hours=37), planned=False).status == "silent"


@pytest.mark.parametrize("state", ["bug", "websiteUnavailable", "rateLimiting", "validating"])
def test_a_temporary_state_belongs_to_the_operator_after_three_days(state: str) -> None:
    waiting, lasting = reading(state, last_success=timedelta(days=3)), reading(state, last_success=timedelta(days=4))

    assert waiting_is_enough(waiting.who_acts)
    assert (lasting.state, lasting.status, lasting.who_acts) == (state, "temporary", "operator")
    assert not lasting.is_synced


def test_a_switched_off_connection_belongs_to_the_operator() -> None:
    situation = reading("websiteUnavailable", active=False)

    assert (situation.state, situation.status, situation.who_acts) == ("websiteUnavailable", "paused", "operator")
