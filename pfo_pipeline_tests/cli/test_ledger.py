"""`pfo verify`, `pfo erase`, `pfo rekey`: the ledger as a whole, and the keys of the configuration that belong to it."""

import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline.report.output import page_path, pages_folder, write_page
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, sync_and_refresh

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


@pytest.fixture
def mine(here: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the synced office, which a test may change."""
    shutil.copytree(here.folder, tmp_path / "mine")
    mine = replace(here, folder=tmp_path / "mine", elsewhere=None, tenants=dict(here.tenants), users=dict(here.users))
    monkeypatch.setenv("PFO_CONFIG", str(mine.config))
    monkeypatch.setenv("PFO_DATA_DIR", str(mine.data_dir))
    return mine


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def configure(office: Office, line: str) -> None:
    office.config.write_text(f"{line}\n{office.config.read_text(encoding='utf-8')}", encoding="utf-8")


def take_out(office: Office, tenant: str) -> None:
    del office.tenants[tenant]
    office.users = {key: user for key, user in office.users.items() if key[0] != tenant}
    office.write()


def test_verify_tells_what_it_checked_and_each_tenants_last_hash(mine: Office) -> None:
    result = run("verify")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{mine.files.primary}: ")
    heads = dict(mine.ask("select tenant_id, max_by(hash, load_id) from chain group by all"))
    assert {name: head for name, head in heads.items() if f"  {name}  {head}\n" in result.stdout} == heads
    assert sorted(heads) == ["jones", "smith"]
    assert result.stdout.endswith("Everything is as it was written, and the published copy holds the same.\n")


def test_verify_names_what_was_changed_and_ends_with_status_1(mine: Office) -> None:
    with duckdb.connect(str(mine.files.primary)) as con:
        con.execute("update ledger.balances set current_balance = 777.26 where tenant_id = 'jones'")

    result = run("verify")

    assert result.exit_code == 1
    assert "jones load " in result.stderr
    assert "balances: amounts add up to 777.2600000000, 777.2500000000 were written" in result.stderr
    assert "Everything" not in result.stdout


def test_verify_before_the_first_run_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFO_CONFIG", raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path / "none"))

    result = run("verify")

    assert result.exit_code == 1
    assert "make run" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("verify",), ("erase", "--tenant", "jones", "--yes"), ("rekey",)])
def test_a_user_may_not(mine: Office, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    result = run(*words)

    assert result.exit_code == 1
    assert "needs role admin" in result.stderr


def test_a_tenant_that_left_is_erased_and_the_rest_verifies(mine: Office) -> None:
    take_out(mine, "jones")

    result = run("erase", "--tenant", "jones", "--yes")

    assert result.exit_code == 0, result.output
    assert "rows of tenant jones" in result.stdout
    assert "Not erased: backups" in result.stdout
    assert mine.ask("select distinct tenant_id from accounts") == [("smith",)]
    assert mine.ask("select tenant_id, scope from erasures") == [("jones", "tenant")]
    assert run("verify").exit_code == 0


def test_what_is_erased_is_on_no_page_any_more(mine: Office) -> None:
    for tenant in ("smith", "jones"):
        write_page(page_path(mine.data_dir, tenant), tenant, mode=0o444)
    take_out(mine, "jones")

    result = run("erase", "--tenant", "jones", "--yes")

    assert result.exit_code == 0, result.output
    assert "jones.html" in result.stdout
    assert [page.name for page in pages_folder(mine.data_dir).iterdir()] == ["smith.html"]


@pytest.mark.parametrize(("setting", "left"), [("", []), ("after_refresh = true", ["smith.html"])])
def test_what_gets_a_key_lies_on_no_page_in_the_clear_unless_that_was_asked_for(
    mine: Office, setting: str, left: list[str]
) -> None:
    write_page(page_path(mine.data_dir, "smith"), "amounts", mode=0o444)
    (mine.folder / "key").write_text("correct-horse", encoding="utf-8")
    configure(mine, 'encryption_key = "file:key"')
    mine.config.write_text(mine.config.read_text("utf-8").replace("after_refresh = false", setting), encoding="utf-8")

    result = run("rekey")

    assert result.exit_code == 0, result.output
    assert ("smith.html" in result.stdout) == (not left)
    assert [page.name for page in pages_folder(mine.data_dir).iterdir()] == left


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("--tenant", "jones"), "tenants.jones is still configured"),
        (("--tenant", "smith", "--member", "jane"), "user jane of tenants.smith is still configured"),
        (("--tenant", "smith", "--member", "nobody"), "holds nothing of user nobody of tenant smith"),
        (("--tenant", "nobody"), "holds nothing of tenant nobody"),
    ],
)
def test_what_cannot_be_erased_is_told_and_nothing_is(mine: Office, words: tuple[str, ...], printed: str) -> None:
    before = mine.ask("select count(*) from accounts")

    result = run("erase", *words, "--yes")

    assert result.exit_code == 1
    assert printed in result.stderr
    assert mine.ask("select count(*) from accounts") == before


def test_a_run_that_goes_on_must_end_first(mine: Office) -> None:
    take_out(mine, "jones")

    with hold_lock(mine.files.tenant_lock("jones"), deadline_seconds=5):
        result = run("erase", "--tenant", "jones", "--yes")

    assert result.exit_code == 1
    assert "is at work on tenant jones" in result.stderr
    assert mine.ask("select count(*) from accounts where tenant_id = 'jones'") == [(1,)]


def test_erasing_asks_first(mine: Office) -> None:
    take_out(mine, "jones")

    assert run("erase", "--tenant", "jones").exit_code == 1

    assert mine.ask("select count(*) from accounts where tenant_id = 'jones'") == [(1,)]


def test_a_ledger_gets_a_key_is_read_and_written_with_it_and_loses_it_again(mine: Office, tmp_path: Path) -> None:
    plain_config = mine.config.read_text(encoding="utf-8")
    (mine.folder / "key").write_text("correct-horse", encoding="utf-8")
    configure(mine, 'encryption_key = "file:key"')
    assert "pfo rekey" in run("balances").stderr

    assert run("rekey").exit_code == 0

    assert b"current_balance" not in mine.files.published.read_bytes()
    assert "777.25" in run("balances", "--csv").stdout
    assert "777.25" in run("sql", "select current_balance from balances", "--tenant", "jones", "--csv").stdout
    with dg.DagsterInstance.ephemeral() as instance:
        assert all(ended.success for ended in sync_and_refresh(mine, instance, "jones"))
    assert run("verify").exit_code == 0

    mine.config.write_text(plain_config, encoding="utf-8")
    assert "it is encrypted" in run("balances").stderr
    assert run("rekey", "--old-key", "file:key").exit_code == 0
    assert "777.25" in run("balances", "--csv").stdout
    assert run("verify").exit_code == 0


@pytest.mark.parametrize(
    ("old", "printed"),
    [
        ("correct-horse", "--old-key: is not a secret reference"),
        ("file:none", "--old-key: file "),
        ("env:PFO_NO_SUCH_KEY", "--old-key: environment variable PFO_NO_SUCH_KEY is not set"),
    ],
)
def test_an_old_key_is_a_reference_that_resolves(mine: Office, old: str, printed: str) -> None:
    result = run("rekey", "--old-key", old)

    assert result.exit_code == 1
    assert printed in result.stderr
    assert "correct-horse" not in result.output


def test_a_missing_key_is_named_by_the_check_of_the_configuration(mine: Office) -> None:
    configure(mine, 'encryption_key = "env:PFO_NO_SUCH_KEY"')

    assert "encryption_key: environment variable PFO_NO_SUCH_KEY is not set" in run("config", "check").stderr
    assert "encryption_key: environment variable PFO_NO_SUCH_KEY is not set" in run("balances").stderr


def test_a_run_without_its_key_fails_by_name(mine: Office) -> None:
    configure(mine, 'encryption_key = "env:PFO_NO_SUCH_KEY"')

    with dg.DagsterInstance.ephemeral() as instance:
        (accounts, *_) = sync_and_refresh(mine, instance, "jones")

    (failure,) = [event for event in accounts.all_events if event.is_step_failure]
    assert "encryption_key: environment variable PFO_NO_SUCH_KEY is not set" in str(failure.event_specific_data)


def test_personal_columns_can_be_left_out_of_what_is_published(mine: Office) -> None:
    [(name,)] = mine.ask("select display_name from accounts_latest where tenant_id = 'jones'")
    configure(mine, "publish_personal_columns = false")

    with dg.DagsterInstance.ephemeral() as instance:
        assert all(ended.success for ended in sync_and_refresh(mine, instance, "jones"))

    assert name not in {shown for (shown,) in mine.ask("select display_name from accounts")}
    assert run("accounts", "--json").exit_code == 0
    assert run("verify").exit_code == 0
