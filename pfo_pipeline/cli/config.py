"""`pfo config check`: every mistake in the configuration, its secrets and its rates."""

import click

from pfo_pipeline.cli.options import examples


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
