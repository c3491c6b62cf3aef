"""The effects of a run of each job over real HTTP, for each possible end."""

from decimal import Decimal
from itertools import count

import dagster as dg
import pandas as pd
import pytest
from filelock import FileLock

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.model import IntegrationBinding
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.io_manager import LedgerIOManager
from pfo_pipeline.defs.resources import OfficeResource, OpenBankingResource, TenantLockResource
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS,
    ACCOUNTS_JOB,
    BALANCES_JOB,
    CONNECTIONS,
    DAGSTERS_OWN_WARNING,
    Office,
    failure,
    hurried_defs,
    metadata,
    run_job,
    sync_and_refresh,
    waits,
)

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [c for c in result.get_asset_check_evaluations() if c.check_name == name]
    return found


def test_a_run_of_each_job_stores_and_publishes_the_banks_data(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1234.56", "-78.90")

    accounts, balances = sync_and_refresh(office, instance, "smith")

    assert accounts.success
    assert balances.success
    stored = office.ask("select current_balance, currency from balances_latest order by current_balance")
    assert stored == [(Decimal("-78.9"), "EUR"), (Decimal("1234.56"), "EUR")]


def test_the_operator_sees_counts_table_and_columns_beside_the_synced_accounts(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1", "2", "3")

    seen = metadata(run_job(office, instance, "smith"), "accounts/synced")

    counts = {"synced": 3, "failed": 0, "added": 3, "unchanged": 0, "quarantined": 0, "attempts": 1}
    assert {key: seen[key] for key in counts} == counts
    assert seen["dagster/partition_row_count"] == 3
    assert seen["dagster/table_name"] == "canonical.ledger.accounts"
    assert "iban" in {column.name for column in seen["dagster/column_schema"].columns}


def test_the_operator_sees_the_age_of_balances(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1", "2")

    _, balances = sync_and_refresh(office, instance, "smith")

    refreshed, fetched = metadata(balances, "balances/refreshed"), metadata(balances, "balances/fetched")
    ((oldest, newest),) = office.ask("select epoch(min(as_of)), epoch(max(as_of)) from balances")
    for seen in (refreshed, fetched):
        assert (seen["oldest_as_of"], seen["newest_as_of"]) == (oldest, newest)
    assert refreshed["dagster/table_name"] == "canonical.ledger.balances"
    assert fetched["dagster/table_name"] == "ledger.ledger.balances"
    assert fetched["published"] == str(office.files.published)
    assert fetched["size_bytes"] == office.files.published.stat().st_size


def test_a_second_run_of_the_same_state_adds_no_row(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1", "2")
    sync_and_refresh(office, instance, "smith")

    accounts, balances = sync_and_refresh(office, instance, "smith")

    for result, asset in ((accounts, "accounts/synced"), (balances, "balances/refreshed")):
        assert metadata(result, asset)["added"] == 0
        assert metadata(result, asset)["unchanged"] == 2


def test_a_failing_connection_keeps_the_run_green_and_a_check_names_the_owner(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    troubled = office.connect("smith", "jane", "2", state="wrongpass")

    result = run_job(office, instance, "smith")

    assert result.success
    read, acts = check(result, "every_account_was_read"), check(result, "nobody_has_to_act")
    assert not read.passed
    assert not acts.passed
    assert (read.severity, acts.severity) == (dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.WARN)
    assert read.metadata["failed"].value == 1
    output = str(acts.metadata["who_must_act"].value)
    assert f"| connection {troubled} | Banque Exemple | wrongpass | member |" in output
    assert metadata(result, "accounts/synced")["failed"] == 1


def test_a_healthy_tenant_passes_its_checks(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")

    checks = [c for run in sync_and_refresh(office, instance, "smith") for c in run.get_asset_check_evaluations()]

    assert {(c.asset_key.to_user_string(), c.check_name) for c in checks} == {
        (key.asset_key.to_user_string(), key.name)
        for key in hurried_defs().get_repository_def().asset_graph.asset_check_keys
    }
    assert [c.check_name for c in checks if not c.passed] == []
    assert [c.metadata["who_must_act"].value for c in checks if "who_must_act" in c.metadata] == ["Nobody."] * 2


def test_a_revoked_token_refuses_its_user_and_the_others_continue(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane", "john")
    office.connect("smith", "jane", "1")
    office.connect("smith", "john", "2")
    office.set_token("smith", "john", "revoked")

    result = run_job(office, instance, "smith")

    assert result.success
    assert office.ask("select user_id, status, who_acts from users_latest order by user_id") == [
        ("jane", "ok", None),
        ("john", "refused", "operator"),
    ]
    assert "user john" in str(check(result, "nobody_has_to_act").metadata["who_must_act"].value)
    assert "john" in metadata(result, "accounts/synced")["problems"]


def test_a_run_with_all_users_refused_fails_without_a_second_attempt(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane", "john")
    for user in ("jane", "john"):
        office.set_token("smith", user, "revoked")

    result = run_job(office, instance, "smith")

    assert not result.success
    assert waits(result) == []
    assert len(office.calls("smith")) == 2
    description, output = failure(result)
    assert description.startswith("Tenant smith: no user could be read.")
    assert "Issue a new token" in description
    assert "User jane: refused" in description
    assert "User john: refused" in description
    assert output["who_acts"] == "operator"
    assert output["operation"] == "openbanking.accounts.sync"
    readers = published_reader(office.files.published)
    assert [(user.user_id, user.status) for user in readers.users("smith")] == [
        ("jane", "refused"),
        ("john", "refused"),
    ]


def test_a_healthy_tenant_does_not_hide_a_failing_one(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane", "john")
    office.add_tenant("jones", "mary")
    office.set_token("smith", "john", "revoked")
    run_job(office, instance, "smith")

    result = run_job(office, instance, "jones")

    assert check(result, "every_account_was_read").passed
    acts = check(result, "nobody_has_to_act")
    assert not acts.passed
    assert "| smith | user john |" in str(acts.metadata["who_must_act"].value)


def test_only_the_failed_call_is_repeated(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    office.bank.fault("status", status=502, path=f"^{ACCOUNTS}$", times=1)

    result = run_job(office, instance, "smith")

    assert result.success
    assert office.paths("smith") == [CONNECTIONS, ACCOUNTS, ACCOUNTS]
    assert office.ask("select attempt, complete from loads order by load_id") == [(1, False), (2, True)]


def test_a_run_without_a_reachable_user_fails_after_its_attempts(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.bank.fault("html", times=None)

    result = run_job(office, instance, "smith")

    assert not result.success
    assert len(office.calls("smith")) == 3
    assert len(waits(result)) == 2
    _, output = failure(result)
    assert (output["code"], output["who_acts"]) == ("http503", "powens")


def test_a_failed_run_does_not_block_the_next(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    office.bank.fault("html", times=3)
    assert not run_job(office, instance, "smith").success

    assert run_job(office, instance, "smith").success

    assert office.ask("select user_id, status from users_latest") == [("jane", "ok")]


@pytest.mark.parametrize(("retry_after", "waited"), [(0, 0.0), (None, 0.001)])
def test_a_servers_wait_is_obeyed_else_the_contract_decides(
    office: Office, instance: dg.DagsterInstance, retry_after: int | None, waited: float
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    office.bank.fault("status", status=429, retry_after=retry_after, path=f"^{CONNECTIONS}$", times=1)

    result = run_job(office, instance, "smith")

    assert result.success
    assert waits(result) == [waited]
    assert office.paths("smith") == [CONNECTIONS, CONNECTIONS, ACCOUNTS]


def test_a_lasting_rate_limit_shares_the_count_of_attempts(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.bank.fault("status", status=429, retry_after=0, times=None)

    result = run_job(office, instance, "smith")

    assert not result.success
    assert waits(result) == [0.0, 0.0]
    assert len(office.calls("smith")) == 3


def test_the_contracts_own_policy_waits_one_second_and_then_three(office: Office) -> None:
    """Dagster's exponential delays, computed from the asset's real policy."""
    policy = hurried_defs().get_repository_def().assets_defs_by_key[dg.AssetKey(["accounts", "synced"])].op.retry_policy
    real = build_defs().get_repository_def().assets_defs_by_key[dg.AssetKey(["accounts", "synced"])].op.retry_policy
    assert policy is not None
    assert real is not None
    assert [policy.calculate_delay(n) for n in (1, 2)] == [0.001, 0.003]
    assert [real.calculate_delay(n) for n in (1, 2)] == [1.0, 3.0]


@pytest.mark.parametrize("status", [429, 503])
def test_balances_obey_the_same_policy(office: Office, instance: dg.DagsterInstance, status: int) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    run_job(office, instance, "smith")
    seen = len(office.calls("smith"))
    office.bank.fault("status", status=status, path=f"^{ACCOUNTS}$", times=2)

    result = run_job(office, instance, "smith", BALANCES_JOB)

    assert result.success
    assert office.paths("smith")[seen:] == [CONNECTIONS, ACCOUNTS, ACCOUNTS, ACCOUNTS]
    assert metadata(result, "balances/refreshed")["attempts"] == 3


def impatient(office: Office, *, releases_at: int) -> OfficeResource:
    """An office that does not wait for the ledger's lock. The lock is held until a step has begun `releases_at` times."""
    office.files.private.mkdir(parents=True)
    held = FileLock(office.files.lock, is_singleton=False)
    held.acquire()
    begun = count(1)

    class Impatient(OfficeResource):
        def ledger(self) -> Ledger:
            if next(begun) == releases_at:
                held.release()
            return Ledger(self.files(), self.config().office, deadline_seconds=0.001)

    return Impatient()


def resources_around(office: OfficeResource) -> dict[str, object]:
    turn = TenantLockResource(office=office)
    return {
        "office": office,
        "primary_open_banking": OpenBankingResource(office=office, tenant_lock=turn),
        "ledger": LedgerIOManager(office=office),
    }


def test_a_busy_ledger_is_retried(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    defs = hurried_defs(resources_around(impatient(office, releases_at=2)))

    result = run_job(office, instance, "smith", defs=defs)

    assert result.success
    assert waits(result) == [0.001]
    assert office.ask("select count(*) from accounts") == [(1,)]


def test_a_ledger_that_stays_busy_fails_the_run_by_name(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    defs = hurried_defs(resources_around(impatient(office, releases_at=0)))

    result = run_job(office, instance, "smith", defs=defs)

    assert not result.success
    assert len(waits(result)) == 2
    description, output = failure(result)
    assert "has blocked other writers for over" in description
    assert (output["code"], output["who_acts"]) == ("LedgerBusy", "operator")


@pytest.mark.parametrize(
    ("mistake", "code", "words"),
    [
        ("nonsense = 1", "ConfigError", "nonsense: is not a known key"),
        ("office = ", "ConfigError", "is not valid TOML"),
        (None, "ConfigError", "There is no configuration"),
    ],
)
def test_a_broken_configuration_is_a_named_failure_and_not_retried(
    office: Office, instance: dg.DagsterInstance, mistake: str | None, code: str, words: str
) -> None:
    office.add_tenant("smith", "jane")
    if mistake is None:
        office.config.unlink()
    else:
        office.config.write_text(f"{mistake}\n{office.config.read_text()}")

    result = run_job(office, instance, "smith")

    assert not result.success
    assert waits(result) == []
    description, output = failure(result)
    assert words in description
    assert "Traceback" not in description
    assert "File " not in description
    assert (output["code"], output["who_acts"]) == (code, "operator")


def test_a_tenant_that_is_no_longer_configured_is_named(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")

    result = run_job(office, instance, "jones")

    description, output = failure(result)
    assert "Tenant 'jones' is not in" in description
    assert "Known tenants: smith." in description
    assert output["code"] == "ConfigError"


def test_a_missing_token_file_of_one_user_is_recorded_with_its_remedy(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane", "john")
    office.connect("smith", "jane", "1")
    (office.folder / "smith.john.token").unlink()

    result = run_job(office, instance, "smith")

    assert result.success
    ((status, code, who, remedy),) = office.ask(
        "select status, code, who_acts, remedy from users_latest where user_id = 'john'"
    )
    assert (status, code, who) == ("refused", "secret", "operator")
    assert "tenants.smith.users.john.token" in remedy


@pytest.mark.parametrize(
    ("integration", "tokens", "status"), [("disconnected", True, "disconnected"), ("connected", False, "error")]
)
@pytest.mark.parametrize("job", [ACCOUNTS_JOB, BALANCES_JOB])
def test_an_unhealthy_slot_refuses_the_step_immediately(
    office: Office, instance: dg.DagsterInstance, integration: str, tokens: bool, status: str, job: str
) -> None:
    office.add_tenant("smith", "jane", integration=integration)
    if not tokens:
        (office.folder / "smith.jane.token").unlink()

    result = run_job(office, instance, "smith", job)

    assert not result.success
    assert waits(result) == []
    assert office.calls("smith") == []
    description, output = failure(result)
    assert "primaryOpenBanking" in description
    assert f"status is {status}" in description
    assert output["code"] == "OperationRefused"


class UnboundBanking(OpenBanking):
    """A tenant without an integration."""

    def binding(self, tenant: Tenant) -> IntegrationBinding:
        return IntegrationBinding(slot="primaryOpenBanking", integration=None, status="unbound")


class PoorBanking(OpenBanking):
    """A provider that reads no accounts and no balances."""

    def binding(self, tenant: Tenant) -> IntegrationBinding:
        return IntegrationBinding(slot="primaryOpenBanking", integration="openbanking.other", status="connected")


class OtherBankingResource(OpenBankingResource):
    poor: bool

    def banking(self) -> OpenBanking:
        return (PoorBanking if self.poor else UnboundBanking)(self.office.config())


@pytest.mark.parametrize(
    ("poor", "words"),
    [(False, "primaryOpenBanking, which is unbound"), (True, "openbanking.other in slot primaryOpenBanking does not")],
)
@pytest.mark.parametrize("asset", ["accounts/synced", "accounts/fetched"])
def test_an_unbound_or_incapable_slot_is_named(
    office: Office, instance: dg.DagsterInstance, poor: bool, words: str, asset: str
) -> None:
    office.add_tenant("smith", "jane")
    real = OfficeResource()
    slot = OtherBankingResource(office=real, tenant_lock=TenantLockResource(office=real), poor=poor)

    result = run_job(office, instance, "smith", defs=hurried_defs({"primary_open_banking": slot}), assets=[asset])

    assert not result.success
    assert waits(result) == []
    assert words in failure(result)[0]


class InterruptedBankingResource(OpenBankingResource):
    """The run is interrupted while the step begins."""

    def banking(self) -> OpenBanking:
        raise KeyboardInterrupt


def test_a_cancelled_step_is_not_retried(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    real = OfficeResource()
    slot = InterruptedBankingResource(office=real, tenant_lock=TenantLockResource(office=real))

    result = run_job(office, instance, "smith", defs=hurried_defs({"primary_open_banking": slot}))

    assert not result.success
    assert waits(result) == []
    description, output = failure(result)
    assert description == "The run was cancelled."
    assert (output["code"], output["who_acts"]) == ("cancelled", "nobody")


def test_the_role_user_may_read_and_not_command(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    sync_and_refresh(office, instance, "smith")
    seen = len(office.calls("smith"))
    monkeypatch.setenv("PFO_ROLE", "user")

    for job, command, query in (
        (ACCOUNTS_JOB, "accounts/synced", "accounts/fetched"),
        (BALANCES_JOB, "balances/refreshed", "balances/fetched"),
    ):
        refused = run_job(office, instance, "smith", job, assets=[command])
        assert waits(refused) == []
        assert "needs role admin; this process acts as user" in failure(refused)[0]
        assert failure(refused)[1]["code"] == "OperationRefused"
        assert run_job(office, instance, "smith", job, assets=[query]).success
    assert len(office.calls("smith")) == seen


def test_an_unknown_role_is_named_and_nothing_runs(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.add_tenant("smith", "jane")
    monkeypatch.setenv("PFO_ROLE", "root")

    result = run_job(office, instance, "smith")

    assert failure(result)[0] == "PFO_ROLE is 'root'. Set it to user or admin."
    assert office.calls("smith") == []


def test_the_ledger_of_another_office_is_not_changed(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    run_job(office, instance, "smith")
    office.name = "another-office"
    office.write()

    result = run_job(office, instance, "smith")

    assert waits(result) == []
    assert failure(result)[1]["code"] == "LedgerForeign"
    assert office.ask("select office from office") == [("test-office",)]


def test_two_tenants_with_the_same_powens_ids_stay_apart(office: Office, instance: dg.DagsterInstance) -> None:
    for tenant, balance in (("smith", "1"), ("jones", "2")):
        office.add_tenant(tenant, "jane")
        office.connect(tenant, "jane", balance)

    for tenant in ("smith", "jones"):
        sync_and_refresh(office, instance, tenant)

    rows = office.ask("select tenant_id, source_id, current_balance from balances_latest order by current_balance")
    assert [(tenant, amount) for tenant, _, amount in rows] == [("smith", 1), ("jones", 2)]
    assert rows[0][1] == rows[1][1]


def test_the_io_manager_loads_arrow_backed_frames_with_exact_decimals_of_one_tenant(
    office: Office, instance: dg.DagsterInstance
) -> None:
    exact = ["-0.01", "0.0001", "0.1", "182340500", "123456789012345678.12"]
    for tenant in ("smith", "jones"):
        office.add_tenant(tenant, "jane")
        office.connect(tenant, "jane", *exact)
        sync_and_refresh(office, instance, tenant)

    frame = (
        hurried_defs()
        .get_repository_def()
        .load_asset_value(dg.AssetKey(["balances", "refreshed"]), partition_key="jones", instance=instance)
    )

    assert isinstance(frame, pd.DataFrame)
    assert frame["tenant_id"].tolist() == ["jones"] * 5
    assert str(frame["current_balance"].dtype) == "decimal128(38, 10)[pyarrow]"
    assert sorted(frame["current_balance"]) == [Decimal(amount) for amount in exact]
    assert str(frame["as_of"].dtype) == "timestamp[us, tz=UTC][pyarrow]"


def test_read_rows_are_previewed_without_names(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1234.56", "-78.90")

    accounts, balances = sync_and_refresh(office, instance, "smith")

    synced = metadata(accounts, "accounts/synced")["preview"]
    refreshed = metadata(balances, "balances/refreshed")["preview"]
    assert synced.count("| Banque Exemple | checking | EUR |") == 2
    assert refreshed.count("| EUR | ") == 2
    for account_id, name in office.ask("select account_id, display_name from accounts_latest"):
        assert account_id in synced
        assert account_id in refreshed
        assert name not in synced + refreshed


def test_column_lineage_leads_from_the_bank_to_the_published_ledger(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")

    accounts, balances = sync_and_refresh(office, instance, "smith")

    def sources(run: dg.ExecuteInProcessResult, asset: str) -> dict[str, list[str]]:
        lineage = metadata(run, asset)["dagster/column_lineage"].deps_by_column
        return {
            column: [f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps]
            for column, deps in lineage.items()
        }

    assert "dagster/column_lineage" not in metadata(accounts, "accounts/synced"), "what a bank sends has no asset"
    assert sources(accounts, "accounts/fetched")["iban"] == ["accounts/synced.iban"]
    assert sources(balances, "balances/refreshed") == {
        "tenant_id": ["accounts/fetched.tenant_id"],
        "account_id": ["accounts/fetched.account_id"],
    }
    assert sources(balances, "balances/fetched")["current_balance"] == ["balances/refreshed.current_balance"]


def test_published_rows_are_previewed_without_names_with_exact_sums(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1200.50", "0.25")

    _, balances = sync_and_refresh(office, instance, "smith")

    seen = metadata(balances, "balances/fetched")
    assert seen["preview"].count("| Banque Exemple | checking | EUR |") == 2
    assert not [
        word for (word,) in office.ask("select unnest([display_name, iban, number]) from accounts") if word in str(seen)
    ]
    assert "| EUR | 2 | 1200.75 |  |" in seen["totals"]
    assert (seen["dagster/partition_row_count"], seen["records"]) == (2, 4), "booked and available of each"
    assert "over_time" in seen


def test_retries_and_waits_are_shown_if_there_were_any(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", "1")
    office.bank.fault("status", status=429, retry_after=0, path=f"^{CONNECTIONS}$", times=1)

    seen = metadata(run_job(office, instance, "smith"), "accounts/synced")

    assert (seen["attempts"], seen["retries"], seen["waited_seconds"]) == (2, 1, 0.0)
