"""The commands that read, check and link: exact for programs, one sentence for mistakes, one tenant's rows for one tenant."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main, sql
from pfo_pipeline.ledger import office, reader
from pfo_pipeline_tests.cli.conftest import JONES, SMITHS
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, words, input=stdin)


def refused(result: Result) -> str:
    """What a command that ended in an operator's mistake says."""
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


def test_balances_as_json_are_exact_text(here: Office) -> None:
    rows = json.loads(run("balances", "--json").stdout)

    amounts = {row["currentBalance"] for row in rows}
    assert amounts == {SMITHS, "-0.0001", JONES}
    assert {row["balanceType"] for row in rows} == {"current", "available"}
    assert {row["tenantId"] for row in rows} == {"smith", "jones"}


def test_balances_as_csv_are_exact_and_every_row_has_every_column(here: Office) -> None:
    rows = list(csv.DictReader(io.StringIO(run("balances", "--csv").stdout)))

    assert {row["currentBalance"] for row in rows} == {SMITHS, "-0.0001", JONES}
    assert all(None not in row and None not in row.values() for row in rows)


def test_accounts_are_of_the_named_tenants_alone(here: Office) -> None:
    rows = json.loads(run("accounts", "--tenant", "jones", "--json").stdout)

    assert [(row["tenantId"], row["userId"], row["balance"]) for row in rows] == [("jones", "john", JONES)]
    both = json.loads(run("accounts", "--tenant", "jones", "--tenant", "smith", "--json").stdout)
    assert [row["tenantId"] for row in both] == ["jones", "smith", "smith"]


def test_the_table_for_people_shows_the_same_exact_amount(here: Office) -> None:
    assert SMITHS in run("balances").stdout


def test_status_names_who_must_act_and_where(here: Office) -> None:
    shown = run("status", "--tenant", "smith").stdout

    assert "wrongpass → member" in shown
    assert "The member opens the link and enters the new credentials." in shown
    assert "https://webview.powens.com/en/reconnect?" in shown
    assert "jones" not in shown
    assert "Nobody must act." in run("status", "--tenant", "jones").stdout


def test_status_for_programs_holds_each_connection(here: Office) -> None:
    rows = json.loads(run("status", "--json").stdout)

    assert sorted((row["tenant_id"], row["status"]) for row in rows) == [
        ("jones", "healthy"),
        ("smith", "healthy"),
        ("smith", "needs-person"),
    ]
    header = run("status", "--tenant", "jones", "--csv").stdout.splitlines()[0]
    assert header.startswith("tenant_id,connection_id,user_id")


def test_sql_is_exact_for_programs(here: Office) -> None:
    query = (
        "select current_balance, as_of is not null as dated from positions where tenant_id = 'smith' order by 1 desc"
    )

    assert json.loads(run("sql", query, "--json").stdout)[0] == {"current_balance": SMITHS, "dated": True}
    assert run("sql", query, "--csv").stdout.splitlines()[1] == f"{SMITHS},True"


def test_sql_is_read_from_standard_input(here: Office) -> None:
    assert json.loads(run("sql", "--json", stdin="select 1 as one, 2 as one").stdout) == [{"one_1": 1, "one_2": 2}]


@pytest.mark.parametrize(
    "relation",
    [
        "positions",
        "accounts",
        "accounts_latest",
        "balances",
        "balances_latest",
        "connections",
        "users",
        "loads",
        "telemetry",
    ],
)
def test_sql_for_one_tenant_sees_that_tenants_rows_alone(here: Office, relation: str) -> None:
    query = f"select distinct tenant_id from {relation}"  # noqa: S608

    assert json.loads(run("sql", query, "--tenant", "jones", "--json").stdout) == [{"tenant_id": "jones"}]


@pytest.mark.parametrize("tenant", [[], ["--tenant", "jones"]], ids=["all", "jones"])
@pytest.mark.parametrize(
    "way_out",
    [
        "attach '{file}' as whole (read_only)",
        "from read_duckdb('{file}', table_name = 'accounts')",
        "from read_csv('{config}')",
        "from read_text('{config}')",
        "from '{config}'",
        "from glob('{folder}/*')",
        "copy (select 1) to '{folder}/leak.csv'",
        "copy (select 1) to '{file}.wal'",
        "copy (select 1) to '{file}.tmp/leak.csv'",
        "export database '{folder}/leak'",
        "create persistent secret s (type http, bearer_token 'x')",
        "set temp_directory = '{folder}/leak'",
        "set lock_configuration = false",
        "from query_of_the_program",
        "set enable_external_access = true",
        "load httpfs",
        "install httpfs",
        "select getenv('PFO_CONFIG')",
        "from whole.ledger.accounts",
        "attach ':memory:' as other; attach '{file}' as whole",
    ],
)
def test_sql_has_no_way_out_of_the_ledger(
    here: Office, way_out: str, tenant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write-ahead log beside the published ledger would take it from every reader."""
    monkeypatch.setattr(sql, "query_of_the_program", pa.table({"a": [1]}), raising=False)
    query = way_out.format(file=here.files.published, config=here.config, folder=here.folder)
    before = sorted(here.folder.rglob("*"))

    assert refused(run("sql", query, *tenant)).startswith("QueryError: ")
    assert sorted(here.folder.rglob("*")) == before


@pytest.mark.parametrize(
    "write",
    [
        "delete from accounts",
        "insert into drift values ('smith', 'a', 'b', 1, now(), 'r', 'o')",
        "update balances set current_balance = 0",
        "drop table accounts",
        "create table mine as select 1",
        "drop view positions",
    ],
)
def test_sql_cannot_write_the_ledger(here: Office, write: str) -> None:
    before = here.files.published.read_bytes()

    assert refused(run("sql", write)).startswith("QueryError: ")
    assert here.files.published.read_bytes() == before


@pytest.mark.parametrize("tenant", [[], ["--tenant", "jones"]])
@pytest.mark.parametrize(
    "query",
    ["selec 1", "from nowhere", "select 1 + 'a'", "select", "select ?", "select error('mine')", "from '/nowhere.csv'"],
)
def test_wrong_sql_is_told_in_the_databases_own_words(here: Office, query: str, tenant: list[str]) -> None:
    """A file that a query cannot find is no damage to the ledger."""
    assert refused(run("sql", query, *tenant)).startswith("QueryError: ")


@pytest.mark.parametrize("query", ["", "   ", "/* nothing */", ";"])
def test_a_query_without_a_statement_is_told_so(here: Office, query: str) -> None:
    assert refused(run("sql", query)).startswith("QueryError: There is no statement in the query.")


@pytest.mark.parametrize("words", [["accounts"], ["balances"], ["status"], ["sql", "select 1"]])
def test_an_unknown_tenant_is_named_with_those_that_there_are(here: Office, words: list[str]) -> None:
    assert refused(run(*words, "--tenant", "stranger")) == (
        "ConfigError: The ledger has no tenant 'stranger'. It has: jones, smith.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["accounts"],
        ["balances"],
        ["status"],
        ["sql", "select 1"],
        ["reconnect", "--tenant", "smith", "--connection", "1"],
    ],
)
def test_without_a_ledger_the_first_command_to_type_is_told(office: Office, words: list[str]) -> None:
    office.add_tenant("smith", "jane")

    printed = refused(run(*words))

    assert printed.startswith("LedgerMissing: There is no ledger at ")
    assert "`pfo run`" in printed


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["accounts"],
        ["balances"],
        ["status"],
        ["sql", "select 1"],
        ["reconnect", "--tenant", "smith", "--connection", "1"],
        ["config", "check"],
        ["dev"],
    ],
)
def test_a_broken_configuration_is_told_by_its_keys(office: Office, words: list[str]) -> None:
    office.add_tenant("smith", "jane", timezone="Mars/Olympus", nonsense=1)

    printed = refused(run(*words))

    assert printed.startswith("ConfigError: ")
    assert "tenants.smith.timezone: 'Mars/Olympus' is not a time zone name" in printed
    assert "tenants.smith.nonsense: is not a known key" in printed


def test_a_damaged_ledger_is_named(office: Office) -> None:
    office.add_tenant("smith", "jane")
    office.files.published.write_bytes(b"not a ledger" * 1000)

    assert refused(run("status")).startswith("LedgerDamaged: ")


def test_config_check_counts_what_is_in_order(here: Office) -> None:
    assert run("config", "check").stdout.endswith("is in order: office test-office, 2 tenants, 2 users.\n")


def test_config_check_names_every_secret_that_does_not_resolve_and_no_value(office: Office) -> None:
    office.add_tenant("smith", "jane", "john", client_secret="env:PFO_TEST_UNSET")
    (office.folder / "smith.jane.token").unlink()
    (office.folder / "smith.john.token").write_text("")

    printed = refused(run("config", "check"))

    for key in ("tenants.smith.client_secret", "tenants.smith.users.jane.token", "tenants.smith.users.john.token"):
        assert key in printed


@pytest.mark.parametrize(("mode", "is_named"), [(0o600, False), (0o640, True), (0o666, True)])
def test_config_check_names_a_secret_that_others_can_read(office: Office, mode: int, is_named: bool) -> None:
    office.add_tenant("smith", "jane")
    token = office.folder / "smith.jane.token"
    token.chmod(mode)

    result = run("config", "check")

    assert result.exit_code == 0
    remedy = f"tenants.smith.users.jane.token: other accounts of this machine can read it: chmod 600 {token}"
    assert (remedy in result.stderr) == is_named


def test_the_command_that_closes_a_secret_runs_as_it_is_printed(office: Office) -> None:
    office.add_tenant("smith", "jane", client_id="1", client_secret="file:a secret.txt")
    secret = office.folder / "a secret.txt"
    secret.write_text("zz")
    secret.chmod(0o644)

    (line,) = [line for line in run("config", "check").stderr.splitlines() if "client_secret" in line]
    subprocess.run(["sh", "-c", line[line.index("chmod") :]], check=True)

    assert secret.stat().st_mode & 0o777 == 0o600


def test_config_check_names_two_users_with_the_same_token(office: Office) -> None:
    office.add_tenant("smith", "jane")
    office.add_tenant("jones", "jill")
    office.change_tenant("jones", **office.tenants["smith"])
    office.set_token("smith", "jane", "zzSAMEzz")
    office.set_token("jones", "jill", "zzSAMEzz")

    printed = refused(run("config", "check"))

    assert "tenants.smith.users.jane and tenants.jones.users.jill have the same token" in printed
    assert "zzSAMEzz" not in printed


def test_a_secret_in_the_place_of_a_reference_is_refused_without_being_shown(office: Office) -> None:
    office.add_tenant("smith", "jane", client_secret="zzTHESECRETITSELFzz")

    printed = refused(run("config", "check"))

    assert "tenants.smith.client_secret: is not a secret reference" in printed
    assert "zzTHESECRETITSELFzz" not in printed


def troubled_connection(office: Office) -> str:
    ((connection,),) = office.ask("select connection_id from connections_latest where status = 'needs-person'")
    return str(connection)


def test_a_link_holds_a_code_and_never_the_token(here: Office) -> None:
    shown = run("reconnect", "--tenant", "smith", "--connection", troubled_connection(here), "--no-wait").stdout

    assert shown.startswith("https://webview.powens.com/en/reconnect?")
    assert "code=" in shown
    assert here.users["smith", "jane"].token not in shown


def test_a_link_needs_a_connection_that_the_tenant_has(here: Office) -> None:
    printed = refused(run("reconnect", "--tenant", "jones", "--connection", "99999"))

    assert printed.startswith("OperationRefused: Tenant jones has no connection 99999. It has: ")


def test_a_link_for_another_tenants_connection_is_refused(here: Office) -> None:
    connection = troubled_connection(here)

    assert "Tenant jones has no connection" in refused(
        run("reconnect", "--tenant", "jones", "--connection", connection)
    )


def test_a_link_needs_the_role_admin_and_reading_does_not(here: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    assert refused(
        run("reconnect", "--tenant", "smith", "--connection", troubled_connection(here), "--no-wait")
    ).startswith("OperationRefused: ")
    for command in ("accounts", "balances", "status"):
        assert run(command, "--json").exit_code == 0


def test_who_may_only_read_starts_no_run(here: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    assert "needs role admin" in refused(run("run"))

    assert not (here.data_dir / "dagster" / "history").exists()


def test_alerts_of_a_tenant_that_is_none_are_refused(here: Office) -> None:
    assert "'nobody'" in refused(run("alerts", "--tenant", "nobody"))


def test_an_unknown_role_is_named(here: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "root")

    for command in (["accounts"], ["status"], ["sql", "select 1"], ["connections"], ["alerts"], ["verify"]):
        assert refused(run(*command)) == "ConfigError: PFO_ROLE is 'root'. Set it to user or admin.\n"


def test_a_tenant_that_is_not_configured_is_not_run(here: Office) -> None:
    result = run("run", "--tenant", "stranger")

    assert result.exit_code == 1
    assert "ConfigError: Tenant 'stranger' is not in" in result.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["accounts", "--nonsense"], ["reconnect", "--tenant", "smith"]])
def test_wrong_words_on_the_command_line_end_in_status_two(words: list[str]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--force"],
        ["--tenant", "smith", "--force"],
        ["--tenant", "smith", "--account", "acc_1", "--force"],
        ["--tenant", "smith", "--member-present"],
        ["--tenant", "smith", "--connection", "38", "--member-present"],
    ],
)
def test_a_bank_is_asked_for_one_connection_or_not_at_all(words: list[str]) -> None:
    result = run("run", *words)

    assert result.exit_code == 2
    assert "pfo run --tenant NAME --connection ID --force" in result.stderr


@pytest.mark.parametrize("choice", [["--connection", "38"], ["--account", "acc_1"], ["--connection", "38", "--force"]])
@pytest.mark.parametrize("tenants", [[], ["--tenant", "smith", "--tenant", "jones"]])
def test_what_is_chosen_is_of_one_tenant(tenants: list[str], choice: list[str]) -> None:
    result = run("run", *tenants, *choice)

    assert result.exit_code == 2
    assert "of one tenant" in result.stderr


@pytest.mark.parametrize(
    ("choice", "printed"),
    [
        (["--connection", "999"], "Tenant jones has no connection 999. It has: "),
        (["--connection", "999", "--force"], "Tenant jones has no connection 999. It has: "),
        (["--account", "acc_x"], "Tenant jones has no account acc_x. Its accounts: pfo accounts --tenant jones --json"),
    ],
)
def test_a_choice_that_nobody_has_is_told_before_a_run_is_made(here: Office, choice: list[str], printed: str) -> None:
    asked = len(here.calls("jones"))

    result = run("run", "--tenant", "jones", *choice)

    assert result.exit_code == 1
    assert printed in result.stderr
    assert len(here.calls("jones")) == asked
    assert not (here.data_dir / "dagster" / "history").exists()


def test_commands_that_run_no_asset_never_import_dagster(here: Office) -> None:
    """It costs over a second."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from pfo_pipeline.cli import main\n"
        "for words in (['accounts'], ['balances'], ['status'], ['sql', 'select 1'],"
        " ['sql', 'select 1', '--tenant', 'smith'], ['config', 'check'], ['demo', 'remove'], ['connections'],"
        " ['reconnect', '--tenant', 'smith', '--connection', sys.argv[1], '--no-wait'], ['--help'], ['--version']):\n"
        "    result = CliRunner().invoke(main, words)\n"
        "    assert result.exit_code == (1 if words[0] == 'demo' else 0), (words, result.output)\n"
        "    assert 'dagster' not in sys.modules, words\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, troubled_connection(here)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr


def test_the_largest_amount_survives_every_form(here: Office) -> None:
    forms = [run("balances", form).stdout for form in ("--json", "--csv")] + [run("balances").stdout]

    assert all(SMITHS in form for form in forms)
    assert Decimal(SMITHS) == here.ask("select max(current_balance) from balances")[0][0]


def test_a_ledger_of_another_office_is_not_shown(here: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    other = here.config.with_name("other.toml")
    other.write_text(here.config.read_text().replace(f'office = "{here.name}"', 'office = "other"'))
    monkeypatch.setenv("PFO_CONFIG", str(other))

    for words in (["status"], ["accounts"], ["sql", "from totals"], ["sql", "from totals", "--tenant", "smith"]):
        assert "LedgerForeign" in refused(run(*words))


@pytest.mark.parametrize("command", ["accounts", "balances", "status", "connections", "identity"])
def test_a_command_reads_one_state_of_the_ledger(here: Office, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A ledger published between two reads gave balances of two states; and an account each took time."""
    opened: list[Path] = []

    def counting(path: Path, *rest: str | None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        opened.append(path)
        return reader.open_published(path, *rest)

    monkeypatch.setattr(office, "open_published", counting)

    assert run(command, "--json").exit_code == 0
    assert len(opened) == 1


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
@pytest.mark.parametrize(
    ("query", "printed"),
    [
        ("select interval '2000000000 days'", "Python has no form for a value"),
        ("select interval '178000000 years'", "Python has no form for a value"),
        ("select '\udcff'", "The query is not UTF-8 text."),
    ],
)
def test_a_value_without_a_form_is_told_with_a_way_around(
    here: Office, query: str, printed: str, form: list[str]
) -> None:
    assert refused(run("sql", query, *form)).startswith(f"QueryError: {printed}")


def test_values_of_every_shape_have_a_form_for_programs(here: Office) -> None:
    query = (
        "select map([date '2020-01-01', date '2020-01-02'], [1.5::decimal(3,1), null]) as m, "
        "map([[1]], [{'a': 'nan'::double}]) as n, [1, 2]::int[2] as a, 'inf'::double as i, map([true], ['Société']) as t"
    )

    assert json.loads(run("sql", query, "--json").stdout) == [
        {
            "m": {"2020-01-01": "1.5", "2020-01-02": None},
            "n": {"key": [[1]], "value": [{"a": None}]},
            "a": [1, 2],
            "i": None,
            "t": {"True": "Société"},
        }
    ]
    (row,) = csv.DictReader(io.StringIO(run("sql", query, "--csv").stdout))
    assert (row["m"], row["a"]) == ('{"2020-01-01": "1.5", "2020-01-02": null}', "[1, 2]")
    assert "Société" in run("sql", query).stdout


@pytest.mark.parametrize("words", [["status"], ["accounts"], ["balances"], ["sql", "from positions"]])
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_a_terminal_without_unicode_is_shown_escapes(
    here: Office, monkeypatch: pytest.MonkeyPatch, words: list[str], form: list[str]
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)

    with pytest.raises(SystemExit) as ended:
        main([*words, *form])

    terminal.flush()
    shown = terminal.buffer.getvalue()
    assert ended.value.code == 0
    assert shown
    assert shown.isascii()
    if form == ["--json"]:
        assert json.loads(shown)


def test_a_program_on_a_terminal_without_unicode_shows_escapes(here: Office) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pfo_pipeline.cli", "sql", "select 'Société' as name"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Soci\xe9t\xe9" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["status"], ["accounts"], ["balances"], ["sql", "from positions"], ["sql", "from drift", "--tenant", "smith"]],
)
def test_a_ledger_is_named_as_damaged_wherever_the_damage_is(
    here: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """`pfo sql` called what it met after opening the file a mistake in the query."""
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path))
    whole = here.files.published.read_bytes()
    results = []
    for start in range(0, len(whole), 256 * 1024):
        damaged = whole[:start] + bytes(64 * 1024) + whole[start + 64 * 1024 :]
        (tmp_path / "ledger.duckdb").write_bytes(damaged)
        results.append(run(*words))

    printed = [refused(result) for result in results if result.exit_code]

    assert printed
    assert all(text.startswith("LedgerDamaged: ") and "`pfo run`, which writes it again" in text for text in printed)


@pytest.mark.parametrize("tenant", [[], ["--tenant", "smith"]])
def test_a_query_that_outgrows_the_memory_is_told_what_else_to_do(
    here: Office, monkeypatch: pytest.MonkeyPatch, tenant: list[str]
) -> None:
    """DuckDB's own advice was a setting that is refused here."""
    lock_in = sql._lock_in

    def with_little_memory(con: duckdb.DuckDBPyConnection) -> None:
        con.execute("set memory_limit = '100MB'")
        lock_in(con)

    monkeypatch.setattr(sql, "_lock_in", with_little_memory)

    printed = refused(run("sql", "from range(30000000) t(n) order by hash(n)", *tenant))

    assert printed.startswith("QueryError: The query needs more memory than there is")
    assert f"duckdb -readonly {here.files.published}" in printed


@pytest.mark.parametrize("tenant", [[], ["--tenant", "smith"]])
@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from range(10000) a, range(100000) b where hash(a.range, b.range) = 0",
        "select sum(a.range * b.range) from range(1000000) a, range(10000) b",
    ],
)
def test_an_interrupted_query_ends_without_a_traceback(
    here: Office, monkeypatch: pytest.MonkeyPatch, query: str, tenant: list[str]
) -> None:
    """DuckDB's Python told of it as a RuntimeError, and by chance not before the query was answered."""
    lock_in = sql._lock_in

    def lock_in_and_interrupt_soon(con: duckdb.DuckDBPyConnection) -> None:
        lock_in(con)  # The last before the query: on a slow machine, half a second from the start may be before it.
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()

    monkeypatch.setattr(sql, "_lock_in", lock_in_and_interrupt_soon)

    result = run("sql", query, *tenant)

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Interrupted. Nothing was lost; run again to go on.\n"
