"""Errors between us and Powens, grouped by whether another attempt can help.

PowensError
├── Transient              another attempt may help
│   ├── Unreachable        no connection, connection dropped, answer cut short
│   │   └── WrongHost      no address for the host's name, or its certificate is not valid
│   ├── TooSlow            no answer within the tenant's timeout
│   ├── ServerFault        5xx, including HTML from the edge
│   ├── NotJson            invalid UTF-8, JSON cut short or nested too deeply, damaged gzip, an error that is not JSON
│   └── RateLimited        429; `retry_after_seconds` is what Powens asked for
│       └── RateLimitReached    no call made: our own rate limit requires a wait that is too long
└── Permanent              another attempt cannot help
    ├── Refused            401, 403: token revoked or of the wrong kind
    ├── WrongClock         our own clock differs from Powens' clock
    ├── Missing            404: not found with this token
    └── Invalid            any other 4xx, a redirect, a paging link to another host, an answer of a shape we cannot read

client.py maps lower-level errors to these, in one place. Messages contain the method, the path, Powens' code and request id,
but no query, token, body or text of a bank (Powens docs, Errors: branch on `code`; `message` is the bank's, with any content).
"""

from dataclasses import dataclass

from pfo_pipeline.errors import PfoError


@dataclass(eq=False)  # otherwise an error has no hash and cannot be in a set
class PowensError(PfoError):
    """`code` is Powens' error code, or ours (`timeout`, `unreachable`, `notJson`) if Powens gave none."""

    code: str
    call: str
    reason: str
    request_id: str | None = None

    def __str__(self) -> str:
        trace = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.call}: {self.reason} [{self.code}]{trace}"


class Transient(PowensError):
    """Another attempt may help."""


class Unreachable(Transient):
    pass


class WrongHost(Unreachable):
    """Another attempt may help, because a name server may recover. If not, the configuration or this machine is at fault."""


class TooSlow(Transient):
    pass


class ServerFault(Transient):
    pass


class NotJson(Transient):
    pass


@dataclass(eq=False)
class RateLimited(Transient):
    """Too many calls. `retry_after_seconds` is None if Powens gave no time."""

    retry_after_seconds: float | None = None

    __str__ = PowensError.__str__


class RateLimitReached(RateLimited):
    pass


class Permanent(PowensError):
    """Another attempt cannot help."""


class Refused(Permanent):
    pass


class WrongClock(Permanent):
    pass


class Missing(Permanent):
    pass


class Invalid(Permanent):
    pass
