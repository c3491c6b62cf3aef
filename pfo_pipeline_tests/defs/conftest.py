"""A bank, an office and a Dagster instance of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import Office, today
from pfo_pipeline_tests.simulated_bank import SimulatedBank


@pytest.fixture
def bank() -> Iterator[SimulatedBank]:
    with SimulatedBank(now=today()) as running:
        yield running


@pytest.fixture
def office(bank: SimulatedBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """An office without tenants yet; the environment names its configuration."""
    empty = Office(bank, tmp_path / "office")
    monkeypatch.delenv("PFO_ROLE", raising=False)
    for name, value in empty.environment().items():
        monkeypatch.setenv(name, value)
    return empty


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
