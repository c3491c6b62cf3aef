"""What `pfo` adds to click: headings over the commands, examples under each help, and how what does not end well ends."""

import errno
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

import click

from pfo_pipeline.errors import PfoError


def examples(*commands: str) -> str:
    """The end of a command's help: what to type, one line each, as it stands (`\\b` keeps click from filling the lines)."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


class PfoGroup(click.Group):
    """Commands under headings. An operator's mistake ends in one message, never in a traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headings: dict[str, list[str]] = {}

    def add_under(self, heading: str, *commands: click.Command) -> None:
        """In the order in which they are shown."""
        for command in commands:
            self.add_command(command)
            self.headings.setdefault(heading, []).append(command.name or "")

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for heading, names in self.headings.items():
            with formatter.section(heading):
                limit = formatter.width - 6 - width
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
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
            _tell(f"{type(error).__name__}: {error}")
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Click's own: whoever read our output has enough.
            thing, reason = error.filename or type(error).__name__, error.strerror or error
            _tell(f"{thing}: {reason}. Mend that and run again; nothing was lost.")
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


def _tell(message: str) -> None:
    from pfo_pipeline.commands.terminal import visible_lines

    click.echo(visible_lines(message), err=True)
