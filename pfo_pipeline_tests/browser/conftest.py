"""One `pfo dev` for the whole folder: it takes half a minute until all automatic runs have ended."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pfo_pipeline_tests.browser.pages import browser, new_page
from pfo_pipeline_tests.browser.serving import Serving


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser() as program:
        yield program


@pytest.fixture(scope="package")
def starting(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The pages are available; the first runs are active."""
    with Serving(tmp_path_factory.mktemp("office")) as serving:
        serving.wait_until_loaded()
        yield serving


@pytest.fixture(scope="package")
def office(starting: Serving) -> Serving:
    """Every tenant was synced once, and balances have followed."""
    starting.wait_until_settled()
    return starting


@pytest.fixture
def page(chromium: Browser, starting: Serving, tmp_path: Path) -> Iterator[Page]:
    opened = new_page(chromium, starting.url)
    yield opened
    opened.context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a failed test's browser content."""
    report = yield
    shown = item.funcargs.get("page")
    folder = item.funcargs.get("tmp_path")
    if report.when == "call" and report.failed and isinstance(shown, Page) and isinstance(folder, Path):
        shown.screenshot(path=folder / "page.png")
        (folder / "page.txt").write_text(f"{shown.url}\n\n{shown.locator('body').inner_text()}", encoding="utf-8")
        report.sections.append(("what the browser showed", f"{folder / 'page.png'}\n{folder / 'page.txt'}"))
    return report
