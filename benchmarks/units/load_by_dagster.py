"""Both workflows of one tenant through Dagster, with the same function as `pfo run`."""

import os
from pathlib import Path

from benchmarks.ledger_facts import ledger_facts
from benchmarks.office import TENANT, write_config
from benchmarks.work import Work
from pfo_pipeline.cli.context import find_place, working
from pfo_pipeline.cli.workflows import WorkflowRun, run_workflows
from pfo_pipeline.config import CONFIG_VARIABLE, DATA_DIR_VARIABLE
from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.ledger.connection import LedgerFiles


def prepare(root: str, data_dir: str) -> Work:
    os.environ[CONFIG_VARIABLE] = str(write_config(Path(data_dir), root))
    os.environ[DATA_DIR_VARIABLE] = data_dir
    os.environ.pop("DAGSTER_HOME", None)

    def run() -> None:
        with working(find_place()) as place:
            lock = place.files.private / "dagster.lock"
            runs = run_workflows([TENANT], lock=lock, starting=_silent, ended=_silent)
        assert all(run.succeeded for run in runs), [run.reason for run in runs]

    return Work(run, lambda: ledger_facts(LedgerFiles(Path(data_dir))))


def _silent(*_: str | Workflow | WorkflowRun) -> None:
    return None
