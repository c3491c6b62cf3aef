"""Published ledgers with difficult content, written through the ledger's own writer, as sources of pages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.contracts.tables import IdentityRow, LedgerRow
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.reader import Reader, published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.report.build import PageRequest, gather
from pfo_pipeline.report.model import CashPage
from pfo_pipeline.report.rates import Rates
from pfo_pipeline_tests.ledger.samples import (
    OFFICE,
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
    connection,
    opened,
    user,
)

NOW = datetime(2026, 4, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HUGE = Decimal("9999999999999999999999999999.9999999999")
"""The largest amount that the ledger holds."""


class LoadedLedger:
    """A ledger that is loaded at given times; pages are made from its published copy."""

    def __init__(self, folder: Path, *, publish_personal: bool = True) -> None:
        self.clock = SetClock(NOW)
        if publish_personal:
            self.ledger = a_ledger(folder, clock=self.clock)
        else:
            self.ledger = Ledger(LedgerFiles(folder), OFFICE, publish_personal=False, clock=self.clock)

    def load(self, at: datetime, *rows: LedgerRow, **changes: Any) -> datetime:
        """Load rows of one tenant at a time; returns the time in the ledger."""
        self.clock.now = at
        return self.ledger.merge(batch(*rows, **changes)).recorded_at

    def reader(self) -> Reader:
        """A reader of the current state, published."""
        self.ledger.publish()
        return published_reader(self.ledger.files.published)

    def page(self, *tenant_ids: str, **asked: Any) -> CashPage:
        """A page of tenant smith, or of the named tenants."""
        return page_of(self.reader(), *tenant_ids, **asked)


def page_of(
    reader: Reader,
    *tenant_ids: str,
    rates: Rates | None = None,
    timezone: str = "Europe/Paris",
    now: datetime = NOW,
    limits: Freshness | None = None,
    names: dict[tuple[str, str], str] | None = None,
    **asked: datetime | None,
) -> CashPage:
    """A page as the pipeline builds it; of tenant smith, or of the named tenants."""
    return gather(
        reader,
        PageRequest(tenant_ids or ("smith",), **asked),
        office=OFFICE,
        title="Cash",
        names=names or {},
        timezone=timezone,
        limits=limits or Freshness(),
        rates=rates,
        now=now,
    )


def linked(number: int, **changes: Any) -> Any:
    """An account with its own ids."""
    return account(f"acc_{number}", source_id=f"s{number}", iban=None, number=f"n{number}", **changes)


def figure(number: int, amount: str | Decimal, as_of: datetime, **changes: Any) -> Any:
    return balance(amount, as_of, account_id=f"acc_{number}", source_id=f"s{number}", **changes)


def nothing(loaded: LoadedLedger) -> None:
    """A ledger without a load."""


def without_figures(loaded: LoadedLedger) -> None:
    """Accounts without any balance."""
    loaded.load(NOW - DAY, user(), connection(), linked(1), linked(2, currency=None))


def one_account(loaded: LoadedLedger) -> None:
    loaded.load(NOW - DAY, user(), connection(), linked(1), figure(1, "10.00", NOW - DAY))


def nothing_fresh(loaded: LoadedLedger) -> None:
    """Every balance is older than its limit."""
    loaded.load(NOW - 40 * DAY, user(), connection(), linked(1), linked(2, account_type="loan"))
    loaded.load(NOW - 39 * DAY, figure(1, "10.00", NOW - 41 * DAY), figure(2, "-400000.00", NOW - 41 * DAY))
    loaded.load(NOW - HOUR, user(status="unreachable", code="timeout", who_acts="powens", remedy="Nothing to do."))


def awkward(loaded: LoadedLedger) -> None:
    """Negative, zero and huge amounts; currencies with 0, 3 and 8 decimals and none; names that are not plain text."""
    loaded.load(
        NOW - 3 * DAY,
        user(),
        user("bob", status="refused", code="invalidToken", who_acts="operator", remedy="Ask at https://x.example/?t=1."),
        connection(consent_expires_at=NOW + 3 * DAY),
        connection("8", user_id="bob", institution_name="مصرف <b>لبنان</b> & fils", link="javascript:alert(1)",
                   state="SCARequired", status="needs-person", who_acts="member", remedy="The member opens the link."),
        connection("9", institution_name="Crédit 🏦", state="websiteUnavailable", status="temporary", who_acts="bank",
                   remedy="Nothing to do.", link="https://webview.powens.com/en/reconnect?connection_id=9"),
        linked(1, display_name="<script>alert('1')</script>"),
        linked(2, display_name="حساب جارٍ", institution_name="مصرف <b>لبنان</b> & fils", connection_id="8", user_id="bob"),
        linked(3, display_name="Épargne 💶 👨‍👩‍👧", account_type="savings", institution_name="Crédit 🏦", connection_id="9"),
        linked(4, currency="JPY", display_name="円"),
        linked(5, currency="TND", display_name='"quoted", & ampersand'),
        linked(6, currency="BTC", account_type="wallet", is_crypto=True, display_name=""),
        linked(7, account_type="mortgage", display_name="Prêt immobilier"),
        linked(8, currency=None, display_name="never enabled at the bank"),
        linked(9, currency="USD", display_name="huge"),
        linked(10, currency="USD", display_name="as huge"),
        linked(11, currency="CHF", display_name="nothing in it"),
        linked(12, display_name="hidden", disabled_at=NOW - 3 * DAY),
    )  # fmt: skip
    loaded.load(
        NOW - 2 * DAY,
        figure(1, "-1234.56", NOW - 2 * DAY),
        figure(2, "5000.00", NOW - 9 * DAY, connection_id="8"),
        figure(3, "0.01", NOW - 2 * DAY, available_balance=Decimal("0.00"), connection_id="9"),
        figure(4, "1500000", NOW - 2 * DAY, currency="JPY"),
        figure(5, "1234.567", NOW - 2 * DAY, currency="TND"),
        figure(6, "0.12345678", NOW - 2 * DAY, currency="BTC"),
        figure(7, "-350000.00", NOW - 2 * DAY),
        figure(9, HUGE, NOW - 2 * DAY, currency="USD"),
        figure(10, HUGE, NOW - 2 * DAY, currency="USD"),
        figure(11, "0.00", NOW - 2 * DAY, currency="CHF"),
        figure(12, "77.00", NOW - 4 * DAY),
    )
    loaded.load(
        NOW - HOUR,
        figure(1, "-1200.00", NOW - 2 * HOUR),
        figure(9, HUGE.copy_negate(), NOW - 2 * HOUR, currency="USD"),
        IdentityRow("smith", "acc_3", "acc_1", "name", "proposed"),
    )


def two_tenants(loaded: LoadedLedger) -> None:
    """Two tenants whose members, accounts and connections have the same ids."""
    for tenant_id, amount in (("smith", "10.00"), ("jones", "20.00")):
        mine = {"tenant_id": tenant_id}
        loaded.load(
            NOW - 2 * DAY, user(**mine), connection(**mine), linked(1, **mine), figure(1, amount, NOW - 2 * DAY, **mine)
        )


def large(loaded: LoadedLedger, accounts: int = 2000) -> None:
    """Many accounts in five currencies, some of them stale, with two days of balances."""
    currencies = ("EUR", "USD", "CHF", "GBP", "JPY")
    of = {n: currencies[n % 5] for n in range(accounts)}
    loaded.load(
        NOW - 2 * DAY,
        *(connection(str(n), institution_name=f"Bank {n}") for n in range(accounts // 50)),
        *(
            linked(n, currency=of[n], connection_id=str(n // 50), institution_name=f"Bank {n // 50}",
                   display_name=f"Account {n}")
            for n in range(accounts)
        ),
    )  # fmt: skip
    for back in (2, 1):
        loaded.load(
            NOW - back * DAY + HOUR,
            *(
                figure(n, f"{n * 7919 % 1000003}.{back:02}", NOW - (back if n % 40 else 9) * DAY, currency=of[n])
                for n in range(accounts)
            ),
        )


WORLDS: dict[str, Callable[[LoadedLedger], None]] = {
    world.__name__: world for world in (nothing, without_figures, one_account, nothing_fresh, awkward, two_tenants)
}
"""Small enough for fast tests; `large` is separate."""


@contextmanager
def written(folder: Path, world: Callable[[LoadedLedger], None] = nothing) -> Iterator[LoadedLedger]:
    """A world's ledger; its file stays open, so that further loads are fast."""
    loaded = LoadedLedger(folder / "data")
    with opened(loaded.ledger):
        world(loaded)
        yield loaded


def loaded(folder: Path, world: Callable[[LoadedLedger], None]) -> LoadedLedger:
    """A world in a folder, as a ledger."""
    with written(folder, world) as ledger:
        return ledger
