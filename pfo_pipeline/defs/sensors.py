"""What follows what: the configuration's tenants become partitions, balances follow accounts, failures are told.

No sensor makes a network call. Each reads forward from where it stopped, oldest first, so that nothing that happened
between two ticks is lost (an asset sensor would see only the newest materialization, of one tenant).
"""

import json
from datetime import UTC, datetime

import dagster as dg

from pfo_pipeline.alerts import append_alert
from pfo_pipeline.config import Config, ConfigError, data_dir, load_config
from pfo_pipeline.contracts.privacy import scrub
from pfo_pipeline.defs.failures import described_failure, failure_alert
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.options import ASSET_KEYS
from pfo_pipeline.defs.partitions import TENANTS, tenants
from pfo_pipeline.defs.resources import PARTITION_TAG

_SYNCED = ASSET_KEYS["sync-accounts"]
_FETCHED = ASSET_KEYS["fetch-accounts"]
_REFRESHED = ASSET_KEYS["refresh-balances"]
_PAGE = 200


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
        # The time in the key: a tenant that is taken out and put back is new again.
        run_requests=[dg.RunRequest(run_key=f"new:{t}:{_stamp()}", partition_key=t) for t in new],
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
    cursor = json.loads(context.cursor) if context.cursor else {"synced": 0, "fetched": 0}
    registered = set(context.instance.get_dynamic_partitions(TENANTS))
    synced = _materializations(context.instance, _SYNCED, after=cursor["synced"])
    fetched = _materializations(context.instance, _FETCHED, after=cursor["fetched"])
    requests = [
        *(_fetch(event) for event in _lacking(context.instance, synced, _FETCHED, registered)),
        *(_refresh(event) for event in _lacking(context.instance, fetched, _REFRESHED, registered)),
    ]
    if not synced and not fetched:
        return dg.SkipReason("No tenant's accounts were synced since the last look.")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "What was synced has been followed already.",
        cursor=json.dumps(
            {
                "synced": synced[-1].storage_id if synced else cursor["synced"],
                "fetched": fetched[-1].storage_id if fetched else cursor["fetched"],
            }
        ),
    )


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


def _materializations(instance: dg.DagsterInstance, key: dg.AssetKey, *, after: int) -> list[dg.EventLogRecord]:
    """The oldest ones after storage id `after`, in order, of whichever tenant."""
    events = dg.AssetRecordsFilter(asset_key=key, after_storage_id=after)
    return list(instance.fetch_materializations(events, limit=_PAGE, ascending=True).records)


def _lacking(
    instance: dg.DagsterInstance, events: list[dg.EventLogRecord], follower: dg.AssetKey, registered: set[str]
) -> list[dg.EventLogRecord]:
    """The newest event of each tenant that nothing has followed, and that its own run will not follow."""
    newest = {event.partition_key: event for event in events if event.partition_key in registered}
    return [
        e for e in newest.values() if not _is_planned(instance, e, follower) and not _followed(instance, e, follower)
    ]


def _is_planned(instance: dg.DagsterInstance, event: dg.EventLogRecord, follower: dg.AssetKey) -> bool:
    run = instance.get_run_by_id(event.run_id)
    if run is None or run.is_failure_or_canceled:
        return False
    if run.asset_selection:
        return follower in run.asset_selection
    return run.job_name == sync_openbanking_accounts.name and follower == _FETCHED


def _followed(instance: dg.DagsterInstance, event: dg.EventLogRecord, follower: dg.AssetKey) -> bool:
    later = dg.AssetRecordsFilter(
        asset_key=follower, asset_partitions=[str(event.partition_key)], after_storage_id=event.storage_id
    )
    return bool(instance.fetch_materializations(later, limit=1).records)


@dg.run_failure_sensor(
    name="run_failed",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes each failed run to the alerts file: tenant, step, code, who must act. Nothing personal.",
)
def run_failed(context: dg.RunFailureSensorContext) -> None:
    run = context.dagster_run
    causes = [described_failure(event) for event in context.get_step_failure_events()]
    unstarted: dict[str, str | None] = {"code": "run", "who_acts": "operator"}
    unstarted["reason"] = scrub(context.failure_event.message or "")
    for cause in causes or [unstarted]:
        tenant_id = run.tags.get(PARTITION_TAG)
        append_alert(data_dir(_config_or_none()), failure_alert(tenant_id, run, cause))
        context.log.warning(f"Run {run.run_id} of tenant {tenant_id} failed: {cause['code']}")


def _config_or_none() -> Config | None:
    try:
        return load_config()
    except ConfigError:
        return None
