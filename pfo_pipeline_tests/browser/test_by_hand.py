"""Runs that a person starts and ends in Dagster's pages, at a bank that the test can change; and the read-only pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pfo_pipeline_tests.browser.pages import choose_in_launchpad, launch, metadata, new_page, open_launchpad, terminate
from pfo_pipeline_tests.browser.serving import Run, Serving, reading
from pfo_pipeline_tests.defs.office import Office, today
from pfo_pipeline_tests.simulated_bank import SimulatedBank

SYNC = "sync_openbanking_accounts"


@dataclass(frozen=True)
class Own:
    """An office of two tenants: smith is healthy, and jones' only member has revoked the token."""

    office: Office
    serving: Serving
    connection: int
    """Connection of smith, synced hours ago."""

    def run(self, run_id: str) -> Run:
        return next(run for run in self.serving.runs() if run.id == run_id)

    def wait_until_ended(self, run_id: str) -> Run:
        self.serving.wait_until("the run has ended", lambda: self.run(run_id).has_ended)
        return self.run(run_id)

    def asked_banks(self) -> list[str]:
        return [call["path"] for call in self.office.calls("smith") if call["method"] == "PUT"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    folder = tmp_path_factory.mktemp("own")
    with SimulatedBank(now=today(), frozen=False) as bank:
        office = Office(bank, folder / "office")
        office.add_tenant("smith", "jane")
        hours_ago = (today() - timedelta(hours=5)).isoformat()
        connection = office.connect("smith", "jane", "1200.50", "3", last_update=hours_ago)
        office.add_tenant("jones", "jim")
        office.set_token("jones", "jim", "revoked")
        with Serving(folder, office.environment()) as serving:
            serving.wait_until_loaded()
            serving.wait_until("the first runs have ended", lambda: len(serving.runs()) >= 3 and serving.is_quiet())
            yield Own(office, serving, connection)


@pytest.fixture
def page(chromium: Browser, own: Own, tmp_path: Path) -> Iterator[Page]:
    opened = new_page(chromium, own.serving.url)
    opened.set_viewport_size({"width": 1600, "height": 4000})  # The list of events draws only visible rows.
    yield opened
    opened.context.close()


def test_a_failing_tenant_shows_powens_code_the_owner_and_the_remedy(page: Page, own: Own) -> None:
    failed = own.serving.first_runs()["jones", SYNC]
    assert failed.status == "FAILURE"

    page.goto(f"/runs/{failed.id}")

    loaded = page.get_by_text("Tenant jones: no user could be read").first
    expect(loaded).to_contain_text("User jim: refused (unauthorized)")
    expect(loaded).to_contain_text("pfo connect --tenant jones --member jim")
    expect(metadata(page, "code").first).to_contain_text("unauthorized")
    expect(metadata(page, "who_acts").first).to_contain_text("operator")


def test_a_value_of_a_wrong_type_is_reported_before_the_start(page: Page, own: Own) -> None:
    before = len(own.serving.runs())
    open_launchpad(page, SYNC, "smith")

    choose_in_launchpad(page, "accounts__synced", "connection_id: 17")

    expect(
        page.get_by_text('Value "17" of type "<class \'int\'>" is not valid for expected type "String"')
    ).to_be_visible()
    assert len(own.serving.runs()) == before


def test_one_bank_is_forced_from_the_launchpad(page: Page, own: Own) -> None:
    own.office.bank.change_domain("smith-sandbox", sync_seconds=1)
    before = own.asked_banks()
    open_launchpad(page, SYNC, "smith")
    choose_in_launchpad(page, "accounts__synced", f'connection_id: "{own.connection}"', "force: true")

    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")

    run = own.wait_until_ended(page.url.rsplit("/", 1)[-1])
    assert run.status == "SUCCESS"
    assert own.asked_banks() == [*before, f"/users/me/connections/{own.connection}"]
    expect(page.get_by_text(f"The bank of connection {own.connection} is asked")).to_be_visible()
    expect(metadata(page, "forced").first).to_contain_text(f"connection {own.connection}: synced")


def test_ending_the_wait_for_a_bank_releases_the_tenant_lock(page: Page, own: Own) -> None:
    # Right after another test's sync, Powens would refuse a forced sync.
    own.office.bank.change_domain("smith-sandbox", sync_seconds=3_600, forced_sync_interval_seconds=0)
    before = own.asked_banks()
    open_launchpad(page, SYNC, "smith")
    choose_in_launchpad(page, "accounts__synced", f'connection_id: "{own.connection}"', "force: true")
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run_id = page.url.rsplit("/", 1)[-1]
    own.serving.wait_until("the bank is asked", lambda: len(own.asked_banks()) > len(before))

    terminate(page)

    assert own.wait_until_ended(run_id).status in ("CANCELED", "FAILURE")
    assert (run_id,) not in own.office.ask("select run_id from loads")
    own.office.bank.change_domain("smith-sandbox", sync_seconds=1)
    assert own.wait_until_ended(launch(page, "accounts/synced", "smith")).status == "SUCCESS"


def test_the_read_only_pages_offer_no_launch(chromium: Browser, own: Own) -> None:
    with reading(own.serving) as url:
        page = new_page(chromium, url)
        page.goto("/assets/accounts/synced")
        expect(page.get_by_text("Latest materialization")).to_be_visible()
        expect(page.get_by_role("button", name="Materialize…")).to_be_disabled()
        page.goto(f"/locations/pfo_pipeline/jobs/{SYNC}/playground")
        expect(page.get_by_role("button", name="Materialize all…")).to_be_disabled()
        expect(page.get_by_role("button", name="Launch Run")).to_have_count(0)
        page.goto("/automation")
        expect(page.get_by_role("link", name="accounts_nightly")).to_be_visible()
        switches = page.get_by_role("checkbox", checked=True)
        for switch in switches.all():
            expect(switch).to_be_disabled()
        page.context.close()
