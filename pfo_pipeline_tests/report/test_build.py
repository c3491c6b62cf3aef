"""A page equals the ledger at any time and any known time: balances, sums, freshness, sources."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.errors import LedgerMissing
from pfo_pipeline.ledger.reader import Reader, open_published, published_reader
from pfo_pipeline.report.model import Amount, CashPage, Rate, Side
from pfo_pipeline.report.rates import Rates
from pfo_pipeline.report.totals import exact_sum
from pfo_pipeline_tests.ledger.samples import account, balance, connection, user
from pfo_pipeline_tests.report.ledgers import (
    DAY,
    HOUR,
    HUGE,
    NOW,
    WORLDS,
    LoadedLedger,
    awkward,
    figure,
    large,
    linked,
    nothing,
    nothing_fresh,
    one_account,
    page_of,
    two_tenants,
    without_figures,
    written,
)

RATES = Rates(
    "EUR", (date(2026, 4, 9),), {"USD": ("3",), "JPY": ("160",), "TND": ("3.4",), "BTC": ("0.00001",), "CHF": ("0.9",)}
)


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[LoadedLedger]:
    with written(tmp_path) as loaded:
        loaded.load(NOW - 5 * DAY, user(), connection(), linked(1))
        yield loaded


def of(page: CashPage, account_id: str) -> Any:
    [found] = [position for position in page.positions if position.account_id == account_id]
    return found


def totals(amounts: tuple[Amount, ...]) -> dict[str, Decimal]:
    return {amount.currency: amount.total for amount in amounts}


@contextmanager
def published(loaded: LoadedLedger) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_published(loaded.ledger.publish().path) as con:
        yield con


# --- Any content of a ledger


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_page_before_the_first_record_has_no_balance(tmp_path: Path, world: Callable[[LoadedLedger], None]) -> None:
    with written(tmp_path, world) as loaded:
        page = loaded.page(as_of=datetime(2001, 1, 1, tzinfo=UTC))

    assert {position.current for position in page.positions} <= {None}
    assert (page.cash, page.liabilities, page.history, page.changes) == ((), (), (), None)


@pytest.mark.parametrize("world", [nothing, without_figures, one_account, nothing_fresh, two_tenants, large])
def test_the_newest_page_equals_the_view_totals(tmp_path: Path, world: Callable[[LoadedLedger], None]) -> None:
    with written(tmp_path, world) as loaded:
        reader = loaded.reader()
        page, found = page_of(reader), reader.totals("smith")

    assert totals(page.total) == {t.currency: t.current_balance for t in found if t.current_balance is not None}
    assert totals(page.liabilities) == {t.currency: t.loans for t in found if t.loans is not None}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_everything_on_a_page_adds_up(tmp_path: Path, world: Callable[[LoadedLedger], None]) -> None:
    with written(tmp_path, world) as loaded:
        page = page_of(loaded.reader(), "smith", "jones", rates=RATES)

    cash = [position for position in page.positions if position.side == "total" and position.current is not None]
    for breakdown in page.breakdowns:
        amounts = [amount for part in breakdown.parts for amount in part.amounts]
        for total in page.total:
            mine = [amount for amount in amounts if amount.currency == total.currency]
            assert exact_sum(amount.total for amount in mine) == total.total
            assert exact_sum(a.stale for a in mine if a.stale is not None) == (total.stale or 0)
            assert sum(amount.accounts for amount in mine) == total.accounts
            assert exact_sum(a.converted for a in mine if a.converted is not None) == (total.converted or 0)
    assert {h.currency: h.totals[-1] for h in page.history} == totals(page.total)
    assert page.reference is not None
    assert page.reference.total == exact_sum(p.converted for p in cash if p.converted is not None)
    if page.reference_history:
        assert page.reference_history.totals[-1] == page.reference.total
    for bridge in page.changes.bridges if page.changes else ():
        after = totals(
            {"total": page.total, "loans": page.liabilities, "unclassified": page.unclassified}[bridge.side]
        ).get(bridge.currency, Decimal(0))
        assert exact_sum([bridge.before, *(difference for _, difference in bridge.by_reason)]) == bridge.after == after


def test_awkward_amounts_are_exact(tmp_path: Path) -> None:
    with written(tmp_path, awkward) as loaded:
        page = loaded.page()

    assert totals(page.total) == {
        "BTC": Decimal("0.12345678"),
        "CHF": Decimal(0),
        "EUR": Decimal("3800.01"),
        "JPY": Decimal(1500000),
        "TND": Decimal("1234.567"),
        "USD": Decimal(0),
    }
    assert page.changes is not None
    assert [(c.account_id, c.difference) for c in page.changes.changes if c.account_id in ("acc_1", "acc_9")] == [
        ("acc_1", Decimal("34.56")),
        ("acc_9", exact_sum([HUGE.copy_negate(), HUGE.copy_negate()])),
    ]


def test_two_thousand_accounts_are_on_one_page(tmp_path: Path) -> None:
    with written(tmp_path, large) as loaded:
        page = loaded.page()

    assert len(page.positions) == 2000
    assert sum(amount.accounts for amount in page.cash) == 2000
    assert sum(position.is_stale for position in page.positions) == 50


def test_without_a_published_ledger_the_error_has_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="Run `make run`"):
        page_of(published_reader(tmp_path / "ledger.duckdb"))


def test_a_page_of_a_tenant_that_the_ledger_does_not_know_is_empty(loaded: LoadedLedger) -> None:
    page = loaded.page("nobody")

    assert (page.tenant_ids, page.positions, page.cash, page.sources) == (("nobody",), (), (), ())


def test_other_tenants_are_not_on_the_page(tmp_path: Path) -> None:
    with written(tmp_path, two_tenants) as loaded:
        smith, both = loaded.page("smith"), loaded.page("smith", "jones", "smith")

    assert totals(smith.cash) == {"EUR": Decimal(10)}
    assert {position.tenant_id for position in smith.positions} == {"smith"}
    assert totals(both.cash) == {"EUR": Decimal(30)}
    assert both.tenant_ids == ("smith", "jones")


def test_a_ledger_published_without_personal_columns_shows_ids(tmp_path: Path) -> None:
    loaded = LoadedLedger(tmp_path / "data", publish_personal=False)
    loaded.load(NOW - DAY, user(), connection(), linked(1, display_name="Jane's savings"), linked(2))
    loaded.load(NOW - DAY, IdentityRow("smith", "acc_2", "acc_1", "name", "operator"), figure(2, "1.00", NOW - DAY))

    page = loaded.page()

    assert [(p.account_id, p.display_name, p.current) for p in page.positions] == [("acc_1", "acc_2", Decimal(1))]
    assert "savings" not in repr(page)


def test_a_page_reads_one_state(loaded: LoadedLedger) -> None:
    """A publication while the page is built does not change it."""
    loaded.load(NOW - DAY, figure(1, "1.00", NOW - DAY))
    path = loaded.ledger.publish().path
    asked = 0

    @contextmanager
    def publishing_after_the_first_question() -> Iterator[duckdb.DuckDBPyConnection]:
        nonlocal asked
        asked += 1
        with open_published(path) as con:
            loaded.load(NOW - HOUR, figure(1, "2.00", NOW - HOUR))
            loaded.ledger.publish()
            yield con

    page = page_of(Reader(publishing_after_the_first_question))

    assert asked == 1
    assert totals(page.cash) == {"EUR": Decimal(1)} == {h.currency: h.totals[-1] for h in page.history}
    assert page.sources[0].recorded_at < NOW - HOUR


# --- Positions and their age


def test_an_account_is_shown_with_all_its_known_fields(loaded: LoadedLedger) -> None:
    recorded_at = loaded.load(NOW - HOUR, figure(1, "1.50", NOW - 5 * HOUR, available_balance=Decimal("1.25")))

    [position] = loaded.page().positions

    assert (position.tenant_id, position.account_id, position.user_id) == ("smith", "acc_1", "jane")
    assert (position.institution_name, position.display_name) == ("Banque Exemple", "Compte courant")
    assert (position.account_type, position.currency, position.side) == ("checking", "EUR", "total")
    assert (position.current, position.available) == (Decimal("1.50"), Decimal("1.25"))
    assert (position.as_of, position.recorded_at, position.age) == (NOW - 5 * HOUR, recorded_at, 5 * HOUR)
    assert (position.limit, position.is_stale, position.converted) == (72 * HOUR, False, None)


def test_an_enabled_account_without_a_balance_is_listed(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2, currency=None), linked(3, disabled_at=NOW - DAY), linked(4, deleted_at=NOW - DAY))

    page = loaded.page()

    assert [(p.account_id, p.current, p.age, p.is_stale) for p in page.positions] == [
        ("acc_1", None, None, True),
        ("acc_2", None, None, True),
    ]
    assert page.cash == ()


def test_a_joined_account_uses_the_newest_balance_of_its_counted_links(loaded: LoadedLedger) -> None:
    """Account 2's balance is newer, but that link was disabled; account 3's is as new as account 1's."""
    loaded.load(NOW - DAY, linked(2, disabled_at=NOW - DAY), linked(3), linked(4))
    loaded.load(NOW - DAY, *(IdentityRow("smith", f"acc_{n}", "acc_1", "iban", "evidence") for n in (2, 3, 4)))
    loaded.load(NOW - HOUR, figure(1, "1.00", NOW - 3 * HOUR), figure(2, "2.00", NOW - 2 * HOUR))
    loaded.load(NOW - HOUR, figure(3, "3.00", NOW - 3 * HOUR), figure(4, "4.00", NOW - 4 * HOUR))

    page = loaded.page()

    assert [(p.account_id, p.current) for p in page.positions] == [("acc_1", Decimal(3))]
    assert [history.totals[-1] for history in page.history] == [Decimal(3)]


@pytest.mark.parametrize("account_type", ["loan", "mortgage", "consumercredit", "revolvingcredit"])
def test_loans_are_separate_and_an_overdraft_is_cash(loaded: LoadedLedger, account_type: str) -> None:
    loaded.load(NOW - HOUR, linked(2, account_type=account_type))
    loaded.load(NOW - HOUR, figure(1, "-20.00", NOW - HOUR), figure(2, "-5000.00", NOW - HOUR))

    page = loaded.page()

    assert totals(page.cash) == {"EUR": Decimal(-20)}
    assert totals(page.liabilities) == {"EUR": Decimal(-5000)}
    assert {part.name for breakdown in page.breakdowns for part in breakdown.parts} == {
        *("smith", "Banque Exemple", "jane", "checking")
    }


def test_age_counts_from_the_pages_time(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "1.00", NOW - 5 * DAY))

    assert (of(loaded.page(), "acc_1").age, of(loaded.page(), "acc_1").is_stale) == (5 * DAY, True)
    assert (
        of(loaded.page(as_of=NOW - 4 * DAY), "acc_1").age,
        of(loaded.page(as_of=NOW - 4 * DAY), "acc_1").is_stale,
    ) == (
        DAY,
        False,
    )


def test_a_balance_dated_ahead_has_age_zero_on_every_page(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, figure(1, "1.00", NOW - DAY), figure(1, "2.00", NOW + HOUR))

    newest, now = of(loaded.page(), "acc_1"), of(loaded.page(as_of=NOW), "acc_1")

    assert (newest.current, newest.age) == (Decimal(2), timedelta(0))
    assert (now.current, now.age) == (Decimal(2), timedelta(0))


def test_limits_follow_the_connection_as_known_then(loaded: LoadedLedger) -> None:
    """A paused connection gets no data automatically."""
    limits = Freshness(connection_classes={"paused": 24 * 30}, account_types={"savings": 24 * 7})
    loaded.load(NOW - 3 * DAY, figure(1, "1.00", NOW - 5 * DAY))
    loaded.load(
        NOW - DAY, linked(2, account_type="savings"), figure(2, "1.00", NOW - 5 * DAY), connection(active=False)
    )
    reader = loaded.reader()

    now = page_of(reader, limits=limits)
    then = page_of(reader, limits=limits, known_at=NOW - 2 * DAY)

    assert [(p.account_id, p.limit, p.is_stale) for p in now.positions] == [
        ("acc_1", 30 * DAY, False),
        ("acc_2", 30 * DAY, False),
    ]
    assert [(p.account_id, p.limit, p.is_stale) for p in then.positions] == [("acc_1", 3 * DAY, True)]


def test_the_stale_part_of_a_total_is_shown(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2), figure(1, "1.00", NOW - HOUR), figure(2, "2.00", NOW - 4 * DAY))

    [cash] = loaded.page().cash

    assert (cash.accounts, cash.total, cash.stale, cash.oldest_as_of) == (2, Decimal(3), Decimal(2), NOW - 4 * DAY)


def test_without_a_fresh_balance_the_whole_total_is_stale(tmp_path: Path) -> None:
    with written(tmp_path, nothing_fresh) as loaded:
        page = loaded.page()

    assert [(amount.total, amount.stale) for amount in (*page.cash, *page.liabilities)] == [
        (Decimal(10), Decimal(10)),
        (Decimal(-400000), Decimal(-400000)),
    ]


# --- Breakdowns and the reference currency


def test_members_have_their_configured_and_distinct_names(tmp_path: Path) -> None:
    names = {("smith", "jane"): "Jane", ("jones", "jane"): "Jane"}
    with written(tmp_path, two_tenants) as loaded:
        reader = loaded.reader()

    def members(names: dict[tuple[str, str], str]) -> list[str]:
        [found] = [b for b in page_of(reader, "smith", "jones", names=names).breakdowns if b.by == "member"]
        return [part.name for part in found.parts]

    assert members(names) == ["Jane (jones, jane)", "Jane (smith, jane)"]
    assert members(names | {("smith", "jane"): "Jane Smith"}) == ["Jane", "Jane Smith"]
    assert members({}) == ["jane (jones, jane)", "jane (smith, jane)"]


def test_each_account_is_rounded_so_that_columns_add_up(loaded: LoadedLedger) -> None:
    """0.50 dollars are 0.1666… euros: three of them are 0.51, as in the column, not 0.50."""
    loaded.load(NOW - HOUR, linked(1, currency="USD"), linked(2, currency="USD"), linked(3, currency="USD"))
    loaded.load(NOW - HOUR, *(figure(n, "0.50", NOW - HOUR, currency="USD") for n in (1, 2, 3)))

    page = page_of(loaded.reader(), rates=RATES)

    assert [position.converted for position in page.positions] == [Decimal("0.17")] * 3
    assert page.cash[0].converted == Decimal("0.51")
    assert page.reference is not None
    assert page.reference.cash == Decimal("0.51")
    assert page.reference.rates == (Rate("USD", date(2026, 4, 9), Decimal("0.3333333333333333333333333333")),)


def test_a_currency_without_a_rate_is_named_and_in_no_sum(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2, currency="XAU"), linked(3, account_type="loan", currency="USD"))
    loaded.load(
        NOW - HOUR,
        figure(1, "9.00", NOW - HOUR),
        figure(2, "7.00", NOW - HOUR, currency="XAU"),
        figure(3, "-6.00", NOW - HOUR, currency="USD"),
    )

    page = page_of(loaded.reader(), rates=RATES)

    assert page.reference is not None
    assert (page.reference.cash, page.reference.liabilities) == (Decimal(9), Decimal(-2))
    assert [(u.currency, u.why) for u in page.reference.without] == [("XAU", "not in the rates file")]
    assert [(amount.currency, amount.converted) for amount in page.cash] == [("EUR", Decimal(9)), ("XAU", None)]
    assert {part.converted for breakdown in page.breakdowns for part in breakdown.parts} == {None}


def test_the_rate_is_that_of_the_pages_local_day(loaded: LoadedLedger) -> None:
    rates = Rates("EUR", (date(2026, 4, 9), date(2026, 4, 10)), {"USD": ("2", "4")})
    loaded.load(NOW - DAY, linked(1, currency="USD"), figure(1, "8.00", NOW - DAY, currency="USD"))
    moment = datetime(2026, 4, 9, 22, 30, tzinfo=UTC)
    reader = loaded.reader()

    found = {zone: page_of(reader, rates=rates, timezone=zone, as_of=moment) for zone in ("UTC", "Europe/Paris")}

    assert {zone: page.cash[0].converted for zone, page in found.items()} == {"UTC": 4, "Europe/Paris": 2}


def test_the_largest_part_comes_first_if_everything_has_a_rate(loaded: LoadedLedger) -> None:
    loaded.load(NOW - HOUR, linked(2, institution_name="Zebra Bank"), linked(3, institution_name="Aardvark Bank"))
    loaded.load(NOW - HOUR, figure(1, "5.00", NOW - HOUR), figure(2, "9.00", NOW - HOUR), figure(3, "1.00", NOW - HOUR))
    reader = loaded.reader()

    def institutions(rates: Rates | None) -> list[str]:
        [found] = [b for b in page_of(reader, rates=rates).breakdowns if b.by == "institution"]
        return [part.name for part in found.parts]

    assert institutions(RATES) == ["Zebra Bank", "Banque Exemple", "Aardvark Bank"]
    assert institutions(None) == ["Aardvark Bank", "Banque Exemple", "Zebra Bank"]


# --- Times and sources


def test_the_page_names_its_loads(loaded: LoadedLedger) -> None:
    first = loaded.load(NOW - 2 * DAY, figure(1, "1.00", NOW - 2 * DAY), run_id="run-2")
    loaded.load(NOW - DAY, figure(1, "2.00", NOW - DAY), run_id="run-3")
    with published(loaded) as con:
        hashes = dict(con.execute("select load_id, hash from chain").fetchall())

    [newest], [earlier] = loaded.page().sources, loaded.page(known_at=first).sources

    assert (newest.tenant_id, newest.run_id, newest.digest) == ("smith", "run-3", hashes[3])
    assert (earlier.run_id, earlier.recorded_at, earlier.digest) == ("run-2", first, hashes[2])
    assert loaded.page(known_at=NOW - 6 * DAY).sources == ()


def test_a_page_shows_its_as_of_and_known_times(loaded: LoadedLedger) -> None:
    loaded.load(NOW - DAY, figure(1, "1.00", NOW - 9 * DAY))
    page, earlier = loaded.page(), loaded.page(as_of=NOW - 3 * DAY, known_at=NOW - HOUR)

    assert (page.as_of, page.known_at, page.first_as_of) == (NOW, NOW, NOW - 9 * DAY)
    assert (earlier.as_of, earlier.known_at) == (NOW - 3 * DAY, NOW - HOUR)
    assert loaded.page(known_at=NOW - 2 * DAY).first_as_of is None


def test_a_page_requested_again_with_its_own_times_is_the_same(loaded: LoadedLedger) -> None:
    """With the times in its footer, whatever was learnt since."""
    loaded.load(NOW - DAY, figure(1, "1.00", NOW - DAY))
    loaded.load(NOW, linked(2), figure(2, "3.00", NOW - HOUR))
    loaded.load(NOW, figure(1, "5.00", NOW - HOUR))  # Recorded a microsecond after now.
    page = loaded.page()
    loaded.load(NOW + DAY, figure(1, "2.00", NOW - DAY), connection(status="needs-person", state="wrongpass"))
    loaded.load(NOW + DAY, linked(2, disabled_at=NOW - DAY))

    again = page_of(loaded.reader(), as_of=page.as_of, known_at=page.known_at, now=NOW + 9 * DAY)

    assert again == page


def test_times_are_accepted_in_any_zone_and_shown_in_utc(loaded: LoadedLedger) -> None:
    loaded.load(NOW - DAY, figure(1, "1.00", NOW - DAY))
    east = timezone(timedelta(hours=5, minutes=30))

    page = loaded.page(as_of=NOW.astimezone(east), known_at=NOW.astimezone(east), since=(NOW - DAY).astimezone(east))

    assert page == loaded.page(as_of=NOW, known_at=NOW, since=NOW - DAY)
    assert page.changes is not None
    assert {moment.tzinfo for moment in (page.as_of, page.known_at, page.changes.since)} == {UTC}


def test_a_page_of_several_tenants_names_shared_accounts(tmp_path: Path) -> None:
    with written(tmp_path) as loaded:
        for tenant_id in ("smith", "jones"):
            mine = {"tenant_id": tenant_id}
            loaded.load(NOW - DAY, user(**mine), connection(**mine), account(**mine), balance("10", NOW - DAY, **mine))
        both, one = loaded.page("smith", "jones"), loaded.page("smith")

    assert [(it.tenants, it.current_balance) for it in both.shared] == [(["jones", "smith"], Decimal(10))]
    assert totals(both.cash) == {"EUR": Decimal(20)}
    assert one.shared == ()


def test_a_link_to_one_of_two_accounts_is_a_change(loaded: LoadedLedger) -> None:
    loaded.load(NOW - 3 * DAY, linked(2), figure(1, "100", NOW - 3 * DAY), figure(2, "5000", NOW - 3 * DAY))
    loaded.load(NOW - HOUR, linked(3), figure(3, "100", NOW - 2 * HOUR))
    loaded.load(NOW - HOUR, IdentityRow("smith", "acc_3", "acc_3", "iban", "evidence", "one_of", "acc_1,acc_2"))

    changes = loaded.page(since=NOW - DAY).changes

    assert changes is not None
    assert [(c.account_id, c.reason, c.difference) for c in changes.changes] == [("acc_3", "not counted", Decimal(0))]
    assert "it is not known which" in changes.changes[0].detail


# --- Any time and known time, as in the macros

_AMOUNTS = st.integers(-(10**6), 10**6).map(lambda cents: Decimal(cents) / 100)
_NUMBERS = st.integers(1, 3)
_DAYS = st.integers(0, 6)
_EVENTS = st.one_of(
    st.tuples(st.just("figure"), _NUMBERS, _DAYS, _AMOUNTS, st.sampled_from(["EUR", "EUR", "USD"])),
    st.tuples(st.just("hide"), _NUMBERS, st.sampled_from(["disabled_at", "deleted_at"]), _DAYS),
    st.tuples(st.just("show"), _NUMBERS, st.sampled_from(["checking", "loan"])),
    st.tuples(st.just("identity"), _NUMBERS, _NUMBERS),
)


def day(number: int) -> datetime:
    """A day of a week that ends now; the clocks change in it."""
    return datetime(2026, 3, 26, 8, tzinfo=UTC) + number * DAY


def learn(loaded: LoadedLedger, learnt: list[tuple[int, tuple[Any, ...]]]) -> None:
    loaded.load(day(0) - DAY, user(), connection(), linked(1), linked(2), linked(3))
    for at, (kind, number, *rest) in sorted(learnt, key=lambda event: event[0]):
        match kind, *rest:
            case "figure", of_day, amount, currency:
                loaded.load(day(at), figure(number, amount, day(of_day), currency=currency))
            case "hide", column, of_day:
                loaded.load(day(at), linked(number, **{column: day(of_day)}))
            case "show", account_type:
                loaded.load(day(at), linked(number, account_type=account_type))
            case "identity", other:
                loaded.load(day(at), IdentityRow("smith", f"acc_{number}", f"acc_{other}", "a decision", "operator"))


@given(
    learnt=st.lists(st.tuples(_DAYS, _EVENTS), min_size=3, max_size=16),
    as_of=st.one_of(st.none(), _DAYS),
    known_at=st.one_of(st.none(), _DAYS),
    since=_DAYS,
)
@settings(max_examples=20, derandomize=True)
def test_any_time_and_known_time_equals_the_macro(
    learnt: list[tuple[int, tuple[Any, ...]]],
    as_of: int | None,
    known_at: int | None,
    since: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # Loads of one day are microseconds apart.
    known = None if known_at is None else day(known_at) + HOUR
    at = None if as_of is None else day(as_of)
    compared = min(moment for moment in (day(since), at, known) if moment is not None)
    with written(tmp_path_factory.mktemp("any"), lambda loaded: learn(loaded, learnt)) as loaded:
        page = page_of(loaded.reader(), as_of=at, known_at=known, since=compared, now=day(6) + HOUR)
        with published(loaded) as con:

            def position(at: datetime | None, known: datetime | None) -> dict[Side, dict[str, Decimal]]:
                always = datetime(9999, 12, 31, tzinfo=UTC)
                rows = con.execute(
                    "select currency, total, loans, unclassified from cash_position($at, known_at := $known)",
                    {"at": at or always, "known": known or always},
                ).fetchall()
                return {
                    side: {row[0]: row[place] for row in rows if row[place] is not None}
                    for place, side in enumerate(get_args(Side), start=1)
                }

            now, before = position(at, known), position(compared, compared)
            assert (totals(page.total), totals(page.liabilities), totals(page.unclassified)) == tuple(now.values())
            assert_bridges_lead(page, before, now)
            for history in page.history:
                for days_back in range(1, 9):
                    end = datetime.combine(history.days[-days_back], datetime.min.time(), tzinfo=UTC)
                    # In Paris the day ended at 22:00 or 23:00 UTC; no balance is from an hour between.
                    then = at if days_back == 1 else end + 22 * HOUR
                    assert (history.totals[-days_back] or 0) == position(then, known)["total"].get(history.currency, 0)


def assert_bridges_lead(
    page: CashPage, before: dict[Side, dict[str, Decimal]], after: dict[Side, dict[str, Decimal]]
) -> None:
    assert page.changes is not None
    found = {(bridge.side, bridge.currency): bridge for bridge in page.changes.bridges}
    assert set(found) == {(side, currency) for state in (before, after) for side in state for currency in state[side]}
    for (side, currency), bridge in found.items():
        assert bridge.before == before[side].get(currency, 0)
        assert bridge.after == after[side].get(currency, 0)
        of_accounts = [c.difference for c in page.changes.changes if (c.side, c.currency) == (side, currency)]
        assert exact_sum([bridge.before, *of_accounts]) == bridge.after
        assert exact_sum(of_accounts) == exact_sum(difference for _, difference in bridge.by_reason)
