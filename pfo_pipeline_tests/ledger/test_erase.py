"""Erasing a person: no file contains them any more, the remaining rows have a valid proof, the erasure is recorded."""

import shutil
from pathlib import Path

import pytest

from pfo_pipeline.ledger.errors import LedgerDamaged, LedgerFull
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    SetClock,
    a_ledger,
    account,
    ask,
    balance,
    batch,
    connection,
    drift,
    event,
    everything_in,
    put_aside,
    user,
)

IBAN = "GB33BUKB20201555555555"
BOBS = {"user_id": "bob", "connection_id": "8"}


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's files: Jane and Bob of tenant smith, and tenant jones; Bob's data in three loads, beside Jane's."""
    clock = SetClock()
    ledger = a_ledger(tmp_path_factory.mktemp("family") / "data", clock=clock)
    bobs = account("acc_2", source_id="80", iban=IBAN, display_name="Bob's own", **BOBS)
    ledger.merge(batch(user(), connection(), account(), balance("10")))
    clock.advance(hours=1)
    ledger.merge(batch(user("bob"), connection("8", user_id="bob"), bobs, balance("20", account_id="acc_2")))
    ledger.merge(
        batch(balance("11", APRIL_1), balance("21", APRIL_1, account_id="acc_2"), put_aside("80"), put_aside())
    )
    ledger.merge(batch(user(tenant_id="jones"), account(tenant_id="jones"), balance("5", tenant_id="jones")))
    ledger.publish()
    return ledger.files.data_dir


@pytest.fixture
def family(loads: Path, tmp_path: Path, clock: SetClock) -> Ledger:
    """Those loads, in the test's own folder."""
    clock.advance(hours=1)
    return a_ledger(shutil.copytree(loads, tmp_path / "data"), clock=clock)


def test_nothing_of_the_person_is_left_in_any_file(family: Ledger) -> None:
    assert IBAN.encode() in family.files.primary.read_bytes()

    family.erase("smith", "bob", "erase-1")

    kept = [path for path in family.files.data_dir.rglob("*") if path.is_file()]
    assert family.files.primary in kept
    assert family.files.published in kept
    assert [path for path in kept if IBAN.encode() in path.read_bytes() or b"Bob's own" in path.read_bytes()] == []


def test_only_the_rows_of_the_person_are_removed(family: Ledger) -> None:
    before = everything_in(family)

    erased = family.erase("smith", "bob", "erase-1")

    assert erased.total == 6
    gone = {"users": 1, "connections": 1, "accounts": 1, "balances": 2, "quarantine": 1, "balances_current": 1}
    assert {name: count for name, count in erased.rows.items() if count} == gone
    after = everything_in(family)
    assert {name: before[name] - after[name] for name in gone} == gone
    assert ask(family, "select distinct user_id from accounts") == [("jane",)]
    assert ask(family, "select source_id from quarantine") == [("70",)]


def test_the_remaining_rows_verify_and_the_erasure_is_recorded(family: Ledger, clock: SetClock) -> None:
    family.erase("smith", "bob", "erase-1")

    assert family.verify().findings == ()
    output = ask(family, "select tenant_id, scope, rows_removed, run_id, recorded_at >= '2026-04-05' from erasures")
    assert output == [("smith", "user", 6, "erase-1", True)]
    assert ask(family, "select count(*) from loads") == [(5,)]
    assert "bob" not in str(ask(family, "from erasures")) + str(ask(family, "from loads"))


@pytest.mark.parametrize(
    "change",
    [
        "update accounts set iban = 'FR00'",
        "update seals set rows = 1 where load_id = 5",
        "delete from erasures",
        "update loads set operation = 'openbanking.balances.refresh' where load_id = 5",
    ],
)
def test_a_change_after_an_erasure_is_still_found(family: Ledger, change: str) -> None:
    family.erase("smith", "bob", "erase-1")

    ask(family, change)

    assert family.verify().findings != ()


def test_rows_removed_by_hand_are_not_accepted_as_an_erasure(family: Ledger) -> None:
    ask(family, "delete from balances where account_id = 'acc_1'")

    with pytest.raises(LedgerDamaged, match=r"is not what was written into it\. Nothing was replaced"):
        family.erase("smith", "bob", "erase-1")

    assert ask(family, "select count(*) from erasures") == [(0,)]
    assert ask(family, "select count(*) from accounts where user_id = 'bob'") == [(1,)]
    assert family.verify().findings != ()


def test_a_whole_tenant_is_erased_and_its_chain_stays(family: Ledger) -> None:
    family.merge(batch(drift(), telemetry=(event(accounts=1),)))

    family.erase("smith", None, "erase-1")

    assert ask(family, "select distinct tenant_id from accounts") == [("jones",)]
    assert ask(family, "select count(*) from telemetry") == ask(family, "select count(*) from drift") == [(0,)]
    verified = family.verify()
    assert verified.findings == ()
    assert sorted(verified.heads) == ["jones", "smith"]


def test_an_account_that_now_belongs_to_another_user_is_kept(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(user("bob"), connection(user_id="bob"), account(user_id="bob"), balance("1")))
    clock.advance(days=1)
    ledger.merge(batch(user(), connection(), account(), balance("2", APRIL_1)))
    ledger.publish()

    ledger.erase("smith", "bob", "erase-1")

    assert ask(ledger, "select user_id from accounts") == [("jane",)]
    assert ask(ledger, "select current_balance from balances order by 1") == [(1,), (2,)]
    assert ledger.verify().findings == ()


def test_erasing_again_removes_and_records_nothing_more(family: Ledger) -> None:
    family.erase("smith", "bob", "erase-1")

    assert family.erase("smith", "bob", "erase-2").total == 0

    assert ask(family, "select count(*) from erasures") == [(1,)]
    assert ask(family, "select count(*) from loads") == [(5,)]


def test_runs_continue_after_an_erasure(family: Ledger, clock: SetClock) -> None:
    family.erase("smith", "bob", "erase-1")
    clock.advance(days=1)

    merged = family.merge(batch(balance("12", APRIL_1), run_id="run-9"))
    family.publish()

    assert merged.load_id == 6
    assert family.verify().findings == ()


def test_erasing_again_completes_an_erasure_after_a_crash(family: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("pfo_pipeline.ledger.store.write_anew", no_room)
        with pytest.raises(LedgerFull):
            family.erase("smith", "bob", "erase-1")

    a_ledger(family.files.data_dir).erase("smith", "bob", "erase-2")

    assert IBAN.encode() not in family.files.primary.read_bytes() + family.files.published.read_bytes()
    assert family.verify().findings == ()
