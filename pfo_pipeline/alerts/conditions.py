"""A condition: something that is not in order, that somebody can end, and that is true at this moment.

Here: its form. Not here: how it is found, who has been told of it.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal[
    "configuration", "daemon", "sensor", "run", "check", "user", "connection", "accounts", "consent", "stale"
]
Severity = Literal["critical", "warning", "notice"]


class Key(NamedTuple):
    """Which condition it is, and whose: another owner is told anew. `tenant_id` is empty where it is the office's."""

    kind: Kind
    tenant_id: str
    thing: str
    owner: str


@dataclass(frozen=True)
class Condition:
    """What is not in order. All texts may be shown to anybody whom the tenant's alerts go to."""

    kind: Kind
    tenant_id: str
    thing: str
    """Its id among its kind: a connection's, a job's, a sensor's."""
    owner: str
    """Who acts: member, operator, bank, powens."""
    severity: Severity
    code: str
    text: str
    remedy: str
    link: str = ""
    stage: int = 0
    """Where it comes nearer by steps: how far it is. A lower stage is told at once."""

    @property
    def key(self) -> Key:
        return Key(self.kind, self.tenant_id, self.thing, self.owner)


@dataclass(frozen=True)
class Findings:
    """What one look found. Of kinds or tenants that it did not look at, it says nothing."""

    conditions: tuple[Condition, ...]
    kinds: frozenset[Kind]
    tenants: frozenset[str] | None = None
    """None: all there are."""

    def looked_at(self, key: Key) -> bool:
        return key.kind in self.kinds and (self.tenants is None or key.tenant_id in self.tenants)
