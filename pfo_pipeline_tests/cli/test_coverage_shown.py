"""Every linked account is counted or named with the reason why not: in SQL, status, JSON, page, alerts and check alike."""

import csv
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pfo_pipeline.alerts.conditions import ledger_findings
from pfo_pipeline.cli import main
from pfo_pipeline.config import load_config
from pfo_pipeline.contracts.tables import AccountRow, BalanceRow, ChangeRow, IdentityRow, ProposalRow
from pfo_pipeline.defs.checks import CHECKS, CheckContext
from pfo_pipeline.ledger.office import reader_of
from pfo_pipeline.ledger.store import Ledger, utc_now
from pfo_pipeline_tests.ledger.samples import (
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
    connection,
    opened,
    put_aside,
    user,
)
from pfo_pipeline_tests.report.reading import read

DAY = timedelta(days=1)
CONFIG = """
office = "willow"
[tenants.smith]
domain = "smith-sandbox"
client_id = "1"
[[tenants.smith.users]]
id = "jane"
token = "env:UNUSED"
"""


def linked(number: int, **changes: Any) -> AccountRow:
    return account(f"acc_{number}", source_id=f"{number}", iban=None, number=f"11122233{number}", **changes)


def figure(number: int, amount: str, as_of: datetime) -> BalanceRow:
    return balance(amount, as_of, account_id=f"acc_{number}", source_id=f"{number}")


@pytest.fixture
def now() -> datetime:
    return utc_now()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: datetime) -> Ledger:
    """333 = 111 + 222 that may be one, savings, a loan, a leasing of 9,000, one link of two, one put aside."""
    (tmp_path / "pfo.toml").write_text(CONFIG)
    for name, value in {"PFO_DATA_DIR": tmp_path, "PFO_CONFIG": tmp_path / "pfo.toml", "COLUMNS": 250}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("PFO_ROLE", raising=False)
    printed = a_ledger(tmp_path, clock=SetClock(now))
    printed.merge(
        batch(
            user(),
            connection(last_success_at=now),
            linked(1, display_name="Compte 1"),
            linked(2, display_name="Compte 2"),
            linked(3, account_type="leasing", display_name="Fourgon"),
            linked(4, display_name="Pocket"),
            linked(5, account_type="savings", display_name="Livret"),
            linked(6, account_type="mortgage", display_name="Maison"),
            linked(7, disabled_at=now - DAY),
            figure(1, "111", now),
            figure(2, "222", now),
            figure(3, "-9000", now),
            figure(4, "5000", now),
            figure(5, "1000", now),
            figure(6, "-70000", now),
            IdentityRow("smith", "acc_4", "acc_4", "iban", "evidence", "one_of", "acc_1,acc_2"),
            ProposalRow("smith", "acc_2", "acc_1", "name", "open"),
            put_aside("99"),
        )
    )
    printed.publish()
    return printed


def run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_sql_counts_each_once_or_says_why_not(ledger: Ledger) -> None:
    [total] = json.loads(run("sql", "from totals", "--json"))
    covered = json.loads(run("sql", "select linked_id, counted, reason from coverage order by 1 nulls last", "--json"))

    assert {name: Decimal(total[name]) for name in ("current_balance", "cash", "savings", "unclassified", "loans")} == {
        "current_balance": 1333,
        "cash": 333,
        "savings": 1000,
        "unclassified": -9000,
        "loans": -70000,
    }
    assert Decimal(total["possibly_double"]) == 222
    assert [(row["counted"], row["reason"]) for row in covered] == [
        (True, None),
        (True, None),
        (False, "unclassified"),
        (False, "one_of"),
        (True, None),
        (False, "loan"),
        (False, "disabled"),
        (False, "quarantined"),
    ]


def test_status_says_it_in_a_line_for_each_tenant(ledger: Ledger) -> None:
    printed = " ".join(run("status").split())

    assert (
        "smith · 8 linked accounts: 3 counted; 1 one of several, not known which; 1 loan; 1 of no known class (leasing); "
        "1 could not be read; 1 not enabled at Powens"
    ) in printed
    assert "possibly double: 222.00 EUR. Which accounts: pfo identity --tenant smith" in printed


def test_status_says_the_same_to_programs(ledger: Ledger) -> None:
    [row] = json.loads(run("status", "--json"))

    assert row["tenant_coverage"] == {
        "linked": 8,
        "counted": 3,
        "not_counted": {"one_of": 1, "loan": 1, "unclassified": 1, "quarantined": 1, "disabled": 1},
        "unclassified_types": ["leasing"],
        "missing": 0,
        "possibly_double": {"EUR": "222"},
    }


def test_an_operator_is_told_of_each_with_a_remedy_that_runs_as_printed(ledger: Ledger) -> None:
    printed = " ".join(run("status").split())
    config = load_config()
    alerts = {c.code: c for c in ledger_findings(config, reader_of(config), utc_now()).conditions}

    assert {"proposed", "oneOf", "unclassified", "quarantined"} <= set(alerts)
    assert alerts["quarantined"].text == (
        "Connection unknown (unknown): a record cannot be read: account 99: balance: not a number"
    )
    assert "a record cannot be read: account 99: balance: not a number → operator" in printed
    assert len({alerts[code].key for code in ("proposed", "oneOf", "unclassified")}) == 3
    assert "account acc_2 may be acc_1 (name): both count meanwhile → operator" in printed
    assert "account acc_4 is one of acc_1, acc_2: it counts as none by itself → operator" in printed
    assert "1 account in no total, of a type without a class: leasing → operator" in printed
    assert "pfo identity --tenant smith" in printed
    assert "acc_2" in run("identity", "--tenant", "smith")
    assert "join --tenant smith acc_2 acc_1" in printed
    run("identity", "join", "--tenant", "smith", "acc_2", "acc_1")
    [row] = json.loads(run("status", "--json"))
    assert row["tenant_coverage"]["possibly_double"] == {}


def test_what_a_person_has_told_apart_is_asked_no_more(ledger: Ledger) -> None:
    run("identity", "split", "--tenant", "smith", "acc_2", "acc_1")

    assert "may be acc_1" not in run("status")


def test_the_page_says_cash_then_the_other_classes_then_what_is_not_counted(ledger: Ledger, tmp_path: Path) -> None:
    run("report", "--tenant", "smith", "--to", str(tmp_path / "page.html"))
    page = read((tmp_path / "page.html").read_text(encoding="utf-8"))

    assert page.one("p", id="total").figure() == 333
    classes = page.one("table", id="classes")
    assert classes.one("tbody", data_class="savings").one("td", data_of="total").figure() == 1000
    assert classes.one("tbody", data_class="total").one("td", data_of="total").figure() == 1333
    assert "Possibly double: 222.00 EUR" in page.one("p", id="double").text
    assert "pfo identity --tenant smith" in page.one("p", id="double").text
    assert "−9,000.00 EUR in accounts of a type that has no class: leasing" in page.one("p", id="unclassified").text
    rows = {row.attributes["data-reason"]: row for row in page.one("table", id="counted").all("tr") if row.attributes}
    assert {reason: row.one("td", data_of="accounts").text for reason, row in rows.items()} == {
        "counted": "3",
        "one_of": "1",
        "loan": "1",
        "unclassified": "1",
        "quarantined": "1",
        "disabled": "1",
    }
    assert rows["counted"].one("td", data_of="amounts").figure() == 1333
    assert "a record cannot be read: account 99: balance: not a number" in page.text
    assert rows["unclassified"].one("td", data_of="amounts").figure() == -9000


def test_accounts_and_balances_show_their_class(ledger: Ledger) -> None:
    accounts = {row["id"]: row["metadata"]["accountClass"] for row in json.loads(run("accounts", "--json"))}

    assert accounts["acc_3"] == "unclassified"
    assert accounts["acc_5"] == "savings"
    assert "accountClass" in run("accounts")
    assert "savings" in run("balances")


def test_the_check_holds_and_finds_a_total_that_counts_something_else(ledger: Ledger, now: datetime) -> None:
    config = load_config()
    [check] = [c for c in CHECKS["refresh-balances"] if c.name == "accounts_are_counted_or_named"]

    def found() -> int:
        look = CheckContext(config, ledger.reader(), "smith", "run-1", "openbanking.balances.refresh", now)
        return check.check(look).found

    assert found() == 0
    with opened(ledger) as con:
        wrong = "select 'smith' as tenant_id, 'EUR' as currency, 1334.0 as current_balance"
        con.execute(f"create or replace view totals as {wrong}")
    assert found() == 1


def test_what_was_seen_waits_no_more_and_stays_out_of_the_totals(ledger: Ledger, now: datetime) -> None:
    ledger.merge(batch(ChangeRow("smith", "acc_7", "counts", "disabled", seen=False), run_id="run-2"))
    ledger.publish()
    before = run("sql", "from totals", "--json")
    waiting = run("status")
    assert "account acc_7 is no longer shared with us" in waiting
    assert "of a type without a class: leasing" in waiting
    remedies = [words for line in waiting.splitlines() for words in re.findall(r"pfo (seen [^|]*\d+)", line)]
    assert len(set(remedies)) == 1

    assert run(*remedies[0].split()) == ("acc_3  unclassified\nacc_7  counts -> disabled\nSeen: 2 accounts.\n")

    still = run("status")
    assert "acc_7 is no longer" not in still
    assert "without a class" not in still
    assert run("sql", "from totals", "--json") == before
    assert run("seen", "--tenant", "smith") == "No account of tenant smith waits to be seen.\n"


def test_only_an_admin_says_what_was_seen(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")
    refused = CliRunner().invoke(main, ["seen", "--tenant", "smith"])
    assert refused.exit_code == 1
    assert "needs role admin" in refused.output


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x")', "+1", "-2", "@SUM(A1)", "\tx"])
@pytest.mark.parametrize("form", ["csv", "csv-exact"])
def test_a_text_that_a_spreadsheet_would_run_is_marked_but_for_programs_alone(
    ledger: Ledger, tmp_path: Path, now: datetime, name: str, form: str
) -> None:
    ledger.merge(batch(linked(1, display_name=name), figure(1, "-111", now + DAY / 24), run_id="run-2"))
    ledger.publish()
    run("export", "--tenant", "smith", "--to", str(tmp_path / "out"), "--format", form)

    query = "select display_name, current_balance from positions where account_id = 'acc_1'"
    printed = run("sql", query, f"--{form}"), (tmp_path / "out" / "positions.csv").read_text(encoding="utf-8")
    is_amount = name in ("+1", "-2")
    for text, is_export in zip(printed, (False, True), strict=True):
        [row] = [row for row in csv.DictReader(text.splitlines()) if Decimal(row["current_balance"]) == -111]
        is_marked = form == "csv" and (is_export or not is_amount)
        assert row["display_name"] == ("'" + name if is_marked else name)
