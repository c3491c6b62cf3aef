"""Commands that keep the ledger in order: proof, erasure, keys, which accounts are the same."""

from datetime import datetime

import click

from pfo_pipeline.cli import completing
from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import TENANT, TENANTS, YES, confirming, formats, print_rows
from pfo_pipeline.cli.starting import without_pandas


@click.group(
    invoke_without_command=True,
    short_help="Which linked accounts are one account.",
    epilog=examples("pfo identity", "pfo identity --tenant martin --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def identity(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Which linked accounts are one account, by what evidence, and what may be one: a person decides.

    A line of a proposal shows the amount that the totals would lose if it were accepted.
    """
    from pfo_pipeline.commands.identity import COLUMNS, identity_records
    from pfo_pipeline.commands.place import chosen_tenants, find_place

    if ctx.invoked_subcommand is None:
        with find_place().at_once() as place:
            rows = [row for tenant_id in chosen_tenants(place, tenants) for row in identity_records(place, tenant_id)]
        print_rows(list(COLUMNS), rows, form)


@identity.command(
    epilog=examples("pfo identity join --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9")
)
@TENANT
@click.argument("account", shell_complete=completing.ACCOUNTS)
@click.argument("other", shell_complete=completing.ACCOUNTS)
def join(tenant: str, account: str, other: str) -> None:
    """ACCOUNT is the same account as OTHER. The older id of the two stays, and the other leads to it."""
    from pfo_pipeline.commands import identity as identities
    from pfo_pipeline.commands.place import find_place

    kept = identities.join(find_place(), tenant, account, other)
    click.echo(f"{account} and {other} are one account now, {kept}.")
    click.echo(f"To undo it: pfo identity undo --tenant {tenant} {account} {other}")


@identity.command(
    epilog=examples(
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25",
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9",
    )
)
@TENANT
@click.argument("account", shell_complete=completing.ACCOUNTS)
@click.argument("other", required=False, shell_complete=completing.ACCOUNTS)
def split(tenant: str, account: str, other: str | None) -> None:
    """ACCOUNT is not the same account as OTHER, whatever the evidence says; without OTHER, as none that it is taken for."""
    from pfo_pipeline.commands import identity as identities
    from pfo_pipeline.commands.place import find_place

    for apart in identities.split(find_place(), tenant, account, other):
        click.echo(f"{account} and {apart} are two accounts now.")
        click.echo(f"To undo it: pfo identity undo --tenant {tenant} {account} {apart}")


@identity.command(
    epilog=examples("pfo identity undo --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9")
)
@TENANT
@click.argument("account", shell_complete=completing.ACCOUNTS)
@click.argument("other", shell_complete=completing.ACCOUNTS)
def undo(tenant: str, account: str, other: str) -> None:
    """Take back what was decided about ACCOUNT and OTHER: the evidence decides again."""
    from pfo_pipeline.commands import identity as identities
    from pfo_pipeline.commands.place import find_place

    identities.undo(find_place(), tenant, account, other)
    click.echo(f"Nobody has decided about {account} and {other} any more. See: pfo identity --tenant {tenant}")


@click.command(short_help="Check that every row is as it was written.", epilog=examples("pfo verify"))
@without_pandas
def verify() -> None:
    """Check that every row is as it was written, that none is missing, and that the published copy holds the same.

    Prints the last hash of each tenant's chain: kept elsewhere, it proves later that nothing before it was changed.
    """
    from pfo_pipeline.commands.keeping import verify_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        verify_and_show(find_place())


@click.command(
    short_help="Delete what is held of a tenant or a member.",
    epilog=examples("pfo erase --tenant martin --member claire", "pfo erase --tenant martin --member claire --yes"),
)
@TENANT
@click.option(
    "--member",
    metavar="NAME",
    shell_complete=completing.MEMBERS,
    help="This member's data alone: their connections, accounts and balances. Without it, all of the tenant's.",
)
@YES
def erase(tenant: str, member: str | None, yes: bool) -> None:
    """Delete what the ledger holds of a tenant or a person, and record that it happened.

    Take them out of the configuration first. The chain of loads stays verifiable.
    """
    from pfo_pipeline.commands.keeping import erase_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        erase_and_show(find_place(), tenant, member, confirming(yes))


@click.command(
    short_help="Say that accounts ended on a date.",
    epilog=examples(
        "pfo end --tenant martin --member claire --on 2026-03-31 --yes",
        "pfo end --tenant martin --account acc_f040f667820e4d7f0d25 --on 2026-03-31 --yes",
    ),
)
@TENANT
@click.option(
    "--member",
    metavar="NAME",
    shell_complete=completing.MEMBERS,
    help="All linked accounts of this user, whom the configuration has no more.",
)
@click.option(
    "--account",
    metavar="ID",
    shell_complete=completing.ACCOUNTS,
    help="One linked account that its bank lists no more.",
)
@click.option(
    "--on",
    required=True,
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="An ISO date: they count until its end, in the tenant's time zone.",
)
@YES
def end(tenant: str, member: str | None, account: str | None, on: datetime, yes: bool) -> None:
    """Take linked accounts out of the totals from a date on: of a user who left, or one that the bank shows no more.

    Balances and history stay. An account lives again when its bank lists it again.
    """
    if (member is None) == (account is None):
        raise click.UsageError("Give one of the two: --member or --account.")
    from pfo_pipeline.commands.end import Wanted, end_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        end_and_show(find_place(), Wanted(tenant, member, account, on.date()), confirming(yes))


@click.command(
    short_help="Say that you saw which accounts count differently.",
    epilog=examples("pfo seen --tenant martin", "pfo seen --tenant martin --connection 17"),
)
@TENANT
@click.option("--connection", metavar="ID", shell_complete=completing.CONNECTIONS, help="Of this connection alone.")
@without_pandas
def seen(tenant: str, connection: str | None) -> None:
    """Say that you saw which accounts of a tenant count differently than before, or are of no known class.

    They wait for the operator until then. Totals stay as they are.
    """
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.seen import see_and_show
    from pfo_pipeline.commands.terminal import progress

    with progress():
        see_and_show(find_place(), tenant, connection)


@click.command(
    short_help="Write the ledger anew under another key.",
    epilog=examples("pfo rekey", "pfo rekey --old-key file:secrets/old_key"),
)
@click.option("--old-key", metavar="REFERENCE", help="env:NAME or file:PATH of the key until now; none if it is plain.")
def rekey(old_key: str | None) -> None:
    """Write the ledger anew under the configured encryption_key, or plain where none is configured."""
    from pfo_pipeline.commands.keeping import rekey_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        rekey_and_show(find_place(), old_key)
