"""Play a script to the product, over real HTTP, and read its published ledger with plain SQL."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from pfo_pipeline.config import Config, Tenant, User
from pfo_pipeline.contracts.tables import DecisionRow
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.identities import DIFFERENT, SAME, KnownMatching
from pfo_pipeline.operations.steps import Attempt, StepContext, perform
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.new_ledger import begin_ledger
from pfo_pipeline_tests.oracle.bank import Bank
from pfo_pipeline_tests.oracle.cases import Case
from pfo_pipeline_tests.oracle.classes import UNCLASSIFIED
from pfo_pipeline_tests.oracle.oracle import Oracle, Totals
from pfo_pipeline_tests.oracle.recording import Decision, Link
from pfo_pipeline_tests.oracle.relations import Told
from pfo_pipeline_tests.oracle.script import Script

TENANT = "family"
_OFFICE = "judged"
_STEPS = (
    SYNC_OPENBANKING_ACCOUNTS.step("sync-accounts"),
    REFRESH_OPENBANKING_BALANCES.step("refresh-balances"),
)
_CLASSES = ("cash", "savings", "card", "investments", "insurance", "crypto", "loan", "unclassified")
AT_HAND = "at hand"
"""The total of a release without classes, beside its loans. It must not include an account of an unknown type."""


@dataclass(frozen=True)
class Shown:
    """The product's published answer at the end of a moment."""

    at: datetime
    totals: Totals
    """By class and currency; a release without classes has two: loans, and all else."""
    has_classes: bool

    def is_right(self, all_right: Iterable[Totals]) -> bool:
        return any(self.totals == folded(totals, has_classes=self.has_classes) for totals in all_right)


@dataclass
class Product:
    """One tenant of the product, with its own ledger, which uses the bank's clock."""

    folder: Path
    bank: Bank
    timezone: str = "Europe/Paris"
    away: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    """The reasons of failed steps."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        begin_ledger(self.folder / "data", _OFFICE)
        self.ledger = Ledger(LedgerFiles(self.folder / "data"), _OFFICE, clock=self.bank.now)
        for member in self.bank.script.members:
            (self.folder / f"{member}.token").write_text(self.bank.token(member))

    def live(self, decisions: list[Decision]) -> Shown:
        """Run the moment that the bank is at: persons' decisions, a sync, a refresh, a publication."""
        for decision in decisions:
            self._decide(decision)
        for step in _STEPS:
            try:
                self.ledger.merge(perform(step, self._context()).batch)
            except PfoError as error:
                self.errors.append(f"{self.bank.now()}: {error}")
        self.ledger.publish()
        with self.published() as con:
            return Shown(self.bank.now(), *totals_in(con, TENANT))

    def past(self, at: datetime) -> Decimal | None:
        """Return today's answer about an earlier moment."""
        with self.published() as con:
            return cash_in_euro_at(con, TENANT, at)

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the ledger like an analyst."""
        with duckdb.connect() as con:
            con.execute(f"attach '{self.ledger.files.published}' as published (read_only)")
            con.execute("use published.ledger")
            yield con

    def _context(self) -> StepContext:
        members = [name for name in self.bank.script.members if name not in self.away]
        tenant = Tenant(
            id=TENANT,
            domain=TENANT,
            base_url=self.bank.base_url,
            timeout_seconds=10,
            timezone=self.timezone,
            users=tuple(User(id=member, token=f"file:{member}.token") for member in members),
        )
        return StepContext(
            tenant=tenant,
            role="admin",
            run_id=f"run-{self.bank.number}",
            attempt=Attempt(1, is_last=True),
            banking=OpenBanking(Config(source=self.folder / "pfo.toml", office=_OFFICE, tenants=(tenant,))),
            ledger=self.ledger,
            clock=self.bank.now,
        )

    def _decide(self, decision: Decision) -> None:
        if decision.kind == "leave":
            self.away.add(decision.member)
        elif decision.kind == "return":
            self.away.discard(decision.member)
        else:
            self._say_of_identity(decision)

    def _say_of_identity(self, decision: Decision) -> None:
        """Write what `pfo identity join` and `split` write, at the script's clock."""
        pair = tuple(sorted((self._account_id(decision.one), self._account_id(decision.other))))
        said = DIFFERENT if decision.kind == "split" else SAME
        known = KnownMatching.of(self.ledger.reader(), TENANT)
        matching = known.match(self.bank.now(), decisions={(pair[0], pair[1]): said})
        known.record(self.ledger, TENANT, matching, [DecisionRow(TENANT, pair[0], pair[1], said)])

    def _account_id(self, link: Link) -> str:
        known = self.ledger.reader().linked_accounts(TENANT)
        (found,) = [a.account_id for a in known if (a.user_id, a.source_id) == (link[0], str(link[1]))]
        return found


def totals_in(con: duckdb.DuckDBPyConnection, tenant: str) -> tuple[Totals, bool]:
    """Return the view `totals` of a published ledger, and whether it has classes. Only this function knows its columns."""
    columns = {row[0] for row in con.execute("describe totals").fetchall()}
    if "cash" in columns:
        rows = con.execute(
            "select currency, cash, savings, cards, investments, insurance, crypto, loans, unclassified "
            "from totals where tenant_id = ?",
            [tenant],
        ).fetchall()
        by_class = {(kind, row[0]): total for row in rows for kind, total in zip(_CLASSES, row[1:], strict=True)}
        return _without_nothing({key: total for key, total in by_class.items() if total is not None}), True
    rows = con.execute("select currency, current_balance, loans from totals where tenant_id = ?", [tenant]).fetchall()
    shown = {(AT_HAND, currency): total for currency, total, _ in rows if total is not None}
    shown |= {("loan", currency): loans for currency, _, loans in rows if loans is not None}
    return _without_nothing(shown), False


def cash_in_euro_at(con: duckdb.DuckDBPyConnection, tenant: str, at: datetime) -> Decimal | None:
    """Return the macro `cash_position` of a published ledger. Only this function knows its columns."""
    columns = {row[0] for row in con.execute("describe from cash_position(?)", [at]).fetchall()}
    total = "cash" if "cash" in columns else "total"
    query = f"select sum({total}) from cash_position(?) where currency = 'EUR' and tenant_id = ?"  # noqa: S608
    found = con.execute(query, [at, tenant]).fetchone()
    return found[0] if found else None


@contextmanager
def played(script: Script, folder: Path) -> Iterator[Iterator[tuple[Product, Shown]]]:
    """Yield the product after each moment of the script, with its answer then."""
    with Bank(script, shows_date=False) as bank:
        product = Product(folder, bank)
        yield ((product, product.live([d for d in script.decisions if d.at == moment.at])) for moment in bank.moments())


def first_wrong(script: Script, folder: Path) -> str | None:
    """Return the first moment at which the product and the judge disagree about the same bytes."""
    oracle, heard = Oracle(), 0
    with played(script, folder) as moments:
        for number, (product, shown) in enumerate(moments):
            sent = product.bank.sent[heard:]
            heard += len(sent)
            answer = oracle.settle(shown.at, sent, [d for d in script.decisions if d.at == shown.at])
            if not shown.is_right(answer.all_right()):
                right = folded(answer.totals, has_classes=shown.has_classes)
                return f"moment {number} ({shown.at}): {shown.totals}, not {right}"
    return None


def first_unlike(case: Case, folder: Path) -> str | None:
    """Return the first moment at which the product's total, present or past, differs from the one calculated by hand."""
    with played(case.script, folder) as moments:
        for number, (right, (product, shown)) in enumerate(zip(case.right, moments, strict=True)):
            totals = right.decimals()
            if totals is not None and not shown.is_right([totals]):
                known = folded(totals, has_classes=shown.has_classes)
                return f"moment {number}: {shown.totals}, not {known} {product.errors or ''}".rstrip()
            for earlier, amount in right.past.items():
                said = product.past(case.script.moments[earlier].at)
                if said != Decimal(amount):
                    return f"moment {number}, asked about moment {earlier}: {said}, not {amount}"
    return None


def first_moved(before: list[Shown], told: Told, folder: Path) -> str | None:
    """Return the first moment at which a relation's script has another total than the script that it was made from.

    Args:
        before: The answers to the script as it was.
    """
    after = answers(told.script, folder)
    for old, new in told.same:
        if before[old].totals != after[new].totals:
            return f"moment {old}: {before[old].totals} became {after[new].totals}"
    return None


def answers(script: Script, folder: Path) -> list[Shown]:
    with played(script, folder) as moments:
        return [shown for _, shown in moments]


def folded(totals: Totals, *, has_classes: bool) -> Totals:
    """Return totals as a release shows them: without classes, everything of a known type that is not a loan is one."""
    if has_classes:
        return _without_nothing(totals)
    found: Totals = {}
    for (kind, currency), value in totals.items():
        if kind != UNCLASSIFIED:
            key = ("loan" if kind == "loan" else AT_HAND), currency
            found[key] = found.get(key, Decimal()) + value
    return _without_nothing(found)


def _without_nothing(totals: Totals) -> Totals:
    """Remove zeros: a total of zero equals no total."""
    return {key: value for key, value in totals.items() if value}
