"""What changed in how known accounts count, as rows that wait until a person has seen them.

A new account is none of it: the page and the proposals tell of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pfo_pipeline.contracts.tables import AccountRow, ChangeRow
from pfo_pipeline.ledger.known import KnownLink
from pfo_pipeline.operations.account_links import Matching

COUNTS, LOAN, UNCLASSIFIED, DISABLED, ENDED = "counts", "loan", "unclassified", "disabled", "ended"
_SAME_AS = "same as "


@dataclass(frozen=True)
class _Link:
    """A linked account: the account that it is, whether it counts there, what it is at the bank."""

    account_id: str
    canonical_id: str
    counts_as: str | None
    kind: str | None
    """Its class; None where its type does not tell."""
    is_ended: bool
    is_disabled: bool


def changes(
    tenant_id: str,
    known: Sequence[KnownLink],
    told: Iterable[AccountRow],
    matching: Matching,
    classes: Mapping[str, str],
    *,
    is_asked: bool,
) -> list[ChangeRow]:
    """A row for each known account that counts differently than before.

    Args:
        known: The linked accounts as the ledger has them.
        told: The accounts that are about to be written.
        classes: Class of each account type.
        is_asked: Whether a person asked for the change: then it counts as seen.
    """
    now: dict[str, KnownLink | AccountRow] = {link.account_id: link for link in known}
    now |= {row.account_id: row for row in told}
    before = [_link(link, link.canonical_id, link.counts_as, classes) for link in known]
    # Of all links: an account may count by a new one from now on.
    placed = matching.placements.values()
    after = [_link(now[p.account_id], p.canonical_id, p.counts_as, classes) for p in placed]
    was, stands = dict(_standings(before)), dict(_standings(after))
    return [
        ChangeRow(tenant_id, account_id, was[account_id], stands[account_id], is_asked)
        for account_id in was
        if was[account_id] != stands[account_id] and not _is_by_another(account_id, was, stands)
    ]


def _link(
    account: KnownLink | AccountRow, canonical_id: str, counts_as: str | None, classes: Mapping[str, str]
) -> _Link:
    kind = "crypto" if account.is_crypto else classes.get(account.account_type)
    return _Link(
        account.account_id,
        canonical_id,
        counts_as,
        kind,
        account.deleted_at is not None,
        account.disabled_at is not None,
    )


def _standings(links: Iterable[_Link]) -> Iterator[tuple[str, str]]:
    """How each linked account stands: the account that it is the same as; or, where it is one, whether that counts."""
    by_account: dict[str, list[_Link]] = defaultdict(list)
    for link in links:
        by_account[link.canonical_id].append(link)
        if link.canonical_id != link.account_id:
            yield link.account_id, f"{_SAME_AS}{link.canonical_id}"
    for account_id, of_account in by_account.items():
        yield account_id, _standing(of_account)


def _standing(links: Sequence[_Link]) -> str:
    live = [link for link in links if not link.is_ended and not link.is_disabled]
    if not live:
        return DISABLED if any(not link.is_ended for link in links) else ENDED
    counting = [link for link in live if link.counts_as is None]
    if not counting:
        return live[0].counts_as or COUNTS
    kinds = {link.kind for link in counting} - {None}
    if not kinds:
        return UNCLASSIFIED
    return LOAN if kinds == {LOAN} else COUNTS


def _is_by_another(account_id: str, was: Mapping[str, str], stands: Mapping[str, str]) -> bool:
    """Whether it only follows the account that it was the same as, and that is now the same as a third."""
    leader, now = was[account_id].removeprefix(_SAME_AS), stands[account_id]
    return now.startswith(_SAME_AS) and leader != was[account_id] and stands.get(leader) == now
