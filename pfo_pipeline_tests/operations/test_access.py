"""Roles and integration slots are checked before the bank or the ledger is touched."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from pfo_pipeline.contracts.model import BindingStatus, Capability, IntegrationBinding, Operation, Role, Step
from pfo_pipeline.contracts.operations import (
    GET_ACCOUNT,
    GET_BALANCES,
    LIST_ACCOUNTS,
    REFRESH_BALANCES,
    SYNC_ACCOUNTS,
    GetAccountInput,
    GetBalancesInput,
    ListAccountsInput,
    RefreshBalancesInput,
    SyncAccountsInput,
)
from pfo_pipeline.contracts.workflows import (
    ACCOUNTS_READ,
    POWENS_CAPABILITIES,
    POWENS_INTEGRATION,
    PRIMARY_OPEN_BANKING,
    WORKFLOWS,
)
from pfo_pipeline.operations.access import OperationRefused, authorize, require_integration
from pfo_pipeline.operations.queries import get_account, get_balances, list_accounts
from pfo_pipeline.operations.refresh import refresh_balances
from pfo_pipeline.operations.sync import sync_accounts
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.operations.household import REFRESH, SYNC, Household, settle, token_file
from pfo_pipeline_tests.simulated_bank import SimulatedBank

STEPS = [step for workflow in WORKFLOWS for step in workflow.steps]
BOUND = IntegrationBinding(PRIMARY_OPEN_BANKING, POWENS_INTEGRATION, "connected", POWENS_CAPABILITIES)


@pytest.mark.parametrize(
    ("operation", "role", "allowed"),
    [
        (SYNC_ACCOUNTS, "admin", True),
        (SYNC_ACCOUNTS, "user", False),
        (REFRESH_BALANCES, "admin", True),
        (REFRESH_BALANCES, "user", False),
        (LIST_ACCOUNTS, "admin", True),
        (LIST_ACCOUNTS, "user", True),
        (GET_ACCOUNT, "admin", True),
        (GET_ACCOUNT, "user", True),
        (GET_BALANCES, "admin", True),
        (GET_BALANCES, "user", True),
    ],
    ids=lambda value: value.key if isinstance(value, Operation) else str(value),
)
def test_commands_need_admin_and_queries_need_user(operation: Operation, role: Role, allowed: bool) -> None:
    if allowed:
        authorize(operation, role)
    else:
        with pytest.raises(OperationRefused, match=f"{operation.key} needs role admin; this process acts as user"):
            authorize(operation, role)


NOBODY = cast(Role, "nobody")


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        (LIST_ACCOUNTS, lambda h: list_accounts(h.query(NOBODY), ListAccountsInput(tenant_id="smith", user_id="jane"))),
        (GET_ACCOUNT, lambda h: get_account(h.query(NOBODY), GetAccountInput(tenant_id="smith", account_id="acc_1"))),
        (GET_BALANCES, lambda h: get_balances(h.query(NOBODY), GetBalancesInput(tenant_id="smith", account_id="a"))),
        (
            SYNC_ACCOUNTS,
            lambda h: asyncio.run(
                sync_accounts(
                    h.command(bank=None, role="user"),
                    SyncAccountsInput(tenant_id="smith", user_id="jane", connection_id="1"),
                )
            ),
        ),
        (
            REFRESH_BALANCES,
            lambda h: asyncio.run(
                refresh_balances(
                    h.command(bank=None, role="user"),
                    RefreshBalancesInput(tenant_id="smith", account_id="acc_1"),
                    cast(Any, None),
                )
            ),
        ),
    ],
    ids=lambda value: value.key if isinstance(value, Operation) else "",
)
def test_every_operation_checks_its_role_first(
    smith: Household, operation: Operation, call: Callable[[Household], object]
) -> None:
    with pytest.raises(OperationRefused, match=f"{operation.key} needs role {operation.policy.auth}"):
        call(smith)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_step_runs_when_its_slot_is_bound_and_healthy(step: Step) -> None:
    require_integration(step, BOUND)


@pytest.mark.parametrize("status", ["disconnected", "error", "unknown", "unbound"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_slot_that_is_not_healthy_refuses_the_step(step: Step, status: BindingStatus) -> None:
    binding = replace(BOUND, status=status, reason="Look at the console.")

    with pytest.raises(OperationRefused) as refused:
        require_integration(step, binding)

    assert str(refused.value) == (
        f"Step {step.id} needs integration slot primaryOpenBanking, whose status is {status}. Look at the console."
    )


@pytest.mark.parametrize(
    "binding",
    [replace(BOUND, integration=None, status="unbound"), replace(BOUND, slot="secondaryOpenBanking")],
    ids=["nothing in the slot", "another slot"],
)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_an_unbound_slot_refuses_the_step(step: Step, binding: IntegrationBinding) -> None:
    with pytest.raises(
        OperationRefused, match=f"Step {step.id} needs integration slot primaryOpenBanking, which is unbound"
    ):
        require_integration(step, binding)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_missing_capability_refuses_the_step(step: Step) -> None:
    (needed,) = step.required_capabilities
    others = tuple(capability for capability in POWENS_CAPABILITIES if capability != needed)

    with pytest.raises(OperationRefused) as refused:
        require_integration(step, replace(BOUND, capabilities=others))

    assert f"Step {step.id} needs {needed.key}, which openbanking.powens in slot primaryOpenBanking does not" in str(
        refused.value
    )


def test_a_capability_of_another_version_is_not_sufficient() -> None:
    binding = replace(BOUND, capabilities=(Capability(ACCOUNTS_READ.key, "2.0.0"),))

    with pytest.raises(OperationRefused, match=ACCOUNTS_READ.key):
        require_integration(SYNC, binding)


@pytest.mark.parametrize("step", [SYNC, REFRESH], ids=lambda step: step.id)
def test_a_refused_step_requests_nothing_and_writes_nothing(smith: Household, step: Step) -> None:
    smith.role = "user"

    with smith.asked() as asked, pytest.raises(OperationRefused, match="needs role admin"):
        smith.run(step)

    assert asked == []
    assert smith.ask("select count(*) from loads") == [(0,)]


def test_a_disconnected_tenant_is_refused_without_a_call(bank: SimulatedBank, smith: Household) -> None:
    smith.tenant = smith.tenant.model_copy(update={"integration": "disconnected"})

    with smith.asked() as asked, pytest.raises(OperationRefused) as refused:
        smith.sync()

    assert asked == []
    assert "slot primaryOpenBanking, whose status is disconnected" in str(refused.value)
    assert 'tenants.smith.integration is "disconnected" in the configuration' in str(refused.value)


def test_a_tenant_without_any_usable_token_is_refused_with_each_reason(bank: SimulatedBank, family: Household) -> None:
    for member in family.members:
        token_file(family.ledger.files.data_dir, "smith", member).unlink()

    with pytest.raises(OperationRefused, match="whose status is error") as refused:
        family.sync()

    for member in family.members:
        assert f"tenants.smith.users.{member}.token: file " in str(refused.value)


def test_missing_tokens_of_some_users_do_not_refuse_the_step(family: Household) -> None:
    token_file(family.ledger.files.data_dir, "smith", "john").unlink()

    assert family.banking.binding(family.tenant).status == "connected"


def test_powens_provides_the_three_read_capabilities(smith: Household) -> None:
    binding = smith.banking.binding(smith.tenant)

    assert (binding.slot, binding.integration) == ("primaryOpenBanking", "openbanking.powens")
    assert {capability.key for capability in binding.capabilities} == {
        "openbanking.accounts.read",
        "openbanking.balances.read",
        "openbanking.transactions.read",
    }


def test_a_tenants_slot_does_not_affect_another_tenants(bank: SimulatedBank, smith: Household) -> None:
    jones = settle(bank, smith.ledger, "jones", integration="disconnected")
    both = OpenBanking(smith.banking.config.model_copy(update={"tenants": (smith.tenant, jones.tenant)}))

    assert (both.binding(smith.tenant).status, both.binding(jones.tenant).status) == ("connected", "disconnected")
