"""The types of contracts: operation, workflow, step, retry, policy, telemetry."""

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
"""An aware time, converted to UTC."""


class Message(BaseModel):
    """Base of every contract input, output and record: frozen, without extra fields, camelCase on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


@dataclass(frozen=True)
class Policy:
    """The role that may call an operation. `admin` includes `user`."""

    auth: Role

    def allows(self, role: Role) -> bool:
        return role in ("admin", self.auth)


@dataclass(frozen=True)
class Property:
    """One telemetry property: its name on the wire and the source of its value.

    `source` names the side of the call, `field` its attribute; `count` uses a list's length.
    """

    name: str
    source: Literal["input", "output", "error"]
    field: str = ""
    count: bool = False


@dataclass(frozen=True)
class TelemetryEvent:
    """An event with exactly the properties that the contract lists."""

    key: str
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Telemetry:
    success: TelemetryEvent
    failure: TelemetryEvent


@dataclass(frozen=True)
class Operation:
    """One operation of the contract: its purpose, the role that may call it, its input and output."""

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
    """Number of attempts of a step, including the first, and the waits between them."""

    max_attempts: int
    backoff: Backoff
    delay_ms: int

    @property
    def max_retries(self) -> int:
        return self.max_attempts - 1

    def delays_seconds(self) -> tuple[float, ...]:
        """Return the wait in seconds before each further attempt, as Dagster computes it from the same policy."""
        factors = (2**n - 1 if self.backoff == "exponential" else n for n in range(1, self.max_attempts))
        return tuple(self.delay_ms * factor / 1000 for factor in factors)


@dataclass(frozen=True)
class Capability:
    key: str
    version: str


@dataclass(frozen=True)
class Step:
    """One step of a workflow: its operation, its requirements, its retries."""

    id: str
    label: str
    description: str
    operation: Operation
    required_integrations: tuple[str, ...]
    required_capabilities: tuple[Capability, ...]
    retry: Retry


@dataclass(frozen=True)
class Workflow:
    """Steps and their order."""

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
    """A tenant's integration in a slot, and whether it is healthy.

    `reason` gives, without secrets, the cause of a status other than `connected` and the remedy.
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
