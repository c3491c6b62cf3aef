"""Commands about who is told of what."""

import sys

import click

from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import TENANTS, formats, print_rows
from pfo_pipeline.cli.starting import without_pandas


@click.group(
    invoke_without_command=True,
    short_help="What is not in order, who acts, who was told.",
    epilog=examples("pfo alerts", "pfo alerts --tenant moreau --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def alerts(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """What is not in order and who acts, since when, and when that was told last."""
    if ctx.invoked_subcommand is not None:
        return
    from pfo_pipeline.commands.alerts import COLUMNS, SHOWN, open_alerts
    from pfo_pipeline.commands.place import find_place

    print_rows(list(COLUMNS if form else SHOWN), open_alerts(find_place(), tenants), form)


@alerts.command(epilog=examples("pfo alerts check"))
def check() -> None:
    """Look now, from outside the daemon, and tell who is to be told; for cron or a monitor.

    Exit status 1 while something critical is open or a target is not reached.
    """
    from pfo_pipeline.commands.alerts import check_and_tell
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.ledger.store import utc_now

    sys.exit(check_and_tell(find_place(), utc_now(), click.echo))


@alerts.command(epilog=examples("pfo alerts test"))
def test() -> None:
    """Send a test message to each target, and say how each answered."""
    from pfo_pipeline.commands.alerts import send_test
    from pfo_pipeline.commands.place import find_place

    sys.exit(send_test(find_place(), click.echo))
