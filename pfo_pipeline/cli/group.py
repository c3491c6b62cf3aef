"""What the commands of `pfo` share: how a mistake ends, the options they have in common, rows in the form asked for."""

import errno
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any

import click

from pfo_pipeline.errors import PfoError

TENANTS = click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="Only this tenant; may be repeated.")


def formats(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--json", "form", flag_value="json", help="JSON, for programs.")(command)
    return click.option("--csv", "form", flag_value="csv", help="CSV, for programs.")(command)


def print_rows(columns: list[str], rows: list[dict[str, Any]], form: str | None) -> None:
    from pfo_pipeline.commands.queries import show, write
    from pfo_pipeline.commands.terminal import console

    if form:
        write(sys.stdout, columns, rows, form)
    else:
        show(console(), columns, rows)


class PfoGroup(click.Group):
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


def _tell(message: str) -> None:
    from pfo_pipeline.commands.terminal import visible_lines

    click.echo(visible_lines(message), err=True)
