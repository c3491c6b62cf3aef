"""The built site: complete, connected by links, readable in a browser without a network."""

import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from pfo_pipeline_tests.docs.pages import DOCS

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 800}
_LOADING = {"src", "srcset", "data", "poster", "action"}


class Reader(HTMLParser):
    """One page: its ids, its links, and the files that it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "link":
            self.loads.append(given.get("href", ""))
        self.loads += [value for name, value in given.items() if name in _LOADING]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Reader]:
    return {page: Reader(page) for page in sorted(site.rglob("*.html"))}


def test_every_page_is_in_the_site(pages: dict[Path, Reader], site: Path) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in pages if page.parent == site}


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Reader], site: Path) -> None:
    for page, read in pages.items():
        for loaded in read.loads:
            parts = urlsplit(loaded)
            assert parts.scheme in ("", "data"), (page.name, loaded)
            assert not parts.netloc, (page.name, loaded)
            assert parts.scheme or not parts.path or (page.parent / unquote(parts.path)).exists(), (page.name, loaded)
    for style in site.rglob("*.css"):
        loaded_by_style = re.findall(r"(?:@import\s+|url\()[\"']?([^\"')\s;]+)", style.read_text(encoding="utf-8"))
        assert [url for url in loaded_by_style if url.startswith(("http", "//"))] == [], style.name


def test_every_link_in_the_site_leads_to_a_page_and_an_anchor(pages: dict[Path, Reader]) -> None:
    lost = defaultdict(list)
    for page, read in pages.items():
        for link in read.links:
            parts = urlsplit(link)
            led = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if parts.scheme or parts.netloc:
                continue
            known = pages[led].ids if led in pages else set()
            if not led.exists() or (led in pages and parts.fragment and unquote(parts.fragment) not in known):
                lost[page.name].append(link)
    assert lost == {}


def test_the_reference_of_the_command_line_has_every_command(pages: dict[Path, Reader], site: Path) -> None:
    text = (site / "command-line.html").read_text(encoding="utf-8")
    for heading in ("pfo run", "connections enable", "webhooks register", "identity split", "export"):
        assert heading in re.sub(r"<[^>]+>", "", text), heading
    # Examples are blocks to copy, with quotes that a shell accepts.
    assert "<pre><span></span>pfo run\npfo status\npfo sql 'from totals'\n" in text


class Visit:
    """A page in a browser without network access, and the errors that occurred."""

    def __init__(self, chromium: Browser, site: Path, size: dict[str, int], scheme: str = "light") -> None:
        self.context = chromium.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if scheme == "dark" else "light",
            offline=True,
        )
        self.page: Page = self.context.new_page()
        self.site = site
        self.troubles: list[str] = []
        self.page.on("console", lambda m: self.troubles.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else self.troubles.append(r.url))

    def open(self, name: str) -> Page:
        self.page.goto(f"{self.site.as_uri()}/{name}")
        return self.page


@pytest.fixture
def visit(chromium: Browser, site: Path, request: pytest.FixtureRequest) -> Visit:
    opened = Visit(chromium, site, getattr(request, "param", DESKTOP))
    request.addfinalizer(opened.context.close)  # noqa: PT021  # The class has no other use of a with block.
    return opened


@pytest.mark.parametrize("name", ["index.html", "ledger.html", "command-line.html"])
@pytest.mark.parametrize("visit", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
def test_a_page_opens_from_disk_without_errors_and_fits_the_screen(visit: Visit, name: str) -> None:
    page = visit.open(name)

    expect(page.locator("h1").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visit.troubles == []


@pytest.mark.parametrize("visit", [PHONE], ids=["phone"], indirect=True)
@pytest.mark.parametrize("name", ["failures.html", "configuration.html", "troubleshooting.html"])
def test_a_narrow_table_is_one_block_per_row_on_a_phone(visit: Visit, name: str) -> None:
    page = visit.open(name)
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table.in-blocks td p')].map((p) => p.getBoundingClientRect().right))"
    )

    assert 100 < widest <= PHONE["width"]


def test_the_search_works_without_a_network(visit: Visit) -> None:
    page = visit.open("search.html?q=reconnect")

    expect(page.get_by_role("link", name="Connect a bank, renew a consent").first).to_be_visible()
    assert visit.troubles == []


def test_pictures_are_shown(visit: Visit) -> None:
    page = visit.open("relations.html")

    assert page.evaluate("[...document.images].length") >= 1
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_dark_mode_is_dark(chromium: Browser, site: Path) -> None:
    dark = Visit(chromium, site, DESKTOP, "dark")
    page = dark.open("index.html")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark.context.close()

    red, green, blue = map(int, re.findall(r"\d+", background)[:3])
    assert max(red, green, blue) < 60
