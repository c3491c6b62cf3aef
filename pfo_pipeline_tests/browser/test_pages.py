"""The operator's view in Dagster's pages, and automatic runs."""

import json
import re
from itertools import pairwise
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Page, expect

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline_tests.browser.pages import (
    DOWNSTREAM,
    launch,
    metadata,
    open_failed_check,
    open_partition,
    open_run,
)
from pfo_pipeline_tests.browser.serving import ASSETS, TENANTS, Run, Serving

STEPS = [step for workflow in WORKFLOWS for step in workflow.steps]
SCHEDULES_AND_SENSORS = (
    "accounts_nightly",
    "balances_by_day",
    "tenants",
    "after_sync",
    "webhooks",
    "alerts",
)
PAGE = "reports/cash_page"
SYNC, REFRESH = "sync_openbanking_accounts", "refresh_openbanking_balances"

# All at one time, because the drawing still moves while it is fitted into the page.
_DRAWING = """() => {
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.right, e.textContent] };
  const nodes = [...document.querySelectorAll('foreignObject')].map(box);
  const edges = [...document.querySelectorAll('path[marker-end]')].map(box);
  return { nodes: nodes.filter((n) => n[2]).sort((a, b) => a[0] - b[0]), edges: edges.sort((a, b) => a[0] - b[0]) };
}"""


def test_all_schedules_and_sensors_are_running(page: Page) -> None:
    page.goto("/automation")
    for name in SCHEDULES_AND_SENSORS:
        expect(page.get_by_role("link", name=name)).to_be_visible()
    # The switches; the page's other boxes select rows, and none is selected.
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(len(SCHEDULES_AND_SENSORS))
    expect(page.locator("a[href*='/schedules/'], a[href*='/sensors/']")).to_have_count(len(SCHEDULES_AND_SENSORS))


def test_the_lineage_page_shows_accounts_balances_and_reports_as_groups(page: Page) -> None:
    page.goto("/")
    page.locator("a[href='/asset-groups']").click()  # Until the font is loaded, its name includes the icon's.
    groups = page.locator("foreignObject")
    expect(groups.get_by_text("accounts", exact=True)).to_be_visible()
    expect(groups.get_by_text("balances", exact=True)).to_be_visible()
    expect(groups.get_by_text("reports", exact=True)).to_be_visible()
    expect(page.locator("path[marker-end]")).to_have_count(2)


def test_the_graph_shows_the_assets_in_order(page: Page) -> None:
    page.goto(DOWNSTREAM)
    expect(page.locator("path[marker-end]")).to_have_count(4)
    expect(page.locator("foreignObject").get_by_text("Latest event")).to_have_count(5)

    drawing: dict[str, Any] = page.evaluate(_DRAWING)

    assets = [node for node in drawing["nodes"] if "Latest event" in node[2]]
    groups = {node[2]: node for node in drawing["nodes"] if "Latest event" not in node[2]}
    names = [asset[2].partition("Latest event")[0] for asset in assets]
    assert names == ["synced", "fetched", "refreshed", "fetched", "cash_page"]
    for asset, key in zip(assets, (*ASSETS, PAGE), strict=True):
        group = groups[key.partition("/")[0]]
        assert group[0] < asset[0] < asset[1] < group[1], key
    for edge, (before, after) in zip(drawing["edges"], pairwise(assets), strict=True):
        assert before[0] < edge[0] < after[0], "an edge begins at the asset before"
        assert before[1] < edge[1] < after[1], "an edge ends at the asset after"


@pytest.mark.parametrize(("asset", "step"), list(zip(ASSETS, STEPS, strict=True)), ids=ASSETS)
def test_an_assets_page_shows_its_contracts_texts(page: Page, asset: str, step: Step) -> None:
    operation = step.operation
    page.goto(f"/assets/{asset}")
    for words in (step.description, operation.description, operation.goal, operation.context):
        expect(page.get_by_text(words).first).to_be_visible()
    expect(page.get_by_text(f"Contract: {operation.key} {operation.version}")).to_be_visible()
    expect(page.get_by_role("link", name=asset.partition("/")[0], exact=True).last).to_be_visible()
    for owner in operation.owners:
        expect(page.get_by_text(owner.removeprefix("@"), exact=True)).to_be_visible()
    expect(page.get_by_text("DuckDB", exact=True)).to_be_visible()
    asks_powens = operation.kind == "command"
    kinds_and_tags = page.get_by_text("powens", exact=True)
    expect(kinds_and_tags).to_have_count(2 if asks_powens else 1)


def test_an_operator_syncs_one_tenant_by_hand(page: Page, office: Serving) -> None:
    [(accounts,)] = _in_the_ledger(office, "select count(*) from accounts_latest where tenant_id = 'martin'")
    assert accounts > 0

    run_id = launch(page, "accounts/synced", "martin")
    expect(page.get_by_text("Process for run exited")).to_be_visible()
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()

    open_partition(page, "accounts/synced", "martin")
    expect(page.get_by_role("link", name=run_id[:8])).to_be_visible()
    expect(metadata(page, "dagster/table_name")).to_contain_text("ledger.accounts")
    expect(metadata(page, "synced").get_by_role("cell").nth(1)).to_have_text(str(accounts))
    expect(metadata(page, "failed").get_by_role("cell").nth(1)).to_have_text("0")
    expect(metadata(page, "load_id").get_by_role("cell").nth(1)).to_have_text(re.compile(r"^\d+$"))


def test_a_failure_at_a_bank_is_shown_with_its_owner(page: Page, office: Serving) -> None:
    """A failing tenant is shown even if another tenant ran last."""
    open_failed_check(page, "accounts/synced")
    page.get_by_text("[Show Markdown]").click()

    for bank, state, who, remedy in (
        ("Crédit des Deux Rives", "wrongpass", "member", "enters the new credentials"),
        ("Banque Exemple", "SCARequired", "member", "confirms access at the bank"),
        ("Larchwood Trust", "regulatoryHold", "operator", "look at it in the Powens console"),
    ):
        row = page.get_by_role("row").filter(has_text=state)
        for words in (bank, who, remedy):
            expect(row).to_contain_text(words)
    # That bank is unavailable, and nobody has to act.
    expect(page.get_by_role("row").filter(has_text="websiteUnavailable")).to_have_count(0)


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_runs_of_a_tenant_show_no_personal_data(page: Page, office: Serving, tenant: str) -> None:
    personal = _in_the_ledger(
        office, "select iban, number from accounts_latest where tenant_id = $1 and iban is not null", tenant
    )
    kept_secret = {value for row in personal for value in row if value}
    assert len(kept_secret) >= 2, "nothing personal to look for"
    secret_files = list(office.temporary.rglob(f"{tenant}.*"))
    assert secret_files
    kept_secret |= {path.read_text().strip() for path in secret_files}
    page.set_viewport_size({"width": 1600, "height": 8000})  # The list of events draws only visible rows.
    first = office.first_runs()
    text = ""
    for job, materialized in ((SYNC, 2), (REFRESH, 3)):
        open_run(page, first[tenant, job].id)
        expect(page.get_by_text("ASSET_MATERIALIZATION")).to_have_count(materialized)
        text += page.locator("body").inner_text().replace(" ", "")

    assert not [secret for secret in kept_secret if secret in text]
    assert not [secret for secret in kept_secret if secret in office.log], "on the terminal"


def test_balances_follow_accounts_automatically_for_every_tenant(page: Page, office: Serving) -> None:
    page.goto("/assets/balances/refreshed?view=partitions")
    expect(page.get_by_text(f"Materialized ({len(TENANTS)})")).to_be_visible()
    expect(page.get_by_text("Missing (0)")).to_be_visible()
    first = office.first_runs()
    for tenant in TENANTS:
        assert first[tenant, SYNC].tags["dagster/sensor_name"] == "tenants"
        assert first[tenant, REFRESH].tags["dagster/sensor_name"] == "after_sync"


def test_the_cash_page_is_previewed_with_its_path(page: Page, office: Serving) -> None:
    [(currency, cash, in_all)] = _in_the_ledger(
        office, "select currency, cash, current_balance from totals where tenant_id = 'martin'"
    )

    page.goto(f"/assets/{PAGE}?view=partitions&partition=martin")

    expect(metadata(page, "page")).to_contain_text("reports/martin.html")
    row = rf"{currency}\s*9\s*{re.escape(plain(cash))}\s*{re.escape(plain(in_all))}"
    expect(metadata(page, "preview")).to_contain_text(re.compile(row))


def test_the_published_ledger_is_readable_during_runs(office: Serving) -> None:
    rows = _in_the_ledger(office, "select tenant_id, count(*) from positions group by tenant_id")
    assert {tenant for tenant, count in rows if count} == set(TENANTS)
    with pytest.raises(duckdb.Error), duckdb.connect(office.ledger, read_only=True) as con:
        con.execute("delete from ledger.accounts")


def _in_the_ledger(office: Serving, query: str, *values: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(office.ledger, read_only=True) as con:
        con.execute("use ledger.ledger")
        return con.execute(query, values or None).fetchall()


def test_a_backfill_is_one_run_for_each_chosen_tenant(page: Page, office: Serving) -> None:
    """Dagster's daemon starts the runs from its queue."""
    backfill = launch(page, "accounts/synced", *TENANTS)

    def runs() -> list[Run]:
        return [run for run in office.runs() if run.tags.get("dagster/backfill") == backfill]

    office.wait_until("a run of each has ended", lambda: len(runs()) >= len(TENANTS) and office.is_quiet())
    assert sorted((run.tenant, run.status) for run in runs()) == [(tenant, "SUCCESS") for tenant in sorted(TENANTS)]
    expect(page.get_by_text("100% completed")).to_be_visible()


_BACKFILL = """mutation { launchPartitionBackfill(backfillParams: {
  partitionNames: %s, assetSelection: [{ path: ["accounts", "synced"] }]
}) { __typename ... on PartitionKeysNotFoundError { message } } }"""


def test_a_backfill_with_an_unknown_tenant_starts_nothing(office: Serving) -> None:
    before = len(office.runs())

    refused = office.ask(_BACKFILL % json.dumps([TENANTS[0], "stranger"]))["launchPartitionBackfill"]

    assert "`['stranger']` could not be found" in refused["message"]
    assert len(office.runs()) == before
