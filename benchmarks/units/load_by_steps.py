"""Both workflows of one tenant as their steps: sync, merge, read back, publish; without Dagster."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.ledger_facts import ledger_facts
from benchmarks.office import TENANT, write_config
from benchmarks.work import Work
from pfo_pipeline.config import CONFIG_VARIABLE, Config, Tenant, load_config
from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger, utc_now
from pfo_pipeline.operations.queries import QueryContext, fetch_accounts, fetch_balances
from pfo_pipeline.operations.steps import Attempt, StepContext, perform
from pfo_pipeline.powens.session import OpenBanking

_FETCH = {"fetch-accounts": fetch_accounts, "fetch-balances": fetch_balances}


def prepare(root: str, data_dir: str) -> Work:
    os.environ[CONFIG_VARIABLE] = str(write_config(Path(data_dir), root))
    files = LedgerFiles(Path(data_dir))

    def run() -> None:
        config = load_config()
        program = _Program(
            config, config.tenant(TENANT), Ledger(files, config.office), OpenBanking(config), str(uuid4())
        )
        for workflow in WORKFLOWS:
            for step in workflow.steps:
                program.run(step)

    return Work(run, lambda: ledger_facts(files))


@dataclass(frozen=True)
class _Program:
    config: Config
    tenant: Tenant
    ledger: Ledger
    banking: OpenBanking
    run_id: str

    def run(self, step: Step) -> Any:
        if step.operation.kind == "query":
            _FETCH[step.id](QueryContext(self.tenant.id, "admin", self.ledger.reader()), self.tenant)
            return self.ledger.publish()
        context = StepContext(
            tenant=self.tenant,
            role="admin",
            run_id=self.run_id,
            attempt=Attempt(1, is_last=False),
            banking=self.banking,
            ledger=self.ledger,
            clock=utc_now,
        )
        return self.ledger.merge(perform(step, context).batch)
