"""Dagster alone: four assets that do nothing, in the given number of jobs, started as `pfo run` starts its own."""

import logging
import os
import shutil
from pathlib import Path

import dagster as dg

from benchmarks.measuring import PROJECT
from benchmarks.work import Work

_SETTINGS = PROJECT / "pfo_pipeline" / "cli" / "dagster.yaml"
_NAMES = ("first", "second", "third", "fourth")


def prepare(home: str, jobs: int) -> Work:
    folder = Path(home)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_SETTINGS, folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = home
    written: list[int] = []

    def run() -> None:
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
        with dg.DagsterInstance.get() as instance:
            for job in _jobs(jobs):
                result = job.execute_in_process(
                    instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
                )
                written.append(len(result.get_asset_materialization_events()))

    return Work(run, lambda: {"assets": sum(written), "runs": len(written)})


def _jobs(count: int) -> list[dg.JobDefinition]:
    each = len(_NAMES) // count
    groups = [_NAMES[start : start + each] for start in range(0, len(_NAMES), each)]
    definitions = dg.Definitions(
        assets=[asset for names in groups for asset in _chain(names)],
        jobs=[dg.define_asset_job(f"job_{names[0]}", [*names]) for names in groups],
        loggers={"console": dg.colored_console_logger},
        executor=dg.in_process_executor,
        resources={"io_manager": dg.mem_io_manager},
    )
    repository = definitions.get_repository_def()
    return [repository.get_job(f"job_{names[0]}") for names in groups]


def _chain(names: tuple[str, ...]) -> list[dg.AssetsDefinition]:
    """Assets that follow each other."""

    def make(name: str, after: list[str]) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=after)
        def nothing() -> None:
            return None

        return nothing

    return [make(name, [names[i - 1]] if i else []) for i, name in enumerate(names)]
