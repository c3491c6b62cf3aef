"""Fixtures of the operations' tests: a simulated bank, a ledger, and tenants whose users have accounts there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.operations.household import Household, a_ledger, opened, settle
from pfo_pipeline_tests.simulated_bank import SimulatedBank


@pytest.fixture
def bank() -> Iterator[SimulatedBank]:
    """A simulator with an empty world, its clock frozen at noon."""
    with SimulatedBank() as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path, bank: SimulatedBank) -> Iterator[Ledger]:
    """A ledger without a load; its file stays open during the test."""
    made = a_ledger(tmp_path / "data", bank)
    with opened(made):
        yield made


@pytest.fixture
def smith(bank: SimulatedBank, ledger: Ledger) -> Household:
    """A tenant with one user, Jane."""
    return settle(bank, ledger)


@pytest.fixture
def family(bank: SimulatedBank, ledger: Ledger) -> Household:
    """A tenant with three users."""
    return settle(bank, ledger, members=("jane", "john", "june"))
