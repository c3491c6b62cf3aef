"""`pfo status` says how much of what a tenant has is older than its limit, and where each stale figure is held up."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline_tests.ledger.samples import SetClock, a_ledger, account, balance, batch, connection, user

DAY = timedelta(days=1)
CONFIG = """
office = "willow"
{freshness}
[tenants.smith]
domain = "smith-sandbox"
[[tenants.smith.users]]
id = "jane"
token = "env:UNUSED"
"""


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two figures of today's hour and one that its bank has dated four days ago."""
    now = utc_now()
    ledger = a_ledger(tmp_path, clock=SetClock(now))
    accounts = [("acc_1", "checking", "12200000.10", now), ("acc_2", "savings", "2100000.05", now - 4 * DAY)]
    accounts.append(("acc_3", "loan", "-500", now))
    ledger.merge(
        batch(
            user(),
            connection(last_success_at=now),
            *(account(a, account_type=kind, source_id=a) for a, kind, _, _ in accounts),
            *(balance(amount, at, account_id=a) for a, _, amount, at in accounts),
        )
    )
    ledger.publish()
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PFO_CONFIG", str(tmp_path / "pfo.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def status(office: Path, freshness: str = "") -> str:
    (office / "pfo.toml").write_text(CONFIG.format(freshness=freshness))
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def row(printed: str, tenant: str, currency: str) -> list[str]:
    cells = ([cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines())
    (found,) = [line for line in cells if line[:2] == [tenant, currency]]
    return found


def test_the_stale_part_of_what_there_is_stands_beside_it(office: Path) -> None:
    printed = status(office)

    assert row(printed, "smith", "EUR")[2:6] == ["2 100 000.05", "14 300 000.15", "0.00", "-500.00"]
    assert "smith · acc_2, Banque Exemple, savings: bank 4 d, Powens" in printed
    assert "limit 3 d: not given by the bank" in printed


def test_a_limit_of_its_own_makes_the_same_figure_fresh(office: Path) -> None:
    printed = status(office, "[freshness]\naccount_types = { savings = 200 }")

    assert row(printed, "smith", "EUR")[2] == "0.00"
    assert "Stale figures" not in printed


def test_what_a_clock_ahead_has_dated_is_of_no_age(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ahead of this clock" not in status(office)
    past = type("Past", (datetime,), {"now": classmethod(lambda cls, tz: datetime.now(tz) - 3 * DAY)})
    monkeypatch.setattr("pfo_pipeline.cli.status.datetime", past)

    printed = " ".join(status(office, "[freshness]\nhours = 12").split())

    assert "smith · newest load: " in printed
    assert "2 d ahead of this clock. What that means, and what to do: pfo health" in printed
    assert (
        "acc_2, Banque Exemple, savings: bank 24 h, Powens 0 s, ledger 2 d ahead of this clock; limit 12 h" in printed
    )
