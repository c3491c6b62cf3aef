"""Resources of the assets: the office's configuration and ledger, the open banking slot, the tenant lock.

Resources return plain objects. Each is created on first use, inside a step, so that a mistake in the configuration is a named
failure of that step, not a traceback at Dagster's start.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from pydantic import PrivateAttr

from pfo_pipeline.config import Config, load_config
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.errors import named_ledger_errors
from pfo_pipeline.ledger.lock import LockTimeout, hold_lock
from pfo_pipeline.ledger.office import files_of, ledger_of, reader_of
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import Ledger, utc_now
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline.telemetry import flush, is_asked_for, recorded

PARTITION_TAG = "dagster/partition"
TENANT_LOCK_SECONDS = 900.0


class TenantLockRefused(PfoError):
    """Another run of the tenant takes longer than TENANT_LOCK_SECONDS."""


class OfficeResource(dg.ConfigurableResource[None]):
    """The configuration file that `PFO_CONFIG` names (else ./pfo.toml), and its ledger."""

    _config: Config | None = PrivateAttr(default=None)

    def config(self) -> Config:
        """Raises: ConfigError."""
        if self._config is None:
            self._config = load_config()
        return self._config

    def files(self) -> LedgerFiles:
        return files_of(self.config())

    def ledger(self) -> Ledger:
        """Raises: ConfigError, SecretError."""
        return ledger_of(self.config())

    def published(self) -> Reader:
        """Raises: ConfigError; each read: SecretError, LedgerError."""
        return reader_of(self.config())


class TenantLockResource(dg.ConfigurableResource["TenantLockResource"]):
    """The tenant lock: at most one run of a tenant at a time. The daemon's queue does not see runs from the command line.

    A run waits here before its first step. The operating system releases the lock with the process, so a crashed run blocks
    nobody.
    """

    office: dg.ResourceDependency[OfficeResource]
    _refused: PfoError | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["TenantLockResource"]:
        # Keep an error for the step to raise: Dagster shows an error of a resource as a traceback.
        with ExitStack() as tenant_lock:
            try:
                tenant_id = context.run.tags.get(PARTITION_TAG) if context.run else None
                path = self.office.files().tenant_lock(str(tenant_id))
                with named_ledger_errors(path):
                    tenant_lock.enter_context(hold_lock(path, deadline_seconds=TENANT_LOCK_SECONDS))
            except LockTimeout as holder:
                self._refused = TenantLockRefused(
                    f"Tenant {tenant_id} is being worked on by {holder} for over {TENANT_LOCK_SECONDS:g} s. "
                    "Let that run finish, or end it, and run again."
                )
            except PfoError as error:
                self._refused = error
            try:
                _tell_queued(context)
                yield self
            finally:
                flush()

    def require(self) -> None:
        """Raises: TenantLockRefused, LedgerError, ConfigError: this run does not have the lock, and must not continue."""
        if self._refused is not None:
            raise self._refused


def _tell_queued(context: dg.InitResourceContext) -> None:
    """Record the wait of the run since it was requested: in Dagster's queue, for its process, for its tenant lock."""
    if is_asked_for() and context.run and context.instance:
        record = context.instance.get_run_record_by_id(context.run.run_id)
        if record is not None:
            waited = (utc_now() - record.create_timestamp).total_seconds()
            recorded("pfo.run.queued", max(0.0, waited), job=context.run.job_name)


class OpenBankingResource(dg.ConfigurableResource[None]):
    """The integration slot `primaryOpenBanking`, bound to Powens. Its user must hold the tenant lock."""

    office: dg.ResourceDependency[OfficeResource]
    tenant_lock: dg.ResourceDependency[TenantLockResource]
    _banking: OpenBanking | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        self._banking = None  # Answers of one run must not be used in the next.

    def banking(self) -> OpenBanking:
        """One object for the whole run, which keeps the answers of a step's earlier attempts.

        Raises: TenantLockRefused, LedgerError, ConfigError.
        """
        self.tenant_lock.require()
        if self._banking is None:
            self._banking = OpenBanking(self.office.config())
        return self._banking
