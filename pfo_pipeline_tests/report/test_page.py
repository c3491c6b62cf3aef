"""A cash page as text: its amounts equal the data exactly, and no name becomes markup."""

import re
import subprocess
import sys
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.contracts.records import plain
from pfo_pipeline.report.layout import render
from pfo_pipeline.report.model import Breakdown, CashPage, Changes, ClassTotal, History
from pfo_pipeline.report.wording import NotWritable, Wording, text
from pfo_pipeline_tests.report import ledgers, samples
from pfo_pipeline_tests.report.reading import Element, read
from pfo_pipeline_tests.report.samples import NOW, page, position

WORLDS = (*ledgers.WORLDS.values(), ledgers.large)
HOSTILE = {
    "HTML": "<img src=x onerror=alert(1)><b>Bold & Sons</b>",
    "end of script": "</script><script>alert(1)</script>",
    "comment": "<!-- --> <![CDATA[ ]]>",
    "quotes": "\"onmouseover='alert(1)' `x` {{ 7*7 }} {% raw %}",
    "right to left": "invoice\u202egpj.exe\u2066 \u200f hidden \u061c",
    "Hebrew": "בנק לאומי",
    "emoji": "👩\u200d👧 Family 🏦",
    "lines": "one\ntwo\r\nthree\ttab\u2028four\u2029five",
    "controls": "a\x00b\x07c\x1b[31md\x7fe\ufefff\U000e0041",
    "surrogate": "half \ud83d of a pair",
    "long": "Société " * 38,
    "nothing": " ",
}


@pytest.fixture(scope="module")
def family() -> CashPage:
    return samples.family()


@pytest.fixture(scope="module")
def html(family: CashPage) -> str:
    return render(family, "en_GB")


@pytest.fixture(scope="module")
def shown(html: str) -> Element:
    return read(html)


def test_every_account_shows_its_exact_amounts(family: CashPage, shown: Element) -> None:
    for p in family.positions:
        row = shown.one("tr", data_account=p.account_id)
        cells = {of: row.one("td", data_of=of).figure() for of in ("current", "available", "converted")}
        assert cells == {"current": p.current, "available": p.available, "converted": p.converted}, p.display_name


def test_every_total_is_the_pages_own(family: CashPage, shown: Element) -> None:
    assert family.reference is not None
    table = shown.one("table", id="cash")
    for amount in family.cash:
        row = table.one("tr", data_currency=amount.currency)
        assert row.one("td", data_of="total").figure() == amount.total
        assert row.one("td", data_of="converted").figure() == amount.converted
    assert table.one("td", data_of="reference").figure() == family.reference.cash
    assert shown.one("p", id="total").figure() == family.reference.cash
    classes = shown.one("table", id="classes")
    for one in (*family.classes[1:], ClassTotal("total", family.total, None)):
        for amount in one.amounts:
            row = classes.one("tbody", data_class=one.name).one("tr", data_currency=amount.currency)
            assert row.one("td", data_of="total").figure() == amount.total
    assert classes.one("td", data_of="reference").figure() == family.reference.total
    assert shown.one("p", id="net").figure() == family.reference.net


def test_every_day_from_the_first_balance_on_is_in_a_table(family: CashPage, shown: Element) -> None:
    tables = shown.all("table", class_="days")
    histories = [family.reference_history, *family.history]
    assert len(tables) == len(histories)
    for table, history in zip(tables, histories, strict=True):
        assert history is not None
        days = {row.one("time").attributes["datetime"]: row.figure() for row in table.all("tr")[1:]}
        loaded = list(zip(history.days, history.totals, strict=True))
        first = next(day for day, total in loaded if total is not None)
        assert days == {day.isoformat(): total for day, total in loaded if day >= first}


def test_a_bridge_shows_every_reason_and_its_bars_connect(shown: Element) -> None:
    euros = shown.all("table", class_="bridge")[0]
    figures = [row.figure() for row in euros.all("tr")]
    assert figures[0] is not None
    assert sum(figure or 0 for figure in figures[:-1]) == figures[-1]
    bars = [(Decimal(r.attributes["x"][:-1]), Decimal(r.attributes["width"][:-1])) for r in euros.all("rect")]
    assert bars[0] == (Decimal("0.00"), Decimal("31.97")), "2,350 of the 7,350 between the lowest and the highest"
    assert bars[1][0] == Decimal("31.97")
    assert sum(bars[1]) == 100


def test_a_bridge_of_one_reason_is_a_line(shown: Element) -> None:
    [row] = shown.one("table", id="bridges").all("tr")[1:]
    assert row.text == "EUR loans −321,000.00 Movement +1,000.00 −320,000.00"
    assert "Unchanged: 96,750.10 GBP." in shown.one("section", id="changes").text


def test_the_biggest_difference_by_value_comes_first(family: CashPage) -> None:
    assert family.changes is not None
    change = family.changes.changes[0]
    listed = [("JPY", 100_000), ("GBP", 900), ("EUR", -1000), ("BTC", 5), ("TND", 1000)]
    some = tuple(replace(change, currency=currency, difference=Decimal(n)) for currency, n in listed)

    def order(cash_page: CashPage) -> list[str]:
        section = rendered(replace(cash_page, changes=Changes(NOW, True, (), some), history=())).one(
            "section", id="changes"
        )
        return [row.one("abbr").text for row in section.one("table", class_="stack changes").all("tr")[1:]]

    assert order(replace(family, reference_history=None)) == ["GBP", "EUR", "JPY", "TND", "BTC"]
    assert order(page(position())) == ["BTC", "EUR", "GBP", "JPY", "TND"], "nobody knows"


def test_the_summary_shows_the_difference_in_one_currency() -> None:
    bridge = replace(samples.family().changes.bridges[0], currency="EUR")  # type: ignore[union-attr]
    changes = Changes(NOW - timedelta(days=1), True, (bridge,), samples.family().changes.changes)  # type: ignore[union-attr]
    words = rendered(replace(page(position()), changes=changes)).one("p", class_="lead").text
    assert "4 accounts changed, +2,350.00 EUR in all, since the last report" in words


def test_every_breakdown_shows_its_amounts(family: CashPage, shown: Element) -> None:
    for breakdown in family.breakdowns:
        parts = [part for part in shown.all("tbody") if part.attributes.get("data-by") == breakdown.by]
        assert [[row.figure() for row in part.all("tr")] for part in parts] == [
            [amount.total for amount in part.amounts] for part in breakdown.parts
        ]


def test_rates_are_shown_with_their_own_dates(shown: Element) -> None:
    row = shown.one("table", id="cash").one("tr", data_currency="TND")
    assert "0.296" in row.text
    assert "3 Nov 2026" in row.text
    assert "BTC (no rate is given)" in shown.one("section", id="now").text


def test_the_summary_shows_the_main_facts(shown: Element) -> None:
    words = shown.one("p", class_="lead").text
    for sentence in (
        "Cash in 4 accounts at 4 institutions, in 4 currencies; BTC is not in this total.",
        "Beside it savings and crypto: 7 accounts in all, 393,799.30 EUR.",
        "4 accounts changed since the last report of 13 Nov 2026, 19:00.",
        "1 figure is stale.",
        "1 account has no figure yet.",
        "1 thing waits for a person.",
    ):
        assert sentence in words


def test_stale_balances_are_marked_by_a_word_and_a_shape(shown: Element) -> None:
    [stale] = [row for row in shown.all("tr", data_account="3") if row.all("span", class_="stale")]
    assert "17 Nov 2026, 11:00 3 days ▲ stale" in stale.text
    assert not shown.one("tr", data_account="1").all("span", class_="stale")


def test_only_items_for_a_person_have_a_link_without_a_referrer(shown: Element) -> None:
    [link] = [a for a in shown.all("a") if a.attributes["href"].startswith("http")]
    assert link.attributes["href"] == "https://webview.example/reconnect?connection_id=11&state=a%20b"
    assert link.attributes["rel"] == "noreferrer"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        " https://a.example",
        "https://a.example/\u202e",
        "//a.example",
        "ftp://a",
    ],
)
def test_a_link_that_is_not_a_web_address_is_not_shown_as_one(address: str) -> None:
    item = replace(samples.family().action_items[0], link=address)
    assert not [
        a for a in rendered(replace(page(position()), action_items=(item,))).all("a") if a.attributes.get("rel")
    ]


def test_the_footer_names_run_and_digest(family: CashPage, shown: Element) -> None:
    foot = shown.one("footer").text
    assert family.sources[0].run_id in foot
    assert family.sources[0].digest in foot  # type: ignore[operator]
    assert "20 Nov 2026, 19:00 (Europe/Stockholm, 2026-11-20T18:00:00Z)" in foot


def test_the_footer_has_the_times_to_request_the_same_page() -> None:
    later = NOW + timedelta(microseconds=120_003)
    foot = rendered(replace(page(position()), known_at=later)).one("footer").text
    assert later.isoformat().replace("+00:00", "Z") in foot


def test_the_structure_is_accessible_without_sight(shown: Element) -> None:
    assert shown.one("html").attributes["lang"] == "en"
    assert [len(shown.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    levels = [int(element.tag[1]) for element in shown if re.fullmatch(r"h\d", element.tag)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), levels
    for table in shown.all("table"):
        assert table.one("caption").text
        assert all(head.attributes.get("scope") for head in table.all("th"))
    ids = [element.attributes["id"] for element in shown if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    named = [name for element in shown for name in element.attributes.get("aria-labelledby", "").split()]
    targets = [a.attributes["href"][1:] for a in shown.all("a") if a.attributes["href"].startswith("#")]
    assert {*named, *targets} <= set(ids)


def test_a_browser_may_run_only_the_pages_own_scripts(html: str, shown: Element) -> None:
    policy = shown.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        for content in re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL):
            assert b64encode(sha256(content.encode()).digest()).decode() in policy
    assert "\r" not in html
    inline = [e.tag for e in shown if any(name == "style" or name.startswith("on") for name in e.attributes)]
    assert inline == []
    loading = [e.attributes for e in shown if {"src", "srcset", "action", "background"} & e.attributes.keys()]
    assert loading == []


def test_the_same_page_is_the_same_text(family: CashPage, html: str) -> None:
    assert render(family, "en_GB") == html


def test_page_libraries_are_imported_only_when_a_page_is_made() -> None:
    program = "import sys, pfo_pipeline.report.layout\nprint(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "babel" in loaded
    assert not {"altair", "vl_convert", "jinja2"} & set(loaded)


def rendered(cash_page: CashPage, locale: str = "en_GB") -> Element:
    html = render(cash_page, locale)
    html.encode()
    return read(html)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_every_name_is_text(name: str) -> None:
    one = position(name=name, institution=name, account_type=name, user_id=name, currency=name[:40])
    bare = page(one)
    tame = render(page(position()), "en_GB")
    written = render(
        replace(
            bare,
            office=name,
            title=name,
            names={("lindqvist", name): name},
            action_items=tuple(
                replace(item, institution_name=name, why=name, who_acts=name, remedy=name)
                for item in samples.family().action_items
            ),
            changes=Changes(
                NOW,
                True,
                (),
                tuple(
                    replace(change, display_name=name, institution_name=name, detail=name)
                    for change in samples.family().changes.changes  # type: ignore[union-attr]
                ),
            ),
        ),
        "en_GB",
    )
    shown = read(written)

    assert {e.tag for e in shown} <= {e.tag for e in read(tame)} | {"ul", "li", "h3", "a", "table", "abbr"}
    assert shown.one("h1").text == " ".join(text(name).split()) or shown.one("h1").text == "no name"
    assert not shown.all("script")
    directing = {c for c in written if unicodedata.category(c) in ("Cf", "Cc", "Cs") and c not in "\n\u200d\u200c"}
    assert directing == set()
    written.encode()


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),
        ("invoice\u202egpj.exe", "invoice\ufffdgpj.exe"),
        ("\x1b[31m\x00", "\ufffd[31m\ufffd"),
        ("one\u2028two\tthree", "one two three"),
    ],
)
def test_joining_characters_stay_and_direction_controls_are_marked(named: str, shown: str) -> None:
    assert text(named) == shown


@given(st.text(max_size=60))
def test_any_name_is_read_back_with_its_controls_marked(name: str) -> None:
    shown = rendered(page(position(name=name)))
    [head] = shown.one("tr", data_account="1").all("th")
    written = head.all("span", class_="first")[0].all("bdi")
    assert "".join(child for one in written for child in one.children if isinstance(child, str)) == (
        text(name) if name.strip() else ""
    )


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**27), max_value=10**27)


@given(
    AMOUNTS,
    st.sampled_from(["EUR", "JPY", "TND", "BTC", "CLF", "XYZ"]),
    st.sampled_from(["en_GB", "fr_FR", "de_CH", "hi_IN"]),
)
def test_no_amount_loses_a_digit(amount: Decimal, currency: str, locale: str) -> None:
    words = Wording.of(locale, "UTC")
    written = words.amount(amount, currency)
    point = words.locale.number_symbols["latn"]["decimal"]
    whole, _, decimals = written.partition(point)
    digits = "".join(filter(str.isdigit, whole)) + "." + decimals
    assert Decimal(digits) == amount.copy_abs()
    assert written.startswith("−") == (amount < 0)
    assert "-" not in written


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "written"),
    [
        ("1234567.5", "EUR", "en_GB", "1,234,567.50"),
        ("1234567.5", "EUR", "fr_FR", "1\u202f234\u202f567,50"),
        ("1234567.5", "CHF", "de_CH", "1’234’567.50"),
        ("1234567.5", "INR", "hi_IN", "12,34,567.50"),
        ("8800000", "JPY", "en_GB", "8,800,000"),
        ("0.5", "JPY", "en_GB", "0.5"),
        ("1500.1", "TND", "en_GB", "1,500.100"),
        ("12.50186905", "BTC", "en_GB", "12.50186905"),
        ("-0.01", "EUR", "en_GB", "−0.01"),
        ("0", "EUR", "en_GB", "0.00"),
        ("-0", "EUR", "en_GB", "0.00"),
        ("1E+3", "EUR", "en_GB", "1,000.00"),
        ("9999999999999999999999999999.9999999999", "EUR", "en_GB", f"{'9,' + ','.join(['999'] * 9)}.9999999999"),
        ("99999999999999999999999999999999999999", "JPY", "en_GB", f"99,{','.join(['999'] * 12)}"),
    ],
)
def test_an_amount_follows_its_locale(amount: str, currency: str, locale: str, written: str) -> None:
    one = position(current=amount, currency=currency)
    cell = rendered(page(one), locale).one("tr", data_account="1").one("td", data_of="current")
    assert cell.one("data").children == [written]
    assert cell.one("data").attributes["value"] == plain(Decimal(amount))
    assert cell.text == f"{written.replace(chr(0x202F), ' ')} {currency}"


def test_dates_follow_the_locale_and_the_zone_is_named() -> None:
    shown = rendered(page(position(hours_old=20)), "fr_FR")
    moment = shown.one("tr", data_account="1").one("time")
    assert moment.text == "19 nov. 2026, 23:00"
    assert moment.attributes["datetime"] == "2026-11-19T22:00:00Z"
    assert "(Europe/Stockholm)" in shown.one("p", class_="moment").text


@pytest.mark.parametrize(
    ("locale", "zone"), [("xx_YY", "UTC"), ("", "UTC"), ("en_GB", "Mars/Olympus"), ("en_GB", "../etc")]
)
def test_an_unknown_locale_or_zone_is_refused_by_name(locale: str, zone: str) -> None:
    with pytest.raises(NotWritable, match=re.escape(repr(locale if zone == "UTC" else zone))):
        render(replace(page(), timezone=zone), locale)


def test_without_any_account_the_page_says_so() -> None:
    shown = rendered(replace(page(), sources=(), breakdowns=(Breakdown("institution", ()), Breakdown("member", ()))))
    words = shown.one("body").text
    assert "No account is known by then: accounts appear with the first sync." in words
    assert "No figure of a cash account is known at this moment." in words
    assert "There is no history yet." in words
    assert "There is no earlier report to compare with." in words
    assert "No loan is known." in words
    assert "Nothing waits for a person." in words
    assert "No consent with an end is known." in words
    assert not shown.all("table")
    assert "stale" not in words.partition("About the figures")[0].replace("go stale", "")


def test_a_page_before_the_first_balance_names_its_date() -> None:
    words = rendered(replace(page(), first_as_of=NOW + timedelta(days=3))).one("p", class_="lead").text
    assert "Nothing is known of that moment: the first figure is of 23 Nov 2026, 19:00." in words


def test_with_only_loans_no_cash_of_zero_is_shown() -> None:
    words = rendered(page(position(account_type="loan"))).one("p", class_="lead").text
    assert "No cash is known, only loans." in words


@pytest.mark.parametrize(
    ("days_left", "words"),
    [(-2, "▲ over"), (0, "▲ within a day"), (1, "▲ in 1 day"), (14, "▲ in 14 days"), (15, "in 15 days")],
)
def test_a_consent_shows_its_remaining_days(days_left: int, words: str) -> None:
    consent = replace(samples.family().consents[0], days_left=days_left)
    table = rendered(replace(page(position()), consents=(consent,))).one("table", class_="consents")
    assert table.one("span", class_="age").text == words


def test_accounts_without_a_balance_are_not_zero() -> None:
    shown = rendered(page(position(current=None)))
    assert "1 account, and no figure yet" in shown.one("p", class_="lead").text
    row = shown.one("tr", data_account="1")
    assert row.figure() is None
    assert "▲ no figure yet" in row.text
    assert not shown.all("p", id="total")


def test_with_only_stale_balances_the_page_shows_their_number() -> None:
    lead = rendered(page(position(hours_old=300), position("2", hours_old=400))).one("p", class_="lead").text
    assert "2 figures are stale." in lead


def test_stale_balances_with_a_sum_of_zero_make_the_total_stale() -> None:
    shown = rendered(page(position(current="100.00", hours_old=300), position("2", current="-100.00", hours_old=300)))
    assert "▲ stale: 0.00" in shown.one("tr", data_currency="EUR").text


def test_other_classes_are_named_beside_the_cash() -> None:
    held = (position("2", account_type="pea"), position("3", account_type="lifeinsurance"))
    shown = rendered(page(position(), *held))
    table = shown.one("table", id="classes")
    assert [body.attributes["data-class"] for body in table.all("tbody")] == ["investments", "insurance", "total"]
    assert "Beside it investments and insurance: 3 accounts in all, 3,703.50 EUR." in shown.one("p", class_="lead").text
    assert not rendered(page(position(), position("4", account_type="market", current=None))).all("table", id="classes")


def test_several_currencies_without_rates_have_no_total() -> None:
    shown = rendered(page(position(), position("2", currency="USD")))
    assert shown.one("p", id="total").text == "1,234.50 EUR 1,234.50 USD"
    assert (
        "There are no rates to go by, so nothing is added up across currencies." in shown.one("section", id="now").text
    )
    assert "Nothing is added up across currencies" in shown.one("footer").text


def test_an_unchanged_page_says_so() -> None:
    shown = rendered(replace(page(position()), changes=Changes(NOW - timedelta(days=1), True, (), ())))
    assert "Nothing has changed since the last report of 19 Nov 2026, 19:00." in shown.one("p", class_="lead").text
    assert "Nothing has changed." in shown.one("section", id="changes").text


def test_a_requested_time_is_not_called_the_last_report() -> None:
    shown = rendered(replace(page(position()), changes=Changes(NOW - timedelta(days=1), False, (), ())))

    assert "Nothing has changed since 19 Nov 2026, 19:00." in shown.one("p", class_="lead").text
    assert "last report" not in shown.one("section", id="changes").text


def test_of_many_changes_the_first_are_open_and_all_are_listed() -> None:
    change = samples.family().changes.changes[0]  # type: ignore[union-attr]
    many = tuple(replace(change, account_id=str(n), difference=Decimal(9000 - n)) for n in range(100))
    section = rendered(replace(page(position()), changes=Changes(NOW, True, (), many))).one("section", id="changes")
    first, rest = section.all("table", class_="stack changes")
    assert len(first.all("tr")) == 9
    assert section.one("summary").text == "And 92 more"
    assert [row.figure() for table in (first, rest) for row in table.all("tr") if row.figure()] == [
        c.difference for c in many
    ]


def test_two_thousand_accounts_are_folded_by_institution_and_all_listed() -> None:
    many = [position(str(n), f"{n}.25", name=f"Account {n}", institution=f"Bank {n % 40:02}") for n in range(2000)]
    html = render(page(*many), "en_GB")
    section = read(html).one("section", id="accounts")
    assert len(section.all("details")) == 40
    assert not [d for d in section.all("details") if "open" in d.attributes]
    assert {r.attributes["data-account"]: r.figure() for r in section.all("tr") if "data-account" in r.attributes} == {
        p.account_id: p.current for p in many
    }
    assert len(html) < 3_000_000


def test_of_many_currencies_eight_are_drawn_and_all_have_a_table() -> None:
    codes = [f"C{n:02}" for n in range(11)]
    days = tuple(NOW.date() - timedelta(days=ago) for ago in (2, 1, 0))
    many = page(*(position(code, currency=code) for code in codes))
    some = tuple(History(code, days, (None, Decimal(1), Decimal(2))) for code in codes)
    section = rendered(replace(many, history=some)).one("section", id="history")
    assert len(section.all("figure")) == 8
    assert len(section.all("table")) == 11
    assert "3 more are in the tables only" in section.text


def test_each_plot_has_a_table_and_a_picture_without_scripts(family: CashPage, shown: Element) -> None:
    figures = shown.all("figure")
    assert len(figures) == 1 + len(family.history)
    tables = {table.attributes["id"] for table in shown.all("table", class_="days")}
    assert {figure.attributes["data-table"] for figure in figures} == tables
    for figure in figures:
        assert figure.one("noscript").one("g", class_="mark-line role-mark layer_4_marks").one("path").attributes["d"]
        assert figure.one("div", class_="plot").attributes["aria-label"]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_all_of_a_ledger_is_shown(world: Callable[[ledgers.LoadedLedger], None], tmp_path: Path) -> None:
    gathered = ledgers.loaded(tmp_path, world).page("smith", "jones")
    shown = rendered(replace(gathered, history=()))
    rows = {
        (r.attributes["data-tenant"], r.attributes["data-account"]): r
        for r in shown.all("tr")
        if "data-account" in r.attributes
    }
    assert {key: row.one("td", data_of="current").figure() for key, row in rows.items()} == {
        (p.tenant_id, p.account_id): p.current for p in gathered.positions
    }
    totals = {
        row.attributes["data-currency"]: row.figure()
        for table in shown.all("table", id="cash")
        for row in table.all("tr")
        if "data-currency" in row.attributes
    }
    assert totals == {amount.currency: amount.total for amount in gathered.cash}
    assert len(shown.one("section", id="waiting").all("li")) == len(gathered.action_items)
