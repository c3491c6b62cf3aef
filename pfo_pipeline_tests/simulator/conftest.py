"""Fixtures of the simulator's tests: a running bank, a user, and the user's client."""

import ssl
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser

TEST_CONNECTOR = "338178e6-3d01-564f-9a7b-52ca442459bf"
LOGIN = {"connector_uuid": TEST_CONNECTOR, "login": "anyone", "password": "1234"}
# Requests without a user. No kept-alive connection, because each test has its own server.
web = httpx.Client(
    limits=httpx.Limits(max_keepalive_connections=0),
    trust_env=False,
    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
)


@pytest.fixture
def bank() -> Iterator[SimulatedBank]:
    """A simulator with an empty world, its clock frozen at noon."""
    with SimulatedBank() as running:
        running.add_domain()
        yield running


@pytest.fixture
def user(bank: SimulatedBank) -> SimulatedUser:
    """A user of `smith-sandbox`."""
    return bank.add_user()


@pytest.fixture
def client(bank: SimulatedBank, user: SimulatedUser) -> Iterator[httpx.Client]:
    """The user's client."""
    with bank.client(user) as opened:
        yield opened


def payload(answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer with the expected status; fractions are exact."""
    assert answer.status_code == status, answer.text
    return answer.json(parse_float=Decimal)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error with a complete envelope."""
    body = answer.json()
    assert set(body) == {"code", "description", "message", "request_id"}
    assert isinstance(body["request_id"], int | None)
    return answer.status_code, body["code"]


def create(client: httpx.Client, scenario: str, **fields: str) -> httpx.Response:
    return client.post("users/me/connections", json={**LOGIN, "openapiwebsite": scenario, **fields})


def read(client: httpx.Client, connection_id: int, query: str = "") -> Any:
    return payload(client.get(f"users/me/connections/{connection_id}{query}"))
