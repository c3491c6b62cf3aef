"""`pfo config check`: every mistake in the configuration, its secrets and its rates."""

from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from pfo_pipeline.cli.options import examples

if TYPE_CHECKING:
    from pfo_pipeline.config import Config


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
            if open_to_others := _file_open_to_others(found, reference):
                click.echo(
                    f"{key}: other accounts of this machine can read it: chmod 600 {quote(str(open_to_others))}",
                    err=True,
                )
        except SecretError as problem:
            problems.append(f"  {problem}")
            if key.endswith(".token") and reference.startswith("file:"):
                _, tenant_id, _, user_id, _ = key.split(".")
                problems.append(
                    f"    A token that is not there yet: pfo connect --tenant {tenant_id} --member {user_id}"
                )
    tokens: dict[tuple[str, str], str] = {}
    for tenant, user in ((t, u) for t in found.tenants for u in t.users):
        with suppress(SecretError):  # Listed above.
            name = f"tenants.{tenant.id}.users.{user.id}"
            first = tokens.setdefault((tenant.domain, found.user_token(tenant, user)), name)
            if first != name:
                problems.append(
                    f"  {first} and {name} have the same token: they are one Powens user, and each account would count "
                    "twice. Leave one of them out, or give each its own token."
                )
    try:
        rates_of(found)
    except RatesError as problem:
        problems.append(f"  report.rates: {problem}")
    if problems:
        raise ConfigError(f"{found.source} refers to what cannot be used:\n" + "\n".join(problems))
    users = sum(len(tenant.users) for tenant in found.tenants)
    click.echo(f"{found.source} is in order: office {found.office}, {len(found.tenants)} tenants, {users} users.")


def _file_open_to_others(config: "Config", reference: str) -> Path | None:
    """Return the file of a secret that its group or every account may read or write; None if there is no such file."""
    kind, _, path = reference.partition(":")
    file = config.source.parent / path
    return file if kind == "file" and file.stat().st_mode & 0o077 else None
