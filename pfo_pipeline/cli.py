"""`pfo`: one command line for the operator, the analyst and scripts.

Exit status: 0 well; 1 something that an operator must mend; 2 wrong words on the command line; 130 interrupted.
"""

import errno
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from pfo_pipeline.errors import PfoError

TENANT = click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant; may be repeated.")


def _formats(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--json", "form", flag_value="json", help="JSON, for programs.")(command)
    return click.option("--csv", "form", flag_value="csv", help="CSV, for programs.")(command)


def _tell(message: str) -> None:
    from pfo_pipeline.commands.terminal import visible_lines

    click.echo(visible_lines(message), err=True)


class _Group(click.Group):
    """An operator's mistake ends in one message, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # A terminal without Unicode is shown escapes.
        try:
            return super().invoke(ctx)
        except PfoError as error:
            _tell(f"{type(error).__name__}: {error}")
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Click's own: whoever read our output has enough.
            thing, reason = error.filename or type(error).__name__, error.strerror or error
            _tell(f"{thing}: {reason}. Mend that and run again; nothing was lost.")
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("Interrupted. Nothing was lost; run again to go on.", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pfo-pipeline", prog_name="pfo")
def main() -> None:
    """A family office's bank accounts and balances, from Powens into one DuckDB ledger."""


@main.command()
@TENANT
@click.option("--connection", metavar="ID", help="With --force: the connection, of the one tenant named.")
@click.option("--force", is_flag=True, help="Have the bank itself asked first, at the member's own request.")
def run(tenants: tuple[str, ...], connection: str | None, force: bool) -> None:
    """Sync accounts and refresh balances now, publish the ledger, show the cash positions.

    With no configuration, the tenants of a simulated bank.
    """
    if force != (connection is not None) or (force and len(tenants) != 1):
        raise click.UsageError("A bank is asked for one connection: pfo run --tenant NAME --connection ID --force")
    from pfo_pipeline.commands.place import find_place, working
    from pfo_pipeline.commands.run import run_and_show

    with working(find_place()) as place:
        status = run_and_show(place, tenants, force=connection)
    sys.exit(status)


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI, on loopback.")
def dev(port: int) -> None:
    """The Dagster UI with schedules and sensors running; a simulated bank beside it when nothing is configured."""
    from pfo_pipeline.commands.place import find_place, working
    from pfo_pipeline.commands.servers import serve_dagster, serving_alone

    with working(find_place()) as place, serving_alone(place.data_dir):
        serve_dagster(
            port,
            lock=place.history_lock,
            ready=lambda url: click.echo(f"Dagster UI: {url}   ledger: {place.files.published}"),
        )


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.pass_context
def simulator(ctx: click.Context) -> None:
    """A Powens on loopback, with a clock and faults (see `pfo simulator --help`)."""
    from pfo_pipeline.simulator.__main__ import main as simulate

    simulate(ctx.args, prog="pfo simulator")


@main.group()
def config() -> None:
    """The configuration file."""


@config.command()
def check() -> None:
    """Name every mistake in the configuration, and every secret that does not resolve, at once."""
    from pfo_pipeline.config import ConfigError, SecretError, load_config

    found = load_config()
    problems = []
    for key, reference in found.secret_references():
        try:
            found.secret(reference, key=key)
        except SecretError as problem:
            problems.append(f"  {problem}")
    if problems:
        raise ConfigError(f"{found.source} has secrets that do not resolve:\n" + "\n".join(problems))
    users = sum(len(tenant.users) for tenant in found.tenants)
    click.echo(f"{found.source} is in order: office {found.office}, {len(found.tenants)} tenants, {users} users.")


@main.command()
@TENANT
@_formats
def accounts(tenants: tuple[str, ...], form: str | None) -> None:
    """The enabled bank accounts, with their newest balance."""
    from pfo_pipeline.commands.queries import account_records
    from pfo_pipeline.contracts.records import BankAccountRecord

    shown = (
        "tenantId",
        "userId",
        "institutionName",
        "displayName",
        "accountType",
        "accountNumberMasked",
        "currency",
        "id",
    )
    _print_records(tenants, form, account_records, BankAccountRecord, shown)


@main.command()
@TENANT
@_formats
def balances(tenants: tuple[str, ...], form: str | None) -> None:
    """The newest balances: current, and available where it is known."""
    from pfo_pipeline.commands.queries import balance_records
    from pfo_pipeline.contracts.records import AccountBalanceRecord

    shown = ("tenantId", "accountId", "balanceType", "currentBalance", "availableBalance", "currency", "lastUpdatedAt")
    _print_records(tenants, form, balance_records, AccountBalanceRecord, shown)


def _print_records(tenants: tuple[str, ...], form: str | None, read: Any, kind: Any, shown: tuple[str, ...]) -> None:
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.queries import wire

    place = find_place()
    rows = [row for tenant_id in chosen_tenants(place, tenants) for row in wire(read(place, tenant_id))]
    columns = [field.alias for field in kind.model_fields.values()] if form else list(shown)
    _print_rows(columns, rows, form)


def _print_rows(columns: list[str], rows: list[dict[str, Any]], form: str | None) -> None:
    from pfo_pipeline.commands.queries import show, write
    from pfo_pipeline.commands.terminal import console

    if form:
        write(sys.stdout, columns, rows, form)
    else:
        show(console(), columns, rows)


@main.command()
@TENANT
@_formats
def status(tenants: tuple[str, ...], form: str | None) -> None:
    """Every connection: how it stands, who must act, until when the consent holds."""
    from dataclasses import asdict, fields

    from pfo_pipeline.commands.overview import print_status, view_of
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.terminal import console
    from pfo_pipeline.ledger.known import KnownConnection
    from pfo_pipeline.ledger.store import utc_now

    place = find_place()
    views = [view_of(place, tenant_id) for tenant_id in chosen_tenants(place, tenants)]
    if form:
        rows = [{"tenant_id": view.tenant_id, **asdict(c)} for view in views for c in view.connections]
        _print_rows(["tenant_id", *(f.name for f in fields(KnownConnection))], rows, form)
    else:
        print_status(console(), place, views, utc_now())


@main.command()
@click.argument("query", required=False)
@click.option("--tenant", metavar="NAME", help="See this tenant's rows and no others.")
@_formats
def sql(query: str | None, tenant: str | None, form: str | None) -> None:
    """Run a query on the published ledger; without QUERY it is read from standard input."""
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.queries import run_sql

    if query is None:
        if sys.stdin.isatty():
            raise click.UsageError('Give a query, such as: pfo sql "select * from positions"')
        query = sys.stdin.read()
    place = find_place()
    if tenant is not None:
        chosen_tenants(place, (tenant,))
    columns, rows = run_sql(place, query, tenant)
    _print_rows(columns, rows, form)


@main.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose data.")
@click.option(
    "--to", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="A new or empty folder."
)
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option("--as-of", metavar="MOMENT", help="Leave out what the banks say about a later moment.")
@click.option("--known-at", metavar="MOMENT", help="Leave out what was learnt at a later moment.")
def export(tenant: str, folder: Path, form: Any, as_of: str | None, known_at: str | None) -> None:
    """Write one tenant's data from the published ledger into files that need no DuckDB: all of them, or none.

    A MOMENT is an ISO date, which means the end of that day in UTC, or an ISO date and time, in UTC where no zone is
    given: 2026-03-31, 2026-03-31T18:00+02:00. Without one, nothing is left out.
    """
    from pfo_pipeline.commands.export import export_and_show
    from pfo_pipeline.commands.place import find_place

    export_and_show(find_place(), tenant, folder, form, as_of, known_at)


@main.command()
@click.argument("tenant")
@click.argument("connection")
def link(tenant: str, connection: str) -> None:
    """A link for the member to reconnect a bank, with an access code: good for 30 minutes, or one use."""
    from pfo_pipeline.commands.connections import access_link
    from pfo_pipeline.commands.place import find_place

    click.echo(access_link(find_place(), tenant, connection))


@main.group()
def webhooks() -> None:
    """What Powens posts as soon as a bank was synced, instead of the next scheduled run."""


@webhooks.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8711, show_default=True, help="0 for any free one.")
def serve(host: str, port: int) -> None:
    """Receive posts of Powens, and keep each until the sensor `webhooks` has turned it into a run."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import serve_webhooks

    serve_webhooks(find_place(), host, port, click.echo)


@webhooks.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose Powens domain.")
@click.option("--url", "base", required=True, metavar="BASE", help="How Powens reaches the receiver: https://HOST")
def register(tenant: str, base: str) -> None:
    """Tell Powens to sign its posts and where to send them; what is there already stays as it is."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import register_webhooks

    register_webhooks(find_place(), tenant, base, click.echo)


@main.group(invoke_without_command=True)
@TENANT
@_formats
@click.pass_context
def identity(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Linked accounts that are the same bank account, or may be: returned under a new id, or seen through two connections."""
    from pfo_pipeline.commands.identity import COLUMNS, identity_records
    from pfo_pipeline.commands.place import chosen_tenants, find_place

    if ctx.invoked_subcommand is None:
        place = find_place()
        rows = [row for tenant_id in chosen_tenants(place, tenants) for row in identity_records(place, tenant_id)]
        _print_rows(list(COLUMNS), rows, form)


@identity.command()
@click.argument("tenant")
@click.argument("account")
@click.argument("other")
def join(tenant: str, account: str, other: str) -> None:
    """ACCOUNT is the same bank account as OTHER, whose id and history stay."""
    from pfo_pipeline.commands import identity as identities
    from pfo_pipeline.commands.place import find_place

    for joined in identities.join(find_place(), tenant, account, other):
        click.echo(f"{joined} is {other} now. To undo it: pfo identity split {tenant} {joined}")


@identity.command()
@click.argument("tenant")
@click.argument("account")
def split(tenant: str, account: str) -> None:
    """ACCOUNT is a bank account of its own, whatever the evidence says; undoes a join."""
    from pfo_pipeline.commands import identity as identities
    from pfo_pipeline.commands.place import find_place

    identities.split(find_place(), tenant, account)
    click.echo(f"{account} stands for itself now. To undo it: pfo identity join {tenant} {account} OTHER")


@main.command()
def verify() -> None:
    """Check that every row is as it was written, that none is missing, and that the published copy holds the same.

    Prints the last hash of each tenant's chain: kept elsewhere, it proves later that nothing before it was changed.
    """
    from pfo_pipeline.commands.keeping import verify_and_show
    from pfo_pipeline.commands.place import find_place

    verify_and_show(find_place())


@main.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose data: the whole tenant, unless --user is given.")
@click.option("--user", metavar="NAME", help="This user's data alone: their connections, accounts and balances.")
@click.confirmation_option(prompt="This deletes history for good. Go on?")
def erase(tenant: str, user: str | None) -> None:
    """Delete what the ledger holds of a tenant or a person, and record that it happened.

    Take them out of the configuration first. The chain of loads stays verifiable.
    """
    from pfo_pipeline.commands.keeping import erase_and_show
    from pfo_pipeline.commands.place import find_place

    erase_and_show(find_place(), tenant, user)


@main.command()
@click.option("--old-key", metavar="REFERENCE", help="env:NAME or file:PATH of the key until now; none if it is plain.")
def rekey(old_key: str | None) -> None:
    """Write the ledger anew under the configured encryption_key, or plain where none is configured."""
    from pfo_pipeline.commands.keeping import rekey_and_show
    from pfo_pipeline.commands.place import find_place

    rekey_and_show(find_place(), old_key)


@main.group()
def demo() -> None:
    """The demonstration that runs when nothing is configured."""


@demo.command()
def remove() -> None:
    """Delete the demonstration's ledger, alerts and run history, to go live in the same folder."""
    from pfo_pipeline.commands.demo import DEMO_OFFICE, DemoError, remove_demo
    from pfo_pipeline.commands.place import find_place

    place = find_place()
    if place.config is not None and place.config.office == DEMO_OFFICE:
        raise DemoError(f"{place.config.source} calls its own office {DEMO_OFFICE!r}. Nothing was removed.")
    for path in remove_demo(place.data_dir, place.role):
        click.echo(f"removed {_short(path)}")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    main()
