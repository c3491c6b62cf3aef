"""A date on the command line, in the page, in an export and in Python is the end of that day where the tenant is."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.contracts.tables import TenantRow
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.read import Published
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch, connection, user
from pfo_pipeline_tests.report.reading import read

ZONES = {"smith": "America/New_York", "sato": "Asia/Tokyo"}
DAY = date(2026, 6, 30)
ENDS = {"smith": datetime(2026, 7, 1, 4, tzinfo=UTC), "sato": datetime(2026, 6, 30, 15, tzinfo=UTC)}
TICK = timedelta(microseconds=1)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Two tenants, with 2 at the end of the day and 3 just after it."""
    tenants = [
        f'[tenants.{name}]\ndomain = "{name}-sandbox"\nclient_id = "1"\ntimezone = "{zone}"\n'
        f'[[tenants.{name}.users]]\nid = "jane"\ntoken = "env:UNUSED_{name.upper()}"\n'
        for name, zone in ZONES.items()
    ]
    (tmp_path / "pfo.toml").write_text('office = "willow"\n' + "".join(tenants))
    for name, value in {"PFO_DATA_DIR": tmp_path, "PFO_CONFIG": tmp_path / "pfo.toml", "COLUMNS": 250}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("PFO_ROLE", raising=False)
    made = a_ledger(tmp_path, clock=SetClock(datetime(2026, 7, 10, tzinfo=UTC)))
    for name, zone in ZONES.items():
        own = {"tenant_id": name}
        figures = [balance(amount, as_of, **own) for amount, as_of in (("2", ENDS[name] - TICK), ("3", ENDS[name]))]
        made.merge(
            batch(TenantRow(name, zone), user(**own), connection(**own), account(**own), *figures, tenant_id=name)
        )
    made.publish()
    return made


def run(*words: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result.output if exit_code else result.stdout


def test_balances_of_a_day_are_those_at_its_end_for_each_tenant(ledger: Ledger) -> None:
    rows = json.loads(run("balances", "--as-of", f"{DAY}", "--json"))

    assert {row["tenantId"]: Decimal(row["currentBalance"]) for row in rows} == {"smith": 2, "sato": 2}


def test_accounts_of_a_day_have_the_balance_at_its_end(ledger: Ledger) -> None:
    rows = json.loads(run("accounts", "--as-of", f"{DAY}", "--json"))

    assert {Decimal(row["balance"]) for row in rows} == {2}


@pytest.mark.parametrize("tenant", ZONES)
def test_an_export_of_a_day_ends_with_it(ledger: Ledger, tmp_path: Path, tenant: str) -> None:
    run("export", "--tenant", tenant, "--to", str(tmp_path / "out"), "--as-of", f"{DAY}", "--format", "csv")

    [total] = csv.DictReader((tmp_path / "out" / "totals.csv").read_text(encoding="utf-8").splitlines())
    assert Decimal(total["current_balance"]) == 2


@pytest.mark.parametrize("tenant", ZONES)
def test_a_page_of_a_day_is_of_its_end(ledger: Ledger, tmp_path: Path, tenant: str) -> None:
    run("report", "--tenant", tenant, "--as-of", f"{DAY}", "--to", str(tmp_path / "page.html"))

    assert read((tmp_path / "page.html").read_text(encoding="utf-8")).one("p", id="total").figure() == 2


def test_a_page_over_several_time_zones_takes_no_date(ledger: Ledger, tmp_path: Path) -> None:
    printed = run("report", "--as-of", f"{DAY}", "--to", str(tmp_path / "page.html"), exit_code=1)

    assert "2026-06-30 ends at 2 moments: these tenants are in several time zones" in printed
    assert not (tmp_path / "page.html").exists()


def test_python_asks_for_the_same_day(ledger: Ledger) -> None:
    published = Published(ledger.files.published)

    for frame, column in ((published.cash(as_of=DAY), "total"), (published.balances(as_of=DAY), "current_balance")):
        assert set(frame[column]) == {Decimal(2)}
    assert set(published.cash(as_of=ENDS["smith"])["total"]) == {Decimal(3)}


def test_what_was_known_on_a_day_is_what_was_known_at_its_end(ledger: Ledger) -> None:
    assert json.loads(run("balances", "--known-at", "2026-07-08", "--json")) == []
    assert len(json.loads(run("balances", "--known-at", "2026-07-10", "--json"))) == 2
