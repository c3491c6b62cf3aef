"""What follows what: the configuration's tenants become partitions, balances follow accounts.

No sensor makes a network call. Each reads forward from where it stopped, oldest first, so that nothing that happened
between two ticks is lost (an asset sensor would see only the newest materialization, of one tenant).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from pfo_pipeline.config import ConfigError, load_config
from pfo_pipeline.defs.failures import broken_rules
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.options import ASSET_KEYS
from pfo_pipeline.defs.partitions import FIRST_SYNC, TENANTS, tenants

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
class _Look:
    """What a look at the materializations of one asset found."""

    found: int
    through: int
    """Storage id of the newest one seen."""
    lacking: list[dg.EventLogRecord]
    """Those that nothing has followed, nor will."""
    awaited: list[int]
    """Storage ids of those that their own run still has to follow; if it fails, they are lacking at a later look."""


def _look(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    follower: dg.AssetKey,
    registered: set[str],
    after: int,
    awaited: list[int],
) -> _Look:
    new = _materializations(instance, dg.AssetRecordsFilter(asset_key=key, after_storage_id=after))
    earlier = dg.AssetRecordsFilter(asset_key=key, storage_ids=awaited)
    events = [*(_materializations(instance, earlier) if awaited else []), *new]
    newest = {event.partition_key: event for event in events if event.partition_key in registered}
    open_ones = [event for event in newest.values() if not _followed(instance, event, follower)]
    runs = {event.storage_id: instance.get_run_by_id(event.run_id) for event in open_ones}
    planned = {i for i, run in runs.items() if run is not None and not run.is_finished and _plans(run, follower)}
    return _Look(
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
    """Whether a rule has stopped the run, so that nothing is to follow what it loaded."""
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
    """The oldest ones, in order, of whichever tenant."""
    return list(instance.fetch_materializations(wanted, limit=_PAGE, ascending=True).records)


def _plans(run: dg.DagsterRun, follower: dg.AssetKey) -> bool:
    if run.asset_selection:
        return follower in run.asset_selection
    return run.job_name == sync_openbanking_accounts.name and follower == _FETCHED


def _followed(instance: dg.DagsterInstance, event: dg.EventLogRecord, follower: dg.AssetKey) -> bool:
    later = dg.AssetRecordsFilter(
        asset_key=follower, asset_partitions=[str(event.partition_key)], after_storage_id=event.storage_id
    )
    return bool(instance.fetch_materializations(later, limit=1).records)
