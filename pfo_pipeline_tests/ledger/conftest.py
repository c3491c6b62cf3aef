"""Fixtures of the ledger's tests: a ledger in its own folder, and its clock."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="session")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's files before the first load; made once, because that takes most of a small test's time."""
    ledger = a_ledger(tmp_path_factory.mktemp("new") / "data")
    ledger.reader().tenants()
    return ledger.files.data_dir


@pytest.fixture
def ledger(tmp_path: Path, new_ledger: Path, clock: SetClock) -> Ledger:
    """A ledger without a load, in its own folder."""
    shutil.copytree(new_ledger, tmp_path / "data")
    return a_ledger(tmp_path / "data", clock=clock)


@pytest.fixture
def loaded(ledger: Ledger) -> Iterator[Ledger]:
    """The ledger with its file kept open during the test: for tests of the content, not of the file."""
    with opened(ledger):
        yield ledger
