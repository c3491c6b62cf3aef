"""`pfo alerts`: open alerts, a check from outside the daemon, and a test message to each target."""

import os
import sys
from collections.abc import Callable, Iterable
from datetime import datetime

import click

from pfo_pipeline.alerts.conditions import Key
from pfo_pipeline.alerts.notify import ALERTS, AlertMessage, NotTaken, Send, list_unreached, notify, send, targets_of
from pfo_pipeline.alerts.state import AlertState, TargetState, read_alerts
from pfo_pipeline.cli.context import Place, find_place, select_tenants
from pfo_pipeline.cli.options import TENANTS, examples, formats, without_pandas
from pfo_pipeline.cli.output import print_rows
from pfo_pipeline.config import SecretError
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.store import utc_now

SHOWN = ("severity", "tenant", "who_acts", "what", "since", "notified", "to_do")
COLUMNS = (*SHOWN, "link", "kind", "thing", "code", "told")
"""`told` is the name of `notified` in release 0.1.0."""


class NoTarget(PfoError):
    """No alert target is configured."""


def open_alerts(place: Place, tenants: tuple[str, ...]) -> list[dict[str, object]]:
    """Open alerts, the most severe first; `notified` is when a target, or without one the log, was last notified.

    Raises: AlertsError; ConfigError: no such tenant.
    """
    _refuse_strangers(place, tenants)
    state = read_alerts(place.files.private)
    people = {name: target_state for name, target_state in state.targets.items() if name != ALERTS}
    target_states = people or state.targets
    alerts = [
        alert
        for alert in state.alerts.values()
        if alert.absent_since is None and (not tenants or alert.condition.tenant_id in tenants)
    ]
    order = ("critical", "warning", "notice")
    return [
        {
            "severity": (c := alert.condition).severity,
            "tenant": c.tenant_id,
            "who_acts": c.owner,
            "what": c.text,
            "since": alert.since,
            "notified": (notified := _last_notified(target_states.values(), alert.condition.key)),
            "to_do": c.remedy,
            "link": c.link,
            "kind": c.kind,
            "thing": c.thing,
            "code": c.code,
            "told": notified,
        }
        for alert in sorted(alerts, key=lambda e: (order.index(e.condition.severity), e.condition.key))
    ]


def _refuse_strangers(place: Place, tenants: tuple[str, ...]) -> None:
    if place.config is None:
        if tenants:
            select_tenants(place, tenants)
        return
    for tenant_id in tenants:
        place.config.tenant(tenant_id)


def _last_notified(target_states: Iterable[TargetState], key: Key) -> datetime | None:
    return max((one.notifications[key].at for one in target_states if key in one.notifications), default=None)


def check_and_notify(place: Place, now: datetime, say: Callable[[str], None]) -> int:
    """Check all conditions, the daemon and its sensors too, and notify the targets: a dead daemon notifies nobody.

    Returns: Exit status: 1 while something critical is open, or a target was not reached.
    Raises: HistoryUnusable, AlertsError; ConfigError: nothing is configured.
    """
    config = place.configured()
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    from pfo_pipeline.cli.dagster_history import opened_history  # Importing Dagster costs a second.
    from pfo_pipeline.definitions import build_defs
    from pfo_pipeline.defs.sensors import record_all_findings

    with opened_history(place.history_lock) as instance:
        record_all_findings(config, instance, now, repository=build_defs().get_repository_def())
    sent = sum(delivery.sent for delivery in notify(config, now))
    state = read_alerts(place.files.private)
    silent = list_unreached(state)
    say(f"{_counted(state)}; {sent} messages sent.")
    for line in silent:
        say(line)
    is_critical = any(e.condition.severity == "critical" and e.absent_since is None for e in state.alerts.values())
    return 1 if is_critical or silent else 0


def _counted(state: AlertState) -> str:
    present = [alert.condition.severity for alert in state.alerts.values() if alert.absent_since is None]
    return ", ".join(f"{present.count(severity)} {severity}" for severity in ("critical", "warning", "notice"))


def send_test(place: Place, say: Callable[[str], None], *, send: Send = send) -> int:
    """Send a test message to each configured target and print the result. Returns: 1 if a target failed.

    Raises: NoTarget; ConfigError: nothing is configured.
    """
    config = place.configured()
    targets = targets_of(config)
    if not targets:
        raise NoTarget('No target is configured. Name one: [alerts] targets = ["file:secrets/alerts_mail"]')
    status = 0
    for target in targets:
        about = f"tenant {target.tenant_id}" if target.tenant_id else "the whole office"
        test = AlertMessage(
            f"pfo: test for {about}", f"A test: alerts of {about} arrive here. Nothing is to be done.", None, ()
        )
        try:
            send(config.secret(target.reference, key=target.key), test)
            say(f"{target.name}: taken")
        except (NotTaken, SecretError) as why:
            say(f"{target.name}: {why}")
            status = 1
    return status


@click.group(
    invoke_without_command=True,
    short_help="Show open alerts and their targets.",
    epilog=examples("pfo alerts", "pfo alerts --tenant moreau --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def alerts(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Show each open condition: who must act, since when, and the last notification."""
    if ctx.invoked_subcommand is not None:
        return

    print_rows(list(COLUMNS if form else SHOWN), open_alerts(find_place(), tenants), form)


@alerts.command(epilog=examples("pfo alerts check"))
def check() -> None:
    """Check now, outside the daemon, and notify the targets; for cron or a monitor.

    Exit status 1 while something critical is open or a target is not reached.
    """
    sys.exit(check_and_notify(find_place(), utc_now(), click.echo))


@alerts.command(epilog=examples("pfo alerts test"))
def test() -> None:
    """Send a test message to each target, and say how each answered."""
    sys.exit(send_test(find_place(), click.echo))
