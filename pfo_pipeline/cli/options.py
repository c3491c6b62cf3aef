"""Options that commands share, each with one name, one meaning and one help text, and completion of their values."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


def examples(*commands: str) -> str:
    """The end of a command's help: examples, one per line (`\\b` keeps click from filling the lines)."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


def without_pandas(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command that needs no pandas as if pandas were not installed.

    DuckDB's Python (1.5) imports pandas, with numpy and pyarrow, at the first parameter of a query, only to see whether it
    is a null of pandas: 0.1 s become 0.7 s. Without pandas it goes on.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if "pandas" in sys.modules:
            return command(*args, **kwargs)
        sys.modules["pandas"] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there.
        try:
            return command(*args, **kwargs)
        finally:
            del sys.modules["pandas"]

    return run


def _complete(find: Callable[[Any, list[str]], Iterable[str]]) -> Callable[..., list[str]]:
    """Propose values from the published ledger and the configuration, and nothing where these cannot be read.

    Args:
        find: Given the place and the tenants that the line names.
    """

    @without_pandas
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from pfo_pipeline.cli.context import find_place

        tenant = ctx.params.get("tenant")
        with suppress(Exception):  # The command itself names every mistake once it is run.
            found = set(find(find_place(), [tenant] if tenant else list(ctx.params.get("tenants") or ())))
            return sorted(word for word in found if word.isprintable() and word.startswith(incomplete))
        return []

    return complete


complete_tenants = _complete(lambda place, _: place.known_tenants())
complete_members = _complete(lambda place, tenants: (u for t in tenants for u in place.known_users(t)))
complete_connections = _complete(
    lambda place, tenants: (c.connection_id for t in tenants for c in place.reader.connections(t))
)
complete_accounts = _complete(
    lambda place, tenants: (a.account_id for t in tenants for a in place.reader.linked_accounts(t))
)


class Moment(click.ParamType[date]):
    """A date, which means its end in the tenant's time zone, or a date and time, in UTC unless it has a zone."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        with suppress(ValueError):
            return date.fromisoformat(value)
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a valid date or time. Give a date such as 2026-03-31 (the end of that day in the tenant's "
                "time zone), or a date and time such as 2026-03-31T18:00+02:00 (without a zone: UTC).",
                param,
                ctx,
            )


TENANT = click.option(
    "--tenant", required=True, metavar="NAME", shell_complete=complete_tenants, help="Of this tenant."
)
TENANTS = click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_tenants,
    help="Only this tenant; may be repeated.",
)
MEMBER = click.option(
    "--member",
    required=True,
    metavar="NAME",
    shell_complete=complete_members,
    help="The user of the tenant, as configured.",
)
AS_OF = click.option(
    "--as-of",
    type=Moment(),
    metavar="MOMENT",
    help="What the banks said of that moment: an ISO date (its end, where the tenant is) or date and time (UTC, or +02:00).",
)
KNOWN_AT = click.option(
    "--known-at",
    type=Moment(),
    metavar="MOMENT",
    help="What the ledger knew at that moment, and nothing that was learnt later.",
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")


def formats(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--csv-exact", "form", flag_value="csv-exact", help="CSV with every text as it is, for programs alone."
    )(command)
    command = click.option(
        "--csv",
        "form",
        flag_value="csv",
        help="CSV; a text that a spreadsheet would take for a formula begins with an apostrophe.",
    )(command)
    return click.option("--json", "form", flag_value="json", help="JSON, for programs.")(command)


def confirming(yes: bool) -> Callable[[str], None]:
    """A function that shows what will happen and asks; it ends the command if the answer is no."""

    def confirm(what: str) -> None:
        click.echo(what, err=True)
        if not yes:
            click.confirm("Go on?", abort=True, err=True)

    return confirm
