"""Handmade cash pages: a family with several currencies, and helpers to change one part."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import CLASSES
from pfo_pipeline.operations.action_items import ActionItem
from pfo_pipeline.report.model import (
    Amount,
    Breakdown,
    Bridge,
    CashPage,
    Change,
    Changes,
    ClassTotal,
    Consent,
    CoverageLine,
    History,
    LoadReference,
    Part,
    Position,
    Rate,
    Reason,
    Reference,
    Side,
    Unconverted,
)

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LIMIT = timedelta(hours=48)
_CLASSES = {
    "checking": "cash",
    "savings": "savings",
    "crypto": "crypto",
    "loan": "loan",
    "pea": "investments",
    "market": "investments",
    "lifeinsurance": "insurance",
}


def position(
    account_id: str = "1",
    current: str | None = "1234.50",
    currency: str | None = "EUR",
    *,
    name: str = "Current account",
    institution: str = "Harbour & Vale",
    account_type: str = "checking",
    hours_old: int = 10,
    tenant_id: str = "lindqvist",
    user_id: str = "nils",
    account_class: str = "",
    converted: str | None = None,
) -> Position:
    """`account_class`: by default that of the type."""
    figure = None if current is None else Decimal(current)
    as_of = None if figure is None else NOW - timedelta(hours=hours_old)
    return Position(
        tenant_id,
        account_id,
        user_id,
        institution,
        name,
        account_type,
        account_class or _CLASSES.get(account_type, "unclassified"),
        currency,
        figure,
        None if figure is None or account_type == "loan" else figure,
        as_of,
        as_of,
        None if as_of is None else NOW - as_of,
        LIMIT,
        as_of is None or NOW - as_of > LIMIT,
        None if converted is None else Decimal(converted),
    )


def amounts(positions: list[Position]) -> tuple[Amount, ...]:
    """Sums per currency, as in the real page."""
    together: dict[str, list[Position]] = defaultdict(list)
    for one in positions:
        if one.current is not None and one.currency is not None:
            together[one.currency].append(one)
    return tuple(
        Amount(
            currency,
            len(some),
            total([one.current for one in some]),
            total([one.current for one in some if one.is_stale]) if any(one.is_stale for one in some) else None,
            min(one.as_of for one in some if one.as_of),
            total([one.converted for one in some]) if all(one.converted is not None for one in some) else None,
        )
        for currency, some in sorted(together.items())
    )


def total(values: list[Decimal | None]) -> Decimal:
    added = Decimal(0)
    for value in values:
        added = EXACT.add(added, value or Decimal(0))
    return added


def page(*positions: Position, days: int = 0) -> CashPage:
    """A page of the accounts alone: no rates, no earlier report, no action items, a constant history."""
    cash = [one for one in positions if one.side == "total"]
    per_currency = amounts(cash)
    classes = [name for name in CLASSES if any(one.account_class == name and one.current is not None for one in cash)]
    by_institution: dict[str, list[Position]] = defaultdict(list)
    for one in cash:
        by_institution[one.institution_name].append(one)
    listed = tuple(NOW.date() - timedelta(days=ago) for ago in reversed(range(days)))
    return CashPage(
        office="demo",
        title="Lindqvist family",
        tenant_ids=("lindqvist",),
        names={("lindqvist", "nils"): "Nils Lindqvist"},
        timezone="Europe/Stockholm",
        as_of=NOW,
        known_at=NOW,
        positions=positions,
        cash=amounts([one for one in positions if one.account_class == "cash"]),
        classes=tuple(
            ClassTotal(name, amounts([one for one in cash if one.account_class == name]), None) for name in classes
        ),
        total=per_currency,
        liabilities=amounts([one for one in positions if one.side == "loans"]),
        unclassified=amounts([one for one in positions if one.side == "unclassified"]),
        possibly_double=(),
        shared=(),
        coverage=tuple(
            CoverageLine("lindqvist", None, None, one.accounts, ((one.currency, one.total),), ())
            for one in per_currency
        ),
        breakdowns=(
            Breakdown(
                "institution",
                tuple(Part(name, amounts(some), None) for name, some in sorted(by_institution.items())),
            ),
        )
        if positions
        else (),
        reference=None,
        history=tuple(History(one.currency, listed, (one.total,) * days) for one in per_currency),
        reference_history=None,
        changes=None,
        action_items=(),
        consents=(),
        sources=(LoadReference("lindqvist", "0d6f8c1e-4a8e-5e0b-9f57-1f6f3f1a2b3c", NOW, "9f" * 32),),
        first_as_of=min((one.as_of for one in positions if one.as_of), default=None),
    )


def moving(last: Decimal | None, days: int, every: int) -> tuple[Decimal | None, ...]:
    """Totals that change at intervals, and end at `last`; the first fortnight has none."""
    assert last is not None
    values: list[Decimal | None] = []
    value = last
    for ago in range(days):
        if ago and ago % every == 0:
            value = EXACT.subtract(value, EXACT.scaleb(last * ((ago * 7919) % 11 - 4), -2))
        values.append(value if ago < days - 14 else None)
    return tuple(reversed(values))


def family() -> CashPage:
    """Everything that a page can show: rates, a currency without one, changes of every reason, loans, action items,
    consents.
    """
    positions = (
        position("1", "184220.15", name="Compte courant", institution="Crédit des Deux Rives", converted="184220.15"),
        position(
            "2", "50000", name="Livret", account_type="savings", institution="Crédit des Deux Rives", converted="50000"
        ),
        position("3", "-1250.40", "GBP", name="Current account", hours_old=80, converted="-1425.46"),
        position("4", "98000.5", "GBP", name="Reserve", account_type="savings", converted="111720.57"),
        position("5", "12.50186905", "BTC", name="Wallet", account_type="crypto", institution="Hashmeadow Exchange"),
        position("6", "8800000", "JPY", name="普通預金", institution="Kita Bank", converted="48840.00"),
        position("7", "1500.125", "TND", name="Compte de passage", institution="Banque du Golfe", converted="444.04"),
        position("8", None, "EUR", name="New account", institution="Banque du Golfe"),
        position("9", "-320000", "EUR", name="Mortgage", account_type="loan", converted="-320000"),
    )
    bare = page(*positions, days=365)
    days = bare.history[0].days
    reference_total = Decimal("393799.30")
    return replace(
        bare,
        reference=Reference(
            "EUR",
            Decimal("232078.73"),
            reference_total,
            Decimal(-320_000),
            (
                Rate("GBP", date(2026, 11, 19), Decimal("1.14")),
                Rate("JPY", date(2026, 11, 19), Decimal("0.00555")),
                Rate("TND", date(2026, 11, 3), Decimal("0.296")),
            ),
            (Unconverted("BTC", "no rate is given"),),
        ),
        history=tuple(
            replace(one, totals=moving(one.totals[-1], len(days), 9 + index)) for index, one in enumerate(bare.history)
        ),
        reference_history=History("EUR", days, moving(reference_total, len(days), 4)),
        changes=_changes(),
        action_items=_action_items(),
        consents=(
            _consent("11", "Crédit des Deux Rives", 9, ("EUR", Decimal("234220.15"))),
            _consent("12", "Harbour & Vale", 130, ("GBP", Decimal("96750.1"))),
        ),
    )


def _changes() -> Changes:
    reasons: tuple[tuple[Reason, Decimal], ...] = (
        ("movement", Decimal(2350)),
        ("new account", Decimal(5000)),
        ("account gone", Decimal(-4500)),
        ("restatement", Decimal(-500)),
    )
    return Changes(
        NOW - timedelta(days=7),
        True,
        (
            Bridge("EUR", "total", Decimal("231870.15"), reasons, Decimal("234220.15")),
            Bridge("GBP", "total", Decimal("96750.1"), (), Decimal("96750.1")),
            Bridge("EUR", "loans", Decimal(-321_000), (("movement", Decimal(1000)),), Decimal(-320_000)),
        ),
        (
            _change("2", "new account", 5000),
            _change("gone", "account gone", -4500),
            _change("1", "movement", 2350),
            _change("9", "movement", 1000, side="loans"),
            _change("1", "restatement", -500, "the bank corrected a figure of 3 Nov"),
            _change("3", "carried forward", 0, currency="GBP"),
        ),
    )


def _change(
    account_id: str,
    reason: Reason,
    difference: int,
    detail: str = "",
    *,
    currency: str = "EUR",
    side: Side = "total",
) -> Change:
    return Change(
        "lindqvist",
        account_id,
        "Crédit des Deux Rives",
        f"Account {account_id}",
        side,
        currency,
        reason,
        Decimal(difference),
        NOW - timedelta(days=1),
        detail,
    )


def _action_items() -> tuple[ActionItem, ...]:
    return (
        ActionItem(
            "lindqvist",
            "connection",
            "11",
            "nils",
            "11",
            "Crédit des Deux Rives",
            "wrongpass",
            "wrongpass",
            "member",
            "The member opens the link and enters the new credentials.",
            "https://webview.example/reconnect?connection_id=11&state=a%20b",
            None,
            is_critical=False,
        ),
        ActionItem(
            "lindqvist",
            "connection",
            "12",
            "nils",
            "12",
            "Kita Bank",
            "websiteUnavailable",
            "websiteUnavailable",
            "bank",
            "Nothing to do: Powens tries again by itself.",
            None,
            NOW + timedelta(hours=5),
            is_critical=False,
        ),
    )


def _consent(connection_id: str, institution: str, days: int, amount: tuple[str, Decimal]) -> Consent:
    return Consent("lindqvist", connection_id, "nils", institution, NOW + timedelta(days=days), days, 2, (amount,))
