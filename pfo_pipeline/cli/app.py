"""The command `pfo`: its commands under headings, each imported when it is called, and how errors end it.

Results go to standard output, everything else to standard error. Exit status: 0 success; 1 an error that an operator must fix;
2 a wrong command line (of `pfo health`: critical); 130 interrupted.
"""

import errno
import sys
from collections import UserDict
from collections.abc import Iterator
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click
from click.shell_completion import CompletionItem

from pfo_pipeline.cli.options import examples
from pfo_pipeline.errors import PfoError

HEADINGS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Run": (
        ("run", "run", "Sync accounts, refresh balances, publish the ledger: once."),
        ("dev", "dev", "Serve the Dagster UI, with schedules and sensors."),
        ("config", "config", "The configuration file."),
        ("demo", "demo", "Manage the demonstration, which runs when nothing is configured."),
        ("simulator", "demo", "Serve a simulated Powens on loopback."),
    ),
    "Read": (
        ("status", "status", "Show connections, action items, freshness and coverage."),
        ("balances", "lists", "List the newest balances, or those at a time."),
        ("accounts", "lists", "List the accounts, now or at a time."),
        ("report", "export", "Write the cash page."),
        ("sql", "sql", "Run a query on the ledger."),
        ("export", "export", "Write one tenant's data into files."),
    ),
    "Connect banks": (
        ("connect", "connect", "Connect a member's bank."),
        ("reconnect", "connect", "Fix a connection, or renew its consent."),
        ("connections", "connections", "List connections with their users, consents and accounts."),
        ("disconnect", "connect", "Revoke a token, delete a connection or a member."),
        ("webhooks", "webhooks", "Receive webhooks from Powens."),
    ),
    "Keep the ledger": (
        ("verify", "ledger", "Verify that no row was changed."),
        ("identity", "identity", "Show and decide which linked accounts are one account."),
        ("seen", "identity", "Acknowledge accounts that count differently."),
        ("rekey", "ledger", "Write the ledger again under another key."),
        ("end", "ledger", "End accounts on a date."),
        ("erase", "ledger", "Delete the data of a tenant or a member."),
    ),
    "Operate": (
        ("alerts", "alerts", "Show open alerts and their targets."),
        ("health", "health", "Check system health (exit status for monitoring plugins)."),
        ("backup", "backup", "Back up everything that a new machine needs."),
        ("restore", "restore", "Restore a backup or the published copy."),
        ("migrate", "maintenance", "Migrate the ledger to this version."),
        ("tidy", "maintenance", "Delete Dagster's history of old runs."),
    ),
}
"""Under each heading the commands in the order of `pfo --help`: name, module of this package, short help."""


class LazyCommands(UserDict[str, click.Command]):
    """Commands by name; the module of a command is imported when the command is asked for."""

    def __init__(self, modules: dict[str, str]) -> None:
        super().__init__()
        self.data = dict.fromkeys(modules)  # type: ignore[assignment]  # Names alone; see __getitem__.
        self._modules = modules

    def __getitem__(self, name: str) -> click.Command:
        module = import_module(f"pfo_pipeline.cli.{self._modules[name]}")
        command: click.Command = getattr(module, name)
        return command


class PfoGroup(click.Group):
    """Commands under headings. An operator's mistake ends in one message, never in a traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entries = [entry for heading in HEADINGS.values() for entry in heading]
        self.commands = LazyCommands({name: module for name, module, _ in entries})
        self.short_helps = {name: short_help for name, _, short_help in entries}

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.short_helps))
        for heading, entries in HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), short_help) for name, _, short_help in entries])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click's own, but without an import of the commands."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [CompletionItem(name, help=self.short_helps[name]) for name in names] + click.Command.shell_complete(
            self, ctx, incomplete
        )

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # A terminal without Unicode is shown escapes.
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            takers = [f"pfo {path}" for path, command in commands_of(self) if _takes(command, error.option_name)]
            if not takers:
                raise
            raise click.UsageError(f"{error.format_message()} These take it: {', '.join(takers)}.", error.ctx) from None
        except PfoError as error:
            _print_error(f"{type(error).__name__}: {error}")
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Click's own: the reader of our output has enough.
            thing, reason = error.filename or type(error).__name__, error.strerror or error
            _print_error(f"{thing}: {reason}. Fix that and run again; nothing was lost.")
            ctx.exit(1)
        except (KeyboardInterrupt, RuntimeError) as error:
            # DuckDB's Python makes a RuntimeError of a Ctrl-C.
            if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            click.echo("Interrupted. Nothing was lost; run again to go on.", err=True)
            ctx.exit(130)


def commands_of(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, groups too, by the words that lead to it."""
    for name, command in group.commands.items():
        yield path + name, command
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{path}{name} ")


def _takes(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)


def _print_error(message: str) -> None:
    from pfo_pipeline.cli.output import visible_lines

    click.echo(visible_lines(message), err=True)


@click.group(
    cls=PfoGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples("pfo run", "pfo status", "pfo sql 'from totals'"),
)
@click.version_option(package_name="pfo-pipeline", prog_name="pfo")
def main() -> None:
    """A family office's bank accounts and balances, from Powens into one DuckDB ledger.

    Begin with pfo run: with nothing configured it reads a simulated bank.
    """
