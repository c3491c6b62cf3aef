"""Plays a plan: the bank's clock moves from event to event, and automation does its work when it is awake."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial, singledispatchmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import dagster as dg

from pfo_pipeline.alerts.conditions import Findings, ledger_findings
from pfo_pipeline.alerts.notify import record
from pfo_pipeline.cli import identity
from pfo_pipeline.config import load_config
from pfo_pipeline.contracts.tables import DriftRow
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.office import reader_of
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline_tests.new_ledger import begin_ledger
from pfo_pipeline_tests.operations.household import opened
from pfo_pipeline_tests.simulated_bank import SimulatedBank
from pfo_pipeline_tests.simulation.automation import Automation, Hearing, quarters
from pfo_pipeline_tests.simulation.book import Book, Health
from pfo_pipeline_tests.simulation.events import (
    CurrencyAccepted,
    Death,
    Event,
    ListMoves,
    Neighbour,
    OperatorDecides,
    Posts,
    Wake,
)
from pfo_pipeline_tests.simulation.plan import Plan
from pfo_pipeline_tests.simulation.posting import Posting
from pfo_pipeline_tests.simulation.running import Died, Runner
from pfo_pipeline_tests.simulation.world import OFFICE, TENANT, WEBHOOK_SECRET, World

_AWAKE = timedelta(minutes=85)
NEIGHBOUR = "larch"


@dataclass(frozen=True)
class Look:
    """A check for alerts, and the knowledge at that time.

    `runs` had ended; `health` is the ledger's state of connections, None if only runs were checked.
    """

    at: datetime
    runs: int
    health: Mapping[int, Health] | None


@dataclass(frozen=True)
class Decision:
    """A decision that an account is the same as another, or separate."""

    at: datetime
    joined_to: int | None


@dataclass
class Played:
    """A finished half-year: the truth, the expected ledger, and all messages."""

    plan: Plan
    world: World
    ledger: Ledger
    book: Book
    runner: Runner
    automation: Automation
    posting: Posting
    said: list[str] = field(default_factory=list)
    decisions: dict[int, Decision] = field(default_factory=dict)
    """The operator's decisions, by account."""
    looks: list[Look] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    """Runs that read the same data again."""
    journal: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def played(plan: Plan, folder: Path) -> Iterator[Played]:
    """Play a plan in its own folder; the bank stays open until the block ends."""
    with ExitStack() as stack:
        data = folder / "data"
        begin_ledger(data, OFFICE)
        environment = {"PFO_CONFIG": str(folder / "pfo.toml"), "PFO_DATA_DIR": str(data)}
        stack.enter_context(patch.dict(os.environ, environment))
        said: list[str] = []
        stack.enter_context(_heard(said))
        bank = stack.enter_context(SimulatedBank(seed=plan.seed, now=plan.start))
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        world = World(bank, plan, folder)
        (folder / WEBHOOK_SECRET).write_text("not yet", encoding="utf-8")
        ledger = Ledger(LedgerFiles(data), OFFICE, clock=bank.now)
        automation, book = Automation(instance, bank.now), Book()
        runner = Runner(world, ledger, automation, book)
        posting = stack.enter_context(Posting(world, data / "private"))
        play = _Play(Played(plan, world, ledger, book, runner, automation, posting, said))
        with opened(ledger) as held:  # An open ledger saves most of the opening time.
            held.execute("set threads = 1")
            for event in plan.events:
                bank.advance_to(max(event.at, bank.now()))
                play.happen(event)
            play.end()
        yield play.half_year


@dataclass
class _Play:
    half_year: Played

    @singledispatchmethod
    def happen(self, event: Event) -> None:
        self.half_year.world.apply(event)

    @happen.register
    def _(self, event: Wake) -> None:
        played = self.half_year
        bank, automation = played.world.bank, played.automation
        played.runner.publishes = event in _looked_at(played.plan)
        self._run_all(automation.sensed("tenants"))
        tenant = load_config().tenant(TENANT)
        for quarter in quarters(bank.now(), bank.now() + _AWAKE):
            requests = automation.scheduled(tenant, quarter)
            if requests:
                bank.advance_to(max(quarter, bank.now()))
                self._run_all(requests)
        self._look()
        played.world.settle_down()

    @happen.register
    def _(self, event: Death) -> None:
        between = self.half_year.runner.between
        (between.before_merge if event.when == "before merge" else between.after_merge).append(_die)

    @happen.register
    def _(self, event: Neighbour) -> None:
        self.half_year.runner.between.before_merge.append(self._neighbour_writes)

    @happen.register
    def _(self, event: OperatorDecides) -> None:
        if event.during_a_run:
            self.half_year.runner.between.before_merge.append(partial(self._decide, event))
        else:
            self._decide(event)

    @happen.register
    def _(self, event: CurrencyAccepted) -> None:
        self.half_year.world.accept(event, self._ids())

    @happen.register
    def _(self, event: ListMoves) -> None:
        world = self.half_year.world
        world.bank.change_domain(world.domain.name, page_size=1)
        member = world.owners[event.connection]
        token = (world.folder / f"{member}.token").read_text(encoding="utf-8") if world.has_token(member) else "none"
        moves = partial(world.appear, event.connection, event.newcomer) if event.newcomer else None
        self.half_year.runner.between.first_page = (token, moves or partial(world.vanish, event.account))

    @happen.register
    def _(self, event: Posts) -> None:
        played = self.half_year
        for _ in played.posting.looks(event):
            self._run_all(played.automation.sensed("webhooks"))

    def end(self) -> None:
        """Read the same data once more and publish; then finish."""
        played = self.half_year
        played.runner.publishes = True
        for job in (sync_openbanking_accounts.name, refresh_openbanking_balances.name):
            played.runner.run(dg.RunRequest(job_name=job, partition_key=TENANT))
            played.again.add(played.runner.last_run)
        self._look()
        played.journal = played.world.bank.journal(played.world.domain.name)
        played.said += [*played.runner.said, *played.automation.told, *played.posting.said]

    def _run_all(self, requests: list[dg.RunRequest]) -> None:
        """Carry out the requested runs, and those that follow them."""
        while requests:
            for request in requests:
                self.half_year.runner.run(request)
            requests = self.half_year.automation.sensed("after_sync")

    def _look(self) -> None:
        """Check as the sensor `alerts` does: failed runs always, the published ledger if there is a new one."""
        played = self.half_year
        config, now, runner = load_config(), played.world.bank.now(), played.runner
        findings = [Findings(tuple(runner.failed.values()), frozenset({"run", "check"}))]
        if runner.publishes and played.ledger.files.published.exists():
            findings.append(ledger_findings(config, reader_of(config), now))
        record(config, findings, now)
        health = dict(played.book.health) if len(findings) > 1 else None
        played.looks.append(Look(now, len(runner.ended), health))

    def _ids(self) -> dict[int, str]:
        """The pipeline's ids of accounts by the bank's, as an operator reads them in the ledger."""
        linked = self.half_year.ledger.reader().linked_accounts(TENANT)
        return {int(account.source_id): account.account_id for account in linked}

    def _neighbour_writes(self) -> None:
        played = self.half_year
        other = Ledger(played.ledger.files, OFFICE, clock=played.world.bank.now)
        other.merge(
            Batch(
                tenant_id=NEIGHBOUR,
                run_id="neighbour",
                operation="openbanking.accounts.sync.v1",
                code_version="1.0.0",
                attempt=1,
                complete=True,
                synced=0,
                failed=0,
                rows={DriftRow: (DriftRow(NEIGHBOUR, "account.type", "vault"),)},
            )
        )

    def _decide(self, event: OperatorDecides) -> None:
        """Decide as `pfo identity join` and `split` do; a refused decision is not recorded."""
        played = self.half_year
        account, other = (played.world.accounts[key] for key in (event.account, event.other))
        ids = self._ids()
        if account not in ids or other not in ids:
            return
        place = SimpleNamespace(role="admin", ledger=played.ledger, reader=played.ledger.reader())
        try:
            if event.how == "join":
                identity.join_accounts(cast(Any, place), TENANT, ids[account], ids[other])
            else:
                identity.split_accounts(cast(Any, place), TENANT, ids[account])
        except OperationRefused as refusal:
            played.said.append(str(refusal))
            return
        played.decisions[account] = Decision(played.world.bank.now(), other if event.how == "join" else None)


def _looked_at(plan: Plan) -> list[Wake]:
    """The wakes with a check of the published ledger: the last, and every third before it."""
    return [event for event in plan.events if isinstance(event, Wake)][::-3]


def _die() -> None:
    raise Died


@contextmanager
def _heard(said: list[str]) -> Iterator[None]:
    """Every log line of the process, of any level."""
    handler = Hearing(said)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
