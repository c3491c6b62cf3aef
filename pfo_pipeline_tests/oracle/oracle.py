"""The right totals, calculated only from the bytes that were sent.

Rules, in short. Linked accounts are one if they share an IBAN, or a whole number at one bank, and nothing shows that they are
two. They are two if both were in one list and each advanced after that, if their whole numbers differ, or if a person says so.
For a key that several accounts share, there are as many accounts as the longest list shows. For each account one linked
account speaks. A missing account keeps its balance; one that is gone does not. If the rules leave something open, README.md
has the decision.

Clear before fast: every pair is compared, at each moment.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, combinations, islice, permutations, product
from urllib.parse import parse_qs

from pfo_pipeline_tests.oracle.classes import UNCLASSIFIED
from pfo_pipeline_tests.oracle.links import Memory, Seen, Source
from pfo_pipeline_tests.oracle.reading import Accounts, Connections, Row, accounts_in, connections_in
from pfo_pipeline_tests.oracle.recording import Decision, Exchange, Link

FRESH = timedelta(hours=48)
GAP = timedelta(days=180)
STANDS_STILL = timedelta(hours=20)
_CHOICES = 64
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Totals = dict[tuple[str, str], Decimal]
"""By class and currency."""

Evidence = Callable[[Seen, Seen], bool]


@dataclass(frozen=True)
class RealAccount:
    """One real account in the total."""

    number: int
    links: frozenset[Link]
    speaks: Link
    class_name: str
    currency: str
    value: Decimal
    also: frozenset[Decimal]
    """Current values of its other linked accounts. Which one speaks depends on its freshness, for which no rule gives a limit.
    """


@dataclass(frozen=True)
class Answer:
    """The right answer at the end of a moment."""

    at: datetime
    totals: Totals
    accounts: tuple[RealAccount, ...]
    others: tuple[tuple[RealAccount, ...], ...]
    """If it cannot be known which of several lists shows the accounts: the accounts that another list would count."""
    says: dict[Link, str]
    """The state of every linked account that ever existed: it counts, or why not."""
    proposals: frozenset[frozenset[Link]]
    """Pairs that are proposed to a person."""
    possibly_double: Totals
    unreadable: int
    """Rows that name no account."""
    empty_connections: frozenset[tuple[str, int]]

    def agrees(self, totals: Totals) -> bool:
        """Whether totals are right: these, or these with another linked account speaking where an account has several."""
        return any(totals == right for right in self.all_right())

    def all_right(self) -> Iterator[Totals]:
        """Yield these totals, then those in which another list is counted, or an account by another of its linked accounts."""
        for accounts in (self.accounts, *self.others):
            for values in islice(product(*[[account.value, *account.also] for account in accounts]), _CHOICES):
                yield _sum([replace(a, value=value) for a, value in zip(accounts, values, strict=True)])


@dataclass(eq=False)
class Cluster:
    """Linked accounts that are one account."""

    number: int
    members: list[Seen]
    speaker: Seen | None = None

    @property
    def links(self) -> frozenset[Link]:
        return frozenset(seen.link for seen in self.members)

    @property
    def face(self) -> Link:
        """The linked account that represents it in proposals."""
        return (self.speaker or max(self.members, key=lambda seen: seen.last_listed or _LONG_AGO)).link

    @property
    def whole_numbers(self) -> set[str]:
        return set().union(*(seen.whole_numbers for seen in self.members))

    @property
    def plain_numbers(self) -> set[str]:
        return set().union(*(seen.plain_numbers for seen in self.members))

    @property
    def all_numbers(self) -> set[str]:
        return set().union(*(seen.numbers for seen in self.members))

    @property
    def strong_keys(self) -> set[tuple[str, str | None, str]]:
        ibans = {("iban", None, iban) for seen in self.members for iban in seen.ibans}
        numbers = {("number", seen.bank, number) for seen in self.members for number in seen.whole_numbers if seen.bank}
        return ibans | numbers

    @property
    def classes(self) -> set[str]:
        return {row.binding_class for row in self._rows() if row.binding_class}

    @property
    def currencies(self) -> set[str]:
        return {row.currency for row in self._rows() if row.currency}

    @property
    def last_listed(self) -> datetime | None:
        return max((seen.last_listed for seen in self.members if seen.last_listed), default=None)

    def _rows(self) -> list[Row]:
        """Return its current rows: listed or missing ones, else earlier ones."""
        now = [seen.row for seen in self.members if seen.state in ("listed", "missing")]
        return now or [seen.row for seen in self.members]


@dataclass
class Oracle:
    """Reads the answers moment by moment."""

    memory: Memory = field(default_factory=Memory)
    clusters: list[Cluster] = field(default_factory=list)
    heirs: dict[Link, Link] = field(default_factory=dict)
    """By linked account, the one that replaced it within its source."""
    splits: set[frozenset[int]] = field(default_factory=set)
    repeats: dict[Link, datetime | None] = field(default_factory=dict)
    """By card, the date of its balance that equals its parent's: until the card has a newer one, it still repeats it."""
    away: set[str] = field(default_factory=set)
    now: datetime = _LONG_AGO
    _numbers: int = 0

    def settle(self, at: datetime, exchanges: Sequence[Exchange], decisions: Iterable[Decision]) -> Answer:
        """Return the right answer after these answers were read."""
        self.now = at
        for decision in decisions:
            self._decide(decision)
        for member in dict.fromkeys(exchange.member for exchange in exchanges):
            self.memory.read(at, member, *_lists([e for e in exchanges if e.member == member]))
        self._welcome_new_ones()
        self._drop_heirs_that_are_none()
        self._find_heirs()
        self._break_what_cannot_be_one()
        self._unite()
        return self._answer()

    #
    # Which linked accounts are one

    def _welcome_new_ones(self) -> None:
        known = {link for cluster in self.clusters for link in cluster.links}
        for link, seen in self.memory.links.items():
            if link not in known:
                self._new_cluster([seen])

    def _new_cluster(self, members: list[Seen]) -> Cluster:
        self._numbers += 1
        cluster = Cluster(self._numbers, members)
        self.clusters.append(cluster)
        return cluster

    def _cluster_of(self, link: Link) -> Cluster:
        return next(cluster for cluster in self.clusters if link in cluster.links)

    def _merge(self, one: Cluster, other: Cluster) -> None:
        """Keep the older number, and with it the splits of both."""
        kept, lost = sorted((one, other), key=lambda cluster: cluster.number)
        kept.members += lost.members
        kept.speaker = kept.speaker or lost.speaker
        self.clusters.remove(lost)
        self.splits = {frozenset(kept.number if n == lost.number else n for n in pair) for pair in self.splits}

    def _throw_out(self, link: Link) -> Cluster:
        """Make a separate account for a linked account and those that it replaced or that replaced it."""
        old = self._cluster_of(link)
        leaving, before = {link}, set[Link]()
        while leaving != before:
            before = set(leaving)
            for gone, heir in self.heirs.items():
                if gone in leaving or heir in leaving:
                    leaving |= {gone, heir}
        moved = [seen for seen in old.members if seen.link in leaving]
        old.members = [seen for seen in old.members if seen.link not in leaving]
        if old.speaker in moved:
            old.speaker = None
        return self._new_cluster(moved) if old.members else self._put_back(old, moved)

    @staticmethod
    def _put_back(old: Cluster, moved: list[Seen]) -> Cluster:
        old.members = moved
        return old

    def _decide(self, decision: Decision) -> None:
        if decision.kind == "leave":
            self.away.add(decision.member)
        elif decision.kind == "return":
            self.away.discard(decision.member)
        elif decision.kind == "split":
            one, other = self._cluster_of(decision.one), self._cluster_of(decision.other)
            if one is other:
                other = self._throw_out(decision.other)
            self.splits.add(frozenset((one.number, other.number)))
        else:
            one, other = self._cluster_of(decision.one), self._cluster_of(decision.other)
            if one is not other and frozenset((one.number, other.number)) not in self.splits:
                self._merge(one, other)

    def _apart(self, one: Cluster, other: Cluster) -> bool:
        """Whether two accounts cannot be one."""
        return (
            frozenset((one.number, other.number)) in self.splits
            or _differ(one.classes, other.classes)
            or _differ(one.currencies, other.currencies)
            or _differ(one.whole_numbers, other.whole_numbers)
            or any(self._are_two(a, b) for a in one.members for b in other.members)
        )

    def _are_two(self, one: Seen, other: Seen) -> bool:
        is_now = one.state == other.state == "listed"
        return self._stood_together(one.link, other.link) or (is_now and _renumbered(one, other))

    def _stood_together(self, one: Link, other: Link) -> bool:
        """Whether both were in one list, unless one replaced the other."""
        if self.heirs.get(one) == other or self.heirs.get(other) == one:
            return False
        return frozenset((one, other)) in self.memory.together

    def _proved_two(self, one: Seen, other: Seen) -> bool:
        """Whether both were in one list, and each advanced after that."""
        first = self.memory.together.get(frozenset((one.link, other.link)))
        return first is not None and one.advanced_after(first) and other.advanced_after(first)

    #
    # Heirs, within one source

    def _drop_heirs_that_are_none(self) -> None:
        for gone, heir in list(self.heirs.items()):
            old, new = self.memory.links[gone], self.memory.links[heir]
            if self._proved_two(old, new) or (old.state == "listed" and old.advanced_after(new.first_read)):
                del self.heirs[gone]
                if self._cluster_of(gone) is self._cluster_of(heir):
                    self._throw_out(heir)

    def _find_heirs(self) -> None:
        """Use the strongest evidence first, and each only where there is exactly one candidate."""
        by_source: dict[Source, list[Seen]] = {}
        for seen in self.memory.links.values():
            by_source.setdefault(seen.source, []).append(seen)
        all_pairs = [
            pair for seen in by_source.values() for pair in permutations(seen, 2) if self._may_take_over(*pair)
        ]
        for evidence in _EVIDENCE:
            pairs = [
                (old, new)
                for old, new in all_pairs
                if old.link not in self.heirs and new.link not in self.heirs.values() and evidence(old, new)
            ]
            for old, new in pairs:
                if sum(a is old for a, _ in pairs) == 1 and sum(b is new for _, b in pairs) == 1:
                    self._take_over(old, new)

    def _take_over(self, old: Seen, new: Seen) -> None:
        self.heirs[old.link] = new.link
        one, other = self._cluster_of(old.link), self._cluster_of(new.link)
        if one is other:
            return
        if self._apart(one, other):
            del self.heirs[old.link]
        else:
            self._merge(one, other)

    def _may_take_over(self, old: Seen, new: Seen) -> bool:
        """Whether, of two in one source, one stopped and one appeared, and nothing that both show contradicts."""
        return (
            bool(new.updates)
            and bool(old.updates)
            and not old.advanced_after(new.first_read)
            and (_ended_as_it_appeared(old, new) or _stands_still_beside(old, new))
            and not _differ({old.row.binding_class} - {None}, {new.row.binding_class} - {None})
            and not _differ({old.row.currency} - {None}, {new.row.currency} - {None})
            and not _differ(old.whole_numbers, new.whole_numbers)
        )

    def _break_what_cannot_be_one(self) -> None:
        for cluster in list(self.clusters):
            for one, other in combinations(list(cluster.members), 2):
                if not {one.link, other.link} <= cluster.links:
                    continue
                if self.heirs.get(one.link) == other.link or self.heirs.get(other.link) == one.link:
                    continue
                if one.state == other.state == "listed" and (self._proved_two(one, other) or _renumbered(one, other)):
                    self._throw_out(other.link)

    #
    # Across sources, banks and members

    def _unite(self) -> None:
        """Decide what can be decided, the most certain first, until nothing is left."""
        while True:
            edges = self._edges()
            sure = [pair for pair in edges if self._is_sure(*pair, edges)]
            if not sure:
                return
            self._merge(*max(sure, key=lambda pair: (_likeness(*pair), -pair[0].number, -pair[1].number)))

    def _edges(self, *, with_gaps: bool = False) -> list[tuple[Cluster, Cluster]]:
        """Return pairs that share a strong key and may be one."""
        keys = {cluster: cluster.strong_keys for cluster in self.clusters}
        return [
            (one, other)
            for one, other in combinations(self.clusters, 2)
            if keys[one] & keys[other] and not self._apart(one, other) and (with_gaps or not self._is_gap(one, other))
        ]

    def _is_gap(self, one: Cluster, other: Cluster) -> bool:
        """Whether there was half a year without a living link, then another member: banks reuse numbers."""
        if {seen.member for seen in one.members} & {seen.member for seen in other.members}:
            return False
        dates = [cluster.last_listed for cluster in (one, other)]
        return any(date is None or self.now - date > GAP for date in dates)

    def _is_sure(self, one: Cluster, other: Cluster, edges: list[tuple[Cluster, Cluster]]) -> bool:
        """Whether no rival is equally similar: an account that could be the one, but not also the other."""
        if _differ(one.plain_numbers, other.plain_numbers):
            return False
        likeness = _likeness(one, other)
        for mine, theirs in ((one, other), (other, one)):
            options = [b if a is mine else a for a, b in edges if mine in (a, b)]
            rivals = [option for option in options if option is not theirs and self._apart(option, theirs)]
            if any(_likeness(mine, rival) >= likeness for rival in rivals):
                return False
        return True

    #
    # What counts

    def _answer(self) -> Answer:
        for cluster in self.clusters:
            cluster.speaker = self._speaker(cluster)
        speaking = [cluster for cluster in self.clusters if cluster.speaker is not None]
        choices = self._as_many_as_there_are(speaking)
        chosen = choices[0]
        counted = [cluster for cluster in chosen if not self._repeats_parent(cluster, chosen)]
        accounts, *others = [self._accounts(choice) for choice in choices]
        proposals, double = self._proposals(speaking, counted)
        return Answer(
            at=self.now,
            totals=_sum(accounts),
            accounts=accounts,
            others=tuple(others),
            says={link: self._says(link, chosen, counted) for link in self.memory.links},
            proposals=proposals,
            possibly_double=double,
            unreadable=sum(self.memory.unreadable.values()),
            empty_connections=self._empty_connections(),
        )

    def _voices(self, cluster: Cluster) -> list[Seen]:
        """Return links that may speak: not one that another replaced. If a link is listed and none has a balance yet, the last
        one that had a balance: an account does not lose its balance because its bank was added again.
        """
        voices = [seen for seen in cluster.members if seen.counts and not self._is_succeeded(seen)]
        if voices or not any(seen.state == "listed" for seen in cluster.members):
            return voices
        known = [s for s in cluster.members if s.value is not None and s.state not in ("deleted", "disabled")]
        return sorted(known, key=lambda seen: seen.value_updated or _LONG_AGO)[-1:]

    def _is_succeeded(self, seen: Seen) -> bool:
        heir = self.heirs.get(seen.link)
        return heir is not None and self.memory.links[heir].value is not None

    def _speaker(self, cluster: Cluster) -> Seen | None:
        """Return the link that spoke while it is fresh; else the freshest."""
        voices = self._voices(cluster)
        listed = [seen for seen in voices if seen.state == "listed"]
        is_one_currency = len({seen.row.currency for seen in voices}) <= 1
        if cluster.speaker in listed and self._is_fresh(cluster.speaker) and is_one_currency:
            return cluster.speaker
        return max(listed or voices, key=lambda seen: seen.value_updated or _LONG_AGO, default=None)

    def _is_fresh(self, seen: Seen) -> bool:
        return seen.value_updated is not None and self.now - seen.value_updated <= FRESH

    def _as_many_as_there_are(self, speaking: list[Cluster]) -> list[list[Cluster]]:
        """Return the largest sets of candidates of which no two may be one: the longest list. The best set comes first, then
        others of the same size.
        """
        edges = [pair for pair in self._edges() if pair[0] in speaking and pair[1] in speaking]
        by_group = []
        for group in _groups(speaking, edges):
            sets = [s for size in range(1, len(group) + 1) for s in combinations(group, size) if _is_free(s, edges)]
            best = max(sets, key=self._worth)
            by_group.append([best, *(s for s in sets if len(s) == len(best) and s != best)])
        return [list(chain(*choice)) for choice in islice(product(*by_group), _CHOICES)]

    def _accounts(self, chosen: list[Cluster]) -> tuple[RealAccount, ...]:
        return tuple(self._real(cluster) for cluster in chosen if not self._repeats_parent(cluster, chosen))

    def _worth(self, some: Iterable[Cluster]) -> tuple[int, int, int, list[int]]:
        chosen = list(some)
        speakers = [cluster.speaker for cluster in chosen if cluster.speaker is not None]
        return (
            len(chosen),
            sum(self._is_fresh(seen) for seen in speakers),
            sum(seen.state == "listed" for seen in speakers),
            sorted(-cluster.number for cluster in chosen),
        )

    def _repeats_parent(self, cluster: Cluster, chosen: list[Cluster]) -> bool:
        """Whether a card shows its parent's balance and the parent is counted, so that the card is part of it."""
        card = cluster.speaker
        if card is None or card.value_row is None or card.value_row.class_name != "card" or card.row.parent is None:
            return False
        parent = self.memory.links.get((card.member, card.row.parent))
        if parent is None or not parent.counts or self._cluster_of(parent.link) not in chosen:
            return False
        if parent.row.currency != card.row.currency:
            return False
        if parent.value == card.value:
            self.repeats[card.link] = card.value_updated
            return True
        if card.link not in self.repeats or card.value_updated is None or parent.value_updated is None:
            return False
        return self.repeats[card.link] == card.value_updated < parent.value_updated

    def _real(self, cluster: Cluster) -> RealAccount:
        speaker = cluster.speaker
        row = speaker.value_row if speaker else None
        if speaker is None or row is None or speaker.value is None or row.currency is None:
            raise AssertionError("an account without a balance is not counted")
        others = [seen for seen in self._voices(cluster) if seen is not speaker and seen.row.currency == row.currency]
        return RealAccount(
            number=cluster.number,
            links=cluster.links,
            speaks=speaker.link,
            class_name=self._class(cluster, row),
            currency=row.currency,
            value=speaker.value,
            also=frozenset(seen.value for seen in others if seen.value is not None) - {speaker.value},
        )

    @staticmethod
    def _class(cluster: Cluster, row: Row) -> str:
        """Return a class that binds, if the speaker or another link has or had one; else that of the speaker's type."""
        if row.binding_class:
            return row.binding_class
        ever = sorted({seen.row.binding_class for seen in cluster.members if seen.row.binding_class})
        known = sorted(cluster.classes) or ever
        named = [seen.row.class_name for seen in cluster.members if seen.row.class_name != UNCLASSIFIED]
        return [*known, *named, row.class_name][0]

    #
    # What is reported

    def _proposals(self, speaking: list[Cluster], counted: list[Cluster]) -> tuple[frozenset[frozenset[Link]], Totals]:
        """Return pairs of accounts that may be one, and the amount of each younger one that is counted beside the other."""
        strong = [pair for pair in self._edges(with_gaps=True) if pair[0] in speaking or pair[1] in speaking]
        weak = [
            (one, other)
            for one, other in combinations(self.clusters, 2)
            if (one in counted or other in counted) and _weakly_alike(one, other) and not self._apart(one, other)
        ]
        unproved = [pair for pair in combinations(counted, 2) if self._is_unproved(*pair)]
        pairs = [*strong, *weak, *unproved]
        both = [pair for pair in pairs if pair[0] in counted and pair[1] in counted]
        younger = {max(pair, key=lambda cluster: cluster.number) for pair in both}
        return frozenset(frozenset((a.face, b.face)) for a, b in pairs), _sum(
            self._real(cluster) for cluster in younger
        )

    def _is_unproved(self, one: Cluster, other: Cluster) -> bool:
        """Whether they share a list and a whole number, and were not both seen to advance."""
        return bool(one.whole_numbers & other.whole_numbers) and any(
            self._stood_together(a.link, b.link) and not self._proved_two(a, b)
            for a in one.members
            for b in other.members
        )

    def _says(self, link: Link, chosen: list[Cluster], counted: list[Cluster]) -> str:
        seen, cluster = self.memory.links[link], self._cluster_of(link)
        if cluster in counted and cluster.speaker is seen:
            note = "no longer read" if seen.member in self.away else seen.state
            return "counted" if note == "listed" else f"counted, {note}"
        if seen.state in ("disabled", "deleted", "gone"):
            return seen.state
        if seen.value is None:
            return "no balance yet" if seen.row.amount.is_readable else "quarantined"
        if cluster in counted:
            return "same as another"
        return "part of another" if cluster in chosen else "one of others"

    def _empty_connections(self) -> frozenset[tuple[str, int]]:
        used = {(seen.member, seen.row.connection) for seen in self.memory.links.values()}
        return frozenset(key for key in self.memory.connections if key not in used)


def judge(exchanges: Sequence[Exchange], decisions: Sequence[Decision] = ()) -> list[Answer]:
    """Return the right answer at the end of each moment in which something was read."""
    oracle = Oracle()
    moments = sorted({exchange.at for exchange in exchanges} | {decision.at for decision in decisions})
    return [
        oracle.settle(at, [e for e in exchanges if e.at == at], [d for d in decisions if d.at == at]) for at in moments
    ]


def _lists(exchanges: Sequence[Exchange]) -> tuple[Connections | None, Accounts | None]:
    """Return the last lists that one member was sent in a moment. A list with the hidden ones is better than one without."""
    connections: Connections | None = None
    accounts: Accounts | None = None
    for exchange in exchanges:
        if exchange.path == "/users/me/connections":
            connections = connections_in(exchange.status, exchange.body) or connections
        if exchange.path == "/users/me/accounts":
            is_full = "all" in parse_qs(exchange.query, keep_blank_values=True)
            read = accounts_in(exchange.status, exchange.body, is_full=is_full)
            if read is not None and (is_full or accounts is None or not accounts.is_full):
                accounts = read
    return connections, accounts


def _sum(accounts: Iterable[RealAccount]) -> Totals:
    totals: Totals = {}
    for account in accounts:
        key = account.class_name, account.currency
        totals[key] = totals.get(key, Decimal()) + account.value
    return totals


def _differ(one: Iterable[str | None], other: Iterable[str | None]) -> bool:
    """Whether both have values and none is the same."""
    one, other = set(one), set(other)
    return bool(one) and bool(other) and not one & other


def _groups(clusters: list[Cluster], edges: list[tuple[Cluster, Cluster]]) -> list[list[Cluster]]:
    """Return groups of clusters connected by edges."""
    groups: list[list[Cluster]] = []
    for cluster in clusters:
        touching = [g for g in groups if any((a in g and b is cluster) or (b in g and a is cluster) for a, b in edges)]
        groups = [g for g in groups if g not in touching] + [[*chain(*touching), cluster]]
    return groups


def _is_free(chosen: tuple[Cluster, ...], edges: list[tuple[Cluster, Cluster]]) -> bool:
    return not any(a in chosen and b in chosen for a, b in edges)


#
# Evidence that one linked account replaced another


def _same_whole_number(one: Seen, other: Seen) -> bool:
    return bool(one.whole_numbers & other.whole_numbers)


def _same_iban(one: Seen, other: Seen) -> bool:
    return bool(one.ibans & other.ibans)


def _same_iban_and_number(one: Seen, other: Seen) -> bool:
    return _same_iban(one, other) and bool(one.numbers & other.numbers)


def _same_iban_and_type(one: Seen, other: Seen) -> bool:
    return _same_iban(one, other) and bool(one.types & other.types)


def _same_iban_type_and_name(one: Seen, other: Seen) -> bool:
    return _same_iban_and_type(one, other) and bool(one.names & other.names)


def _same_weak_number(one: Seen, other: Seen) -> bool:
    return not _differ(one.ibans, other.ibans) and (bool(one.numbers & other.numbers) or _same_end(one, other))


def _same_name(one: Seen, other: Seen) -> bool:
    contradicts = _differ(one.ibans, other.ibans) or _differ(one.numbers, other.numbers)
    return not contradicts and bool(one.names & other.names)


def _same_end(one: Seen, other: Seen) -> bool:
    """Whether the last four digits are the same, if a number is masked."""
    is_masked = one.numbers != one.plain_numbers or other.numbers != other.plain_numbers
    return is_masked and bool({n[-4:] for n in one.numbers} & {n[-4:] for n in other.numbers if n[-4:].isdigit()})


_EVIDENCE: tuple[Evidence, ...] = (
    _same_whole_number,
    _same_iban_and_number,
    _same_iban_type_and_name,
    _same_iban_and_type,
    _same_iban,
    _same_weak_number,
    _same_name,
)


def _ended_as_it_appeared(old: Seen, new: Seen) -> bool:
    return old.first_read < new.first_read and (old.state in ("missing", "deleted", "gone") or _stopped(old, new))


def _stands_still_beside(old: Seen, new: Seen) -> bool:
    """Whether both were first seen in one list, with one number and a strong key, and one is long out of date."""
    if old.first_read != new.first_read or not old.state == new.state == "listed":
        return False
    if not old.numbers & new.numbers or not (_same_iban(old, new) or _same_whole_number(old, new)):
        return False
    date, later = old.row.updated, new.row.updated
    return date is not None and later is not None and later - date >= STANDS_STILL


def _stopped(old: Seen, new: Seen) -> bool:
    """Whether it is still in its list but no longer advances, while the one beside it has a later date."""
    date, later = old.row.updated, new.row.updated
    if date is None or later is None or later <= date or _differ(old.plain_numbers, new.plain_numbers):
        return False
    had_stopped = any(read < new.first_read for read in old.updates) and not old.advanced_in(new.first_read)
    return had_stopped or new.advanced_after(new.first_read)


def _renumbered(one: Seen, other: Seen) -> bool:
    """Whether current whole numbers differ."""
    return one.row.whole_number is not None and _differ({one.row.whole_number}, {other.row.whole_number} - {None})


#
# Similarity of two accounts


def _likeness(one: Cluster, other: Cluster) -> tuple[bool, int, bool, bool]:
    """Sort key: number first, then a bank added again by the same member, then type, then name."""
    return (
        bool(one.all_numbers & other.all_numbers),
        max(_heirship(a, b) for a in one.members for b in other.members),
        _share(one, other, "types"),
        _share(one, other, "names"),
    )


def _share(one: Cluster, other: Cluster, what: str) -> bool:
    return any(getattr(a, what) & getattr(b, what) for a in one.members for b in other.members)


def _heirship(one: Seen, other: Seen) -> int:
    """Whether a member's own bank was added again: one is gone, the other is listed. 2 if the source is the same."""
    if one.member != other.member or one.bank != other.bank or (one.state == "listed") == (other.state == "listed"):
        return 0
    return 1 + (one.source_name == other.source_name)


def _weakly_alike(one: Cluster, other: Cluster) -> bool:
    """Whether a masked or short number, the end of a number or a name at one bank agrees: reason to propose, not to decide."""
    pairs = [(a, b) for a in one.members for b in other.members if a.bank == b.bank]
    return any(_same_weak_number(a, b) or _same_name(a, b) for a, b in pairs)
