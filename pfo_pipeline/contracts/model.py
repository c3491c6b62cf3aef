"""The vocabulary in which contracts are written: operation, workflow, step, retry, policy, telemetry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Role = Literal["user", "admin"]
Kind = Literal["command", "query"]
Backoff = Literal["exponential", "linear"]


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone; give one with an offset, such as 2026-03-31T00:00:00Z")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A moment in time: aware, held in UTC."""


class Message(BaseModel):
    """Base of every contract input, output and record: frozen, strict about names, camelCase on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


@dataclass(frozen=True)
class Policy:
    """Who may call an operation. `admin` includes `user`."""

    auth: Role

    def allows(self, role: Role) -> bool:
        return role in ("admin", self.auth)


@dataclass(frozen=True)
class Property:
    """One telemetry property: its name on the wire and where its value comes from.

    `source` names the side of the call, `field` the attribute there; `count` takes a list's length.
    """

    name: str
    source: Literal["input", "output", "error"]
    field: str = ""
    count: bool = False


@dataclass(frozen=True)
class TelemetryEvent:
    """An event with exactly the properties that the contract lists, no more."""

    key: str
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Telemetry:
    success: TelemetryEvent
    failure: TelemetryEvent


@dataclass(frozen=True)
class Operation:
    """One operation of the contract: what it is for, who may call it, what goes in and comes out."""

    key: str
    version: str
    kind: Kind
    description: str
    goal: str
    context: str
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    stability: str
    input: type[Message]
    output: type[Message]
    policy: Policy
    telemetry: Telemetry | None = None


@dataclass(frozen=True)
class Retry:
    """How often a step is attempted, and how long it waits in between. The first attempt counts."""

    max_attempts: int
    backoff: Backoff
    delay_ms: int

    @property
    def max_retries(self) -> int:
        return self.max_attempts - 1

    def delays_seconds(self) -> tuple[float, ...]:
        """Seconds waited before each further attempt, as Dagster computes them from the same policy."""
        factors = (2**n - 1 if self.backoff == "exponential" else n for n in range(1, self.max_attempts))
        return tuple(self.delay_ms * factor / 1000 for factor in factors)


@dataclass(frozen=True)
class Capability:
    key: str
    version: str


@dataclass(frozen=True)
class Step:
    """One step of a workflow: the operation it runs, what it needs, how it is retried."""

    id: str
    label: str
    description: str
    operation: Operation
    required_integrations: tuple[str, ...]
    required_capabilities: tuple[Capability, ...]
    retry: Retry


@dataclass(frozen=True)
class Workflow:
    """Steps and the order between them."""

    key: str
    version: str
    title: str
    description: str
    domain: str
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    stability: str
    entry_step_id: str
    steps: tuple[Step, ...]
    transitions: tuple[tuple[str, str], ...]

    def step(self, step_id: str) -> Step:
        return {step.id: step for step in self.steps}[step_id]

    def upstream(self, step_id: str) -> tuple[str, ...]:
        return tuple(before for before, after in self.transitions if after == step_id)


BindingStatus = Literal["connected", "disconnected", "error", "unknown", "unbound"]


@dataclass(frozen=True)
class IntegrationBinding:
    """What a tenant has plugged into an integration slot, and whether it is healthy.

    `reason` says, without secrets, why a status other than `connected` was found and what to do.
    """

    slot: str
    integration: str | None
    status: BindingStatus
    capabilities: tuple[Capability, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class TelemetryRecord:
    """One emitted event, masked and ready to store."""

    event: str
    tenant_id: str
    emitted_at: datetime
    properties: Mapping[str, object]
