"""Sensors: tenants become partitions, balances follow accounts, webhooks start runs, conditions become alerts.

No sensor makes a network call. Each reads forward from its cursor, oldest first, so that no event between two ticks is lost
(an asset sensor would see only the newest materialization, of one tenant). A webhook is a hint that a tenant has new data; the
run reads the data. Schedules repair what webhooks miss. The alerts sensor writes its findings to the alert state and the
log, and requests a run of `send_alerts` only when a target must be notified. That run succeeds whatever the targets answer.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from pfo_pipeline.alerts.conditions import Findings, ledger_findings
from pfo_pipeline.alerts.notify import (
    READABLE_CONFIGURATION,
    configuration_findings,
    list_unreached,
    notify,
    outstanding,
    record,
)
from pfo_pipeline.alerts.state import AlertsError, AlertState
from pfo_pipeline.config import Config, ConfigError, SecretError, load_config
from pfo_pipeline.defs.failures import broken_rules
from pfo_pipeline.defs.from_contract import ASSET_KEYS, FIRST_SYNC, TENANTS, tenants
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.defs.run_health import SILENCE, clock_is_wrong, pulse_findings, run_findings
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import LedgerError
from pfo_pipeline.ledger.office import files_of, reader_of
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.redaction import scrub
from pfo_pipeline.webhooks.inbox import Event, Inbox, inbox_path

_EVENTS = 500
_BALANCES_ONLY = {"ACCOUNT_SYNCED"}
"""All other events may change the set of accounts and connections; `after_sync` then requests the balances too."""


@dg.sensor(
    name="webhooks",
    jobs=[sync_openbanking_accounts, refresh_openbanking_balances],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Syncs a tenant when Powens reports that its data changed, or that a sync at the bank has failed.",
)
def webhooks_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    cursor = int(context.cursor or 0)
    try:
        inbox = Inbox(inbox_path(files_of(load_config()).private), utc_now)
        # Dagster stored the cursor that it passes, so runs for all earlier events were requested.
        inbox.forget(through=cursor)
        events = inbox.after(cursor, _EVENTS)
    except PfoError as problem:
        return dg.SkipReason(str(problem))
    if not events:
        return dg.SkipReason("Powens has posted nothing since the last look.")
    for event in events:
        context.log.info(_told(event))
    registered = set(context.instance.get_dynamic_partitions(TENANTS))
    strangers = sorted({event.tenant_id for event in events} - registered)
    passed_over = (
        f"Passed over what was posted for {', '.join(strangers)}: no such tenant is registered. "
        "The sensor `tenants` registers and syncs those of the configuration; "
        "for others, take the addresses out of the Powens console."
    )
    if strangers:
        context.log.warning(passed_over)
    requests = [_request(about) for tenant, about in _by_tenant(events).items() if tenant in registered]
    return dg.SensorResult(
        run_requests=requests, skip_reason=None if requests else passed_over, cursor=str(events[-1].seq)
    )


def _told(event: Event) -> str:
    hint = event.hint
    connection = f" of connection {hint.connection_id}" if hint.connection_id else ""
    return f"{event.tenant_id}: {hint.event}{connection}" + (f", in state {hint.error}" if hint.error else "")


def _by_tenant(events: list[Event]) -> dict[str, list[Event]]:
    """Group events by tenant, in the order of each tenant's first event."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.tenant_id, []).append(event)
    return found


def _request(events: list[Event]) -> dg.RunRequest:
    """One run for all events of a tenant since the last tick: it starts after the last event, and reads everything."""
    newest = events[-1]
    balances_only = all(event.hint.event in _BALANCES_ONLY for event in events)
    errors = sorted({event.hint.error for event in events if event.hint.error})
    return dg.RunRequest(
        run_key=f"{newest.tenant_id}:{newest.hint.event}:{newest.hint.webhook_id}",
        job_name=(refresh_openbanking_balances if balances_only else sync_openbanking_accounts).name,
        partition_key=newest.tenant_id,
        tags={
            "pfo/webhooks": " ".join(sorted({event.hint.event for event in events})),
            **({"pfo/webhook_errors": " ".join(errors)} if errors else {}),
        },
    )


INTERVAL_SECONDS = 60


@dg.op(name="notify")
def _notify(context: dg.OpExecutionContext, office: OfficeResource) -> None:
    """Send each target its due alerts. A message that a target does not accept is sent again later."""
    try:
        for delivery in notify(office.config(), utc_now()):
            result = f"not reached: {delivery.reason}" if delivery.reason else "reached"
            context.log.info(f"{delivery.target}: {delivery.sent} messages sent, {result}")
    except (ConfigError, AlertsError) as problem:
        raise dg.Failure(scrub(str(problem)), {"code": type(problem).__name__, "who_acts": "operator"}) from None


@dg.job(description="Sends the alerts that are due, each to its targets. The sensor `alerts` asks for it.")
def send_alerts() -> None:
    _notify()


@dg.sensor(
    name="alerts",
    job_name=send_alerts.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finds problems and notifies the alert targets: runs, action items, consents, stale balances, sensors.",
)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    now = utc_now()
    # After a pause of the daemon the other sensors have not ticked either, but will soon.
    was_at_work = context.last_tick_completion_time is not None and (
        now - datetime.fromtimestamp(context.last_tick_completion_time, UTC) < SILENCE
    )
    try:
        config = load_config()
        state = record_all_findings(
            config, context.instance, now, repository=context.repository_def if was_at_work else None
        )
    except ConfigError as mistake:
        return _without_configuration(mistake, now)
    except AlertsError as problem:
        return dg.SkipReason(scrub(str(problem)))
    if outstanding(config, state, now) and not _is_under_way(context.instance):
        return dg.RunRequest()
    open_now = sum(alert.absent_since is None for alert in state.alerts.values())
    return dg.SkipReason(" ".join([f"{open_now} open, nothing new to send.", *list_unreached(state)]))


def _without_configuration(mistake: ConfigError, now: datetime) -> dg.SkipReason:
    try:
        record(None, [configuration_findings(mistake)], now)
    except AlertsError as problem:
        return dg.SkipReason(scrub(f"{mistake} {problem}"))
    return dg.SkipReason(scrub(str(mistake)))


def _is_under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a run is active. A run that was created but never launched is not: Dagster leaves it behind if a launch
    fails.
    """
    unfinished = dg.RunsFilter(
        job_name=send_alerts.name,
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
    )
    return bool(instance.get_run_records(unfinished, limit=1))


def record_all_findings(
    config: Config,
    instance: dg.DagsterInstance,
    now: datetime,
    *,
    repository: dg.RepositoryDefinition | None,
    tenant_ids: Iterable[str] | None = None,
) -> AlertState:
    """Record the problems in the ledger and in Dagster's storage, and write the log.

    Args:
        repository: Its sensors and schedules are checked; None: neither they nor the daemon are checked.
        tenant_ids: Only these tenants.
    Raises: AlertsError.
    """
    chosen = list(tenant_ids) if tenant_ids is not None else None
    findings: list[Findings] = [READABLE_CONFIGURATION, run_findings(instance, config, chosen)]
    if repository is not None:
        findings.append(pulse_findings(instance, repository, now))
    if not clock_is_wrong(instance):  # With a wrong clock everything of every tenant would look stale or over.
        with suppress(LedgerError, SecretError):  # A run fails then too, with the reason.
            findings.append(ledger_findings(config, reader_of(config), now, chosen))
    return record(config, findings, now)


_SYNCED = ASSET_KEYS["sync-accounts"]
_FETCHED = ASSET_KEYS["fetch-accounts"]
_REFRESHED = ASSET_KEYS["refresh-balances"]
_MATERIALIZATIONS = 200


@dg.sensor(
    name="tenants",
    job=sync_openbanking_accounts,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions equal to the configuration's tenants, and syncs a new tenant at once.",
)
def tenants_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    try:
        wanted = [tenant.id for tenant in load_config().tenants]
    except ConfigError as mistake:
        return dg.SkipReason(str(mistake))
    present = set(context.instance.get_dynamic_partitions(TENANTS))
    new = [tenant_id for tenant_id in wanted if tenant_id not in present]
    gone = sorted(present - set(wanted))
    if not new and not gone:
        return dg.SkipReason(f"The {len(wanted)} tenants of the configuration are registered.")
    changes = [tenants.build_add_request(new)] if new else []
    return dg.SensorResult(
        # The key contains the time: a tenant that is removed and added again is new again.
        run_requests=[dg.RunRequest(run_key=f"{FIRST_SYNC}{t}:{_stamp()}", partition_key=t) for t in new],
        dynamic_partitions_requests=[*changes, *([tenants.build_delete_request(gone)] if gone else [])],
    )


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dg.sensor(
    name="after_sync",
    jobs=[sync_openbanking_accounts, refresh_openbanking_balances],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fetch follows sync, balances follow accounts: for every tenant, however the accounts were synced.",
)
def after_sync(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    cursor = json.loads(context.cursor) if context.cursor else {}
    registered = set(context.instance.get_dynamic_partitions(TENANTS))
    synced = _look(
        context.instance, _SYNCED, _FETCHED, registered, cursor.get("synced", 0), cursor.get("unfetched", [])
    )
    fetched = _look(
        context.instance, _FETCHED, _REFRESHED, registered, cursor.get("fetched", 0), cursor.get("unrefreshed", [])
    )
    requests = [*map(_fetch, synced.lacking), *map(_refresh, fetched.lacking)]
    if synced.found == fetched.found == 0:
        return dg.SkipReason("No tenant's accounts were synced since the last look.")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "What was synced has been followed already.",
        cursor=json.dumps(
            {
                "synced": synced.through,
                "unfetched": synced.awaited,
                "fetched": fetched.through,
                "unrefreshed": fetched.awaited,
            }
        ),
    )


@dataclass(frozen=True)
class _Progress:
    """The result of a look at the materializations of one asset."""

    found: int
    through: int
    """Storage id of the newest one seen."""
    lacking: list[dg.EventLogRecord]
    """Materializations that nothing has followed or will follow."""
    awaited: list[int]
    """Storage ids of those that their own run will follow; if that run fails, a later look finds them in `lacking`."""


def _look(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    follower: dg.AssetKey,
    registered: set[str],
    after: int,
    awaited: list[int],
) -> _Progress:
    new = _materializations(instance, dg.AssetRecordsFilter(asset_key=key, after_storage_id=after))
    earlier = dg.AssetRecordsFilter(asset_key=key, storage_ids=awaited)
    events = [*(_materializations(instance, earlier) if awaited else []), *new]
    newest = {event.partition_key: event for event in events if event.partition_key in registered}
    open_ones = [event for event in newest.values() if not _followed(instance, event, follower)]
    runs = {event.storage_id: instance.get_run_by_id(event.run_id) for event in open_ones}
    planned = {i for i, run in runs.items() if run is not None and not run.is_finished and _plans(run, follower)}
    return _Progress(
        found=len(events),
        through=new[-1].storage_id if new else after,
        lacking=[
            event
            for event in open_ones
            if event.storage_id not in planned and not _is_held(instance, runs[event.storage_id])
        ],
        awaited=sorted(planned),
    )


def _is_held(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> bool:
    """Whether a rule has stopped the run, so that nothing may follow its load."""
    if run is None or not run.is_failure:
        return False
    logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return bool(broken_rules(log.dagster_event for log in logs if log.dagster_event))


def _fetch(event: dg.EventLogRecord) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"fetch:{event.storage_id}",
        job_name=sync_openbanking_accounts.name,
        asset_selection=[_FETCHED],
        partition_key=event.partition_key,
    )


def _refresh(event: dg.EventLogRecord) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"refresh:{event.storage_id}",
        job_name=refresh_openbanking_balances.name,
        partition_key=event.partition_key,
    )


def _materializations(instance: dg.DagsterInstance, wanted: dg.AssetRecordsFilter) -> list[dg.EventLogRecord]:
    """The oldest ones, in order, of any tenant."""
    return list(instance.fetch_materializations(wanted, limit=_MATERIALIZATIONS, ascending=True).records)


def _plans(run: dg.DagsterRun, follower: dg.AssetKey) -> bool:
    if run.asset_selection:
        return follower in run.asset_selection
    return run.job_name == sync_openbanking_accounts.name and follower == _FETCHED


def _followed(instance: dg.DagsterInstance, event: dg.EventLogRecord, follower: dg.AssetKey) -> bool:
    later = dg.AssetRecordsFilter(
        asset_key=follower, asset_partitions=[str(event.partition_key)], after_storage_id=event.storage_id
    )
    return bool(instance.fetch_materializations(later, limit=1).records)
