"""One tenant's files: exactly the ledger's values, no rows of other tenants, any two times, either all files or none."""

import csv
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pfo_pipeline.contracts.tables import IdentityRow, tables
from pfo_pipeline.ledger import export
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.export import (
    Exported,
    ExportError,
    ExportFull,
    ExportRefused,
    ExportUnwritable,
    Form,
    export_tenant,
)
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.schema import known_migrations
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    OFFICE,
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
    connection,
    needs_encryption,
    user,
)

APRIL_5 = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
APRIL_9 = datetime(2026, 4, 9, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 4, 20, 8, 30, tzinfo=UTC)
DATA = ("accounts", "connections", "balances", "positions", "totals")
AMOUNTS = ("12345678901234567890.1234567891", "-0.0000000001", "123456789012345.67", "1E+3")
SECRET = "Compte des Jones"

Export = Callable[..., Exported]


@pytest.fixture(scope="module")
def told_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """31 March was reported as 10.00 on 5 April and 12.50 on 9 April; acc_2 is found on 9 April, acc_1's bank fails then."""
    clock = SetClock(APRIL_5)
    ledger = a_ledger(tmp_path_factory.mktemp("told") / "data", clock=clock)
    ledger.merge(batch(user(), connection(), account(), balance("7.00", MARCH_30), balance("10.00", MARCH_31)))
    name = {"tenant_id": "jones", "display_name": SECRET}
    ledger.merge(batch(account("acc_9", **name), balance("777.25", account_id="acc_9", tenant_id="jones")))
    clock.now = APRIL_9
    ledger.merge(
        batch(
            connection(status="needs-person", state="wrongpass"),
            account("acc_2", source_id="71", iban=None),
            balance("12.50", MARCH_31),
        )
    )
    ledger.merge(batch(balance("99.00", APRIL_1, account_id="acc_2", source_id="71", currency="USD")))
    ledger.publish()
    return ledger.files.data_dir


@pytest.fixture
def output(told_once: Path, tmp_path: Path, clock: SetClock) -> Ledger:
    shutil.copytree(told_once, tmp_path / "data")
    clock.now = APRIL_9
    return a_ledger(tmp_path / "data", clock=clock)


@pytest.fixture
def exported(output: Ledger, tmp_path: Path) -> Export:
    def exported(
        form: Form = "parquet", tenant: str = "smith", to: Path = tmp_path / "out", **moments: Any
    ) -> Exported:
        with open_published(output.files.published) as con:
            return export_tenant(con, tenant, to, form, **{"as_of": None, "known_at": None, "now": NOW} | moments)

    return exported


def asked(ledger: Ledger, query: str) -> pa.Table:
    with open_published(ledger.files.published) as con:
        return con.sql(query).to_arrow_table()


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    table: pa.Table = pq.read_table(folder / f"{name}.parquet")
    return table.to_pylist()


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


IN_THE_LEDGER = {
    "accounts": """
        select a.*, i.canonical_id from accounts_latest a join account_identity i using (tenant_id, account_id)
        where tenant_id = 'smith' order by account_id
    """,
    "connections": "from connections_latest where tenant_id = 'smith' order by connection_id",
    "balances": "from balances where tenant_id = 'smith' order by account_id, as_of, load_id",
    # The view returns the connections in no order.
    "positions": """
        select * replace (list_sort(linked_through) as linked_through) from positions
        where tenant_id = 'smith' order by account_id
    """,
    "totals": "from totals where tenant_id = 'smith' order by currency",
}


@pytest.mark.parametrize("name", DATA)
def test_pyarrow_reads_the_values_of_the_ledger(exported: Export, output: Ledger, name: str) -> None:
    folder = exported().folder

    found, expected = pq.read_table(folder / f"{name}.parquet"), asked(output, IN_THE_LEDGER[name])

    assert expected.num_rows
    assert found.select(expected.column_names).to_pylist() == expected.to_pylist()
    assert found.select(expected.column_names).schema.types == expected.schema.types


def test_an_account_linked_twice_counts_once_and_loans_are_separate(
    exported: Export, output: Ledger, clock: SetClock, tmp_path: Path
) -> None:
    clock.now = APRIL_9 + timedelta(days=1)
    joint = account("acc_3", user_id="john", source_id="72", connection_id="6")
    loan = account("acc_4", source_id="73", iban=None, account_type="loan")
    output.merge(batch(joint, loan, IdentityRow("smith", "acc_3", "acc_1", "iban", "evidence")))
    output.merge(
        batch(
            balance("1.00", APRIL_1, account_id="acc_3", source_id="72"),
            balance("-5.00", APRIL_1, account_id="acc_4", source_id="73"),
        )
    )
    output.publish()

    folder = exported().folder

    for name in ("positions", "totals"):
        assert rows(folder, name) == asked(output, IN_THE_LEDGER[name]).to_pylist()
    assert [(t["currency"], t["accounts"], t["current_balance"], t["loans"]) for t in rows(folder, "totals")] == [
        ("EUR", 1, Decimal("1.00"), Decimal("-5.00")),
        ("USD", 1, Decimal("99.00"), None),
    ]
    assert [(a["account_id"], a["canonical_id"]) for a in rows(folder, "accounts")] == [
        ("acc_1", "acc_1"),
        ("acc_2", "acc_2"),
        ("acc_3", "acc_1"),
        ("acc_4", "acc_4"),
    ]


def test_a_later_decision_is_left_out(exported: Export, output: Ledger, clock: SetClock, tmp_path: Path) -> None:
    clock.now = APRIL_9 + timedelta(days=1)
    output.merge(batch(IdentityRow("smith", "acc_2", "acc_1", "a person's decision", "operator")))
    output.publish()

    before = exported(known_at=APRIL_9 + timedelta(seconds=1), to=tmp_path / "before").folder
    after = exported(to=tmp_path / "after").folder

    assert [p["account_id"] for p in rows(before, "positions")] == ["acc_1", "acc_2"]
    assert [(p["account_id"], p["current_balance"]) for p in rows(after, "positions")] == [("acc_1", Decimal("99.00"))]


def test_amounts_and_times_keep_their_types_and_every_digit(exported: Export, output: Ledger) -> None:
    for number, amount in enumerate(AMOUNTS):
        output.merge(batch(balance(amount, APRIL_1 + timedelta(hours=number))))
    output.publish()

    frame = pd.read_parquet(exported().folder / "balances.parquet", dtype_backend="pyarrow")

    assert str(frame.dtypes["current_balance"]) == "decimal128(38, 10)[pyarrow]"
    assert str(frame.dtypes["as_of"]) == "timestamp[us, tz=UTC][pyarrow]"
    assert set(map(Decimal, AMOUNTS)) <= set(frame["current_balance"])


def test_csv_has_the_same_values_as_exact_text(exported: Export, output: Ledger, tmp_path: Path) -> None:
    for number, amount in enumerate(AMOUNTS):
        output.merge(batch(balance(amount, APRIL_1 + timedelta(hours=number))))
    output.publish()
    exported("csv-exact", to=tmp_path / "csv")
    exported("parquet", to=tmp_path / "parquet")

    for name in DATA:
        found, expected = csv_rows(tmp_path / "csv" / f"{name}.csv"), rows(tmp_path / "parquet", name)
        assert [{key: _as_text(value) for key, value in row.items()} for row in expected] == found
    assert Decimal(csv_rows(tmp_path / "csv" / "balances.csv")[3]["current_balance"]) == Decimal(AMOUNTS[0])


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_no_row_of_another_tenant_is_in_it(exported: Export, form: Form) -> None:
    folder = exported(form).folder

    for file in folder.iterdir():
        assert b"jones" not in file.read_bytes()
        assert SECRET.encode() not in file.read_bytes()


def test_rows_recorded_later_are_left_out(exported: Export) -> None:
    folder = exported(known_at=APRIL_5 + timedelta(seconds=1)).folder

    assert [(b["as_of"], b["current_balance"], b["superseded_at"]) for b in rows(folder, "balances")] == [
        (MARCH_30, Decimal("7.00"), None),
        (MARCH_31, Decimal("10.00"), None),
    ]
    assert [a["account_id"] for a in rows(folder, "accounts")] == ["acc_1"]
    assert [(c["status"], c["state"]) for c in rows(folder, "connections")] == [("healthy", None)]
    assert [(p["current_balance"], p["connection_status"]) for p in rows(folder, "positions")] == [
        (Decimal("10.00"), "healthy")
    ]
    assert [(t["currency"], t["current_balance"]) for t in rows(folder, "totals")] == [("EUR", Decimal("10.00"))]


def test_balances_dated_later_are_left_out(exported: Export) -> None:
    folder = exported(as_of=MARCH_31 - timedelta(microseconds=1)).folder

    assert [(b["as_of"], b["current_balance"]) for b in rows(folder, "balances")] == [(MARCH_30, Decimal("7.00"))]
    assert [(p["account_id"], p["current_balance"]) for p in rows(folder, "positions")] == [
        ("acc_1", Decimal("7.00")),
        ("acc_2", None),
    ]
    assert [(t["currency"], t["current_balance"]) for t in rows(folder, "totals")] == [("EUR", Decimal("7.00"))]


def test_a_correction_shows_the_old_value_and_its_time(exported: Export) -> None:
    history = [b for b in rows(exported().folder, "balances") if b["as_of"] == MARCH_31]

    assert [(b["current_balance"], b["superseded_at"]) for b in history] == [
        (Decimal("10.00"), APRIL_9),
        (Decimal("12.50"), None),
    ]


def test_an_account_that_the_bank_deleted_is_a_position_until_then(
    exported: Export, output: Ledger, clock: SetClock, tmp_path: Path
) -> None:
    clock.now = APRIL_9 + timedelta(days=1)
    output.merge(batch(account(deleted_at=APRIL_9)))
    output.publish()

    before = exported(as_of=APRIL_5, to=tmp_path / "before").folder
    after = exported(to=tmp_path / "after").folder

    assert [p["account_id"] for p in rows(before, "positions")] == ["acc_1", "acc_2"]
    assert [p["account_id"] for p in rows(after, "positions")] == ["acc_2"]
    assert [a["account_id"] for a in rows(after, "accounts")] == ["acc_1", "acc_2"]


def test_the_same_two_times_give_the_same_rows_after_later_loads(
    exported: Export, output: Ledger, clock: SetClock, tmp_path: Path
) -> None:
    moments = {"as_of": MARCH_31, "known_at": APRIL_9 + timedelta(seconds=1)}
    first = exported("csv", to=tmp_path / "first", **moments).folder
    clock.now = NOW
    output.merge(batch(account(display_name="Nouveau nom"), connection(), balance("0.01", MARCH_31)))
    output.publish()

    second = exported("csv", to=tmp_path / "second", **moments).folder

    for name in DATA:
        assert (second / f"{name}.csv").read_bytes() == (first / f"{name}.csv").read_bytes()


def test_the_dictionary_explains_every_column_and_names_the_personal_ones(exported: Export) -> None:
    folder = exported().folder
    lines = csv_rows(folder / "data_dictionary.csv")

    columns = [(file.name, column) for file in folder.glob("*.parquet") for column in pq.read_schema(file).names]
    assert sorted(columns) == sorted((line["file"], line["column"]) for line in lines)
    assert all(line["meaning"] for line in lines)
    (amount,) = [x for x in lines if (x["file"], x["column"]) == ("balances.parquet", "current_balance")]
    assert amount == {
        "file": "balances.parquet",
        "column": "current_balance",
        "type": "DECIMAL(38,10)",
        "unit": "the row's currency",
        "meaning": "Booked balance, in units of currency, exact; negative where owed.",
        "personal": "no",
    }
    personal = {column.name for table in tables() for column in table.columns if column.personal}
    assert {x["column"] for x in lines if x["personal"] == "yes"} == personal
    assert {x["unit"] for x in lines if x["type"] == "TIMESTAMP WITH TIME ZONE"} == {"UTC"}


def test_the_manifest_proves_what_was_exported_and_from_which_ledger(exported: Export, output: Ledger) -> None:
    folder = exported(as_of=MARCH_31, known_at=APRIL_9).folder
    manifest = json.loads((folder / "export.json").read_text(encoding="utf-8"))

    [(load_id, head)] = [
        (r["load_id"], r["hash"])
        for r in asked(output, "from chain where tenant_id = 'smith' order by load_id desc limit 1").to_pylist()
    ]
    assert (manifest["office"], manifest["tenant"], manifest["schema_version"]) == (
        OFFICE,
        "smith",
        known_migrations()[-1].version,
    )
    assert (manifest["chain_head"]["load_id"], manifest["chain_head"]["hash"]) == (load_id, head)
    assert output.verify().heads["smith"] == head
    assert (manifest["as_of"], manifest["known_at"]) == ("2026-03-31T05:00:00Z", "2026-04-09T12:00:00Z")
    assert manifest["exported_at"] == "2026-04-20T08:30:00Z"
    assert manifest["withheld"] == []
    files = {path.name for path in folder.iterdir()} - {"export.json"}
    assert files == set(manifest["files"]) == {*(f"{name}.parquet" for name in DATA), "data_dictionary.csv"}
    for name, about in manifest["files"].items():
        assert about["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert {name: manifest["files"][f"{name}.parquet"]["rows"] for name in DATA} == {
        name: len(rows(folder, name)) for name in DATA
    }


def test_nobody_else_may_read_the_files(exported: Export) -> None:
    folder = exported().folder

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_a_ledger_without_personal_columns_says_so_in_the_export(tmp_path: Path) -> None:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, publish_personal=False, clock=SetClock())
    ledger.merge(batch(user(), connection(), account(), balance()))
    ledger.publish()

    with open_published(ledger.files.published) as con:
        folder = export_tenant(con, "smith", tmp_path / "out", "parquet", as_of=None, known_at=None, now=NOW).folder

    [only] = rows(folder, "accounts")
    assert (only["display_name"], only["number"], only["bic"]) == ("acc_1", None, None)
    manifest = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert manifest["withheld"] == ["accounts.bic", "accounts.display_name", "accounts.iban", "accounts.number"]
    assert {x["column"] for x in csv_rows(folder / "data_dictionary.csv") if x["personal"] == "withheld"} == {
        "bic",
        "display_name",
        "iban",
        "number",
    }


@needs_encryption
def test_an_encrypted_ledger_is_exported_as_plain_files(tmp_path: Path) -> None:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, key="correct-horse", clock=SetClock())
    ledger.merge(batch(user(), connection(), account(), balance("10.00")))
    ledger.publish()

    with open_published(ledger.files.published, key="correct-horse") as con:
        folder = export_tenant(con, "smith", tmp_path / "out", "parquet", as_of=None, known_at=None, now=NOW).folder

    assert [p["current_balance"] for p in rows(folder, "positions")] == [Decimal("10.00")]
    assert len(csv_rows(folder / "data_dictionary.csv")) > 50


def test_an_empty_folder_is_used_and_missing_parents_are_created(exported: Export, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert exported(to=tmp_path / "empty").rows["balances.parquet"] == 4
    assert exported(to=tmp_path / "a'b" / "[c]" / "d").rows["balances.parquet"] == 4
    assert sorted(p.name for p in (tmp_path / "a'b" / "[c]").iterdir()) == ["d"]


def test_a_folder_that_is_not_empty_is_unchanged(exported: Export, tmp_path: Path) -> None:
    folder = exported().folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(ExportRefused, match=r"out is not empty\. Give a folder that is empty or does not exist yet\."):
        exported()

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert leftovers(tmp_path) == []


def leftovers(parent: Path) -> list[Path]:
    return list(parent.glob(".*"))


def test_a_file_in_place_of_the_folder_is_refused(exported: Export, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")

    with pytest.raises(ExportRefused, match="out is a file"):
        exported()

    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_another_export_has_filled_is_unchanged(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = export._sha256

    def filling(path: Path) -> str:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "theirs").touch()
        return hashed(path)

    monkeypatch.setattr(export, "_sha256", filling)

    with pytest.raises(ExportRefused, match="another export was first"):
        exported()

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]
    assert leftovers(tmp_path) == []


def test_before_the_first_load_there_is_nothing_to_export(exported: Export, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="its first load is of 2026-04-05T12:00:00Z"):
        exported(known_at=MARCH_31)
    with pytest.raises(ExportRefused, match="no tenant 'nobody'"):
        exported(tenant="nobody")

    assert not (tmp_path / "out").exists()


def test_before_the_first_balance_the_files_have_only_a_header(exported: Export) -> None:
    written = exported("csv", as_of=MARCH_30 - timedelta(days=1))

    assert written.rows["balances.csv"] == 0
    assert (written.folder / "balances.csv").read_text(encoding="utf-8").startswith("tenant_id,account_id,as_of,")


@pytest.mark.parametrize(
    ("problem", "named", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ExportFull, "no room left on the disk"),
        (PermissionError(errno.EACCES, "Permission denied"), ExportUnwritable, "Permission denied"),
        (OSError(errno.EROFS, "Read-only file system"), ExportUnwritable, "Read-only file system"),
        (duckdb.IOException('Could not write file "x": No space left on device'), ExportFull, "no room left"),
        (duckdb.IOException('Cannot open file "x": Permission denied'), ExportUnwritable, "Permission denied"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_write_error_is_reported_and_leaves_nothing(
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: Exception,
    named: type[ExportError],
    words: str,
) -> None:
    def failing(path: Path) -> str:
        raise problem

    monkeypatch.setattr(export, "_sha256", failing)

    with pytest.raises(named, match=f"out.*{words}"):
        exported()

    assert not (tmp_path / "out").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 300, "\udcff"], ids=["too long", "not UTF-8"])
def test_an_impossible_folder_name_is_reported(exported: Export, tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportUnwritable):
        exported(to=tmp_path / name)

    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_full_disk_is_reported_and_leaves_nothing(output: Ledger, tmp_path: Path, form: Form) -> None:
    """Simulated by a limit on file sizes."""
    start = APRIL_1
    output.merge(batch(*(balance(f"{n}.123", start + timedelta(minutes=n)) for n in range(4000))))
    output.publish()
    program = (
        "import resource, sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from pfo_pipeline.ledger.export import export_tenant\n"
        "from pfo_pipeline.ledger.export import ExportError\n"
        "from pfo_pipeline.ledger.reader import open_published\n"
        "with open_published(Path(sys.argv[1])) as con:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        export_tenant(con, 'smith', Path(sys.argv[2]), sys.argv[3], as_of=None, known_at=None,\n"
        "                      now=datetime.now(UTC))\n"
        "    except ExportError as error:\n"
        "        print(type(error).__name__, error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(output.files.published), str(tmp_path / "out"), form],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stderr == ""
    assert done.stdout.startswith(f"ExportFull {tmp_path / 'out'}: no room left on the disk.")
    assert not (tmp_path / "out").exists()
    assert leftovers(tmp_path) == []


def test_the_next_export_removes_the_draft_of_a_killed_one(exported: Export, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for pid in (ended.pid, os.getppid(), os.getpid()):
        (tmp_path / f".out.{pid}.draft").mkdir()
        (tmp_path / f".out.{pid}.draft" / "accounts.parquet").touch()

    exported()

    assert leftovers(tmp_path) == [tmp_path / f".out.{os.getppid()}.draft"]


def test_temporary_files_of_a_sort_are_in_the_private_draft(output: Ledger, tmp_path: Path) -> None:
    with open_published(output.files.published) as con:
        export_tenant(con, "smith", tmp_path / "out", "csv", as_of=None, known_at=None, now=NOW)
        [(spilled_to,)] = con.execute("select current_setting('temp_directory')").fetchall()

    assert Path(spilled_to) == tmp_path / f".out.{os.getpid()}.draft" / "temp"
