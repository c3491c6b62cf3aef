"""Whole runs that are killed while they fetch, stage, merge or publish: the next run gives the same result as without a kill.

The bank's clock does not move, so the ledger's content depends only on the bank.
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.defs.office import ACCOUNTS_JOB, BALANCES_JOB, Office, hurried_defs, today
from pfo_pipeline_tests.ledger.killing import PRELOAD, At, content_hash, contradictions, kill, run_until, step_of
from pfo_pipeline_tests.simulated_bank import SimulatedBank

# Importing Dagster is most of the cost of such a run.
multiprocessing.get_context("forkserver").set_forkserver_preload([*PRELOAD, "pfo_pipeline_tests.defs.office", __name__])

TENANT = "smith"


def run(environment: Mapping[str, str], *jobs: str) -> None:
    """Run the pipeline's own jobs as a separate program does."""
    os.environ.update(environment)
    os.environ.pop("PFO_ROLE", None)
    repository = hurried_defs().get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", [TENANT])
        for job in jobs or (ACCOUNTS_JOB, BALANCES_JOB):
            ended = repository.get_job(job).execute_in_process(
                instance=instance,
                partition_key=TENANT,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            assert ended.success


def also_fetch_and_stage(output: Callable[[str], None]) -> None:
    """Steps outside the ledger: the bank's answers, and the handover of fetched data to the merge."""
    send = httpx.AsyncClient.send

    async def watched_send(client: httpx.AsyncClient, *words: Any, **options: Any) -> httpx.Response:
        answer = await send(client, *words, **options)
        output("after answer")
        return answer

    httpx.AsyncClient.send = watched_send  # type: ignore[assignment, method-assign]
    Ledger.merge = step_of(output, "merge", Ledger.merge)  # type: ignore[method-assign]


@dataclass(frozen=True)
class Usual:
    """An office with new data at its bank, and the readers' view in an undisturbed run."""

    office: Office
    before: Path
    states: tuple[str, ...]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Usual]:
    with SimulatedBank(now=today()) as bank:
        yield undisturbed(Office(bank, tmp_path_factory.mktemp("office")))


def undisturbed(office: Office) -> Usual:
    office.add_tenant(TENANT, "jane", "john")
    for user in ("jane", "john"):
        office.connect(TENANT, user, "1.1", "2.2", "3.3")
    run_until(None, run, office.environment())
    changed = office.ask("select min(source_id::int), max(source_id::int) from accounts")[0]
    for account, balance in zip(changed, ("1E+3", "-0.01"), strict=True):
        office.bank.change_account(f"{TENANT}-sandbox", account, balance=balance, name="Renamed", moves=False)
    office.connect(TENANT, "john", "4.4", state="wrongpass")
    before = office.data_dir
    states = [shown(office.files)]
    office.elsewhere = shutil.copytree(before, office.folder / "undisturbed")
    for job in (ACCOUNTS_JOB, BALANCES_JOB):
        run_until(None, run, office.environment(), job)
        states.append(shown(office.files))
    assert len(set(states)) == 3
    return Usual(office, before, tuple(states))


def shown(files: LedgerFiles) -> str:
    """A reader's view."""
    assert contradictions(files.published) == []
    return content_hash(files.published)


# With two users each workflow has four answers, one merge and one publication.
PHASES = {
    "fetch": (At("after", "answer"), At("after", "answer", 3), At("after", "answer", 6)),
    "stage": (At("before", "merge"), At("before", "merge", 2)),
    "merge": (At("before", "commit canonical.duckdb"), At("after", "commit canonical.duckdb", 2)),
    "publish": (
        At("in the middle of", "copy"),
        At("after", "replace ledger.duckdb"),
        At("before", "replace ledger.duckdb", 2),
    ),
}


@pytest.mark.parametrize("phase", PHASES)
def test_the_next_run_repairs_several_killed_runs(phase: str, usual: Usual) -> None:
    office = usual.office
    office.elsewhere = shutil.copytree(usual.before, office.folder / phase)
    seen = [0]
    for point in PHASES[phase]:
        kill(point, run, office.environment(), also=also_fetch_and_stage)
        seen.append(usual.states.index(shown(office.files)))
    assert seen == sorted(seen), "readers were taken back to an earlier state"

    run_until(None, run, office.environment())

    assert shown(office.files) == usual.states[-1]
    assert office.files.published.read_bytes() == office.files.primary.read_bytes()
    assert not list(office.data_dir.glob(".ledger.duckdb.*"))
    duplicates = "select count(*) - count(distinct (tenant_id, account_id, as_of, current_balance)) from balances"
    assert office.ask(duplicates) == [(0,)]
