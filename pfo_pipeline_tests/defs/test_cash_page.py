"""The cash page as an asset: written after each refresh, previewed without names, and no risk for the balances."""

import json
import stat
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from pfo_pipeline_tests.defs.office import (
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    failure,
    metadata,
    run_job,
    sync_and_refresh,
)

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

PAGE = "reports/cash_page"
RATES = "Date,USD,CHF,\n2026-01-02,1.25,0.5,\n"


@pytest.fixture
def smith(office: Office) -> Office:
    """A tenant with a page and two accounts."""
    office.report = {}
    office.add_tenant("smith", "jane", name="The Smiths")
    office.connect("smith", "jane", "1234567.89", "0.11")
    return office


def page_of(office: Office, tenant: str = "smith") -> Path:
    return office.data_dir / "reports" / f"{tenant}.html"


def was_made(run: dg.ExecuteInProcessResult) -> bool:
    return bool(run.asset_materializations_for_node(PAGE.replace("/", "__")))


def test_each_refresh_writes_the_tenants_page_and_shows_it_without_names(
    smith: Office, instance: dg.DagsterInstance
) -> None:
    runs = sync_and_refresh(smith, instance, "smith")

    assert [run.success for run in runs] == [True, True]
    shown = metadata(runs[1], PAGE)
    assert shown["page"] == str(page_of(smith))
    assert "| EUR | 2 | 1234568 |" in shown["preview"]
    assert (shown["accounts"], shown["stale"], shown["waiting_for_a_person"]) == (2, 0, 0)
    html = page_of(smith).read_text(encoding="utf-8")
    assert "The Smiths" in html
    assert runs[1].run_id in html
    names = [name for (name,) in smith.ask("select display_name from accounts_latest")]
    assert names
    assert all(name in html for name in names)
    assert not any(name in json.dumps(shown, default=str) for name in names)


def test_the_page_is_replaced_atomically_and_as_readable_as_the_ledger(
    smith: Office, instance: dg.DagsterInstance
) -> None:
    sync_and_refresh(smith, instance, "smith")
    with page_of(smith).open("rb") as read_meanwhile:
        first = page_of(smith).read_bytes()
        run_job(smith, instance, "smith", BALANCES_JOB)
        assert read_meanwhile.read() == first

    assert page_of(smith).read_bytes() != first  # The footer names the newest run.
    assert stat.S_IMODE(page_of(smith).stat().st_mode) == stat.S_IMODE(smith.files.published.stat().st_mode)
    assert [path.name for path in page_of(smith).parent.iterdir()] == ["smith.html"]


def test_a_tenants_page_shows_no_other_tenant(smith: Office, instance: dg.DagsterInstance) -> None:
    smith.add_tenant("jones", "jo", name="The Joneses")
    smith.connect("jones", "jo", "77777.77")
    for tenant in ("smith", "jones"):
        sync_and_refresh(smith, instance, tenant)

    ours, theirs = (page_of(smith, tenant).read_text(encoding="utf-8") for tenant in ("smith", "jones"))
    account_ids = dict(smith.ask("select any_value(tenant_id), account_id from accounts_latest group by account_id"))
    assert "The Joneses" in theirs
    assert "The Joneses" not in ours
    assert account_ids["jones"] not in ours


@pytest.mark.parametrize("was_there", [False, True])
def test_a_switched_off_page_is_neither_written_nor_left(
    smith: Office, instance: dg.DagsterInstance, was_there: bool
) -> None:
    if was_there:
        sync_and_refresh(smith, instance, "smith")
    assert page_of(smith).exists() == was_there
    smith.report = {"after_refresh": False}
    smith.write()

    runs = sync_and_refresh(smith, instance, "smith")

    assert [run.success for run in runs] == [True, True]
    assert not was_made(runs[1])
    assert not page_of(smith).exists()


def test_a_mistake_in_the_rates_only_loses_the_conversion(smith: Office, instance: dg.DagsterInstance) -> None:
    smith.report = {"reference_currency": "CHF", "rates": "rates.csv"}
    smith.write()
    rates = smith.folder / "rates.csv"
    rates.write_text("Date,CHF\n2026-01-02,half\n", encoding="utf-8")
    wrong = sync_and_refresh(smith, instance, "smith")[1]

    (check,) = [c for c in wrong.get_asset_check_evaluations() if c.check_name == "rates_can_be_used"]
    assert wrong.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "rates.csv" in (check.description or "")
    assert page_of(smith).exists()

    rates.write_text(RATES, encoding="utf-8")
    right = run_job(smith, instance, "smith", BALANCES_JOB)

    (check,) = [c for c in right.get_asset_check_evaluations() if c.check_name == "rates_can_be_used"]
    assert check.passed


def test_an_unwritable_page_fails_by_name_and_the_balances_are_published(
    smith: Office, instance: dg.DagsterInstance
) -> None:
    (smith.data_dir / "reports").write_text("in the way", encoding="utf-8")

    runs = sync_and_refresh(smith, instance, "smith")

    assert [run.success for run in runs] == [True, False]
    description, output = failure(runs[1])
    assert "reports/smith.html cannot be written" in description
    assert (output["code"], output["who_acts"]) == ("PageNotWritten", "operator")
    assert smith.ask("select count(*) from positions where as_of is not null") == [(2,)]


def test_the_page_alone_can_be_written_again(smith: Office, instance: dg.DagsterInstance) -> None:
    sync_and_refresh(smith, instance, "smith")
    page_of(smith).unlink()

    again = run_job(smith, instance, "smith", BALANCES_JOB, assets=[PAGE])

    assert again.success
    assert page_of(smith).exists()


def test_no_page_follows_a_broken_rule(smith: Office, instance: dg.DagsterInstance) -> None:
    sync_and_refresh(smith, instance, "smith")
    before = page_of(smith).read_bytes()
    with duckdb.connect(str(smith.files.primary)) as con:
        con.execute("use ledger")
        con.execute("insert into balances_current select * replace ('acc_lost' as account_id) from balances_current")

    held = run_job(smith, instance, "smith", BALANCES_JOB)

    assert not held.success
    assert not was_made(held)
    assert page_of(smith).read_bytes() == before
