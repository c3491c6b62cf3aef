"""A ledger proves its content: any later change is found, and reported with its load and table."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.ledger import recovery
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import LedgerMissing
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.ledger.verify import Verified, verify
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    OFFICE,
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
    connection,
    drift,
    event,
    opened,
    put_aside,
    user,
)

REFRESHED = batch(balance("12.00", APRIL_1), run_id="run-2", telemetry=(event(accounts=1),))
JONES = {"tenant_id": "jones"}


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's files: two tenants, three loads, published."""
    clock = SetClock()
    ledger = a_ledger(tmp_path_factory.mktemp("sound") / "data", clock=clock)
    ledger.merge(batch(user(), connection(), account(), balance("10.00"), put_aside(), drift()))
    clock.advance(hours=1)
    ledger.merge(batch(user(**JONES), connection(**JONES), account(**JONES), balance("7", tenant_id="jones")))
    clock.advance(hours=1)
    ledger.merge(REFRESHED)
    ledger.publish()
    return ledger.files.data_dir


@pytest.fixture
def sound(loads: Path, tmp_path: Path, clock: SetClock) -> Ledger:
    """Those loads, in the test's own folder."""
    clock.advance(hours=2)
    return a_ledger(shutil.copytree(loads, tmp_path / "data"), clock=clock)


def found(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Return findings of the primary. The published copy then differs too, which these tests do not check."""
    findings = ledger.verify().findings
    return [(f.tenant_id, f.about, f.problem) for f in findings if not f.about.startswith("published copy")]


def tamper(ledger: Ledger, change: str) -> None:
    with opened(ledger) as con:
        con.execute(change)


def test_an_unchanged_ledger_has_no_findings(sound: Ledger) -> None:
    verified = sound.verify()

    assert verified.findings == ()
    assert (verified.loads, verified.rows) == (3, 12)
    assert sorted(verified.heads) == ["jones", "smith"]


def test_verifying_writes_nothing(sound: Ledger) -> None:
    before = sound.files.primary.read_bytes()

    sound.verify()

    assert sound.files.primary.read_bytes() == before
    assert sorted(path.name for path in sound.files.private.iterdir()) == ["canonical.duckdb", "canonical.lock"]


def test_the_same_loads_give_the_same_hash_and_another_amount_another(tmp_path: Path) -> None:
    heads = []
    for number, amount in enumerate(("10.00", "10.00", "10.01")):
        ledger = a_ledger(tmp_path / str(number))
        ledger.merge(batch(balance(amount, payload_digest="same")))
        heads.append(ledger.verify().heads["smith"])

    assert heads[0] == heads[1] != heads[2]


AMOUNT = "amounts add up to 12.0100000000, 12.0000000000 were written"
CURRENT = ("smith", "balances_current", "not the newest balances of the history")
CHANGED = "its line in the load log, its seals or its link were changed afterwards"


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (
            "update balances set current_balance = 12.01 where load_id = 3",
            [CURRENT, ("smith", "load 3, balances", AMOUNT)],
        ),
        (
            "delete from balances where load_id = 3",
            [CURRENT, ("smith", "load 3, balances", "0 rows are there, 1 were written")],
        ),
        (
            "insert into balances from balances where load_id = 3",
            [
                ("smith", "load 3, balances", "2 rows are there, 1 were written"),
                ("smith", "load 3, balances", "two rows of the same tenant_id, account_id, as_of"),
            ],
        ),
        (
            "update accounts set iban = 'FR00' where tenant_id = 'jones'",
            [("jones", "load 2, accounts", "of 1 rows at least one is not what was written")],
        ),
        (
            "update telemetry set properties = '{}'",
            [("smith", "load 3, telemetry", "of 1 rows at least one is not what was written")],
        ),
        (
            "update quarantine set run_id = 'other'",
            [
                ("smith", "load 1, quarantine", "of 1 rows at least one is not what was written"),
                ("smith", "load 1, quarantine", "rows that name another run, operation or moment"),
            ],
        ),
        ("update balances_current set available_balance = 1 where tenant_id = 'smith'", [CURRENT]),
        ("update loads set failed = 0, synced = 9 where load_id = 3", [("smith", "load 3", CHANGED)]),
        (
            "update seals set rows = 2 where load_id = 3 and table_name = 'balances'",
            [("smith", "load 3", CHANGED), ("smith", "load 3, balances", "1 rows are there, 2 were written")],
        ),
        ("delete from chain where load_id = 3", [("smith", "load 3", "has no link in the chain")]),
        (
            "delete from chain where load_id = 1",
            [
                ("smith", "load 1", "has no link in the chain"),
                ("smith", "load 3", "does not follow the link before it: one was removed or changed"),
            ],
        ),
        (
            "delete from drift; delete from seals where table_name = 'drift'",
            [("smith", "load 1", CHANGED)],
        ),
        (
            "insert into drift select tenant_id, 'x', 'y', 3, recorded_at, run_id, operation from drift",
            [
                ("smith", "load 3, drift", "1 rows that no load wrote"),
                ("smith", "load 3, drift", "rows that name another run, operation or moment"),
            ],
        ),
    ],
)
def test_what_was_changed_is_named(sound: Ledger, change: str, findings: list[tuple[str, str, str]]) -> None:
    tamper(sound, change)

    assert found(sound) == findings


def test_a_load_removed_with_all_its_rows_is_found_as_a_gap(sound: Ledger) -> None:
    for table in ("balances", "seals", "chain", "loads", "users", "connections", "accounts", "balances_current"):
        tamper(sound, f"delete from {table} where load_id = 2")  # noqa: S608

    assert found(sound) == [("smith", "load 3", "load 2 before it no longer in the load log")]


def test_loads_removed_from_the_end_are_found_by_the_published_copy(sound: Ledger) -> None:
    for table in ("balances", "seals", "chain", "loads", "telemetry", "balances_current"):
        tamper(sound, f"delete from {table} where load_id = 3")  # noqa: S608
    tamper(sound, "insert into balances_current by name from balances where tenant_id = 'smith'")

    findings = sound.verify().findings

    assert [(f.tenant_id, f.about) for f in findings] == [("smith", "published copy")]


def test_a_changed_published_copy_is_reported_as_such(sound: Ledger) -> None:
    sound.files.published.chmod(0o600)
    with duckdb.connect(str(sound.files.published)) as con:
        con.execute("update ledger.ledger.balances set current_balance = 1 where load_id = 2")

    findings = sound.verify().findings

    assert [(f.tenant_id, f.about) for f in findings] == [
        ("jones", "published copy, balances_current"),
        ("jones", "published copy, load 2, balances"),
    ]


def test_unpublished_loads_are_reported(sound: Ledger) -> None:
    sound.merge(batch(balance("13", APRIL_1), run_id="run-3"))

    (finding,) = sound.verify().findings

    assert (finding.tenant_id, finding.about) == ("smith", "published copy")
    assert sound.verify().remedy == "pfo run\n  The primary is whole. The run publishes it again."

    sound.publish()
    assert sound.verify().findings == ()


@pytest.mark.parametrize("which", ["primary", "published"])
def test_a_flipped_byte_is_reported_with_its_file(sound: Ledger, which: str) -> None:
    path: Path = getattr(sound.files, which)
    content = bytearray(path.read_bytes())
    for position in range(12_288 + 1_000, len(content), 262_144):
        content[position] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)

    (finding,) = sound.verify().findings

    assert finding.about == ("primary" if which == "primary" else "published copy")
    assert path.name in finding.problem


def test_without_a_ledger_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="make run"):
        Ledger(LedgerFiles(tmp_path / "data"), OFFICE).verify()

    assert not (tmp_path / "data").exists()


def test_runs_continue_while_a_ledger_is_verified(sound: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify_beside_a_run(con: duckdb.DuckDBPyConnection, *, withheld: Sequence[tuple[str, str]]) -> Verified:
        if not beside:
            beside.append(a_ledger(sound.files.data_dir, deadline_seconds=0))
            beside[0].merge(batch(balance("14", APRIL_1), run_id="run-4"))
        return verify(con, withheld=withheld)

    beside: list[Ledger] = []
    monkeypatch.setattr(recovery, "verify", verify_beside_a_run)

    assert sound.verify().findings == ()
    assert len(beside) == 1
