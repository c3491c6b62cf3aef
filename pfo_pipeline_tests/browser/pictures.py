"""`python -m pfo_pipeline_tests.browser.pictures`: take the documents' pictures again, from the real pages."""

import itertools
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, FloatRect, Page, expect

from pfo_pipeline.report.layout import render
from pfo_pipeline_tests.browser.pages import (
    DOWNSTREAM,
    browser,
    launch,
    metadata,
    new_page,
    open_failed_check,
    open_partition,
)
from pfo_pipeline_tests.browser.serving import PROJECT, Serving
from pfo_pipeline_tests.report.demonstration import demonstration

FOLDER = PROJECT / "docs" / "images"
SHARPNESS = 1.5
"""Pixels of the picture per pixel of the page."""
_MARGIN = 24
_CASH, _PHONE = 1240, 390
"""Widths of the page in its own pixels."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cash_page = Path(folder) / "cash.html"
        cash_page.write_text(render(demonstration(Path(folder)), "en_GB"), encoding="utf-8")
        with browser() as chromium:
            cash_pages(chromium, cash_page)
            dagsters_pages(chromium)


def cash_pages(chromium: Browser, path: Path) -> None:
    """`cash-page.png`: its first balances and changes; `-dark`: balances over time; `-phone`: its beginning."""
    _cash_page(chromium, path, "cash-page", _CASH, "light", until="#changes .bridges")
    _cash_page(chromium, path, "cash-page-dark", _CASH, "dark", since="#history", until="#history .tables")
    _cash_page(chromium, path, "cash-page-phone", _PHONE, "light", until="#now tr[data-currency=EUR]")


def _cash_page(
    chromium: Browser,
    path: Path,
    name: str,
    width: int,
    color_scheme: Literal["light", "dark"],
    *,
    since: str = "body",
    until: str,
) -> None:
    page = chromium.new_page(
        viewport={"width": width, "height": 900}, color_scheme=color_scheme, device_scale_factor=SHARPNESS
    )
    page.goto(path.as_uri())
    expect(page.locator("html[data-plotted]")).to_be_attached()
    begins, ends = page.locator(since).bounding_box(), page.locator(until).first.bounding_box()
    assert begins is not None
    assert ends is not None
    page.set_viewport_size({"width": width, "height": int(ends["y"] + ends["height"] + _MARGIN)})
    _save(page, name, {"x": 0, "y": begins["y"], "width": width, "height": ends["y"] + ends["height"] - begins["y"]})
    page.close()


def dagsters_pages(chromium: Browser) -> None:
    with tempfile.TemporaryDirectory() as folder, Serving(Path(folder)) as serving:
        serving.wait_until_loaded()
        serving.wait_until_settled()
        page = new_page(chromium, serving.url, sharpness=SHARPNESS)
        _make_the_troubled_tenant_the_last(page, serving)
        _hide_navigation(page)
        asset_graph(page)
        materialization(page)
        who_must_act(page)
        page.context.close()


def asset_graph(page: Page) -> None:
    """`asset-graph.png`: all groups, from edge to edge."""
    page.goto(DOWNSTREAM)
    expect(page.locator("foreignObject").get_by_text("100% filled")).to_have_count(5)
    _save(page, "asset-graph", _around(page, "foreignObject"))


def materialization(page: Page) -> None:
    """`materialization.png`: metadata of the tenant with failing banks."""
    page.set_viewport_size({"width": 1200, "height": 1200})
    open_partition(page, "accounts/synced", "moreau")
    last = metadata(page, "contract_drift").bounding_box()
    assert last is not None
    _save(page, "materialization", {"x": 0, "y": 0, "width": 1200, "height": last["y"] + last["height"] + _MARGIN})


def who_must_act(page: Page) -> None:
    """`who-must-act.png`: the tenant's failing connections, with their owners."""
    page.set_viewport_size({"width": 1320, "height": 900})
    open_failed_check(page, "accounts/synced")
    page.get_by_text("[Show Markdown]").click()
    dialog = page.get_by_role("dialog").filter(has_text="what to do")
    expect(dialog).to_be_visible()
    _save(page, "who-must-act", _framed(dialog.bounding_box()))


def _make_the_troubled_tenant_the_last(page: Page, serving: Serving) -> None:
    """An asset shows the check of the tenant that ran last."""
    synced_again = launch(page, "accounts/synced", "moreau")
    expect(page.get_by_text("Process for run exited")).to_be_visible()

    def is_followed() -> bool:
        later = itertools.takewhile(lambda run: run.id != synced_again, serving.runs())
        return "refresh_openbanking_balances" in {run.job for run in later if run.has_ended} and serving.is_quiet()

    serving.wait_until("balances have followed", is_followed)


def _hide_navigation(page: Page) -> None:
    """On all later pages."""
    page.get_by_role("button", name="Hide navigation").click()
    expect(page.get_by_role("button", name="Hide navigation")).to_be_hidden()


def _framed(box: FloatRect | None) -> FloatRect:
    assert box is not None
    return {
        "x": box["x"] - _MARGIN,
        "y": box["y"] - _MARGIN,
        "width": box["width"] + 2 * _MARGIN,
        "height": box["height"] + 2 * _MARGIN,
    }


def _around(page: Page, selector: str) -> FloatRect:
    boxes = [box for place in page.locator(selector).all() if (box := place.bounding_box()) is not None]
    left, top = min(box["x"] for box in boxes) - _MARGIN, min(box["y"] for box in boxes) - _MARGIN
    right = max(box["x"] + box["width"] for box in boxes) + _MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + _MARGIN
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _save(page: Page, name: str, frame: FloatRect) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=FOLDER / f"{name}.png", clip=frame, animations="disabled")


if __name__ == "__main__":
    main()
