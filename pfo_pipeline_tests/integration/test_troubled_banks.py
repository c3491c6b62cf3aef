"""Whole runs against a failing bank: healthy parts continue, the others are recorded with who must act."""

from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import (
    ACCOUNTS,
    ACCOUNTS_JOB,
    BALANCES_JOB,
    CONNECTIONS,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
    sync_and_refresh,
    waits,
)

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

# Powens docs, Connections: every state of a connection, and who can end it. The last one is not documented.
WHO_ACTS = {
    "SCARequired": "member",
    "webauthRequired": "member",
    "additionalInformationNeeded": "member",
    "decoupled": "member",
    "wrongpass": "member",
    "passwordExpired": "member",
    "actionNeeded": "member",
    "validating": "nobody",
    "rateLimiting": "bank",
    "websiteUnavailable": "bank",
    "bug": "powens",
    "notSupported": "operator",
    "regulatoryHold": "operator",
}


def test_connections_in_every_state_are_recorded_and_the_healthy_ones_are_fresh(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    healthy = str(office.connect("smith", "jane", "10.5", "20"))
    troubled = {str(office.connect("smith", "jane", "1", state=state)): state for state in WHO_ACTS}

    accounts, balances = sync_and_refresh(office, instance, "smith")

    assert accounts.success
    assert balances.success
    assert waits(accounts) == waits(balances) == []
    found = {
        connection: (state, who, remedy)
        for connection, state, who, remedy in office.ask(
            "select connection_id, state, who_acts, remedy from connections_latest"
        )
    }
    assert found[healthy] == (None, None, None)
    assert {found[c][0]: found[c][1] for c in troubled} == WHO_ACTS
    assert all(found[c][2] for c in troubled)
    fresh = office.ask(
        "select connection_id, current_balance from positions where connection_status = 'healthy' order by 2"
    )
    assert fresh == [(healthy, Decimal("10.5")), (healthy, Decimal(20))]
    ((synced, failed),) = office.ask(
        "select synced, failed from loads where operation = 'openbanking.accounts.sync' and complete"
    )
    assert (synced, failed) == (2, len(WHO_ACTS))
    assert office.ask("select value from drift where field = 'connection.state'") == [("regulatoryHold",)]


def test_only_a_user_who_must_act_has_a_link(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    for state in WHO_ACTS:
        office.connect("smith", "jane", state=state)

    run_job(office, instance, "smith")

    assert all(
        (link is not None) == (who == "member") for who, link in office.ask("select who_acts, link from connections")
    )


FAULTS: dict[str, dict[str, Any]] = {
    "limited": {"kind": "status", "status": 429, "retry_after": 0},
    "failing": {"kind": "status", "status": 500},
    "page": {"kind": "html"},
    "silent": {"kind": "slow", "seconds": 30},
    "cut": {"kind": "truncated"},
    "reset": {"kind": "reset"},
}


@pytest.mark.parametrize("job", [ACCOUNTS_JOB, BALANCES_JOB])
def test_lasting_faults_are_tried_three_times_and_healthy_calls_once(
    office: Office, instance: dg.DagsterInstance, job: str
) -> None:
    office.add_tenant("smith", "healthy", *FAULTS, timeout_seconds=1)
    for user in ("healthy", *FAULTS):
        office.connect("smith", user, "1")
    if job == BALANCES_JOB:
        run_job(office, instance, "smith")
    since = max((int(call["seq"]) for call in office.calls("smith")), default=0)
    for user, fault in FAULTS.items():
        office.bank.fault(path=f"^{ACCOUNTS}$", user=office.users["smith", user].id, times=None, **fault)

    result = run_job(office, instance, "smith", job)

    assert result.success
    assert office.paths("smith", "healthy", since=since) == [CONNECTIONS, ACCOUNTS]
    for user in FAULTS:
        assert office.paths("smith", user, since=since) == [CONNECTIONS, ACCOUNTS, ACCOUNTS, ACCOUNTS], user
    statuses = dict(office.ask("select user_id, status from users_latest"))
    assert statuses == {"healthy": "ok", **dict.fromkeys(FAULTS, "unreachable")}
    assert office.ask("select attempt, complete from loads order by load_id")[-3:] == [
        (1, False),
        (2, False),
        (3, True),
    ]


@pytest.mark.parametrize("times", [1, 2])
def test_temporary_faults_cost_one_call_each_and_everything_is_recorded(
    office: Office, instance: dg.DagsterInstance, times: int
) -> None:
    office.add_tenant("smith", "healthy", *FAULTS, timeout_seconds=1)
    for user in ("healthy", *FAULTS):
        office.connect("smith", user, "1.5")
    for user, fault in FAULTS.items():
        office.bank.fault(path=f"^{CONNECTIONS}$", user=office.users["smith", user].id, times=times, **fault)

    accounts, balances = sync_and_refresh(office, instance, "smith")

    assert accounts.success
    assert balances.success
    expected = dict.fromkeys(FAULTS, times + 1) | {"healthy": 1}
    for user, calls in expected.items():
        assert office.paths("smith", user)[: calls + 1] == [CONNECTIONS] * calls + [ACCOUNTS], user
    assert {status for (status,) in office.ask("select status from users_latest")} == {"ok"}
    assert office.ask("select count(*), count(distinct account_id), sum(current_balance) from balances") == [
        (7, 7, Decimal("10.5"))
    ]
    assert office.ask("select count(*) from accounts") == [(7,)]
