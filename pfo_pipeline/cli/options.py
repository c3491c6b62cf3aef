"""The options that commands have in common, each with one name, one meaning and one help text; rows in the form asked for."""

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import click

from pfo_pipeline.cli import completing


class Moment(click.ParamType[date]):
    """A moment as it is typed, in UTC where it has no zone; or a date, whose end depends on the tenant's time zone."""

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
                f"{value!r} is no moment. Give a date such as 2026-03-31 (the end of that day in the tenant's time zone), or "
                "a date and time such as 2026-03-31T18:00+02:00 (without a zone: UTC).",
                param,
                ctx,
            )


TENANT = click.option(
    "--tenant", required=True, metavar="NAME", shell_complete=completing.TENANTS, help="Of this tenant."
)
TENANTS = click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.TENANTS,
    help="Only this tenant; may be repeated.",
)
MEMBER = click.option(
    "--member",
    required=True,
    metavar="NAME",
    shell_complete=completing.MEMBERS,
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


def print_rows(columns: list[str], rows: list[dict[str, Any]], form: str | None) -> None:
    from pfo_pipeline.commands.queries import show, write
    from pfo_pipeline.commands.terminal import console

    if form:
        write(sys.stdout, columns, rows, form)
    else:
        show(console(), columns, rows)


def confirming(yes: bool) -> Callable[[str], None]:
    """Who is asked with what will happen; the command ends where the answer is no."""

    def confirm(what: str) -> None:
        click.echo(what, err=True)
        if not yes:
            click.confirm("Go on?", abort=True, err=True)

    return confirm
