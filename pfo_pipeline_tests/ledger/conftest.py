"""Fixtures of the ledger's tests: a ledger in its own folder, and its clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: SetClock) -> Ledger:
    """A ledger without a load, in its own folder."""
    return a_ledger(tmp_path / "data", clock=clock)


@pytest.fixture
def loaded(ledger: Ledger) -> Iterator[Ledger]:
    """The ledger with its file kept open during the test: for tests of the content, not of the file."""
    with opened(ledger):
        yield ledger
