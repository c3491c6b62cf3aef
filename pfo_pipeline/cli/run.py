"""`pfo run`: the workflows of the chosen tenants once, with progress, then positions and who must act."""

import sys
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from pfo_pipeline.alerts.notify import list_unreached, notify
from pfo_pipeline.alerts.state import read_alerts
from pfo_pipeline.cli.context import Place, find_place, working
from pfo_pipeline.cli.options import TENANTS, complete_accounts, complete_connections, examples
from pfo_pipeline.cli.output import console, visible
from pfo_pipeline.cli.tables import (
    TenantView,
    consents_that_end,
    coverage,
    positions,
    totals,
    views_of,
    who_must_act,
)
from pfo_pipeline.contracts.model import Workflow
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import LedgerError
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import authorize
from pfo_pipeline.operations.selection import EVERYTHING, Choice, scope_of
from pfo_pipeline.report.output import page_path

INTERRUPTED = 130
_MOST_PAGES = 3


def run_and_show(place: Place, tenants: tuple[str, ...], choice: Choice = EVERYTHING) -> int:
    """Run the workflows of the chosen tenants, all of them when none is named.

    Args:
        choice: What of the one tenant named; everything that the tenants have when nothing is chosen.
    Returns:
        Exit status: 1 when a run failed or a user's token was refused, which an operator must fix; 130 on Ctrl-C.
    Raises:
        ConfigError: a tenant that is not configured.
        OperationRefused: the role is not enough; or the ledger knows no such connection or account.
        LedgerError: there is no ledger yet that could know them.
    """
    assert place.config is not None
    chosen = [place.config.tenant(tenant_id).id for tenant_id in tenants] or [t.id for t in place.config.tenants]
    for workflow in WORKFLOWS:  # Refuse before there is a run.
        authorize(workflow.step(workflow.entry_step_id).operation, place.role)
    out = console()
    out.print(
        f"{len(chosen)} tenant{'s' * (len(chosen) != 1)} to sync"
        + (" from the simulated bank" if place.is_demonstration else "")
    )
    if choice != EVERYTHING:
        scope_of(place.config.tenant(chosen[0]), place.reader, choice)  # Refuse a mistake before there is a run.
    waiting = console(stderr=True)  # Progress is no result: a pipe gets results alone.
    with waiting.status("Starting Dagster") as progress:
        from pfo_pipeline.cli.workflows import WorkflowRun, run_workflows

        def starting(tenant_id: str, workflow: Workflow) -> None:
            asks = choice.force and workflow is WORKFLOWS[0]
            progress.update(f"{tenant_id}: {workflow.title}" + ", once the bank has answered" * asks)

        def ended(run: WorkflowRun) -> None:
            if run.forced:
                out.print(visible(f"{run.tenant_id}: {run.forced}"), soft_wrap=True)
            out.print(_line(run.tenant_id, run.workflow.title, run.synced, run.failed, run.added, run.reason))

        runs = run_workflows(chosen, choice=choice, lock=place.history_lock, starting=starting, ended=ended)
    if runs[-1].was_cancelled:
        return INTERRUPTED
    now = utc_now()
    with waiting.status("Telling who must act"):
        troubles = _tell(place, chosen)
    for trouble in troubles:
        out.print(visible(trouble))
    try:
        views = views_of(place, chosen, now)
    except LedgerError as unreadable:
        out.print(visible(str(unreadable)))
        return 1
    _show(out, place, views, now)
    failed = [run for run in runs if not run.succeeded]
    for run in failed:
        out.print(Text.assemble(("✗ ", "red"), f"{run.tenant_id}: {run.workflow.title} failed; its reason is above."))
    refused = [item for view in views for item in view.action_items if item.is_critical]
    return 1 if refused or failed else 0


def _tell(place: Place, tenant_ids: list[str]) -> list[str]:
    """Notify alert targets, as the daemon's sensor does: it may not be running.

    Returns: Failed notifications with their reasons; they do not change the result of the runs.
    """
    from pfo_pipeline.cli.dagster_history import opened_history
    from pfo_pipeline.defs.sensors import record_all_findings

    assert place.config is not None
    try:
        with opened_history(place.history_lock) as instance:
            record_all_findings(place.config, instance, utc_now(), repository=None, tenant_ids=tenant_ids)
        notify(place.config, utc_now())
        return list_unreached(read_alerts(place.files.private))
    except PfoError as problem:
        return [str(problem)]


def _line(tenant_id: str, title: str, synced: int, failed: int, added: int, reason: str) -> Text:
    if reason:
        return Text.assemble(("✗ ", "red"), f"{tenant_id}: {title}: {visible(reason)}")
    counts = f"{synced} in order, {failed} in trouble, {added} new rows"
    if not synced and not failed:
        counts = f"no account is shared, {added} new rows"
    is_well = synced and not failed
    return Text.assemble(("✓ ", "green") if is_well else ("! ", "yellow"), f"{tenant_id}: {title}: {counts}")


def _show(out: Console, place: Place, views: list[TenantView], now: datetime) -> None:
    out.print()
    out.print(positions(views, now))
    out.print(totals(views))
    out.print()
    out.print(coverage(views))
    out.print(who_must_act(views, is_demonstration=place.is_demonstration))
    out.print(consents_that_end(views, now, is_demonstration=place.is_demonstration))
    ledger = _shown(place.files.published)
    out.print(f"\nLedger: {ledger}  (read-only, open it at any time with any DuckDB from 1.4 on)")
    pages = [page for view in views if (page := page_path(place.data_dir, view.tenant_id)).exists()]
    if pages:
        more = f"  and {len(pages) - _MOST_PAGES} more there" if len(pages) > _MOST_PAGES else ""
        out.print(visible(f"Pages:  {'  '.join(map(_shown, pages[:_MOST_PAGES]))}{more}"), soft_wrap=True)
    out.print("Next:   make dev                                    the Dagster UI, schedules and sensors running")
    out.print("        .venv/bin/pfo status                        every connection, and who must act")
    out.print('        .venv/bin/pfo sql "from totals"             the ledger')
    if place.is_demonstration:
        out.print(
            "        .venv/bin/pfo demo remove                   the first step to your own banks (README.md, Go live)"
        )


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@click.command(
    short_help="Sync accounts, refresh balances, publish the ledger: once.",
    epilog=examples("pfo run", "pfo run --tenant martin", "pfo run --tenant martin --connection 4821 --force"),
)
@TENANTS
@click.option(
    "--connection",
    metavar="ID",
    shell_complete=complete_connections,
    help="Only this connection, of the one tenant named.",
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ID",
    shell_complete=complete_accounts,
    help="Only this account of the tenant; may be repeated.",
)
@click.option(
    "--force", is_flag=True, help="With --connection: have the bank asked first, at the member's own request."
)
@click.option("--member-present", is_flag=True, help="With --force: the member is there, and the bank may ask.")
def run(
    tenants: tuple[str, ...], connection: str | None, accounts: tuple[str, ...], force: bool, member_present: bool
) -> None:
    """Sync accounts and refresh balances now, publish the ledger, show the cash positions.

    With no configuration, the tenants of a simulated bank.
    """
    if (connection or accounts) and len(tenants) != 1:
        raise click.UsageError("Connections and accounts are of one tenant: pfo run --tenant NAME --connection ID")
    if (force and not connection) or (member_present and not force):
        raise click.UsageError("A bank is asked for one connection: pfo run --tenant NAME --connection ID --force")
    from pfo_pipeline.operations.selection import Choice

    with working(find_place()) as place:
        status = run_and_show(place, tenants, Choice(connection, accounts, force, member_present))
    sys.exit(status)
