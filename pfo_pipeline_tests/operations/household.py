"""A tenant in a test: users at a simulated bank, its own ledger, and steps run as Dagster runs them."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pfo_pipeline.config import Config, Tenant, User
from pfo_pipeline.contracts.model import Role, Step
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection, KnownUser
from pfo_pipeline.ledger.merge import MergeResult
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.action_items import ActionItem, find_action_items
from pfo_pipeline.operations.force_sync import Sleep
from pfo_pipeline.operations.queries import QueryContext
from pfo_pipeline.operations.selection import EVERYTHING, Choice
from pfo_pipeline.operations.steps import Attempt, StepContext, StepOutcome, perform
from pfo_pipeline.operations.sync import CommandContext
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.new_ledger import begin_ledger
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedConnection, SimulatedUser

SYNC = SYNC_OPENBANKING_ACCOUNTS.step("sync-accounts")
REFRESH = REFRESH_OPENBANKING_BALANCES.step("refresh-balances")
CONNECTIONS = "/users/me/connections"
ACCOUNTS = "/users/me/accounts"
OFFICE = "willow"


@dataclass
class Household:
    """One tenant with its users, its ledger and the slot that reads the bank for it."""

    bank: SimulatedBank
    tenant: Tenant
    banking: OpenBanking
    ledger: Ledger
    members: dict[str, SimulatedUser]
    role: Role = "admin"
    merged: list[MergeResult] = field(default_factory=list)
    ahead: timedelta = timedelta()
    """How far this machine's clock is ahead of the bank's."""

    @property
    def domain(self) -> str:
        return self.tenant.domain

    def connect(self, member: str = "jane", *amounts: str, **fields: Any) -> SimulatedConnection:
        """Create a connection of a user, with one account per amount; the amounts do not change."""
        accounts: list[Mapping[str, Any]] = [{"balance": amount, "moves": False} for amount in amounts]
        return self.bank.add_connection(self.members[member], accounts=accounts, **fields)

    def sync(self, **how: Any) -> StepOutcome:
        return self.run(SYNC, **how)

    def refresh(self, **how: Any) -> StepOutcome:
        return self.run(REFRESH, **how)

    def run(self, step: Step, **how: Any) -> StepOutcome:
        """Run one attempt of a step and merge its outcome, as the IO manager does."""
        outcome = self.attempt(step, **how)
        self.merged.append(self.ledger.merge(outcome.batch))
        return outcome

    def attempt(
        self,
        step: Step,
        *,
        attempt: int = 1,
        last: bool = False,
        run_id: str = "run-1",
        choice: Choice = EVERYTHING,
        sleep: Sleep = asyncio.sleep,
    ) -> StepOutcome:
        """Run one attempt of a step without the IO manager's part."""
        context = StepContext(
            tenant=self.tenant,
            role=self.role,
            run_id=run_id,
            attempt=Attempt(attempt, is_last=last),
            banking=self.banking,
            ledger=self.ledger,
            clock=self.machine_time,
            choice=choice,
            sleep=sleep,
        )
        return perform(step, context)

    @contextmanager
    def asked(self) -> Iterator[list[tuple[str, str]]]:
        """Yield requests to the bank during the block: (user, path), ordered by name."""
        found: list[tuple[str, str]] = []
        names = {user.id: name for name, user in self.members.items()}
        before = len(self.bank.journal(self.domain))
        yield found
        found += sorted((names[e["user"]], e["path"]) for e in self.bank.journal(self.domain)[before:])

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Query the ledger's own file."""
        with opened(self.ledger) as con:
            enter(con)
            return con.execute(question).fetchall()

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        rows = self.ask("select event, properties from telemetry order by event, properties::varchar")
        return [(event, json.loads(properties)) for event, properties in rows]

    def accounts(self) -> list[KnownAccount]:
        """Return the linked accounts, including hidden ones, in the order of their Powens numbers."""
        found = self.ledger.reader().linked_accounts(self.tenant.id)
        return sorted(found, key=lambda account: int(account.source_id))

    def action_items(self) -> list[ActionItem]:
        """Return the open action items, by the usual limits."""
        return find_action_items(self.ledger.reader(), [self.tenant.id], Freshness(), self.now)

    def connections(self) -> list[KnownConnection]:
        found = self.ledger.reader().connections(self.tenant.id)
        return sorted(found, key=lambda connection: int(connection.connection_id))

    def users(self) -> dict[str, KnownUser]:
        return {user.user_id: user for user in self.ledger.reader().users(self.tenant.id)}

    def query(self, role: Role = "user") -> QueryContext:
        return QueryContext(self.tenant.id, role, self.ledger.reader())

    @property
    def now(self) -> datetime:
        return self.bank.now()

    def machine_time(self) -> datetime:
        return self.bank.now() + self.ahead

    def command(self, bank: Any, role: Role = "admin") -> CommandContext:
        return CommandContext(self.tenant, role, bank, self.ledger.reader(), self.now, self.bank.now)


def settle(
    bank: SimulatedBank,
    ledger: Ledger,
    tenant_id: str = "smith",
    members: tuple[str, ...] = ("jane",),
    **fields: Any,
) -> Household:
    """Create a tenant whose users belong to a new domain; each token is in its own file."""
    domain = bank.add_domain(f"{tenant_id}-sandbox")
    users = {member: bank.add_user(domain.name) for member in members}
    folder = ledger.files.data_dir
    for member, user in users.items():
        token_file(folder, tenant_id, member).write_text(user.token)
    tenant = Tenant(
        id=tenant_id,
        domain=domain.name,
        base_url=domain.base_url,
        timeout_seconds=10,
        users=tuple(User(id=member, token=f"file:{tenant_id}-{member}.token") for member in members),
        **fields,
    )
    config = Config(source=folder / "pfo.toml", office=OFFICE, tenants=(tenant,))
    return Household(bank, tenant, OpenBanking(config), ledger, users)


class Waiting:
    """Wait by moving the bank's clock."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.household.bank.advance(seconds=int(seconds))


def token_file(folder: Path, tenant_id: str, member: str) -> Path:
    return folder / f"{tenant_id}-{member}.token"


def opened(ledger: Ledger) -> duckdb.DuckDBPyConnection:
    """Open a connection to the primary beside the ledger's own.

    DuckDB keeps a file loaded while a connection to it is open: a test that holds one saves most of the time that opening
    takes. File, locks and crashes have their own tests.
    """
    return duckdb.connect(str(ledger.files.primary), config={"storage_compatibility_version": "v1.4.0"})


def a_ledger(data_dir: Path, bank: SimulatedBank) -> Ledger:
    begin_ledger(data_dir, OFFICE)
    return Ledger(LedgerFiles(data_dir), OFFICE, clock=bank.now)
