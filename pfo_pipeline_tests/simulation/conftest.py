"""A folder for the seeds of a test process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfo_pipeline_tests.simulation import seeds


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    with seeds.workplace() as folder:
        yield folder
