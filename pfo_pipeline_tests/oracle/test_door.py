"""Amounts, dates and ends of access, drawn from a seed with the right answer, through the product over real HTTP."""

from pathlib import Path

import pytest

from pfo_pipeline_tests.oracle.bank import Bank
from pfo_pipeline_tests.oracle.door import DAY, drawn
from pfo_pipeline_tests.oracle.driving import TENANT, Product

ZONES = ("Europe/Paris", "America/New_York", "Asia/Tokyo")


@pytest.mark.parametrize("seed", range(12))
def test_the_ledger_has_the_right_values_of_each_record(seed: int, tmp_path: Path) -> None:
    zone = ZONES[seed % len(ZONES)]
    right = drawn(seed, zone)
    with Bank(right.script, shows_date=False) as bank:
        product = Product(tmp_path, bank, timezone=zone)
        for _ in bank.moments():
            product.live([])
        with product.published() as con:
            amounts = dict(con.execute("select source_id, current_balance from balances_latest").fetchall())
            rounded = {
                row[0]
                for row in con.execute("select source_id from balances where rounded_from is not null").fetchall()
            }
            aside = {row[0] for row in con.execute("select source_id from quarantine_latest").fetchall()}
            consents = dict(con.execute("select connection_id, consent_expires_at from connections_latest").fetchall())
            query = "select currency, total from cash_position($day) where tenant_id = $tenant"
            total = dict(con.execute(query, {"day": DAY, "tenant": TENANT}).fetchall())

    assert product.errors == []
    assert amounts == {row: amount for row, amount in right.amounts.items() if amount is not None}, f"seed {seed}"
    assert aside == {row for row, amount in right.amounts.items() if amount is None}, f"seed {seed}"
    assert rounded == right.rounded, f"seed {seed}"
    assert consents == right.consents, f"seed {seed}"
    assert total == right.total, f"seed {seed}"


def test_each_kind_is_among_the_draws() -> None:
    all_drawn = [drawn(seed, ZONES[seed % len(ZONES)]) for seed in range(12)]

    assert any(one.rounded for one in all_drawn)
    assert any(amount is None for one in all_drawn for amount in one.amounts.values())
    assert {None} < {end for one in all_drawn for end in one.consents.values()}
