"""What can go wrong between us and Powens, sorted by what a further attempt can do about it.

PowensError
├── Transient              another attempt may cure it
│   ├── Unreachable        no connection, connection dropped, answer cut short
│   │   └── WrongHost      no address for the host's name, or its certificate is not valid
│   ├── TooSlow            no answer within the tenant's timeout
│   ├── ServerFault        5xx, HTML from the edge included
│   ├── NotJson            invalid UTF-8, JSON cut short or nested without end, damaged gzip, a refusal that is no JSON
│   └── RateLimited        429; `retry_after_seconds` as told
│       └── BudgetSpent    not asked at all: our own budget of calls says to wait for too long
└── Permanent              asking again cannot help
    ├── Refused            401, 403: token revoked or of the wrong kind
    ├── WrongClock         our own clock is not that of Powens
    ├── Missing            404: nothing there for this token
    └── Invalid            any other 4xx, a redirect, a paging link to another host, an answer of a shape we cannot read

Lower layers are mapped to these once, in client.py. Messages hold the method, the path, Powens' code and request id: no
query, token, body or text of a bank (Powens docs, Errors: branch on `code`; `message` is the bank's and may hold anything).
"""

from dataclasses import dataclass

from pfo_pipeline.errors import PfoError


@dataclass(eq=False)  # else an error has no hash, and whoever keeps a set of them fails
class PowensError(PfoError):
    """`code` is Powens' error code, or ours (`timeout`, `unreachable`, `notJson`) when none could be read."""

    code: str
    call: str
    reason: str
    request_id: str | None = None

    def __str__(self) -> str:
        trace = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.call}: {self.reason} [{self.code}]{trace}"


class Transient(PowensError):
    """Another attempt may cure it."""


class Unreachable(Transient):
    pass


class WrongHost(Unreachable):
    """Asking again may help, as a name server may be back; if not, the configuration or this machine is at fault."""


class TooSlow(Transient):
    pass


class ServerFault(Transient):
    pass


class NotJson(Transient):
    pass


@dataclass(eq=False)
class RateLimited(Transient):
    """Too many calls. `retry_after_seconds` is None where Powens did not say."""

    retry_after_seconds: float | None = None

    __str__ = PowensError.__str__


class BudgetSpent(RateLimited):
    pass


class Permanent(PowensError):
    """Asking again cannot help."""


class Refused(Permanent):
    pass


class WrongClock(Permanent):
    pass


class Missing(Permanent):
    pass


class Invalid(Permanent):
    pass
