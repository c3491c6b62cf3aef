"""An operator's actions in Dagster's pages, by the visible words."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from pfo_pipeline_tests.browser.program import REMEDY, find_browser

PATIENCE_MS = 60_000
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Mark Dagster's dialog that asks for an e-mail address as answered.
_NO_GREETING = "localStorage.setItem('communityNux', '1')"

DOWNSTREAM = "/assets/accounts/synced?view=lineage&lineageScope=downstream&lineageDepth=4"


@contextmanager
def browser() -> Iterator[Browser]:
    program = find_browser()
    assert program is not None, f"The browser tests need Chromium, and it is not installed. {REMEDY}"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        try:
            yield chromium
        finally:
            chromium.close()


def new_page(chromium: Browser, url: str, *, sharpness: float = 1) -> Page:
    context = chromium.new_context(
        base_url=url,
        viewport={"width": 1600, "height": 900},
        color_scheme="light",
        device_scale_factor=sharpness,
        timezone_id="UTC",
    )
    context.add_init_script(_NO_GREETING)
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def metadata(page: Page, name: str) -> Locator:
    """The metadata row with this name, of a materialization, check or failure."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))


def open_partition(page: Page, asset: str, tenant: str) -> None:
    page.goto(f"/assets/{asset}?view=partitions&partition={tenant}")
    expect(metadata(page, "dagster/table_name")).to_be_visible()


def open_failed_check(page: Page, asset: str, check: str = "nobody_has_to_act") -> None:
    """Open the newest failed evaluation in the history of a check."""
    page.goto(f"/assets/{asset}?view=checks&checkDetail={check}")
    page.get_by_text("Execution history").click()
    page.get_by_role("row").filter(has_text="Failed").first.get_by_role("button").last.click()


def launch(page: Page, asset: str, *tenants: str) -> str:
    """Materialize an asset for tenants by hand.

    Returns: the id of the run, or, for several tenants, of the backfill; its page is then open.
    """
    page.goto(f"/assets/{asset}")
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
    dialog.get_by_text("Select a partition or create one").click()
    for tenant in tenants:
        page.get_by_role("menuitem", name=tenant).click()
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Launch backfill" if len(tenants) > 1 else "Launch 1 run").click()
    page.get_by_role("region", name="Notifications").get_by_role("link", name="View").click()
    page.wait_for_url("**/runs/*" if len(tenants) == 1 else "**/runs/b/*")
    return page.url.rsplit("/", 1)[-1]


def open_run(page: Page, run_id: str) -> None:
    page.goto(f"/runs/{run_id}")
    expect(page.get_by_text("Process for run exited")).to_be_visible()


def open_launchpad(page: Page, job: str, tenant: str) -> None:
    page.goto(f"/locations/pfo_pipeline/jobs/{job}/playground")
    page.get_by_placeholder("Partition").click()
    page.keyboard.type(tenant)
    page.keyboard.press("Enter")


def choose_in_launchpad(page: Page, step: str, *fields: str) -> None:
    """Replace the editor's content with the step's fields, such as `force: true`."""
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(
        "\n".join(["ops:", f"  {step}:", "    config:", *(f"      {field}" for field in fields), ""])
    )


def terminate(page: Page) -> None:
    """Terminate the run of the open page."""
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
