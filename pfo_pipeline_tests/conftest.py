"""What holds for every test: Ctrl-C reaches the programs that tests start, no example of Hypothesis is timed, and tests of
one file, which share what is dear to start, run in one process, but for those that say otherwise.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import pytest
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from pfo_pipeline_tests.browser.program import REMEDY, find_browser

_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there
_MEMORY_BYTES = 4 * 2**30


def pytest_configure() -> None:
    # Every ledger is synced to its disk, many times a test. In memory that costs nothing, and no test cuts the power.
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    # A shell's background job ignores Ctrl-C, and so would every program that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Every worker has a processor of its own, and DuckDB's threads would only compete with the other workers.
    duckdb.connect = _connect_with_one_thread  # type: ignore[assignment]
    # Beside other work a machine may be slow; that is no reason to fail.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


_connect = duckdb.connect


def _connect_with_one_thread(
    database: str = ":memory:", read_only: bool = False, config: dict[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    return _connect(database, read_only=read_only, config={"threads": 1, **(config or {})})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_FIRST))
    for item in items:
        if item.nodeid.removeprefix(f"{_TESTS}/").startswith(_LONG):
            item.add_marker(pytest.mark.long)
    if find_browser() is None and "PFO_TESTS_NEED_BROWSER" not in os.environ:
        for item in items:
            if "chromium" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=_NO_BROWSER))


_NO_BROWSER = "no browser is installed"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of all: how many tests were left out for want of a browser."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    left_out = [report for report in reporter.stats.get("skipped", ()) if _NO_BROWSER in str(report.longrepr)]
    if left_out:
        reporter.write_line(f"{len(left_out)} browser tests were left out: {_NO_BROWSER}. {REMEDY}")


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of one file run in one process. By groups of marks it would not: pytest-xdist 3.8 renames tests for that, which
    pytest 9.2 does not heed.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file in _ALONE:
            return nodeid
        return next((folder for folder in _TOGETHER if file.startswith(folder)), "year" if file in _YEAR else file)


_TESTS = "pfo_pipeline_tests"
_FIRST = tuple(f"{_TESTS}/{name}" for name in ("browser/", "test_benchmarks.py", "test_docs.py", "integration/"))
"""Files that start first: they are long, and at the end the other processes would have nothing left to do."""
_ALONE = (f"{_TESTS}/simulation/test_seeds.py", f"{_TESTS}/oracle/test_driving.py")
"""Files whose tests share nothing and are long."""
_TOGETHER = (f"{_TESTS}/browser/",)
"""Folders that run in one process: two servers with all that they start are too much for two processors."""
_LONG = (
    *("browser/", "cli/", "defs/", "docs/", "integration/", "oracle/", "simulation/", "telemetry/", "upgrades/"),
    *(
        f"ledger/test_{name}.py"
        for name in ("beancount", "crashes", "damage", "encryption", "erase", "export", "lock_of_processes")
    ),
    *(f"ledger/test_{name}.py" for name in ("migrations", "moments", "recovery", "verify", "writers_and_readers")),
    *(f"operations/test_{name}.py" for name in ("attempts", "gone", "selection", "wrong_clock")),
    *(f"report/test_{name}.py" for name in ("action_items", "build", "changes")),
    "simulator/test_program.py",
    *("test_analyst_questions.py", "test_benchmarks.py", "test_deploy.py", "test_docs.py", "test_wheel.py"),
)
"""Folders and files that `make quick` leaves out: they start programs, or play long histories."""
_YEAR = (f"{_TESTS}/docs/test_for_other_tools.py", f"{_TESTS}/test_analyst_questions.py")
"""Files that ask for the year below."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _ByFile(config, log)


def built_once(tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that the first process that needs it builds, for all processes of the suite."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(shared.with_suffix(".lock")):
        if not shared.exists():
            draft = shared.with_suffix(".draft")
            draft.mkdir()
            build(draft)
            draft.rename(shared)
    return shared


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's published ledger after most of a year. It takes a quarter of a minute to play: files that ask for it
    are in _YEAR.
    """
    from pfo_pipeline_tests import demo_year  # Not for the tests that ask for none.

    return demo_year.build(tmp_path_factory.mktemp("year"))
