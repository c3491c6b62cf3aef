"""A linked account for account matching: its keys, and which links can be one account.

An IBAN, or a whole number with its institution, is a strong key: it decides. A masked or short number, or a name, is a weak
key: it only proposes, because banks and their APIs mask numbers, and names are common words.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Literal

_SEPARATORS = re.compile(r"[\s.\-/_]+")
_MASK = re.compile(r"[*•#?…·]|[Xx]{2,}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")
_WHOLE_DIGITS = 6
_TAIL_DIGITS = 4


def plain_iban(text: str | None) -> str | None:
    """Return the IBAN in one form; None if there is none, or if a part of it is masked."""
    if not text or _MASK.search(text):
        return None
    iban = _SEPARATORS.sub("", text).upper()
    return iban if _IBAN.fullmatch(iban) and len(set(iban[4:])) > 1 else None


def plain_number(text: str | None) -> str | None:
    """Return the number without separators but with masks; None if there is none."""
    return _SEPARATORS.sub("", text).upper() or None if text else None


def whole_number(number: str | None) -> str | None:
    """Return the number without leading zeros if it is whole: no mask, at least six digits, not all the same; else None.

    Args:
        number: As `plain_number` returns it.
    """
    if number is None or _MASK.search(number):
        return None
    digits = [character for character in number if character.isdigit()]
    return number.lstrip("0") if len(digits) >= _WHOLE_DIGITS and len(set(digits)) > 1 else None


def weak_number(number: str | None) -> str | None:
    """Return the end of a masked or short number, by which it may match another account; the mask if all is masked."""
    if number is None:
        return None
    digits = "".join(character for character in number if character.isdigit())
    return digits[-_TAIL_DIGITS:] if len(digits) >= _TAIL_DIGITS else number


def do_numbers_differ(one: str | None, other: str | None) -> bool:
    """Whether two numbers, as `plain_number` returns them, belong to two accounts.

    Two whole numbers differ unless one ends with the other: a source may show a number with its branch before it. Two short
    numbers differ unless they are equal except for leading zeros. A masked number differs from none.
    """
    first, second = whole_number(one), whole_number(other)
    if first and second:
        return not (first.endswith(second) or second.endswith(first))
    if not one or not other or first or second or _MASK.search(one) or _MASK.search(other):
        return False
    return one.lstrip("0") != other.lstrip("0")


State = Literal["listed", "missing", "disabled", "ended"]


@dataclass(frozen=True)
class LinkedAccount:
    """One account as one source of a connection lists it.

    Args:
        account_class: None for a type that fits any class, such as unknown.
        first_seen: A time and Powens' id, which order linked accounts.
        listed_since: Start of the current unbroken time of being listed.
        advanced_at: When its last update was last seen to advance; None if it never did.
        vanished_at: Since when it is not listed; None while it is listed.
        balance_at: The date of `balance`, which may be older than the last update: not each update has a balance.
        canonical_id, evidence, decided_by, counts_as: As decided so far.
    """

    account_id: str
    canonical_id: str
    user_id: str
    connection_id: str
    source_id: str | None
    institution_id: str | None
    account_type: str
    account_class: str | None
    currency: str | None
    iban: str | None
    number: str | None
    name: str
    parent_id: str | None
    state: State
    first_seen: tuple[datetime, int]
    listed_since: datetime
    updated_at: datetime | None
    advanced_at: datetime | None
    vanished_at: datetime | None
    balance: Decimal | None
    balance_at: datetime | None
    evidence: str | None = None
    decided_by: str | None = None
    counts_as: str | None = None

    @property
    def list_key(self) -> Hashable:
        return self.connection_id, self.source_id

    @property
    def lineage(self) -> Hashable:
        """The user and institution of the account, which stay the same when a user adds a bank again."""
        return self.user_id, self.institution_id

    @cached_property
    def plain_iban(self) -> str | None:
        return plain_iban(self.iban)

    @cached_property
    def plain_number(self) -> str | None:
        return plain_number(self.number)

    @cached_property
    def whole_number(self) -> str | None:
        return whole_number(self.plain_number) if self.institution_id else None

    @cached_property
    def strong_keys(self) -> frozenset[Hashable]:
        keys: set[Hashable] = set()
        if self.plain_iban:
            keys.add(self.plain_iban)
        if self.whole_number:
            keys.add((self.institution_id, self.whole_number))
        return frozenset(keys)


@dataclass(frozen=True)
class Decision:
    """A person's decision about two linked accounts."""

    account_id: str
    other_id: str
    is_same: bool


@dataclass(frozen=True)
class Placement:
    """The account to which a linked account belongs, and whether the linked account counts there.

    Args:
        others: Ids of the accounts that it may be one of, or of its parent.
        account_class: Class of the account, if the type of this link does not show it.
    """

    account_id: str
    canonical_id: str
    evidence: str
    decided_by: str
    counts_as: Literal["one_of", "part_of"] | None = None
    others: tuple[str, ...] = ()
    account_class: str | None = None


@dataclass(frozen=True)
class Proposal:
    """A proposal that two accounts are the same, for a person to decide. Both ids are account ids."""

    account_id: str
    other_id: str
    evidence: str


@dataclass(frozen=True)
class Matching:
    """The result of matching; `placements` has every linked account, by its id."""

    placements: Mapping[str, Placement]
    proposals: tuple[Proposal, ...]


def is_compatible(one: LinkedAccount, other: LinkedAccount) -> bool:
    """Whether class, currency and number allow the two to be one account. None is compatible with everything."""
    return (
        (one.account_class is None or other.account_class is None or one.account_class == other.account_class)
        and (one.currency is None or other.currency is None or one.currency == other.currency)
        and not do_numbers_differ(one.plain_number, other.plain_number)
    )


def stood_in_one_list(one: LinkedAccount, other: LinkedAccount) -> datetime | None:
    """Return since when one list had both; None if none ever did."""
    if one.list_key != other.list_key:
        return None
    since = max(one.listed_since, other.listed_since)
    both = all(a.vanished_at is None or a.vanished_at > since for a in (one, other))
    return since if both and "disabled" not in (one.state, other.state) else None


def advanced_side_by_side(one: LinkedAccount, other: LinkedAccount) -> bool:
    """Whether one list had both and each advanced after that, which proves that they are two accounts."""
    since = stood_in_one_list(one, other)
    return since is not None and all(a.advanced_at is not None and a.advanced_at > since for a in (one, other))


def stood_side_by_side(one: LinkedAccount, other: LinkedAccount) -> bool:
    """Whether one list had both, and nothing shows that the later one replaced the earlier one."""
    since = stood_in_one_list(one, other)
    if since is None:
        return False
    first, second = sorted((one, other), key=lambda a: a.listed_since)
    if first.listed_since == second.listed_since:
        return True
    return first.advanced_at is not None and first.advanced_at > since
