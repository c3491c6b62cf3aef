"""Who is told of what is not in order: a sensor that looks, and a job that tells.

No sensor makes a network call, so the sensor writes what it found into the book and the log, and asks for a run of
`send_alerts` only where a target is to be told something. That run succeeds whatever the targets answer.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg

from pfo_pipeline.alerts.book import Book
from pfo_pipeline.alerts.conditions import Findings
from pfo_pipeline.alerts.findings import ledger_findings
from pfo_pipeline.alerts.store import AlertsError
from pfo_pipeline.alerts.telling import (
    READABLE_CONFIGURATION,
    look,
    outstanding,
    tell,
    unreached_targets,
    unreadable_configuration,
)
from pfo_pipeline.config import Config, ConfigError, SecretError, load_config
from pfo_pipeline.contracts.privacy import scrub
from pfo_pipeline.defs.conditions import clock_is_wrong, pulse_findings, run_findings
from pfo_pipeline.defs.pulse import SILENCE
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.ledger.errors import LedgerError
from pfo_pipeline.ledger.office import reader_of
from pfo_pipeline.ledger.store import utc_now

INTERVAL_SECONDS = 60


@dg.op(name="tell")
def _tell(context: dg.OpExecutionContext, office: OfficeResource) -> None:
    """A message to each target that has something to be told. What one does not take, it gets another time."""
    try:
        for delivery in tell(office.config(), utc_now()):
            result = f"not reached: {delivery.reason}" if delivery.reason else "reached"
            context.log.info(f"{delivery.target}: {delivery.sent} messages sent, {result}")
    except (ConfigError, AlertsError) as problem:
        raise dg.Failure(scrub(str(problem)), {"code": type(problem).__name__, "who_acts": "operator"}) from None


@dg.job(description="Sends the alerts that are due, each to its targets. The sensor `alerts` asks for it.")
def send_alerts() -> None:
    _tell()


@dg.sensor(
    name="alerts",
    job_name=send_alerts.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for what is not in order, and has it told: runs, who must act, consents, staleness, sensors.",
)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    now = utc_now()
    # After a pause of the daemon the others have not ticked either, and will in a moment.
    was_at_work = context.last_tick_completion_time is not None and (
        now - datetime.fromtimestamp(context.last_tick_completion_time, UTC) < SILENCE
    )
    try:
        config = load_config()
        book = look_everywhere(
            config, context.instance, now, repository=context.repository_def if was_at_work else None
        )
    except ConfigError as mistake:
        return _without_configuration(mistake, now)
    except AlertsError as problem:
        return dg.SkipReason(scrub(str(problem)))
    if outstanding(config, book, now) and not _is_under_way(context.instance):
        return dg.RunRequest()
    open_now = sum(entry.absent_since is None for entry in book.entries.values())
    return dg.SkipReason(" ".join([f"{open_now} open, nothing new to send.", *unreached_targets(book)]))


def _without_configuration(mistake: ConfigError, now: datetime) -> dg.SkipReason:
    try:
        look(None, [unreadable_configuration(mistake)], now)
    except AlertsError as problem:
        return dg.SkipReason(scrub(f"{mistake} {problem}"))
    return dg.SkipReason(scrub(str(mistake)))


def _is_under_way(instance: dg.DagsterInstance) -> bool:
    """Not so with a run that was made and never launched, which Dagster leaves behind where launching failed."""
    unfinished = dg.RunsFilter(
        job_name=send_alerts.name,
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
    )
    return bool(instance.get_run_records(unfinished, limit=1))


def look_everywhere(
    config: Config,
    instance: dg.DagsterInstance,
    now: datetime,
    *,
    repository: dg.RepositoryDefinition | None,
    tenant_ids: Iterable[str] | None = None,
) -> Book:
    """Put down what is not in order in the ledger and in Dagster's storage, and tell the log.

    Args:
        repository: Whose sensors and schedules are looked at; None: not at those, nor at the daemon.
        tenant_ids: Only these tenants.
    Raises: AlertsError.
    """
    chosen = list(tenant_ids) if tenant_ids is not None else None
    findings: list[Findings] = [READABLE_CONFIGURATION, run_findings(instance, config, chosen)]
    if repository is not None:
        findings.append(pulse_findings(instance, repository, now))
    if not clock_is_wrong(instance):  # Under a wrong clock everything looks stale or over, of every tenant.
        with suppress(LedgerError, SecretError):  # Then a run fails too, and says why.
            findings.append(ledger_findings(config, reader_of(config), now, chosen))
    return look(config, findings, now)
