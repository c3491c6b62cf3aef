"""What the judge may read: the answers that a bank sent, byte for byte, and what persons decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Link = tuple[str, int]
"""A linked account: the member through whom it is seen, and the id that the bank's side gives it."""


@dataclass(frozen=True)
class Exchange:
    """One answer that was sent."""

    at: datetime
    member: str
    path: str
    """Below the version, without the query: `/users/me/accounts`."""
    query: str
    status: int
    body: bytes


@dataclass(frozen=True)
class Decision:
    """What a person of the office decided, before what was read at that moment is settled."""

    at: datetime
    kind: Literal["join", "split", "leave", "return"]
    """`leave` and `return`: a member is taken out of the configuration, or put back."""
    member: str = ""
    one: Link = ("", 0)
    other: Link = ("", 0)
