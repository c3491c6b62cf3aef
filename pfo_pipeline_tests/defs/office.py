"""A family office in a test: a configuration for simulated tenants, and runs of the pipeline's own jobs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline_tests.new_ledger import begin_ledger
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser

ACCOUNTS_JOB = "sync_openbanking_accounts"
BALANCES_JOB = "refresh_openbanking_balances"
CONNECTIONS = "/users/me/connections"
ACCOUNTS = "/users/me/accounts"
# Dagster reads its own deprecated attribute if a resource depends on another.
DAGSTERS_OWN_WARNING = "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def today() -> datetime:
    """The simulated bank's clock: the pipeline judges a connection's age by the machine's clock."""
    return datetime.now(UTC).replace(microsecond=0)


def hurried(workflow: Workflow) -> Workflow:
    """The same contract, with short delays."""
    steps = tuple(replace(step, retry=replace(step.retry, delay_ms=1)) for step in workflow.steps)
    return replace(workflow, steps=steps)


def hurried_defs(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The pipeline with short delays; cached, unless resources are replaced."""
    return _hurried_defs() if resources is None else _hurried_defs_with(resources)


@cache
def _hurried_defs() -> dg.Definitions:
    return _hurried_defs_with({})


def _hurried_defs_with(resources: Mapping[str, object]) -> dg.Definitions:
    return build_defs(
        accounts=hurried(SYNC_OPENBANKING_ACCOUNTS),
        balances=hurried(REFRESH_OPENBANKING_BALANCES),
        resources=resources,
    )


@dataclass
class Office:
    """Tenants at the simulated bank, and the configuration file that names them."""

    bank: SimulatedBank
    folder: Path
    name: str = "test-office"
    tenants: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[tuple[str, str], SimulatedUser] = field(default_factory=dict)
    elsewhere: Path | None = None
    key: str | None = None
    """The encryption key of the ledger."""
    report: dict[str, Any] = field(default_factory=lambda: {"after_refresh": False})
    """A page costs a second of processor time; only tests about pages write them."""

    @property
    def config(self) -> Path:
        return self.folder / "pfo.toml"

    @property
    def data_dir(self) -> Path:
        return self.elsewhere or self.folder / "data"

    @property
    def files(self) -> LedgerFiles:
        return LedgerFiles(self.data_dir)

    def add_tenant(self, tenant: str, *users: str, **settings: Any) -> SimulatedDomain:
        """A tenant with its own domain `<tenant>-sandbox`; each user gets a token file."""
        domain = self.bank.add_domain(f"{tenant}-sandbox")
        self.tenants[tenant] = {"domain": domain.name, "base_url": domain.base_url, **settings}
        for user in users:
            self.add_user(tenant, user)
        self.write()
        return domain

    def add_user(self, tenant: str, user: str) -> SimulatedUser:
        added = self.bank.add_user(self.tenants[tenant]["domain"])
        self.users[tenant, user] = added
        self.set_token(tenant, user, added.token)
        self.write()
        return added

    def set_token(self, tenant: str, user: str, token: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{tenant}.{user}.token").write_text(token, encoding="utf-8")

    def change_tenant(self, tenant: str, **settings: Any) -> None:
        self.tenants[tenant] |= settings
        self.write()

    def write(self) -> Path:
        """Write the configuration file with the current tenants."""
        lines = [f"office = {json.dumps(self.name)}"]
        if self.key is not None:
            lines.append('encryption_key = "file:ledger.key"')
        lines.append("[report]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in self.report.items()]
        for tenant, settings in self.tenants.items():
            lines += ["", f"[tenants.{tenant}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
            for owner, user in self.users:
                if owner == tenant:
                    token = json.dumps(f"file:{tenant}.{user}.token")
                    lines += [f"[[tenants.{tenant}.users]]", f"id = {json.dumps(user)}", f"token = {token}"]
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.key is not None:
            (self.folder / "ledger.key").write_text(self.key, encoding="utf-8")
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self.config

    def connect(self, tenant: str, user: str, *balances: str, **fields: Any) -> int:
        """Create a connection with one checking account for each balance; returns its id."""
        accounts: list[Mapping[str, Any]] = [{"balance": balance, "moves": False} for balance in balances]
        return self.bank.add_connection(self.users[tenant, user], accounts=accounts, **fields).id

    def environment(self) -> dict[str, str]:
        """Environment variables that locate everything for the pipeline."""
        home = self.data_dir / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        return {"PFO_CONFIG": str(self.config), "PFO_DATA_DIR": str(self.data_dir), "DAGSTER_HOME": str(home)}

    def calls(self, tenant: str, user: str | None = None, *, since: int = 0) -> list[dict[str, Any]]:
        """The calls to the bank for a tenant, or for one of its users, in order."""
        entries = self.bank.journal(self.tenants[tenant]["domain"], since)
        return [e for e in entries if user is None or e["user"] == self.users[tenant, user].id]

    def paths(self, tenant: str, user: str | None = None, *, since: int = 0) -> list[str]:
        return [entry["path"] for entry in self.calls(tenant, user, since=since)]

    def ask(self, query: str, *, published: bool = True) -> list[tuple[Any, ...]]:
        """Rows of the ledger: of the published copy, or of the primary if a run failed before publication."""
        path = self.files.published if published else self.files.primary
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute("use ledger")
            return con.execute(query).fetchall()


def run_job(
    office: Office,
    instance: dg.DagsterInstance,
    tenant: str,
    job: str = ACCOUNTS_JOB,
    *,
    defs: dg.Definitions | None = None,
    assets: list[str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """One run, started as by the command line.

    Args:
        assets: Only these, such as `accounts/synced`.
        config: Run config, as in the launchpad.
    """
    if office.key is None:
        begin_ledger(office.data_dir, office.name)
    if tenant not in instance.get_dynamic_partitions("tenants"):
        instance.add_dynamic_partitions("tenants", [tenant])
    repository = (defs or hurried_defs()).get_repository_def()
    return repository.get_job(job).execute_in_process(
        instance=instance,
        partition_key=tenant,
        raise_on_error=False,
        run_config={**_QUIET, **(config or {})},
        asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets] if assets else None,
    )


def sync_and_refresh(office: Office, instance: dg.DagsterInstance, tenant: str) -> list[dg.ExecuteInProcessResult]:
    """Both workflows, accounts first."""
    return [run_job(office, instance, tenant, job) for job in (ACCOUNTS_JOB, BALANCES_JOB)]


def events(result: dg.ExecuteInProcessResult, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    return [event for event in result.all_events if event.event_type == kind]


def waits(result: dg.ExecuteInProcessResult) -> list[float | None]:
    """The waits in seconds of all STEP_UP_FOR_RETRY events."""
    return [event.step_retry_data.seconds_to_wait for event in events(result, dg.DagsterEventType.STEP_UP_FOR_RETRY)]


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """Description and metadata of the one step failure of a run."""
    (event,) = events(result, dg.DagsterEventType.STEP_FAILURE)
    output = event.step_failure_data.user_failure_data
    assert output is not None, event.step_failure_data.error_display_string
    return output.description or "", {key: value.value for key, value in output.metadata.items()}


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The operator's metadata of the asset's materialization."""
    (found,) = result.asset_materializations_for_node(asset.replace("/", "__"))
    return {key: value.value for key, value in found.metadata.items()}
