"""What has been asked of the simulated API.

Here: one entry per request, without secrets.
Not here: serving it (admin.py).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from pfo_pipeline.simulator.exact_json import JsonObject

SECRET_PARAMETERS = frozenset({"token", "code", "client_secret", "access_token"})


@dataclass
class Entry:
    """A request. `status` stays null when no answer was begun, `fault` names what was done to it."""

    seq: int
    clock: str
    method: str
    domain: str
    path: str
    query: str
    user: int | None = None
    status: int | None = None
    fault: str | None = None

    def json(self) -> JsonObject:
        """The entry as the admin route gives it."""
        return dict(vars(self))


@dataclass
class Journal:
    """Entries in the order in which requests came; numbers go on after clearing."""

    entries: list[Entry] = field(default_factory=list)
    count: int = 0

    def open(self, *, clock: str, method: str, domain: str, path: str, query: str) -> Entry:
        """Note a request that has just come in."""
        self.count += 1
        entry = Entry(self.count, clock, method, domain, path, _without_secrets(query))
        self.entries.append(entry)
        return entry

    def since(self, seq: int, domain: str | None) -> Sequence[Entry]:
        """Entries after number `seq`, of one domain if given."""
        first = bisect_right(self.entries, seq, key=lambda item: item.seq)
        return [item for item in self.entries[first:] if domain in (None, item.domain)]


def _without_secrets(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name in SECRET_PARAMETERS for name, _ in pairs):
        return query
    return urlencode([(name, "***" if name in SECRET_PARAMETERS else value) for name, value in pairs])
