"""A published ledger may leave personal columns out; queries that do not need them have the same results."""

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import LedgerDamaged
from pfo_pipeline.ledger.reader import open_published, published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    OFFICE,
    SetClock,
    account,
    balance,
    batch,
    connection,
    user,
)

PERSONAL = (b"Compte courant", b"00082000112", b"FR7699999000820000011200012", b"BEXAFRPPXXX")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, publish_personal=False, clock=SetClock())
    same = account("acc_2", user_id="bob", source_id="71")
    none = account("acc_3", source_id="72", iban=None)
    joined = IdentityRow("smith", "acc_2", "acc_1", "iban", "evidence")
    ledger.merge(batch(user(), user("bob"), connection(), account(), same, none, joined))
    ledger.merge(batch(*(balance("10", account_id=name) for name in ("acc_1", "acc_2", "acc_3")), run_id="run-2"))
    ledger.publish()
    return ledger


def test_personal_columns_are_in_the_primary_and_not_in_the_published_file(ledger: Ledger) -> None:
    published, primary = ledger.files.published.read_bytes(), ledger.files.primary.read_bytes()

    assert [value for value in PERSONAL if value in published] == []
    assert [value for value in PERSONAL if value not in primary] == []


def test_the_published_file_lists_the_columns_that_it_leaves_out(ledger: Ledger) -> None:
    with open_published(ledger.files.published) as con:
        assert con.execute("select column_name from withheld order by 1").fetchall() == [
            ("bic",),
            ("display_name",),
            ("iban",),
            ("number",),
        ]


def test_an_account_linked_twice_still_counts_once(ledger: Ledger) -> None:
    (total,) = published_reader(ledger.files.published).totals("smith")

    assert total.accounts == 2
    assert total.current_balance == Decimal(20)
    with open_published(ledger.files.published) as con:
        shown = con.execute("select account_id, display_name, iban from accounts_latest order by 1").fetchall()
    assert shown == [("acc_1", "acc_1", None), ("acc_2", "acc_2", None), ("acc_3", "acc_3", None)]


def test_the_proof_verifies_without_the_personal_columns(ledger: Ledger) -> None:
    assert ledger.verify().findings == ()


def test_a_changed_amount_in_the_published_file_is_found(ledger: Ledger) -> None:
    ledger.files.published.chmod(0o600)
    with duckdb.connect(str(ledger.files.published)) as con:
        con.execute("use ledger.ledger")
        con.execute("update balances set current_balance = 11 where account_id = 'acc_3'")

    assert "published copy, load 2, balances" in {f.about for f in ledger.verify().findings}


def test_publishing_again_follows_the_configuration(ledger: Ledger) -> None:
    Ledger(ledger.files, OFFICE, clock=SetClock()).publish()

    assert [value for value in PERSONAL if value not in ledger.files.published.read_bytes()] == []


def test_the_copy_cannot_replace_the_primary(ledger: Ledger) -> None:
    ledger.files.primary.unlink()
    with pytest.raises(LedgerDamaged, match="is gone"):
        ledger.publish()
    assert "--from-published" not in (ledger.verify().remedy or "")
    ledger.files.primary.write_bytes(ledger.files.published.read_bytes())

    with pytest.raises(LedgerDamaged, match="is a published copy without personal columns"):
        ledger.merge(batch(balance("11")))
