"""The judge's input: the answers that a bank sent, byte for byte, and persons' decisions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Link = tuple[str, int]
"""A linked account: its member, and its id at the bank's side."""


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
    """A decision of a person of the office, before the reads of that moment are settled."""

    at: datetime
    kind: Literal["join", "split", "leave", "return"]
    """`leave` and `return`: a member is removed from the configuration, or put back."""
    member: str = ""
    one: Link = ("", 0)
    other: Link = ("", 0)
