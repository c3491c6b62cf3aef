"""How every command of `pfo` ends that does not end well."""

import errno
import sys
from io import TextIOWrapper
from typing import Any

import click

from pfo_pipeline.errors import PfoError


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
