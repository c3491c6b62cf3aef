"""The cash page as a file in a browser: light and dark, on a phone, on paper, without scripts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pfo_pipeline.report.layout import render
from pfo_pipeline.report.model import CashPage
from pfo_pipeline.report.wording import Wording
from pfo_pipeline_tests.browser.pages import PATIENCE_MS
from pfo_pipeline_tests.report import ledgers, samples
from pfo_pipeline_tests.report.test_page import HOSTILE

Open = Callable[..., Page]
_LEAST_CONTRAST = 4.5
"""WCAG 2.2 AA, 1.4.3."""


@pytest.fixture(scope="module")
def family() -> CashPage:
    return samples.family()


@pytest.fixture(scope="module")
def file(family: CashPage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(family, tmp_path_factory.mktemp("family"))


def written(cash_page: CashPage, folder: Path, locale: str = "en_GB") -> Path:
    path = folder / "cash.html"
    path.write_text(render(cash_page, locale), encoding="utf-8")
    return path


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Open a file; at the end, check that only that file was loaded and no script failed."""
    contexts, loaded, complaints = [], [], []

    def open_(path: Path, *, width: int = 1280, color_scheme: Any = "light", scripts: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=color_scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("request", lambda request: loaded.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        if scripts and page.locator("figure").count():
            expect(page.locator("html[data-plotted]")).to_be_attached()
        assert loaded == [path.as_uri()]
        loaded.clear()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert loaded == []
    assert complaints == []


def figures(rows: Locator) -> list[tuple[str, str]]:
    """Each row's exact value and its visible text, in order."""
    return [
        (data.get_attribute("value") or "", data.text_content() or "")
        for row in rows.all()
        for data in row.locator("data").all()
    ]


def days(page: Page, table: str) -> dict[str, str]:
    """The visible text of each day, oldest first."""
    listed: list[list[str]] = page.locator(f"#{table} tbody tr").evaluate_all(
        "rows => rows.map((row) => [row.cells[0].textContent, row.cells[1].textContent])"
    )
    return dict(reversed(listed))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_visible_amounts_equal_the_data_exactly(opened: Open, file: Path, family: CashPage, scripts: bool) -> None:
    page = opened(file, scripts=scripts)
    for p in family.positions:
        shown = figures(page.locator(f"tr[data-account='{p.account_id}'] td[data-of=current]"))
        assert [Decimal(value) for value, _ in shown] == ([] if p.current is None else [p.current])
        for _, text in shown:
            assert Decimal(text.replace(",", "").replace("−", "-")) == p.current
    for history, table in zip(
        (family.reference_history, *family.history), page.locator("table.days").all(), strict=True
    ):
        assert history is not None
        values = table.locator("tbody tr").evaluate_all(
            "rows => rows.map((row) => row.querySelector('data')?.value ?? null)"
        )
        first = next(index for index, total in enumerate(history.totals) if total is not None)
        shown_totals = [None if value is None else Decimal(value) for value in reversed(values)]
        assert shown_totals == list(history.totals[first:])


def test_the_browser_shows_the_ledgers_content(opened: Open, tmp_path: Path) -> None:
    loaded = ledgers.loaded(tmp_path, ledgers.awkward)
    page = opened(written(loaded.page(), tmp_path))
    with duckdb.connect(loaded.ledger.files.published, read_only=True) as con:
        con.execute("use ledger.ledger")
        held = dict(con.execute("select account_id, current_balance from positions").fetchall())
    assert len(held) == 11
    for account_id, balance in held.items():
        words = page.locator(f"tr[data-account='{account_id}'] td[data-of=current]").inner_text().split()[0]
        assert (None if words == "—" else Decimal(words.replace(",", "").replace("−", "-"))) == balance


def test_without_scripts_each_currency_has_a_picture_and_no_dead_switch(opened: Open, file: Path) -> None:
    page = opened(file, scripts=False)
    expect(page.locator("figure svg")).to_have_count(6)
    for line in page.locator("figure svg .mark-line path").all():
        box = line.bounding_box()
        assert box is not None
        assert box["width"] > 200
    expect(page.locator("#period")).to_be_hidden()
    page.locator("summary").first.click()
    expect(page.locator("table.days").first).to_be_visible()


def test_the_pointer_shows_the_exact_balance_of_its_day(opened: Open, file: Path) -> None:
    page = opened(file)
    page.get_by_role("radio", name="365 days").check(force=True)
    for number, figure in enumerate(page.locator("figure").all()):
        figure.scroll_into_view_if_needed()
        table = figure.get_attribute("data-table")
        assert table is not None
        known = list(days(page, table).items())
        box = figure.locator(".plot").bounding_box()
        assert box is not None
        for index in (20, 111 + number, len(known) - 2):
            part = index / (len(known) - 1)
            page.mouse.move(box["x"] + 4 + part * (box["width"] - 8), box["y"] + 60)
            day, amount = known[index]
            expect(figure.locator(".reading")).to_have_text(f"{day} {amount}")
            expect(figure.locator(".mark-rule.layer_6_marks line")).to_have_count(1)
        page.mouse.move(1, 1)
        expect(figure.locator(".reading")).to_have_text(" ".join(known[-1]))


@pytest.mark.parametrize("count", [30, 90, 365])
def test_a_period_shows_as_many_days_with_their_highest_and_lowest(
    opened: Open, file: Path, family: CashPage, count: int
) -> None:
    page = opened(file)
    page.get_by_role("radio", name=f"{count} days").check(force=True)
    assert family.reference_history is not None
    shown = [total for total in family.reference_history.totals[-count:] if total is not None]
    words, chart = Wording.of("en_GB", "UTC"), page.locator("figure").first
    expect(chart.locator(".mark-text.layer_2_marks")).to_have_text(f"highest {words.amount(max(shown), 'EUR')}")
    expect(chart.locator(".mark-text.layer_3_marks")).to_have_text(f"lowest {words.amount(min(shown), 'EUR')}")


def test_everything_can_be_done_by_keyboard(opened: Open, file: Path) -> None:
    page = opened(file)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="90 days").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="365 days")).to_be_checked()
    page.keyboard.press("Tab")
    slider = page.get_by_role("slider", name="Total in EUR")
    expect(slider).to_be_focused()
    page.keyboard.press("ArrowLeft")
    day, amount = list(days(page, "days-all").items())[-2]
    expect(page.locator("figure").first.locator(".reading")).to_have_text(f"{day} {amount}")
    expect(slider).to_have_attribute("aria-valuetext", f"{day}: {amount}")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("table.days").first).to_be_visible()


_SEEN = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color !== 'rgba(0, 0, 0, 0)') return color;
    }
  };
  const ratio = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll('body *')]
    .filter((e) => own(e) && !e.closest('script, style, noscript') && e.getClientRects().length)
    .map((e) => [e.textContent.trim().slice(0, 40),
      ratio(e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color, behind(e))]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(opened: Open, file: Path, scheme: str) -> None:
    page = opened(file, color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, re.findall(r"\d+", paper))) > 200) == (scheme == "light")
    seen: list[tuple[str, float]] = page.evaluate(_SEEN)
    assert len(seen) > 300
    assert [what for what in seen if what[1] < _LEAST_CONTRAST] == []


def test_lines_are_light_in_dark_mode(opened: Open, file: Path) -> None:
    page = opened(file, color_scheme="dark")
    line = page.locator("figure .mark-line path").first
    assert line.evaluate("line => getComputedStyle(line).stroke") == "rgb(235, 231, 222)"


def hostile() -> CashPage:
    amounts = ("-99999999999999999999999999999999999999.5", "0", "12.50186905", None)
    positions = [
        samples.position(str(n), amounts[n % 4], name=name, institution=name, currency=("EUR", "BTC", name[:60])[n % 3])
        for n, name in enumerate(HOSTILE.values())
    ]
    return replace(samples.page(*positions, days=40), title=HOSTILE["long"], action_items=samples.family().action_items)


@pytest.mark.parametrize("content", [samples.family, hostile, samples.page], ids=["family", "hostile", "empty"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_window(
    opened: Open, tmp_path: Path, content: Callable[[], CashPage], width: int
) -> None:
    page = opened(written(content(), tmp_path), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    over = page.evaluate(
        "width => [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, svg, .skip')"
        " && e.getBoundingClientRect().right > width + 1).map((e) => e.outerHTML.slice(0, 120))",
        width,
    )
    assert over == []


def test_a_phone_shows_an_account_with_its_balance_and_age(opened: Open, file: Path) -> None:
    page = opened(file, width=360)
    row = page.locator("tr[data-account='3']")
    for words in ("Current account", "−1,250.40", "▲ stale"):
        box = row.get_by_text(words).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize(("locale", "is_from_the_left"), [("en_GB", True), ("he_IL", False)])
def test_a_date_has_the_direction_of_its_words(
    opened: Open, family: CashPage, locale: str, is_from_the_left: bool, tmp_path: Path
) -> None:
    page = opened(written(family, tmp_path, locale))

    day, minute = page.locator("#cash time").first.evaluate(
        """time => [0, time.firstChild.length - 1].map(place => {
            const range = document.createRange();
            range.setStart(time.firstChild, place);
            range.setEnd(time.firstChild, place + 1);
            return range.getBoundingClientRect().left;
        })"""
    )

    assert (day < minute) is is_from_the_left


def test_a_plot_follows_the_width_of_its_window(opened: Open, file: Path) -> None:
    page = opened(file)
    page.set_viewport_size({"width": 500, "height": 900})
    plot = page.locator(".plot").first
    width = plot.evaluate("plot => plot.clientWidth")
    expect(plot.locator("svg")).to_have_attribute("width", str(width))


def test_the_print_has_few_pages_and_nothing_folded(opened: Open, tmp_path: Path) -> None:
    change = samples.family().changes.changes[0]  # type: ignore[union-attr]
    many = tuple(replace(change, display_name=f"Changed {n}") for n in range(40))
    content = samples.family()
    assert content.changes is not None
    page = opened(
        written(replace(content, changes=replace(content.changes, changes=many)), tmp_path), color_scheme="dark"
    )
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 6
    page.emulate_media(media="print")
    expect(page.get_by_text("Changed 39")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator("table.days").first).to_be_hidden()


_INTRUDE = """() => {
  for (const [tag, set] of [['script', { text: 'window.intruder = 1' }], ['img', { src: 'https://a.example/x' }]])
    document.body.append(Object.assign(document.createElement(tag), set));
}"""


def test_foreign_content_is_neither_run_nor_loaded(chromium: Browser, file: Path) -> None:
    page = chromium.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(file.as_uri())
    with page.expect_console_message(lambda message: "image" in message.text):
        page.evaluate(_INTRUDE)
    assert page.evaluate("window.intruder") is None
    assert len([line for line in refused if "Content Security Policy" in line]) == 2
    page.close()
