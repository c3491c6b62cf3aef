"""What Powens has posted becomes runs: an event is a hint that a tenant has something new, and the run reads what it is.

The receiver (`pfo webhooks serve`) has put the events into the inbox; here they are read in order from where the last look
ended. What is lost on the way is repaired by the schedules.
"""

import dagster as dg

from pfo_pipeline.config import load_config
from pfo_pipeline.defs.jobs import refresh_openbanking_balances, sync_openbanking_accounts
from pfo_pipeline.defs.partitions import TENANTS
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.office import files_of
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.webhooks.inbox import Event, Inbox, inbox_path

_PAGE = 500
_BALANCES_ONLY = {"ACCOUNT_SYNCED"}
"""All others may change which accounts and connections there are; `after_sync` then asks for the balances too."""


@dg.sensor(
    name="webhooks",
    jobs=[sync_openbanking_accounts, refresh_openbanking_balances],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Syncs a tenant when Powens has told that its data changed, or that a sync at the bank has failed.",
)
def webhooks_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    cursor = int(context.cursor or 0)
    try:
        inbox = Inbox(inbox_path(files_of(load_config()).private), utc_now)
        # The cursor that we are given was stored, so what lies before it has been asked for.
        inbox.forget(through=cursor)
        events = inbox.after(cursor, _PAGE)
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
    """In the order in which each tenant's first event came."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.tenant_id, []).append(event)
    return found


def _request(events: list[Event]) -> dg.RunRequest:
    """One run for all events of a tenant since the last look: it starts after the last of them, and reads everything."""
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
