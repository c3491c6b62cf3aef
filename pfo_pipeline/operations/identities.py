"""Decisions of account matching as rows of the ledger, and changes in how known accounts count.

A change stays open until a person has acknowledged it. A new account is not a change: the page and the proposals show it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pfo_pipeline.contracts.tables import AccountRow, ChangeRow, DecisionRow, IdentityRow, LedgerRow, ProposalRow
from pfo_pipeline.ledger.known import KnownDecision, KnownLink, KnownProposal
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.account_links import Decision, LinkedAccount, Matching, Placement, State
from pfo_pipeline.operations.account_matching import match
from pfo_pipeline.powens.mapping import UNKNOWN

COUNTS, LOAN, UNCLASSIFIED, DISABLED, ENDED = "counts", "loan", "unclassified", "disabled", "ended"
_SAME_AS = "same as "


@dataclass(frozen=True)
class _Link:
    """A linked account: its account, whether it counts there, and its state at the bank."""

    account_id: str
    canonical_id: str
    counts_as: str | None
    kind: str | None
    """Its class; None if its type does not show it."""
    is_ended: bool
    is_disabled: bool


def changes(
    tenant_id: str,
    known: Sequence[KnownLink],
    rows: Iterable[AccountRow],
    matching: Matching,
    classes: Mapping[str, str],
    *,
    is_asked: bool,
) -> list[ChangeRow]:
    """Return a row for each known account that counts differently than before.

    Args:
        known: The linked accounts as the ledger has them.
        rows: The accounts that are about to be written.
        classes: Class of each account type.
        is_asked: Whether a person requested the change: then it counts as acknowledged.
    """
    now: dict[str, KnownLink | AccountRow] = {link.account_id: link for link in known}
    now |= {row.account_id: row for row in rows}
    before = [_link(link, link.canonical_id, link.counts_as, classes) for link in known]
    # Of all links: an account may count by a new link from now on.
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
    """Yield how each linked account counts: the account that it is the same as or, if it is one, whether that counts."""
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
    """Whether it only follows its earlier account, which is now the same as a third one."""
    leader, now = was[account_id].removeprefix(_SAME_AS), stands[account_id]
    return now.startswith(_SAME_AS) and leader != was[account_id] and stands.get(leader) == now


FITS_ANY_CLASS = ("unknown", "joint")
"""Powens account types without a class: one is for accounts that Powens cannot classify, one is deprecated."""

OPERATION = "ledger.identity"
SAME = "same"
DIFFERENT = "different"
UNDONE = "undone"


@dataclass(frozen=True)
class KnownMatching:
    """The ledger's data about a tenant's account matching."""

    links: Sequence[KnownLink]
    decisions: Sequence[KnownDecision]
    proposals: Sequence[KnownProposal]
    classes: Mapping[str, str]
    """Class of each account type."""
    newest_load: int
    """Number of the newest load that these data take into account."""

    @classmethod
    def of(cls, reader: Reader, tenant_id: str) -> "KnownMatching":
        """Read the data from the ledger. Raises: LedgerError."""
        with reader.at_once() as ledger:
            return cls(
                ledger.links(tenant_id),
                ledger.decisions(tenant_id),
                ledger.proposals(tenant_id),
                ledger.account_classes(),
                ledger.newest_load(),
            )

    def match(
        self,
        now: datetime,
        rows: Iterable[AccountRow] = (),
        balances: Mapping[str, Decimal | None] | None = None,
        decisions: Mapping[tuple[str, str], str] | None = None,
    ) -> Matching:
        """Match the ledger's accounts, updated by `rows`.

        Args:
            balances: By account, as just read; where there is none, the ledger's balance is used.
            decisions: By pair, further decisions of a person.
        """
        fresh = {row.account_id: row for row in rows}
        known = {link.account_id for link in self.links}
        linked = [self._linked(link, fresh.get(link.account_id), now, balances or {}) for link in self.links]
        linked += [self._new(row, now, balances or {}) for row in fresh.values() if row.account_id not in known]
        decided = {(d.account_id, d.other_id): d.decision for d in self.decisions} | dict(decisions or {})
        return match(linked, [Decision(*pair, said == SAME) for pair, said in decided.items() if said != UNDONE])

    def rows(self, tenant_id: str, matching: Matching) -> list[LedgerRow]:
        """Return the rows of a matching for the ledger. Rows that the ledger already has are included; merging them writes
        nothing.
        """
        said = {link.account_id for link in self.links if link.evidence is not None}
        placed = [
            _identity_row(tenant_id, placement)
            for account_id, placement in matching.placements.items()
            if account_id in said or not _is_plain(placement)
        ]
        opened = {(p.account_id, p.other_id): p.evidence for p in matching.proposals}
        withdrawn = [p for p in self.proposals if (p.account_id, p.other_id) not in opened]
        return [
            *placed,
            *(ProposalRow(tenant_id, *pair, evidence, "open") for pair, evidence in opened.items()),
            *(ProposalRow(tenant_id, p.account_id, p.other_id, p.evidence, "withdrawn") for p in withdrawn),
        ]

    def changes(
        self, tenant_id: str, matching: Matching, rows: Iterable[AccountRow] = (), *, is_asked: bool = False
    ) -> list[ChangeRow]:
        """Return a row for each known account that counts differently than before; `rows` has the accounts about to be
        written.
        """
        return changes(tenant_id, self.links, rows, matching, self.classes, is_asked=is_asked)

    def is_changed_by(self, matching: Matching) -> bool:
        """Whether a matching decides or proposes anything that differs from the ledger."""
        known = {link.account_id: (link.canonical_id, link.counts_as) for link in self.links}
        placed = {a: (p.canonical_id, p.counts_as) for a, p in matching.placements.items()}
        proposed = {(p.account_id, p.other_id) for p in matching.proposals}
        return known != placed or proposed != {(p.account_id, p.other_id) for p in self.proposals}

    def record(self, ledger: Ledger, tenant_id: str, matching: Matching, decisions: Iterable[DecisionRow] = ()) -> None:
        """Merge a matching that does not come from reading a bank, with a person's decisions. Raises: LedgerError."""
        decided = list(decisions)
        changed = self.changes(tenant_id, matching, is_asked=bool(decided))
        rows = [*decided, *self.rows(tenant_id, matching), *changed]
        ledger.merge(Batch.by_hand(tenant_id, OPERATION, "2.0.0", rows, known_load=self.newest_load))

    def _linked(
        self, link: KnownLink, row: AccountRow | None, now: datetime, balances: Mapping[str, Decimal | None]
    ) -> LinkedAccount:
        source = row or link
        was_listed = _state(link) == "listed"
        updated_at = row.provider_updated_at if row else None
        has_advanced = link.as_of is not None and updated_at is not None and updated_at > link.as_of
        advanced_before = link.as_of is not None and (
            link.first_updated_at is None or link.as_of > link.first_updated_at
        )
        read = balances.get(link.account_id)
        return LinkedAccount(
            account_id=link.account_id,
            canonical_id=link.canonical_id,
            user_id=source.user_id,
            connection_id=source.connection_id,
            source_id=source.connection_source_id,
            institution_id=None if source.institution_id == UNKNOWN else source.institution_id,
            account_type=source.account_type,
            account_class=self._class_of(source),
            currency=source.currency,
            iban=source.iban,
            number=source.number,
            name=source.display_name,
            parent_id=source.parent_account_id,
            state=_state(source),
            first_seen=(link.created_at, int(link.source_id)),
            listed_since=link.listed_since if was_listed and link.listed_since else now if row else link.created_at,
            updated_at=updated_at or link.as_of,
            advanced_at=now if has_advanced else link.balance_recorded_at if advanced_before else None,
            vanished_at=_vanished_at(source, now),
            balance=link.current_balance if read is None else read,
            balance_at=link.as_of if read is None else updated_at,
            evidence=link.evidence,
            decided_by=link.decided_by,
            counts_as=link.counts_as,
        )

    def _new(self, row: AccountRow, now: datetime, balances: Mapping[str, Decimal | None]) -> LinkedAccount:
        return LinkedAccount(
            account_id=row.account_id,
            canonical_id=row.account_id,
            user_id=row.user_id,
            connection_id=row.connection_id,
            source_id=row.connection_source_id,
            institution_id=None if row.institution_id == UNKNOWN else row.institution_id,
            account_type=row.account_type,
            account_class=self._class_of(row),
            currency=row.currency,
            iban=row.iban,
            number=row.number,
            name=row.display_name,
            parent_id=row.parent_account_id,
            state=_state(row),
            first_seen=(now, int(row.source_id)),
            listed_since=now,
            updated_at=row.provider_updated_at,
            advanced_at=None,
            vanished_at=_vanished_at(row, now),
            balance=balances.get(row.account_id),
            balance_at=row.provider_updated_at,
        )

    def _class_of(self, account: KnownLink | AccountRow) -> str | None:
        """Return the class; None for a type that fits any class. An undocumented type is a class of its own."""
        if account.is_crypto:
            return "crypto"
        kind = account.account_type
        return None if kind in FITS_ANY_CLASS else self.classes.get(kind, f"type {kind}")


def _state(account: KnownLink | AccountRow) -> State:
    if account.deleted_at is not None:
        return "ended"
    if account.disabled_at is not None:
        return "disabled"
    return "missing" if account.missing_since is not None else "listed"


def _vanished_at(account: KnownLink | AccountRow, now: datetime) -> datetime | None:
    moments = [m for m in (account.deleted_at, account.disabled_at, account.missing_since) if m is not None]
    return min(*moments, now) if moments else None


def _is_plain(placement: Placement) -> bool:
    """Whether the account is a separate account that counts, so that it needs no row."""
    return (
        placement.canonical_id == placement.account_id
        and placement.counts_as is None
        and placement.account_class is None
        and placement.decided_by != "operator"
    )


def _identity_row(tenant_id: str, placement: Placement) -> IdentityRow:
    known_class = placement.account_class
    return IdentityRow(
        tenant_id,
        placement.account_id,
        placement.canonical_id,
        placement.evidence,
        placement.decided_by,
        placement.counts_as,
        ",".join(placement.others) or None,
        None if known_class is None or known_class.startswith("type ") else known_class,
    )
