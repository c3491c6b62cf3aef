"""Commands that work: one run, the Dagster UI, the simulated bank, and what both start from."""

import sys
from pathlib import Path

import click

from pfo_pipeline.cli import completing
from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import TENANTS


@click.command(
    short_help="Sync accounts, refresh balances, publish the ledger: once.",
    epilog=examples("pfo run", "pfo run --tenant martin", "pfo run --tenant martin --connection 4821 --force"),
)
@TENANTS
@click.option(
    "--connection",
    metavar="ID",
    shell_complete=completing.CONNECTIONS,
    help="Only this connection, of the one tenant named.",
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ID",
    shell_complete=completing.ACCOUNTS,
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
    from pfo_pipeline.commands.place import find_place, working
    from pfo_pipeline.commands.run import run_and_show
    from pfo_pipeline.operations.selection import Choice

    with working(find_place()) as place:
        status = run_and_show(place, tenants, Choice(connection, accounts, force, member_present))
    sys.exit(status)


@click.command(
    short_help="The Dagster UI, with schedules and sensors running.", epilog=examples("pfo dev", "pfo dev --port 3001")
)
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


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
    short_help="A Powens on loopback, with a clock and faults.",
    epilog=examples("pfo simulator", "pfo simulator --world empty --port 8700"),
)
@click.pass_context
def simulator(ctx: click.Context) -> None:
    """A Powens on loopback, with a clock and faults (see `pfo simulator --help`)."""
    from pfo_pipeline.simulator.__main__ import main as simulate

    simulate(ctx.args, prog="pfo simulator")


@click.group(epilog=examples("pfo config check"))
def config() -> None:
    """The configuration file."""


@config.command(epilog=examples("pfo config check"))
def check() -> None:
    """Name every mistake in the configuration, every secret that does not resolve and rates that cannot be used, at once."""
    from pfo_pipeline.config import ConfigError, SecretError, load_config
    from pfo_pipeline.report.rates import RatesError, rates_of

    found = load_config()
    problems = []
    for key, reference in found.secret_references():
        try:
            found.secret(reference, key=key)
        except SecretError as problem:
            problems.append(f"  {problem}")
            if key.endswith(".token") and reference.startswith("file:"):
                _, tenant, _, user, _ = key.split(".")
                problems.append(f"    A token that is not there yet: pfo connect --tenant {tenant} --member {user}")
    try:
        rates_of(found)
    except RatesError as problem:
        problems.append(f"  report.rates: {problem}")
    if problems:
        raise ConfigError(f"{found.source} refers to what cannot be used:\n" + "\n".join(problems))
    users = sum(len(tenant.users) for tenant in found.tenants)
    click.echo(f"{found.source} is in order: office {found.office}, {len(found.tenants)} tenants, {users} users.")


@click.group(epilog=examples("pfo demo remove"))
def demo() -> None:
    """The demonstration that runs when nothing is configured."""


@demo.command(epilog=examples("pfo demo remove"))
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
