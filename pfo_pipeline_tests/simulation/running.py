"""A run in a plan: the steps of a job with attempts and waits as in Dagster, and the readable answers of each attempt.

Readable answers come from the simulator's journal: answers without a fault.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import httpx
from pydantic import PrivateAttr

from pfo_pipeline.alerts.conditions import Condition
from pfo_pipeline.config import load_config
from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import described_failure, named_failures
from pfo_pipeline.defs.from_contract import ASSET_KEYS, job_name
from pfo_pipeline.defs.io_manager import LedgerIOManager
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.defs.run_health import _failed as condition_of_failure
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.queries import QueryContext, Snapshot, fetch_accounts, fetch_balances
from pfo_pipeline.operations.steps import Attempt, StepContext, StepOutcome, perform
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.simulation.automation import Automation
from pfo_pipeline_tests.simulation.book import Book, Read, Reading
from pfo_pipeline_tests.simulation.truth import Picture
from pfo_pipeline_tests.simulation.world import TENANT, World

_LISTS = ("connections", "accounts")


class Died(Exception):
    """The process of a run has died."""


class VirtualOffice(OfficeResource):
    """The office's resource with a ledger on the plan's clock."""

    _ledger: Ledger = PrivateAttr()

    def ledger(self) -> Ledger:
        return self._ledger


@dataclass
class Between:
    """Events between the fetch and the merge of the next command step, and while its lists are read."""

    before_merge: list[Callable[[], None]] = field(default_factory=list)
    after_merge: list[Callable[[], None]] = field(default_factory=list)
    first_page: tuple[str, Callable[[], None]] | None = None
    """(token, action after the first page of that member's accounts was sent)"""


@dataclass
class Tries:
    """The attempts of one command step until now."""

    moments: list[datetime] = field(default_factory=list)
    pictures: list[dict[str, Picture]] = field(default_factory=list)
    honest: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """By member and list, the attempt with an answer free of faults; None if the last attempt got none."""
    twice: bool = False
    may_be_cured: set[str] = field(default_factory=set)
    """Members whose last call failed with an error that another attempt may cure."""

    def read(self, member: str) -> Read:
        connections, accounts = (self.honest.get((member, name)) for name in _LISTS)
        return Read(
            self.pictures[connections - 1][member].connections if connections else None,
            self.pictures[accounts - 1][member].accounts if connections and accounts else None,
            accounts or 1,
            self.moments[(accounts or 1) - 1],
            self.moments[(connections or 1) - 1],
        )


@dataclass
class Runner:
    """Carries out runs of the tenant and keeps the book."""

    world: World
    ledger: Ledger
    automation: Automation
    book: Book
    publishes: bool = False
    """Whether query steps read and publish: analysts read at some times only."""
    between: Between = field(default_factory=Between)
    said: list[str] = field(default_factory=list)
    """Every text for a log, an alert or Dagster's own storage."""
    failed: dict[str, Condition] = field(default_factory=dict)
    """By job, the condition of its newest run, if that failed."""
    ended: list[tuple[str, str]] = field(default_factory=list)
    """Runs that did not die, with their jobs."""
    refused_runs: set[str] = field(default_factory=set)
    """Runs in which no member has a token: they are refused before any call or record."""
    gave_up_early: list[str] = field(default_factory=list)
    runs: int = 0
    _seen: int = 0

    def __post_init__(self) -> None:
        office = VirtualOffice()
        office._ledger = self.ledger
        self._io = LedgerIOManager(office=office)

    @property
    def last_run(self) -> str:
        return f"run-{self.runs:04d}"

    def run(self, request: dg.RunRequest) -> None:
        """Carry out a requested run."""
        self.runs += 1
        run_id = self.last_run
        workflow = next(w for w in WORKFLOWS if job_name(w) == request.job_name)
        chosen = [
            s for s in workflow.steps if not request.asset_selection or ASSET_KEYS[s.id] in request.asset_selection
        ]
        for step in chosen:
            try:
                is_done = self._command(step, run_id) if step.operation.kind == "command" else self._query(step, run_id)
            except Died:
                self._in_vain(request)
                return
            if not is_done:
                self._in_vain(request)
                self.ended.append((run_id, request.job_name or ""))
                return
            self.automation.materialized(step, TENANT)
            if step.operation.kind == "command":
                for happens in _taken(self.between.after_merge):
                    try:
                        happens()
                    except Died:
                        self._in_vain(request)
                        return
        self.ended.append((run_id, job_name(workflow)))
        self.failed.pop(job_name(workflow), None)

    def _in_vain(self, request: dg.RunRequest) -> None:
        if request.run_key:
            self.automation.failed(request)

    def _query(self, step: Step, run_id: str) -> bool:
        if not self.publishes:
            return True
        tenant = load_config().tenant(TENANT)
        fetch = {"fetch-accounts": fetch_accounts, "fetch-balances": fetch_balances}[step.id]
        with named_failures(step):
            snapshot = fetch(QueryContext(TENANT, "admin", self.ledger.reader()), tenant)
        self._store(step, run_id, snapshot)
        return True

    def _command(self, step: Step, run_id: str) -> bool:
        """Returns: whether the step succeeded."""
        banking = OpenBanking(load_config(), self._transport)
        tries = Tries()
        is_dead = False
        while True:
            number = len(tries.pictures) + 1
            outcome, failure, wait_seconds = self._attempt(step, run_id, banking, number)
            self._look(tries, number)
            if failure is None or wait_seconds is None:
                break
            self.world.bank.advance(seconds=math.ceil(wait_seconds))
        now = self.world.bank.now()
        if outcome is not None:
            try:
                for happens in _taken(self.between.before_merge):
                    happens()
                self._store(step, run_id, outcome)
            except Died:
                is_dead = True
        self._keep_book(step, run_id, tries, now, is_recorded=not is_dead)
        if not any(map(self.world.has_token, self.world.users)):
            self.refused_runs.add(run_id)
        if failure is not None:
            self._failed(step, run_id, failure)
        if tries.may_be_cured and len(tries.pictures) < step.retry.max_attempts:
            self.gave_up_early.append(f"{run_id}: {sorted(tries.may_be_cured)} after {len(tries.pictures)} attempts")
        if is_dead:
            raise Died
        return outcome is not None

    def _attempt(
        self, step: Step, run_id: str, banking: OpenBanking, number: int
    ) -> tuple[StepOutcome | None, dg.Failure | None, float | None]:
        """The outcome, or the failure; and Dagster's wait before the next attempt, None without one."""
        context = StepContext(
            tenant=banking.config.tenant(TENANT),
            role="admin",
            run_id=run_id,
            attempt=Attempt(number, is_last=number >= step.retry.max_attempts),
            banking=banking,
            ledger=self.ledger,
            clock=self.world.bank.now,
        )
        try:
            with named_failures(step):
                outcome = perform(step, context)
        except dg.RetryRequested as again:
            failure = cast(dg.Failure, again.__cause__)
            self._tell_failure(failure)
            return None, failure, float(again.seconds_to_wait or 0)
        except dg.Failure as failure:
            self._tell_failure(failure)
            may_retry = failure.allow_retries and number < step.retry.max_attempts
            return None, failure, step.retry.delays_seconds()[number - 1] if may_retry else None
        self.said += [*outcome.errors, *outcome.drift]
        return outcome, None, None

    def _tell_failure(self, failure: dg.Failure) -> None:
        self.said += [failure.description or "", *(str(value.value) for value in failure.metadata.values())]

    def _store(self, step: Step, run_id: str, value: StepOutcome | Snapshot) -> None:
        shown: dict[str, Any] = {}
        # The part of Dagster's context that the IO manager uses; a real one starts an instance of Dagster each time.
        context = SimpleNamespace(
            asset_key=ASSET_KEYS[step.id],
            run_id=run_id,
            step_context=SimpleNamespace(instance=self.automation.instance, run_id=run_id),
            add_output_metadata=shown.update,
        )
        self._io.handle_output(cast(Any, context), value)
        self.said += [str(getattr(value, "value", value)) for value in shown.values()]

    def _look(self, tries: Tries, number: int) -> None:
        """Record the journal's answers to the attempt, and the truth at its end."""
        tries.moments.append(self.world.bank.now())
        tries.pictures.append({member: self.world.picture(member) for member in self.world.users})
        members = {user.id: member for member, user in self.world.users.items()}
        for entry in self.world.bank.journal(self.world.domain.name, self._seen):
            self._seen = entry["seq"]
            member, name = members.get(entry["user"]), entry["path"].rsplit("/", 1)[-1]
            if member is None or name not in _LISTS or entry["method"] != "GET":
                continue
            is_double = bool(self.world.twice) and entry["fault"] == "body"
            tries.twice |= is_double
            is_honest = entry["status"] == 200 and (entry["fault"] is None or is_double)
            tries.honest[member, name] = number if is_honest else None
            if not is_honest and _may_be_cured(entry):
                tries.may_be_cured.add(member)
            else:
                tries.may_be_cured.discard(member)

    def _keep_book(self, step: Step, run_id: str, tries: Tries, now: datetime, *, is_recorded: bool) -> None:
        unreadable: dict[int, str] = dict(self.world.unreadable)
        if tries.twice:
            unreadable |= dict.fromkeys(self.world.twice, "twice")
        self.book.read(
            Reading(
                run_id=run_id,
                work="sync" if step.id == "sync-accounts" else "refresh",
                now=now,
                members={member: tries.read(member) for member in self.world.users},
                unreadable=unreadable,
                accepted=dict(self.world.accepted),
                is_recorded=is_recorded and any(map(self.world.has_token, self.world.users)),
            )
        )

    def _failed(self, step: Step, run_id: str, failure: dg.Failure) -> None:
        """Keep the failed run as Dagster's storage does, until the job's next run succeeds."""
        workflow = next(w for w in WORKFLOWS if step in w.steps)
        event = SimpleNamespace(
            step_key=step.id, step_failure_data=SimpleNamespace(user_failure_data=failure, error=None)
        )
        run = SimpleNamespace(run_id=run_id)
        tenant = load_config().tenant(TENANT)
        causes = [described_failure(cast(Any, event))]
        self.failed[job_name(workflow)] = condition_of_failure([], causes, tenant, workflow, cast(Any, run))

    def _transport(self) -> httpx.AsyncBaseTransport:
        if self.between.first_page is None:
            return httpx.AsyncHTTPTransport()
        return _Meddling(httpx.AsyncHTTPTransport(), self.between)


def _may_be_cured(entry: Mapping[str, Any]) -> bool:
    """Whether the failure is Powens' own problem and not a refusal."""
    return entry["fault"] in ("reset", "truncated", "html") or entry["status"] == 429 or (entry["status"] or 0) >= 500


def _taken(waiting: list[Callable[[], None]]) -> list[Callable[[], None]]:
    """Take all waiting actions from the list."""
    taken, waiting[:] = list(waiting), []
    return taken


class _Meddling(httpx.AsyncBaseTransport):
    """Changes the bank after the first page of a member's list was answered."""

    def __init__(self, inner: httpx.AsyncBaseTransport, between: Between) -> None:
        self._inner = inner
        self._between = between

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        awaited = self._between.first_page
        if awaited and request.url.path.endswith("/accounts") and request.headers["Authorization"].endswith(awaited[0]):
            page = json.loads(await response.aread())
            if (page.get("_links") or {}).get("next"):
                self._between.first_page = None
                awaited[1]()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
