"""Half a year at several banks, by seed: everything that the documentation leaves open varies.

The generator knows its real accounts, so a script has the true totals at its calm moments: those without trouble at any bank
for a while. That is a third opinion, beside the judge and the product.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from pfo_pipeline_tests.oracle.script import (
    BROKEN,
    NO_ACCOUNT,
    Instead,
    Moment,
    Record,
    Script,
    UserState,
    account,
    connection,
    day,
    paris,
    source,
)

MEMBERS = ("jane", "john", "june")
BANKS = ("Banque Lilas", "Crédit Sapin", "Neo Tilleul", "Caisse Orme")
_TYPES = {
    "cash": ("checking",),
    "savings": ("livret_a", "ldds", "pel", "savings"),
    "investments": ("market", "pea"),
    "insurance": ("lifeinsurance",),
    "loan": ("mortgage", "consumercredit"),
    "unclassified": ("leasing", "trottinette"),
}
_ZERO_DATE = "0000-00-00 00:00:00"
_DIALECTS: dict[str, Callable[[Record], Record]] = {
    "small letters": lambda row: {"currency": row["currency"] | {"id": row["currency"]["id"].lower()}},
    "false for none": lambda row: {"disabled": False},
    "zero dates for none": lambda row: {"disabled": _ZERO_DATE, "deleted": _ZERO_DATE},
    "amounts in text": lambda row: {"balance": str(row["balance"])},
    "types as objects": lambda row: {"type": {"id": 2, "name": row["type"]}},
    "unknown fields": lambda row: {"vault": {"shelf": [1, None]}, "bookmarked": True},
}
_RESTLESS = 3
"""Number of moments during which a trouble may still have an effect."""


@dataclass(frozen=True)
class Generated:
    seed: int
    script: Script
    truth: tuple[dict[tuple[str, str], Decimal] | None, ...]
    """The true totals of each moment, by class and currency; None while a bank is in trouble."""


@dataclass
class Style:
    """How a bank shows numbers."""

    numbers: str
    """`whole`, `short`, `masked`, `none`, or `same`: one for all pockets."""
    has_iban: bool
    one_iban: bool = False
    """Whether all accounts of a holder have one IBAN, as with a bank of pockets."""
    names_differ: bool = True
    with_two_sources: bool = False
    dialect: frozenset[str] = frozenset()
    """Spellings of the same content that live banks use."""

    @property
    def is_sure(self) -> bool:
        """Whether the shown numbers identify the account."""
        return self.has_iban or self.numbers == "whole"


@dataclass(eq=False)
class Real:
    """A real account."""

    bank: str
    class_name: str
    type: str
    currency: str
    holders: tuple[str, ...]
    iban: str | None
    number: str | None
    name: str
    balance: Decimal
    parent: "Real | None" = None
    repeats_parent: bool = False
    is_open: bool = True

    @property
    def is_counted(self) -> bool:
        return not (self.repeats_parent and self.parent is not None and self.parent.is_open)


@dataclass(eq=False)
class View:
    """A real account as one source shows it."""

    id: int
    real: Real
    source_id: int
    type: str
    row: Record = field(default_factory=dict)
    is_stopped: bool = False
    ended: datetime | None = None
    """When the bank's side noticed that it is closed."""


@dataclass(eq=False)
class Line:
    """A connection."""

    id: int
    member: str
    bank: str
    sources: list[tuple[int, str]]
    views: list[View]
    updated: datetime
    down_until: int = -1
    empty_until: int = -1
    short: set[int] = field(default_factory=set)


class _World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - chance, not secrecy
        self.ids = self.random.randrange(100, 5000)
        self.members = MEMBERS[: self.random.choice((1, 2, 2, 2, 3))]
        self.styles = {
            bank: replace(self._style(bank), dialect=self._dialect())
            for bank in self.random.sample(BANKS, self.random.choice((1, 2, 2, 3)))
        }
        self.reals: list[Real] = []
        self.lines: list[Line] = []
        self.absent: list[tuple[int, str, str]] = []
        """Removed banks: until which moment, of which member, which bank."""
        self.number = 0
        self.at = day(0)
        self.restless_until = 0
        for bank in self.styles:
            self._open_bank(bank)

    def next_id(self) -> int:
        self.ids += self.random.randint(1, 9)
        return self.ids

    #
    # The world

    def _style(self, bank: str) -> Style:
        pick = self.random.choice
        if bank == "Neo Tilleul":
            return Style(
                pick(("short", "none", "whole")), has_iban=True, one_iban=True, names_differ=pick((True, False))
            )
        numbers = pick(("whole", "whole", "masked", "masked", "none", "short"))
        has_iban = numbers == "none" or pick((True, False))
        is_sure = has_iban or numbers == "whole"
        with_two_sources = is_sure and pick((True, False, False))
        return Style(numbers, has_iban, names_differ=is_sure or pick((True, False)), with_two_sources=with_two_sources)

    def _dialect(self) -> frozenset[str]:
        return frozenset(name for name in _DIALECTS if self.random.random() < 0.15)

    def _open_bank(self, bank: str) -> None:
        customers = self.random.sample(self.members, self.random.randint(min(2, len(self.members)), len(self.members)))
        for customer in customers:
            for _ in range(self.random.randint(1, 3)):
                self._open_account(bank, (customer,))
        if len(customers) > 1 and self.styles[bank].is_sure:
            for _ in range(self.random.randint(1, 2)):
                self._open_account(bank, tuple(customers[:2]))
        for customer in customers:
            self._connect(customer, bank)

    def _open_account(self, bank: str, holders: tuple[str, ...], class_name: str | None = None) -> Real:
        style = self.styles[bank]
        kind = class_name or self.random.choice(
            ("cash", "cash", "savings", "investments", "insurance", "unclassified", "loan")
        )
        if style.one_iban or (style.numbers == "masked" and self.random.random() < 0.6):
            kind = "cash"
        mine = [r for r in self.reals if r.bank == bank and r.holders[0] == holders[0]]
        iban = self._iban() if style.has_iban else None
        if style.one_iban and mine:
            iban = mine[0].iban
        repaid_from = [r for r in mine if r.class_name == "cash" and r.iban]
        if kind == "loan" and repaid_from:
            iban = repaid_from[0].iban
        number = self._number(style, len(mine) + 1)
        closed = [r for r in self.reals if r.bank == bank and not r.is_open and r.parent is None and r.iban != iban]
        if closed and not style.one_iban and self.random.random() < 0.5:
            iban, number = closed[0].iban, closed[0].number
        sign = -1 if kind == "loan" or (kind == "unclassified" and self.random.random() < 0.5) else 1
        real = Real(
            bank=bank,
            class_name=kind,
            type=self.random.choice(_TYPES[kind]),
            currency="EUR" if style.one_iban else self.random.choice(("EUR", "EUR", "EUR", "USD")),
            holders=holders,
            iban=iban,
            number=number,
            name=f"{kind} {len(self.reals)}" if style.names_differ else "COMPTE",
            balance=sign * Decimal(self.random.randrange(100, 9_000_000)) / 100,
        )
        self.reals.append(real)
        if kind == "cash" and self.random.random() < 0.3 and not style.one_iban:
            self._open_card(real)
        return real

    def _open_card(self, parent: Real) -> None:
        repeats = self.random.random() < 0.5
        self.reals.append(
            replace(
                parent,
                class_name="card",
                type="card",
                holders=parent.holders[:1],
                iban=parent.iban if self.random.random() < 0.3 else None,
                number=f"****{self.random.randrange(1000, 9999)}",
                name=f"CARTE {len(self.reals)}",
                balance=parent.balance if repeats else -Decimal(self.random.randrange(100, 90_000)) / 100,
                parent=parent,
                repeats_parent=repeats,
            )
        )

    def _iban(self) -> str:
        return f"FR76{self.random.randrange(10**22, 10**23)}"

    def _number(self, style: Style, rank: int) -> str | None:
        if style.numbers == "whole":
            return f"{self.random.randrange(10**9):011}" + self.random.choice(("1", "2")) + f"{self.ids:05}"
        if style.numbers == "masked":
            # Few ends, so that some are shared.
            return "****" + str(1230 + self.random.randrange(2))
        if style.numbers == "same":
            return "30004000031"
        return str(rank) if style.numbers == "short" else None

    #
    # How it is shown

    def _connect(self, member: str, bank: str) -> None:
        names = ["openapi", "directaccess"] if self.styles[bank].with_two_sources else ["openapi"]
        self.lines.append(Line(self.next_id(), member, bank, [(self.next_id(), name) for name in names], [], self.at))
        self._fill(self.lines[-1])

    def _fill(self, line: Line) -> None:
        """Add a view of every account that the connection does not show yet."""
        for real in self.reals:
            if real.bank != line.bank or line.member not in real.holders or not real.is_open:
                continue
            shows_once = real.class_name in ("card", "loan") or real.parent is not None
            for source_id, _ in line.sources[: 1 if shows_once else None]:
                if not any(v.real is real and v.source_id == source_id for v in line.views):
                    line.views.append(View(self.next_id(), real, source_id, self._type_in(real, line)))

    def _type_in(self, real: Real, line: Line) -> str:
        if len(real.holders) > 1 and real.class_name == "cash" and line.member == real.holders[1]:
            return self.random.choice(("checking", "joint", "unknown"))
        return real.type

    def _update(self, line: Line) -> None:
        line.updated = self.at - timedelta(minutes=self.random.randrange(30, 300))
        for view in line.views:
            if not view.is_stopped and view.ended is None:
                view.row = self._row(line, view)

    def _row(self, line: Line, view: View) -> Record:
        real = view.real
        parents = [v.id for v in line.views if v.real is real.parent and v.source_id == view.source_id]
        row = account(
            view.id,
            line.id,
            f"{real.balance:.2f}",
            line.updated,
            currency=real.currency,
            id_source=view.source_id,
            id_parent=parents[0] if parents else None,
            iban=real.iban,
            number=real.number,
            name=real.name,
            original_name=real.name,
            type=view.type,
        )
        for name in sorted(self.styles[line.bank].dialect):
            row |= _DIALECTS[name](row)
        return row

    #
    # Events

    def step(self, number: int, at: datetime) -> None:
        self.number, self.at = number, at
        for real in self.reals:
            if real.is_open and self.random.random() < 0.6:
                real.balance += Decimal(self.random.randrange(-9_000, 10_000)) / 100
        for real in self.reals:
            if real.repeats_parent and real.parent is not None:
                real.balance = real.parent.balance
        for until, member, bank in list(self.absent):
            if number >= until:
                self.absent.remove((until, member, bank))
                self._connect(member, bank)
                self._unrest()
        if number > 0 and self.random.random() < 0.22:
            self._trouble()
        for line in self.lines:
            if number > line.down_until:
                self._update(line)

    def _unrest(self, moments: int = 0) -> None:
        self.restless_until = max(self.restless_until, self.number + moments + _RESTLESS)

    def _trouble(self) -> None:
        if not self.lines:
            return
        line = self.random.choice(self.lines)
        what = self.random.choice(
            (
                self._down,
                self._empty,
                self._shorten,
                self._remove,
                self._renew,
                self._side_by_side,
                self._close,
                self._grow,
            )
        )
        what(line)

    def _down(self, line: Line) -> None:
        moments = self.random.randint(1, 4)
        line.down_until = self.number + moments - 1
        self._unrest(moments)

    def _empty(self, line: Line) -> None:
        moments = self.random.randint(1, 2)
        line.empty_until = self.number + moments - 1
        self._unrest(moments)

    def _shorten(self, line: Line) -> None:
        """Send one list without one of its accounts, once."""
        if len(line.views) > 1 and self.number > self.restless_until:
            line.short = {self.random.choice(line.views).id}
            self._unrest(1)

    def _remove(self, line: Line) -> None:
        """Remove the bank, and add it again with other ids, at once or later."""
        self.lines.remove(line)
        self.absent.append((self.number + self.random.randint(0, 3), line.member, line.bank))
        self._unrest(3)

    def _renew(self, line: Line) -> None:
        """Give one account another id in its source."""
        if line.views and self._is_clear(line):
            view = self.random.choice(line.views)
            view.id = self.next_id()
            self._unrest()

    def _side_by_side(self, line: Line) -> None:
        """Keep the old one in the list for a while, no longer advancing."""
        views = [v for v in line.views if v.ended is None and v.row and not v.is_stopped]
        if views and self._is_clear(line):
            old = self.random.choice(views)
            old.is_stopped = True
            line.views.append(View(self.next_id(), old.real, old.source_id, old.type))
            self._unrest(4)

    def _is_clear(self, line: Line) -> bool:
        """Whether there is no other trouble: with two at once nothing could be known."""
        return self.number > self.restless_until and self.number > line.down_until

    def _close(self, line: Line) -> None:
        """End an account with a stamp or, beside a sibling, silently."""
        views = [
            v for v in line.views if v.ended is None and not v.is_stopped and v.real.is_open and v.real.parent is None
        ]
        if len(views) < 2 or not self._is_clear(line):
            return
        real = self.random.choice(views).real
        children = [r for r in self.reals if r.parent is real]
        has_stamp = self.random.random() < 0.6
        for gone in (real, *children):
            gone.is_open = False
            for other in self.lines:
                ended = [v for v in other.views if v.real is gone]
                other_views = [v for v in other.views if v.real.is_open]
                if has_stamp or len({v.source_id for v in other_views}) < len(other.sources):
                    for view in ended:
                        view.ended = self.at
                        view.row |= {"deleted": paris(self.at)}
                else:
                    other.views = [v for v in other.views if v not in ended]
        self._unrest(1)

    def _grow(self, line: Line) -> None:
        """Add a new account, which every connection of its holder shows."""
        if not self._is_clear(line):
            return
        self._open_account(line.bank, (line.member,))
        for other in self.lines:
            if other.bank == line.bank:
                self._fill(other)
        self._unrest()

    #
    # Answers

    def picture(self) -> Moment:
        users = {member: self._user(member) for member in self.members}
        for line in self.lines:
            line.short = set()
            if self.number > 0 and self.number - line.down_until > 1:
                stopped = [v for v in line.views if v.is_stopped]
                if stopped and self.random.random() < 0.5:
                    line.views = [v for v in line.views if not v.is_stopped]
                elif stopped:
                    self._unrest(1)
        return Moment(self.at, users)

    def _user(self, member: str) -> UserState:
        lines = [line for line in self.lines if line.member == member]
        rows = [view.row for line in lines for view in line.views if self._is_shown(line, view)]
        connections = [self._connection(line) for line in lines]
        rows = [self._garbled(row) for row in rows] + self._noise(lines)
        self.random.shuffle(rows)
        self.random.shuffle(connections)
        return UserState(tuple(connections), tuple(rows), self._instead(rows))

    def _garbled(self, row: Record) -> Record:
        """Sometimes make the balance unreadable, or remove it."""
        if self.number == 0 or self.random.random() > 0.004:
            return dict(row)
        self._unrest()
        return row | {"balance": self.random.choice((None, ["12.00"], {"value": 1}, True))}

    def _noise(self, lines: list[Line]) -> list[Record]:
        """Sometimes add a row that names no account. It prevents proof by a complete list."""
        if not lines or self.random.random() > 0.05:
            return []
        if self.number <= self.restless_until:
            self._unrest()
        return [account(self.random.choice((None, "x", [1])), lines[0].id, "1.00", self.at)]

    def _instead(self, rows: list[Record]) -> dict[str, Instead]:
        if not rows and self.random.random() < 0.5:
            return {"accounts": NO_ACCOUNT}
        if self.number > 0 and self.random.random() < 0.02:
            self._unrest()
            return {"accounts": BROKEN}
        return {}

    def _is_shown(self, line: Line, view: View) -> bool:
        return bool(view.row) and self.number > line.empty_until and view.id not in line.short

    def _connection(self, line: Line) -> Record:
        is_down = self.number <= line.down_until
        state = "websiteUnavailable" if is_down else None
        sources = [
            source(
                number,
                line.id,
                line.updated,
                name,
                state=state,
                access_expire=paris(line.updated + timedelta(days=self.random.randrange(20, 170))),
                expire=self.random.choice((None, paris(line.updated + timedelta(hours=2)))),
            )
            for number, name in line.sources
        ]
        self.random.shuffle(sources)
        has_zeros = "zero dates for none" in self.styles[line.bank].dialect
        more = {"expire": _ZERO_DATE, "next_try": _ZERO_DATE} if has_zeros else {}
        return connection(line.id, line.updated, *sources, bank=line.bank, state=state, error=state, **more)

    def truth(self) -> dict[tuple[str, str], Decimal] | None:
        """Return the true totals; None while a trouble may still have an effect."""
        if self.number <= self.restless_until or self.absent:
            return None
        found: dict[tuple[str, str], Decimal] = {}
        for real in self._shown_ones():
            if real.is_open and real.is_counted:
                key = real.class_name, real.currency
                found[key] = found.get(key, Decimal()) + real.balance.quantize(Decimal("0.01"))
        return found

    def _shown_ones(self) -> Iterable[Real]:
        return [real for real in self.reals if any(v.real is real for line in self.lines for v in line.views)]


def generated(seed: int) -> Generated:
    """Return half a year of one family, the same for the same seed."""
    world = _World(seed)
    moments: list[Moment] = []
    truths: list[dict[tuple[str, str], Decimal] | None] = []
    at = day(0)
    while at < day(183):
        world.step(len(moments), at)
        moments.append(world.picture())
        truths.append(world.truth())
        at += timedelta(hours=world.random.choice((24, 72, 96, 120, 168)), minutes=world.random.randrange(50))
    return Generated(seed, Script(tuple(moments)), tuple(truths))
