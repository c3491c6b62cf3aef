"""Commands that talk with Powens: about members and their connections, and about what Powens posts."""

import sys

import click

from pfo_pipeline.cli import completing
from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import MEMBER, TENANT, TENANTS, YES, confirming, formats, print_rows
from pfo_pipeline.cli.starting import without_pandas

OPEN = click.option("--open", "open_page", is_flag=True, help="Open the page in this machine's browser too.")


@click.command(
    short_help="Connect a member's bank.",
    epilog=examples("pfo connect --tenant smith --member jane", "pfo connect --tenant smith --member jane --open"),
)
@TENANT
@MEMBER
@OPEN
def connect(tenant: str, member: str, open_page: bool) -> None:
    """Connect a member's bank: make the Powens user if there is none, tell the link, wait for the member, sync.

    Whatever fails, the same command goes on; there is never a second user. Where redirect_uri is not an address of this
    machine (http://127.0.0.1:PORT/...), it ends with the link, and the next run reads the bank.
    """
    from pfo_pipeline.commands.connect import connect_and_show
    from pfo_pipeline.commands.place import find_place, working

    with working(find_place()) as place:
        status = connect_and_show(place, tenant, member, open_page=open_page)
    sys.exit(status)


@click.command(
    short_help="Mend a connection, or renew its consent.",
    epilog=examples(
        "pfo reconnect --tenant smith --connection 4822", "pfo reconnect --tenant smith --connection 4822 --no-wait"
    ),
)
@TENANT
@click.option(
    "--connection",
    required=True,
    metavar="ID",
    shell_complete=completing.CONNECTIONS,
    help="As `pfo connections` shows it.",
)
@click.option("--no-wait", is_flag=True, help="Tell the link alone, for a member who is elsewhere.")
@OPEN
def reconnect(tenant: str, connection: str, no_wait: bool, open_page: bool) -> None:
    """Have a member mend a connection, or renew its consent: tell the link, wait for the member, sync."""
    from pfo_pipeline.commands.connect import reconnect_and_show
    from pfo_pipeline.commands.place import find_place, working

    with working(find_place()) as place:
        status = reconnect_and_show(place, tenant, connection, wait=not no_wait, open_page=open_page)
    sys.exit(status)


@click.command(
    short_help="Revoke a token, delete a connection or a member.",
    epilog=examples(
        "pfo disconnect --tenant smith --member jane",
        "pfo disconnect --tenant smith --member jane --connection 4822",
        "pfo disconnect --tenant smith --member jane --erase",
    ),
)
@TENANT
@MEMBER
@click.option("--connection", metavar="ID", shell_complete=completing.CONNECTIONS, help="Delete this connection alone.")
@click.option("--erase", is_flag=True, help="Delete the user at Powens, and what the ledger holds of them.")
@YES
def disconnect(tenant: str, member: str, connection: str | None, erase: bool, yes: bool) -> None:
    """Revoke a member's token, delete one connection, or delete the member. After a failure, the same again goes on."""
    if connection is not None and erase:
        raise click.UsageError("--erase deletes the member with every connection; leave --connection out.")
    from pfo_pipeline.commands.disconnect import disconnect_and_show
    from pfo_pipeline.commands.place import find_place

    disconnect_and_show(find_place(), tenant, member, connection, erase=erase, confirm=confirming(yes))


@click.group(
    invoke_without_command=True,
    short_help="Whose each connection is, its consent, its accounts.",
    epilog=examples("pfo connections", "pfo connections --tenant moreau --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def connections(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Every connection: whose, how it stands, its consent, its accounts; and the accounts that wait for consent."""
    if ctx.invoked_subcommand is not None:
        return
    from pfo_pipeline.commands import connections as linked
    from pfo_pipeline.commands.place import chosen_tenants, find_place

    with find_place().at_once() as place:
        chosen = chosen_tenants(place, tenants)
        rows = [row for tenant_id in chosen for row in linked.connection_records(place, tenant_id)]
        waiting = [row for tenant_id in chosen for row in linked.waiting_accounts(place, tenant_id)]
    print_rows(list(linked.COLUMNS), rows, form)
    if waiting and not form:
        click.echo("\nFound by Powens and not read, for want of consent (pfo connections enable):")
        print_rows(list(linked.WAITING_COLUMNS), waiting, form)


@connections.command(epilog=examples("pfo connections enable --tenant smith --account acc_7fdc91d088e3100ef153"))
@TENANT
@click.option(
    "--account",
    "accounts",
    required=True,
    multiple=True,
    metavar="ID",
    shell_complete=completing.ACCOUNTS,
    help="This account; may be repeated.",
)
@YES
def enable(tenant: str, accounts: tuple[str, ...], yes: bool) -> None:
    """Let Powens read accounts that it found. This is the consent of the member whose they are."""
    from pfo_pipeline.commands.consenting import enable_accounts
    from pfo_pipeline.commands.place import find_place

    enable_accounts(find_place(), tenant, accounts, confirming(yes))


@click.group(
    short_help="Be told by Powens when a bank was synced.",
    epilog=examples("pfo webhooks register --tenant smith --url https://hooks.office.example", "pfo webhooks serve"),
)
def webhooks() -> None:
    """What Powens posts as soon as a bank was synced, instead of the next scheduled run."""


@webhooks.command(epilog=examples("pfo webhooks serve", "pfo webhooks serve --host 127.0.0.1 --port 8711"))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8711, show_default=True, help="0 for any free one.")
def serve(host: str, port: int) -> None:
    """Receive posts of Powens, and keep each until the sensor `webhooks` has turned it into a run."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import serve_webhooks

    serve_webhooks(find_place(), host, port, click.echo)


@webhooks.command(epilog=examples("pfo webhooks register --tenant smith --url https://hooks.office.example"))
@TENANT
@click.option("--url", "base", required=True, metavar="BASE", help="How Powens reaches the receiver: https://HOST")
def register(tenant: str, base: str) -> None:
    """Tell Powens to sign its posts and where to send them; what is there already stays as it is."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import register_webhooks

    register_webhooks(find_place(), tenant, base, click.echo)
