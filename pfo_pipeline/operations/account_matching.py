"""Decide which linked accounts are one account: clustering under constraints, linear in the number of linked accounts.

A list is the enabled, undeleted accounts of one source of one connection. The number of accounts that share a strong key is
the length of the longest list that shares it; the other lists are matched to that one, one to one. A link that cannot be
paired does not count a second time. Facts: Powens gives new ids after a bank was added again, and after some repairs (Powens
docs, Connections); one IBAN may have several pockets of one connection; two users, or two sources of one connection, may show
one account.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from pfo_pipeline.operations.account_links import (
    Decision,
    LinkedAccount,
    Matching,
    Placement,
    Proposal,
    advanced_side_by_side,
    do_numbers_differ,
    is_compatible,
    stood_side_by_side,
    weak_number,
)

LONGEST_GAP = timedelta(days=180)
"""After this time without a live link, the same key at another user may be an account number that the bank has reused."""
STALE_TWIN = timedelta(days=1)
"""If one list has two accounts with the same whole number, and one is older by this much, the newer one replaced it."""

Trait = Callable[[LinkedAccount], Hashable]
_Keys = Callable[[LinkedAccount], Iterable[Hashable]]


@dataclass(eq=False)
class _Cluster:
    """Linked accounts that are one account. If it cannot be paired, `ambiguous` has the accounts that it may be one of."""

    members: list[LinkedAccount] = field(default_factory=list)
    ambiguous: list["_Cluster"] = field(default_factory=list)
    is_by_person: bool = False

    @property
    def listed(self) -> list[LinkedAccount]:
        return [m for m in self.members if m.state == "listed"]

    @property
    def standing(self) -> list[LinkedAccount]:
        """The members that a list has, or that are only missing from it; missing ones count too."""
        return [m for m in self.members if m.state in ("listed", "missing")]

    @property
    def head(self) -> LinkedAccount:
        """The member whose id is the account's id: the oldest one that had its own account so far."""
        return min(self.members, key=lambda m: (m.canonical_id != m.account_id, m.first_seen))

    @property
    def account_class(self) -> str | None:
        return next((m.account_class for m in self.members if m.account_class), None)

    @property
    def currency(self) -> str | None:
        """The currency of the link with the newest update: a link whose bank has not changed the currency yet follows it."""
        known = [m for m in self.members if m.currency]
        newest = max(known, key=lambda m: (m.state == "listed", m.updated_at or m.first_seen[0]), default=None)
        return newest.currency if newest else None

    @property
    def vanished_at(self) -> datetime | None:
        moments = [m.vanished_at for m in self.members]
        return None if None in moments else max(moment for moment in moments if moment)

    @property
    def strong_keys(self) -> frozenset[Hashable]:
        return frozenset[Hashable]().union(*(m.strong_keys for m in self.members))


_TIES: tuple[tuple[Trait, ...], ...] = (
    (lambda a: a.plain_number, lambda a: a.account_type, lambda a: a.name),
    (lambda a: a.plain_number, lambda a: a.account_type),
    (lambda a: a.plain_number, lambda a: a.name),
    (lambda a: a.plain_number,),
    (lambda a: a.account_type, lambda a: a.name),
    (lambda a: a.account_type,),
    (lambda a: a.name,),
)
"""Traits that pair the accounts of two lists, the most reliable first: number, then type, then name."""
_TIES_OF_HEIRS: tuple[tuple[Trait, ...], ...] = (*_TIES, (lambda a: a.balance,))


def match(linked: Sequence[LinkedAccount], decisions: Sequence[Decision] = ()) -> Matching:
    """Decide which linked accounts of one tenant are one account.

    Args:
        linked: Every known linked account of the tenant, including ended ones.
        decisions: Persons' decisions, the latest of each pair.
    Returns:
        A placement for each linked account, and proposals for a person to decide.
    """
    return _Matcher(linked, decisions).match()


class _Matcher:
    def __init__(self, linked: Sequence[LinkedAccount], decisions: Sequence[Decision]) -> None:
        self.linked = sorted(linked, key=lambda a: a.first_seen)
        self.by_id = {a.account_id: a for a in self.linked}
        self.apart: dict[str, set[str]] = defaultdict(set)
        self.same: list[tuple[str, str]] = []
        for decision in decisions:
            one, other = decision.account_id, decision.other_id
            if one in self.by_id and other in self.by_id:
                if decision.is_same:
                    self.same.append((one, other))
                else:
                    self.apart[one].add(other)
                    self.apart[other].add(one)
        self.cluster: dict[str, _Cluster] = {}
        self.superseded: set[str] = set()
        """Accounts that their source still lists beside the account that replaced them."""

    def match(self) -> Matching:
        self._keep()
        self._inherit()
        for family in self._families():
            self._place(family)
        self._apply_persons()
        clusters = list(dict.fromkeys(self.cluster[a.account_id] for a in self.linked))
        parents = self._parents(clusters)
        placements = {a.account_id: self._placement(a, parents) for a in self.linked}
        return Matching(placements, tuple(self._proposals(clusters)))

    def _keep(self) -> None:
        """Start from the earlier decisions, as far as they violate no constraint."""
        joined = {account_id for pair in self.same for account_id in pair}
        kept: dict[str, list[LinkedAccount]] = defaultdict(list)
        for a in self.linked:
            stands_alone = a.counts_as == "one_of" or (a.decided_by == "operator" and a.account_id not in joined)
            kept[a.account_id if stands_alone else a.canonical_id].append(a)
        for account_id, members in kept.items():
            clusters: list[_Cluster] = []
            for a in sorted(members, key=lambda m: (m.account_id != account_id, m.first_seen)):
                mine = next((c for c in clusters if not any(self._is_broken(a, m) for m in c.members)), None)
                if mine is None:
                    mine = _Cluster()
                    clusters.append(mine)
                mine.members.append(a)
                self.cluster[a.account_id] = mine
            for cluster in clusters:
                self._supersede(cluster)

    def _is_broken(self, one: LinkedAccount, other: LinkedAccount) -> bool:
        if other.account_id in self.apart[one.account_id]:
            return True
        if one.decided_by == other.decided_by == "operator":
            return False
        differ = one.whole_number and other.whole_number and do_numbers_differ(one.plain_number, other.plain_number)
        return bool(differ) or advanced_side_by_side(one, other)

    def _supersede(self, cluster: _Cluster) -> None:
        """If one list has several members of a cluster, the latest replaced the others."""
        latest: dict[Hashable, LinkedAccount] = {}
        for a in sorted(cluster.listed, key=lambda m: (m.listed_since, m.first_seen)):
            if a.list_key in latest:
                self.superseded.add(latest[a.list_key].account_id)
            latest[a.list_key] = a

    def _inherit(self) -> None:
        """Let a new account replace one that vanished or stopped advancing.

        Within its source, any key that is one to one is sufficient. Elsewhere, a strong key is needed, and the same user must
        have added the bank again.
        """
        by_list: dict[Hashable, list[LinkedAccount]] = defaultdict(list)
        by_lineage: dict[Hashable, list[LinkedAccount]] = defaultdict(list)
        for a in self.linked:
            by_list[a.list_key].append(a)
            by_lineage[a.lineage].append(a)
        for group in by_list.values():
            self._inherit_within(group, lambda a: a.strong_keys, may_be_listed=True)
            self._inherit_within(group, lambda a: [(a.plain_number, a.account_type)], may_be_listed=True, is_weak=True)
            self._inherit_within(group, lambda a: [(a.name, a.account_type)], is_weak=True)
        for group in by_lineage.values():
            self._inherit_within(group, lambda a: a.strong_keys)

    def _inherit_within(
        self, group: Sequence[LinkedAccount], keys_of: _Keys, *, may_be_listed: bool = False, is_weak: bool = False
    ) -> None:
        sharing: dict[Hashable, list[LinkedAccount]] = defaultdict(list)
        for a in group if len(group) > 1 else ():
            for key in keys_of(a):
                if key is not None and not (isinstance(key, tuple) and key[0] is None):
                    sharing[key].append(a)
        for accounts in sharing.values():
            if len(accounts) < 2:
                continue
            fresh = [a for a in accounts if a.state == "listed" and len(self.cluster[a.account_id].members) == 1]
            stopped = [a for a in accounts if may_be_listed and any(self._is_stopped_by(a, heir) for heir in fresh)]
            gone = [a for a in accounts if (a.vanished_at or a in stopped) and self._is_left(a, fresh)]
            left = list({self.cluster[a.account_id]: a for a in gone}.values())  # The last link of each account.
            heirs = [a for a in fresh if a not in stopped and any(self._may_succeed(a, old) for old in left)]
            if is_weak and (len(heirs) != 1 or len(left) != 1):
                continue
            for of_list in _by_list(heirs):
                pairs = _paired(of_list, left, _TIES_OF_HEIRS, self._may_succeed, in_order=not is_weak)
                for heir, old in pairs:
                    self._unite(self.cluster[old.account_id], self.cluster[heir.account_id])
                    if old.state == "listed":
                        self.superseded.add(old.account_id)
                    left.remove(old)

    def _is_left(self, old: LinkedAccount, fresh: Sequence[LinkedAccount]) -> bool:
        """Whether no listed link belongs to the account now, except `old` itself and the links that it replaced.

        Links of other lists do not matter if all of `fresh` are in the list of `old`.
        """
        is_own_list = all(heir.list_key == old.list_key for heir in fresh)
        return all(
            m is old
            or m.state != "listed"
            or m.account_id in self.superseded
            or (is_own_list and m.list_key != old.list_key)
            for m in self.cluster[old.account_id].members
        )

    @staticmethod
    def _is_stopped_by(old: LinkedAccount, heir: LinkedAccount) -> bool:
        """Whether `old`, which is still listed, stopped advancing when `heir` appeared in its list."""
        if old is heir or old.state != "listed" or old.list_key != heir.list_key:
            return False
        if old.updated_at is None or heir.updated_at is None or heir.updated_at <= old.updated_at:
            return False
        if old.listed_since < heir.listed_since:
            return old.advanced_at is None or old.advanced_at <= heir.listed_since
        is_twin = old.whole_number is not None and old.whole_number == heir.whole_number
        is_still = old.listed_since == heir.listed_since and old.advanced_at is None
        return is_twin and is_still and heir.updated_at - old.updated_at > STALE_TWIN

    def _may_succeed(self, heir: LinkedAccount, old: LinkedAccount) -> bool:
        if not is_compatible(heir, old) or self._is_told_apart(heir, old) or advanced_side_by_side(heir, old):
            return False
        has_gone = old.vanished_at is not None and old.vanished_at <= heir.listed_since
        return has_gone or self._is_stopped_by(old, heir)

    def _is_told_apart(self, one: LinkedAccount, other: LinkedAccount) -> bool:
        """Whether a person decided that they are different; the decision may name any link of the two accounts."""
        members = self.cluster[one.account_id].members
        ids = {m.account_id for m in self.cluster[other.account_id].members}
        return any(self.apart[m.account_id] & ids for m in members if m.account_id in self.apart)

    def _unite(self, first: _Cluster, second: _Cluster) -> None:
        if first is not second:
            first.members += second.members
            for a in second.members:
                self.cluster[a.account_id] = first

    def _families(self) -> list[list[_Cluster]]:
        """Return clusters that are connected by strong keys, in the order of first sight. A single cluster is not a family."""
        family_of: dict[Hashable, list[_Cluster]] = {}
        families: dict[int, list[_Cluster]] = {}
        for cluster in dict.fromkeys(self.cluster[a.account_id] for a in self.linked):
            mine = [cluster]
            for key in cluster.strong_keys:
                other = family_of.get(key, mine)
                if other is not mine:
                    small, large = sorted((mine, other), key=len)
                    large += small
                    families.pop(id(small), None)
                    for member in small:
                        family_of |= dict.fromkeys(member.strong_keys, large)
                    mine = large
            family_of |= dict.fromkeys(cluster.strong_keys, mine)
            families[id(mine)] = mine
        return [family for family in families.values() if len(family) > 1]

    def _place(self, family: list[_Cluster]) -> None:
        """Match the lists of a family to its longest one, separately for each class and currency."""
        family.sort(key=lambda c: c.head.first_seen)
        buckets, floating = _buckets(family)
        placed: list[_Cluster] = []
        for bucket in buckets:
            placed += self._place_bucket(bucket)
        for mine in floating:
            others = [other for other in placed if self._may_be_one(mine, other)]
            pairs = _paired([mine], others, _TIES, self._may_be_one)
            for _, other in pairs:
                self._unite(other, mine)
            if mine.standing and not pairs:
                mine.ambiguous = others

    def _place_bucket(self, bucket: Sequence[_Cluster]) -> list[_Cluster]:
        lists: dict[Hashable, list[_Cluster]] = defaultdict(list)
        for cluster in bucket:
            for list_key in dict.fromkeys(a.list_key for a in cluster.standing if a.account_id not in self.superseded):
                lists[list_key].append(cluster)
        placed: list[_Cluster] = []
        for _, clusters in sorted(lists.items(), key=_longest_first):
            now = list(dict.fromkeys(self.cluster[c.members[0].account_id] for c in clusters))
            waiting = [c for c in now if c not in placed]
            free = [c for c in placed if c not in now]
            for mine, other in _paired(waiting, free, _TIES, self._may_be_one):
                self._unite(other, mine)
                waiting.remove(mine)
                free.remove(other)
            for mine in waiting:
                mine.ambiguous = [other for other in free if self._may_be_one(mine, other)]
                if not mine.ambiguous:
                    placed.append(mine)
        dormant = [c for c in bucket if not c.standing]
        for mine, other in _paired(dormant, placed, _TIES, self._may_be_one):
            self._unite(other, mine)
        return placed

    def _may_be_one(self, one: _Cluster, other: _Cluster) -> bool:
        if not one.strong_keys & other.strong_keys or self._is_told_apart(one.members[0], other.members[0]):
            return False
        if _is_after_a_gap(one, other) or _is_after_a_gap(other, one):
            return False
        return not any(
            do_numbers_differ(a.plain_number, b.plain_number) or stood_side_by_side(a, b)
            for a in one.members
            for b in other.members
        )

    def _apply_persons(self) -> None:
        for one, other in self.same:
            first, second = self.cluster[one], self.cluster[other]
            if first is second or not self._is_told_apart(self.by_id[one], self.by_id[other]):
                self._unite(first, second)
                first.ambiguous, first.is_by_person = [], True

    def _parents(self, clusters: Sequence[_Cluster]) -> dict[_Cluster, _Cluster]:
        """Return the parent of each card that repeats its parent's balance. The parent counts for both."""
        parents: dict[_Cluster, _Cluster] = {}
        for cluster in clusters:
            for card in cluster.members:
                parent = self.by_id.get(card.parent_id or "")
                if parent and {card.state, parent.state} <= {"listed", "missing"} and _repeats(card, parent):
                    whole = self.cluster[parent.account_id]
                    if whole is not cluster and not whole.ambiguous:
                        parents[cluster] = whole
        return parents

    def _placement(self, a: LinkedAccount, parents: Mapping[_Cluster, _Cluster]) -> Placement:
        cluster = self.cluster[a.account_id]
        parent = parents.get(cluster)
        counts_as: Literal["one_of", "part_of"] | None = (
            "one_of" if cluster.ambiguous else "part_of" if parent else None
        )
        others = cluster.ambiguous or ([parent] if parent else [])
        canonical_id = cluster.head.account_id
        evidence, decided_by = _evidence(a, cluster, parent)
        if cluster.is_by_person or self.apart.get(a.account_id):
            evidence, decided_by = "decision", "operator"
        elif a.evidence and a.decided_by == decided_by and (a.canonical_id, a.counts_as) == (canonical_id, counts_as):
            evidence = a.evidence  # The first decision's evidence is kept.
        return Placement(
            a.account_id,
            canonical_id,
            evidence,
            decided_by,
            counts_as,
            tuple(sorted(other.head.account_id for other in others)),
            cluster.account_class if a.account_class is None else None,
        )

    def _proposals(self, clusters: Sequence[_Cluster]) -> Iterable[Proposal]:
        first_with: dict[Hashable, _Cluster] = {}
        for cluster in clusters:
            mine = cluster.head.account_id
            for other in cluster.ambiguous:
                yield Proposal(mine, other.head.account_id, _evidence(cluster.head, other, None)[0])
            for evidence, key in () if cluster.ambiguous else _proposing_keys(cluster):
                other = first_with.setdefault(key, cluster)
                if other is not cluster and self._may_propose(cluster, other, evidence):
                    yield Proposal(mine, other.head.account_id, evidence)
                    break

    def _may_propose(self, one: _Cluster, other: _Cluster, evidence: str) -> bool:
        if self._is_told_apart(one.members[0], other.members[0]):
            return False
        if evidence == "gap":
            return _is_after_a_gap(one, other) or _is_after_a_gap(other, one)
        if evidence == "name" and bool(one.listed) == bool(other.listed):
            return False
        return all(
            is_compatible(a, b) and not stood_side_by_side(a, b) and not (a.plain_iban and b.plain_iban)
            for a in one.members
            for b in other.members
        )


Item = TypeVar("Item", LinkedAccount, _Cluster)


def _longest_first(of_list: tuple[Hashable, Sequence[_Cluster]]) -> tuple[int, bool, tuple[datetime, int]]:
    """Sort key: the longest list first; of two equally long lists, the one that a bank shows now."""
    list_key, clusters = of_list
    is_shown = any(m.list_key == list_key for cluster in clusters for m in cluster.listed)
    return -len(clusters), not is_shown, clusters[0].head.first_seen


def _members(item: LinkedAccount | _Cluster) -> Sequence[LinkedAccount]:
    return item.members if isinstance(item, _Cluster) else (item,)


def _by_list(accounts: Sequence[LinkedAccount]) -> list[list[LinkedAccount]]:
    lists: dict[Hashable, list[LinkedAccount]] = defaultdict(list)
    for a in accounts:
        lists[a.list_key].append(a)
    return list(lists.values())


def _paired(
    left: Sequence[Item],
    right: Sequence[Item],
    ties: Sequence[Sequence[Trait]],
    may: Callable[[Item, Item], bool],
    *,
    in_order: bool = False,
) -> list[tuple[Item, Item]]:
    """Pair items that share a trait that is unique on both sides; then items that are compatible only with each other.

    Args:
        may: Whether two items can be a pair at all.
        in_order: If equal numbers of items are left and nothing distinguishes them, pair them in their order.
    """
    rest, others = dict.fromkeys(left), dict.fromkeys(right)
    pairs: list[tuple[Item, Item]] = []

    def pair(one: Item, other: Item) -> None:
        pairs.append((one, other))
        del rest[one], others[other]

    for tie in ties:
        if len(rest) < 2 and len(others) < 2:
            break
        ones, twos = _by_trait(rest, tie), _by_trait(others, tie)
        for trait, sharing in ones.items():
            if len(sharing) == 1 and len(twos.get(trait, ())) == 1:
                one, other = sharing[0], twos[trait][0]
                if one in rest and other in others and may(one, other):
                    pair(one, other)
    fitting = {one: [other for other in others if may(one, other)] for one in rest} if others else {}
    wanted = Counter(other for fits in fitting.values() for other in fits)
    for one, fits in fitting.items():
        if len(fits) == 1 and wanted[fits[0]] == 1:
            pair(one, fits[0])
    if in_order and len(rest) == len(others):
        for one, other in zip(list(rest), list(others), strict=True):
            if may(one, other):
                pair(one, other)
    return pairs


def _by_trait(items: Iterable[Item], tie: Sequence[Trait]) -> dict[Hashable, list[Item]]:
    by_trait: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        for traits in dict.fromkeys(tuple(trait(m) for trait in tie) for m in _members(item)):
            if None not in traits:
                by_trait[traits].append(item)
    return by_trait


def _buckets(family: Sequence[_Cluster]) -> tuple[list[list[_Cluster]], list[_Cluster]]:
    """Return a family grouped by class and currency, and the clusters that fit more than one group."""
    buckets: dict[tuple[str | None, str | None], list[_Cluster]] = {}
    open_ones = []
    for cluster in family:
        kind = (cluster.account_class, cluster.currency)
        if None in kind:
            open_ones.append((kind, cluster))
        else:
            buckets.setdefault(kind, []).append(cluster)
    floating = []
    for kind, cluster in open_ones:
        fitting = [k for k in buckets if all(a is None or b is None or a == b for a, b in zip(kind, k, strict=True))]
        if len(fitting) > 1:
            floating.append(cluster)
        else:
            buckets.setdefault(fitting[0] if fitting else kind, []).append(cluster)
    return [sorted(bucket, key=lambda c: c.head.first_seen) for bucket in buckets.values()], floating


def _is_after_a_gap(dormant: _Cluster, other: _Cluster) -> bool:
    """Whether another user shows the key of an account that has had no live link for longer than LONGEST_GAP."""
    gone, since = dormant.vanished_at, min((m.listed_since for m in other.listed), default=None)
    if gone is None or since is None or {m.user_id for m in dormant.members} & {m.user_id for m in other.members}:
        return False
    return since - gone > LONGEST_GAP


def _repeats(card: LinkedAccount, parent: LinkedAccount) -> bool:
    """Whether a card shows its parent's balance. A card that did, and has no newer balance since, still does."""
    if card.account_class != "card" or card.balance is None or not card.balance or card.currency != parent.currency:
        return False
    if card.balance == parent.balance:
        return True
    is_older = card.balance_at is not None and parent.balance_at is not None and card.balance_at < parent.balance_at
    return card.counts_as == "part_of" and is_older


def _evidence(a: LinkedAccount, cluster: _Cluster, parent: _Cluster | None) -> tuple[str, str]:
    """Return the evidence that `a` is in the cluster, and who decided it."""
    if parent:
        return "balance of the parent", "evidence"
    others = [m for m in cluster.members if m is not a]
    if a.plain_iban and any(m.plain_iban == a.plain_iban for m in others):
        return "iban", "evidence"
    if any(m.strong_keys & a.strong_keys for m in others):
        return "number", "evidence"
    return ("successor" if others else "by itself"), "evidence"


def _proposing_keys(cluster: _Cluster) -> Iterable[tuple[str, Hashable]]:
    """Yield evidence and key of what may show that two accounts are one, without deciding it."""
    kind = (cluster.account_class, cluster.currency)
    for key in cluster.strong_keys:
        yield "gap", ("gap", key, kind)
    for m in cluster.members:
        if m.institution_id and m.plain_number and m.state in ("listed", "missing"):
            yield "number", ("number", m.institution_id, weak_number(m.plain_number), kind)
    for m in cluster.members:
        yield "name", ("name", m.lineage, m.name, kind)
