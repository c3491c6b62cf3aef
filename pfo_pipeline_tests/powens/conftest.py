"""A running bank with one domain and one user, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser


@pytest.fixture
def bank() -> Iterator[SimulatedBank]:
    """A simulator with an empty world, its clock frozen at noon."""
    with SimulatedBank() as running:
        yield running


@pytest.fixture
def domain(bank: SimulatedBank) -> SimulatedDomain:
    return bank.add_domain("smith-sandbox")


@pytest.fixture
def user(bank: SimulatedBank, domain: SimulatedDomain) -> SimulatedUser:
    return bank.add_user(domain.name)
