"""`pfo accounts`, `pfo balances`, `pfo status` of another moment: what the published ledger says of it, nothing else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.context import DEMO_OFFICE
from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.read import Published
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    SetClock,
    account,
    balance,
    batch,
    connection,
    user,
)

APRIL_5 = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
APRIL_9 = datetime(2026, 4, 9, 12, 0, tzinfo=UTC)
LATER = APRIL_9 + timedelta(hours=1)

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's ledger. On 5 April: 10.00 for 31 March. On 9 April: corrected to 12.50, a second account found,
    which the bank had disabled on 1 April; its copy through another connection; and a connection in trouble."""
    data, clock = tmp_path_factory.mktemp("moments") / "data", SetClock(APRIL_5)
    ledger = Ledger(LedgerFiles(data), DEMO_OFFICE, clock=clock)
    ledger.merge(batch(user(), connection(), account(), balance("7", MARCH_30), balance("10.00", MARCH_31)))
    clock.now = APRIL_9
    ledger.merge(
        batch(
            connection(state="wrongpass", status="needs-person", who_acts="member"),
            account("acc_2", source_id="71", disabled_at=APRIL_1),
            account("acc_3", source_id="72"),
            IdentityRow("smith", "acc_3", "acc_1", "iban", "evidence"),
            balance("12.50", MARCH_31),
            balance("99", MARCH_31, account_id="acc_2", source_id="71", currency="USD"),
            balance(
                "13", MARCH_31 + timedelta(hours=2), account_id="acc_3", source_id="72", available_balance=Decimal(8)
            ),
        )
    )
    ledger.publish()
    return data


@pytest.fixture
def ask(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(folder))

    def asked(command: str, **moments: datetime) -> list[dict[str, Any]]:
        words = [word for name, at in moments.items() for word in (f"--{name.replace('_', '-')}", at.isoformat())]
        result = CliRunner().invoke(main, [command, *words, "--json"])
        assert result.exit_code == 0, result.output
        rows: list[dict[str, Any]] = json.loads(result.stdout)
        return rows

    return asked


MOMENTS: list[dict[str, Any]] = [
    {},
    {"as_of": MARCH_30},
    {"as_of": MARCH_31},
    {"as_of": MARCH_31, "known_at": APRIL_5},
    {"known_at": APRIL_5},
    {"as_of": LATER, "known_at": LATER},
    {"as_of": MARCH_30 - timedelta(days=9)},
    {"known_at": MARCH_30},
]


@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_balances_of_a_moment_add_up_to_the_cash_that_the_ledger_tells_of_it(
    ask: Ask, folder: Path, moments: dict[str, Any]
) -> None:
    printed: dict[str, Decimal] = {}
    for row in ask("balances", **moments):
        if row["balanceType"] == "current":
            printed[row["currency"]] = printed.get(row["currency"], Decimal(0)) + Decimal(row["currentBalance"])

    cash = Published(folder / "ledger.duckdb").cash(**moments)

    assert printed == dict(zip(cash["currency"], cash["total"], strict=True))


@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_accounts_of_a_moment_have_the_balances_of_that_moment(ask: Ask, folder: Path, moments: dict[str, Any]) -> None:
    printed = {row["id"]: row["balance"] and Decimal(row["balance"]) for row in ask("accounts", **moments)}
    frame = Published(folder / "ledger.duckdb").balances(**moments)
    figures = dict(zip(frame["account_id"], frame["current_balance"], strict=True))

    assert printed == {account_id: figures.get(account_id) for account_id in printed}
    assert {row["accountId"] for row in ask("balances", **moments)} == printed.keys() & figures.keys()


def test_an_account_is_shown_from_when_it_is_known_and_until_it_is_disabled(ask: Ask) -> None:
    def ids(**moments: datetime) -> list[str]:
        return [row["id"] for row in ask("accounts", **moments)]

    assert ids() == ["acc_1"]
    assert ids(as_of=MARCH_31) == ["acc_1", "acc_2"]
    assert ids(as_of=MARCH_31, known_at=APRIL_5) == ["acc_1"]
    assert ids(known_at=MARCH_31) == []


def test_what_was_corrected_is_told_as_it_was_believed(ask: Ask) -> None:
    def amount(**moments: datetime) -> list[str]:
        return [row["currentBalance"] for row in ask("balances", **moments) if row["currency"] == "EUR"]

    assert amount(as_of=MARCH_31) == ["12.5"]
    assert amount(as_of=MARCH_31, known_at=APRIL_5) == ["10"]


def test_connections_are_told_as_they_were_known_to_stand(ask: Ask) -> None:
    assert [row["status"] for row in ask("status")] == ["needs-person"]
    assert [row["status"] for row in ask("status", known_at=APRIL_5)] == ["healthy"]
    assert ask("status", known_at=MARCH_30) == []


def test_people_are_shown_the_connections_alone_of_another_moment(ask: Ask) -> None:
    shown = CliRunner().invoke(main, ["status", "--known-at", "2026-04-05"]).stdout

    assert "healthy" in shown
    assert "Freshness" not in shown
