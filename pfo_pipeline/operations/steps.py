"""One attempt of a command step: it stores what it gathered, then ends, requests another attempt, or fails."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.model import Role, Step
from pfo_pipeline.contracts.operations import REFRESH_BALANCES, SYNC_ACCOUNTS
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.store import Clock, Ledger
from pfo_pipeline.operations.access import authorize, require_integration
from pfo_pipeline.operations.fan_out import refresh_scope, sync_scope
from pfo_pipeline.operations.force_sync import Forced, Sleep
from pfo_pipeline.operations.selection import EVERYTHING, Choice, Scope, scope_of
from pfo_pipeline.operations.signals import run_interruptible
from pfo_pipeline.operations.step_result import StepResult
from pfo_pipeline.operations.sync import CommandContext
from pfo_pipeline.powens.errors import RateLimited, Transient, WrongClock
from pfo_pipeline.powens.session import OpenBanking

LONGEST_WAIT_SECONDS = 300.0
"""Maximum wait for a server's Retry-After."""


@dataclass(frozen=True)
class Attempt:
    """Number of an attempt of a step, counted from 1, and whether another may follow."""

    number: int
    is_last: bool


class TryAgain(Exception):
    """Another attempt may succeed; what succeeded so far is already in the ledger."""

    def __init__(self, text: str, wait_seconds: float | None) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
        """As requested by the server, within LONGEST_WAIT_SECONDS; None: by the contract's policy."""


class StepFailed(PfoError):
    """No user of the tenant could be read, or none with a right clock; no further attempt is left or would help."""

    def __init__(self, text: str, code: str, who_acts: str) -> None:
        super().__init__(text)
        self.code = code
        self.who_acts = who_acts


@dataclass(frozen=True)
class StepContext:
    """The context of a command step of one tenant's run."""

    tenant: Tenant
    role: Role
    run_id: str
    attempt: Attempt
    banking: OpenBanking
    ledger: Ledger
    clock: Clock
    choice: Choice = EVERYTHING
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True)
class StepOutcome:
    """The result of a finished step: what the IO manager stores and what the operator sees."""

    batch: Batch
    errors: tuple[str, ...]
    drift: Mapping[str, int]
    """Undocumented fields and values, such as `account.type=vault`, with their number of records."""
    forced: Forced | None = None
    """The result of the sync requested at the bank."""


def perform(step: Step, context: StepContext) -> StepOutcome:
    """Run one attempt of a command step.

    Raises:
        OperationRefused: role, integration slot or capability is missing, or the selection does not exist.
        TryAgain: something failed that another attempt may cure; the rest is merged already.
        StepFailed: no user could be read, and no attempt is left or would help; or our clock is wrong: then nothing is
            recorded,
            including users who were read before it jumped.
        LedgerError: the ledger cannot be read or written.
    """
    authorize(step.operation, context.role)
    require_integration(step, context.banking.binding(context.tenant))
    scope = scope_of(context.tenant, context.ledger.reader(), context.choice)
    if context.attempt.number == 1:
        context.banking.forget(context.tenant, step.id)  # From an earlier run that ended between its attempts.
    result = run_interruptible(_gathered(step, context, scope))
    if result.wrong_clock is not None:
        raise _under_a_wrong_clock(context.tenant, result.wrong_clock)

    def batch(*, has_ended: bool) -> Batch:
        return result.batch(
            context.tenant.id,
            context.run_id,
            step.operation,
            context.attempt.number,
            has_ended=has_ended,
            complete=has_ended and scope.is_everything,
        )

    if result.transient and not context.attempt.is_last:
        gathered = batch(has_ended=False)
        # An empty load has no information, and no answer has shown yet whether our clock would date it correctly.
        if gathered.rows:
            context.ledger.merge(gathered)
        raise _try_again(result.transient)
    context.banking.forget(context.tenant, step.id)
    if result.users_read == 0:
        context.ledger.merge(batch(has_ended=True))
        context.ledger.publish()  # No later step of this run publishes, and readers must see the action items.
        raise _nobody_was_read(context.tenant, result)
    drift = {f"{where}={value}" if value else where: count for (where, value), count in sorted(result.drift.items())}
    return StepOutcome(batch(has_ended=True), tuple(result.errors), drift, result.forced)


async def _gathered(step: Step, context: StepContext, scope: Scope) -> StepResult:
    async with context.banking.session(context.tenant, step.id) as bank:
        command = CommandContext(
            tenant=context.tenant,
            role=context.role,
            bank=bank,
            known=context.ledger.reader(),
            now=context.clock(),
            clock=context.clock,
            sleep=context.sleep,
        )
        return await _GATHER[step.operation.key](command, scope)


def _try_again(failures: list[Transient]) -> TryAgain:
    waits = [
        f.retry_after_seconds for f in failures if isinstance(f, RateLimited) and f.retry_after_seconds is not None
    ]
    wait = min(max(waits), LONGEST_WAIT_SECONDS) if waits else None
    return TryAgain("; ".join(sorted({str(failure) for failure in failures})), wait)


def _under_a_wrong_clock(tenant: Tenant, proof: WrongClock) -> StepFailed:
    return StepFailed(
        f"Tenant {tenant.id}: nothing was recorded, since what is recorded is dated by this machine's clock for ever. "
        f"Set the clock of this machine and have it kept right (NTP). Then: pfo run --tenant {tenant.id}. Call: {proof}",
        code=proof.code,
        who_acts="operator",
    )


def _nobody_was_read(tenant: Tenant, result: StepResult) -> StepFailed:
    troubled = result.users_in_trouble()
    worst = next((row for row in troubled if row.status == "refused"), troubled[0])
    return StepFailed(
        f"Tenant {tenant.id}: no user could be read. "
        + " ".join(f"User {row.user_id}: {row.status} ({row.code}). {row.remedy}" for row in troubled)
        + " Calls: "
        + "; ".join(result.errors),
        code=worst.code or worst.status,
        who_acts=worst.who_acts or "operator",
    )


_GATHER: dict[str, Callable[[CommandContext, Scope], Awaitable[StepResult]]] = {
    SYNC_ACCOUNTS.key: sync_scope,
    REFRESH_BALANCES.key: refresh_scope,
}
