"""The findings of the checks in a ledger, the runs that they block, and their texts. The bank of these runs is nearly
empty.
"""

from datetime import timedelta

import dagster as dg
import duckdb
import pytest

from pfo_pipeline.config import load_config
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.defs.checks import CHECKS, CheckContext, _hours, invariant, stale_accounts, stale_tenants
from pfo_pipeline.defs.failures import described_failure
from pfo_pipeline.defs.metadata import MOST_ROWS, table
from pfo_pipeline.ledger.office import ledger_of
from pfo_pipeline.ledger.store import Ledger, Publication
from pfo_pipeline_tests.defs.office import (
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
    sync_and_refresh,
    today,
)
from pfo_pipeline_tests.ledger.samples import balance, batch

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)
DAY = timedelta(days=1)


def found(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == name]
    return check


def shown(result: dg.ExecuteInProcessResult, name: str, table: str) -> str:
    return str(found(result, name).metadata[table].value)


def failing(result: dg.ExecuteInProcessResult) -> list[str]:
    return sorted(c.check_name for c in result.get_asset_check_evaluations() if not c.passed)


@pytest.fixture
def smith(office: Office, instance: dg.DagsterInstance) -> Office:
    """One account with one balance, synced and refreshed."""
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "100")
    assert all(run.success for run in sync_and_refresh(office, instance, "smith"))
    return office


def spoil(office: Office, statement: str, *, of: str = "primary") -> None:
    """Change a ledger's file from outside."""
    path = getattr(office.files, of)
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        con.execute("use ledger")
        con.execute(statement)


def a_look(tenant: str | None = "smith", run_id: str = "run") -> CheckContext:
    config = load_config()
    return CheckContext(config, ledger_of(config).reader(), tenant, run_id, "openbanking.balances.refresh", today())


RULES = [
    (
        "ids_are_unique",
        "insert into balances_current from balances_current limit 1",
        "has 2 newest balances",
    ),
    (
        "balances_have_accounts",
        "insert into balances_current select * replace ('acc_lost' as account_id) from balances_current limit 1",
        "| smith | acc_lost | has a balance and is no account of the tenant |",
    ),
    (
        "no_balance_is_in_the_future",
        "insert into balances_current select * replace ('acc_lost' as account_id, recorded_at + interval 2 day as as_of) "
        "from balances_current limit 1",
        "| smith | acc_lost | its balance is dated more than a day after it was recorded |",
    ),
]


@pytest.mark.parametrize(("rule", "statement", "output"), RULES)
def test_a_broken_rule_ends_the_run_before_its_next_step_by_name(
    smith: Office, instance: dg.DagsterInstance, rule: str, statement: str, output: str
) -> None:
    spoil(smith, statement)

    result = run_job(smith, instance, "smith", BALANCES_JOB)

    assert not result.success
    assert rule in failing(result)
    assert output in shown(result, rule, "broken")
    assert found(result, rule).severity == dg.AssetCheckSeverity.ERROR
    assert not [e for e in result.all_events if e.is_step_start and e.step_key == "balances__fetched"]
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    cause = described_failure(failed)
    assert (cause["code"], cause["who_acts"]) == ("check", "operator")
    assert "balances/refreshed:" in str(cause["reason"])
    assert rule in str(cause["reason"])


def test_a_broken_tenant_blocks_no_other(smith: Office, instance: dg.DagsterInstance) -> None:
    smith.add_tenant("jones", "mary")
    smith.connect("jones", "mary", "5")
    spoil(smith, RULES[0][1])

    assert all(run.success for run in sync_and_refresh(smith, instance, "jones"))


def other_currency(office: Office) -> None:
    """The run's own row in another currency than all earlier rows, which no guard allows."""
    spoil(office, "update balances set currency = 'USD'")
    spoil(office, "update balances_current set currency = 'EUR'")


def test_a_changed_currency_ends_the_run_unless_it_is_configured(smith: Office, instance: dg.DagsterInstance) -> None:
    other_currency(smith)
    smith.bank.advance(hours=24)

    held = run_job(smith, instance, "smith", BALANCES_JOB)

    assert not held.success
    assert failing(held) == ["currencies_are_stable"]
    [(account_id,)] = smith.ask("select account_id from balances_current")
    asked = invariant("currencies_are_stable", "")
    assert asked(a_look(run_id=held.run_id)).found == 1
    smith.change_tenant("smith", **{f"currency_changes.{account_id}": "EUR"})
    assert asked(a_look(run_id=held.run_id)).found == 0


def test_a_published_copy_that_lacks_rows_ends_the_run_in_red(
    smith: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Ledger.publish

    def publish_less(self: Ledger) -> Publication:
        done = publish(self)
        spoil(smith, "delete from balances", of="published")
        return done

    monkeypatch.setattr(Ledger, "publish", publish_less)

    result = run_job(smith, instance, "smith", BALANCES_JOB)

    assert not result.success
    assert failing(result) == ["published_equals_primary"]
    assert "| balances | 0 rows published, 1 rows in the private ledger |" in shown(
        result, "published_equals_primary", "differences"
    )


def test_a_later_load_of_another_run_is_not_a_difference(
    smith: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Ledger.publish

    def publish_and_load(self: Ledger) -> Publication:
        done = publish(self)
        self.merge(batch(balance("1", tenant_id="jones"), tenant_id="jones"))
        return done

    monkeypatch.setattr(Ledger, "publish", publish_and_load)

    assert failing(run_job(smith, instance, "smith", BALANCES_JOB)) == []


def test_a_stale_account_is_shown_with_three_ages_and_the_cause(smith: Office, instance: dg.DagsterInstance) -> None:
    connected = smith.connect("smith", "jane", "2100000.05")
    assert all(run.success for run in sync_and_refresh(smith, instance, "smith"))
    [(number,)] = smith.ask("select source_id from balances_current where current_balance > 1000")
    spoil(smith, f"update balances set as_of = as_of - interval 4 day where source_id = '{number}'")  # noqa: S608
    spoil(smith, f"update balances_current set as_of = as_of - interval 4 day where source_id = '{number}'")  # noqa: S608
    smith.bank.change_connection("smith-sandbox", connected, state="SCARequired")
    smith.bank.fault("status", status=500, path="/accounts$", times=None)

    look = a_look()
    accounts, tenants = stale_accounts(look), stale_tenants(look)

    assert accounts.found == 1
    row = str(accounts.shown["stale"].value).splitlines()[2]
    assert row.endswith("| 72 h | not given by the bank |  |")
    assert "| Banque Exemple | checking | EUR |" in row
    assert tenants.found == 1
    assert tenants.text == "smith: EUR 2100000.05 of 2100100.05 is older than its limit"
    assert "| smith | EUR | 2100000.05 | 2100100.05 | 0 | 0 | 1 of 2 |" in str(tenants.shown["tenants"].value)


def test_every_tenant_is_checked_and_an_unread_one_is_reported(smith: Office, instance: dg.DagsterInstance) -> None:
    smith.add_tenant("jones", "mary")
    smith.add_tenant("resting", "rose", integration="disconnected")

    result = run_job(smith, instance, "smith", BALANCES_JOB)

    assert failing(result) == ["tenants_are_fresh"]
    assert found(result, "tenants_are_fresh").description == "1 found. jones: never read"
    assert "resting" not in shown(result, "tenants_are_fresh", "tenants")


def test_drift_and_unreadable_fields_are_reported_by_tenant(smith: Office, instance: dg.DagsterInstance) -> None:
    made = smith.bank.add_connection(
        smith.users["smith", "jane"],
        accounts=[{"balance": "1", "moves": False, "type": "vault"}, {"balance": "1e30", "moves": False}],
    )

    result = run_job(smith, instance, "smith")

    assert "| smith | account.type | vault |" in shown(result, "contract_has_not_drifted", "drift")
    run_job(smith, instance, "smith", BALANCES_JOB)
    assert f"a record cannot be read: balance {made.account_ids[1]}: balance: 10^18 or more" in shown(
        run_job(smith, instance, "smith"), "nobody_has_to_act", "who_must_act"
    )
    assert "contract_has_not_drifted" in failing(result)


def test_an_implausible_move_names_the_account_and_no_person(smith: Office, instance: dg.DagsterInstance) -> None:
    spoil(
        smith,
        "insert into balances select b.* replace (as_of - to_days(d::int) as as_of, "
        "(100 + d % 3)::decimal(38,10) as current_balance) from balances b cross join range(2, 40) t(d)",
    )
    spoil(smith, "update balances set current_balance = 100000 where as_of = (select max(as_of) from balances)")

    result = run_job(smith, instance, "smith", BALANCES_JOB)

    [(account_id,)] = smith.ask("select distinct account_id from balances", published=False)
    # The history was changed and the newest balance was not: the check finds that too.
    assert set(failing(result)) == {"accounts_are_counted_or_named", "balances_move_plausibly"}
    assert (
        found(result, "balances_move_plausibly").description
        == f"1 found. Compare with the bank's own site: {account_id}."
    )
    assert "Jane" not in shown(result, "balances_move_plausibly", "jumps")


def test_checks_started_by_hand_cover_all_tenants(smith: Office) -> None:
    smith.add_tenant("jones", "mary")
    spoil(smith, RULES[1][1])
    asked = invariant("balances_have_accounts", "")

    assert [asked(a_look(tenant)).found for tenant in ("smith", "jones", None)] == [1, 0, 1]


def test_a_long_table_is_cut_and_shows_the_number_of_other_rows() -> None:
    rows = [(str(number),) for number in range(MOST_ROWS + 180)]

    text = str(table(("tenant",), rows, nothing="None.").value)

    assert text.count("\n|") == MOST_ROWS + 1
    assert text.endswith("\n\nand 180 more")


def test_every_command_step_has_checks_and_every_name_is_a_sentence() -> None:
    commands = [
        step.id
        for workflow in (SYNC_OPENBANKING_ACCOUNTS, REFRESH_OPENBANKING_BALANCES)
        for step in workflow.steps
        if step.operation.kind == "command"
    ]

    assert sorted(CHECKS) == sorted(commands)
    assert all("_" in check.name for checks in CHECKS.values() for check in checks)


@pytest.mark.parametrize(
    ("age", "output"), [(None, "never"), (timedelta(hours=5), "5 h"), (timedelta(hours=-9600), "9600 h ahead")]
)
def test_an_age_is_shown_in_hours_with_its_direction(age: timedelta | None, output: str) -> None:
    assert _hours(age) == output
