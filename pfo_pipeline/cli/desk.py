"""Commands of the analyst's desk: queries on the published ledger, its data as files and as a page."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from pfo_pipeline.cli import completing
from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import AS_OF, KNOWN_AT, TENANT, TENANTS, Moment, formats
from pfo_pipeline.cli.starting import without_pandas


@click.command(
    short_help="Run a query on the ledger.",
    epilog=examples(
        "pfo sql 'from totals'", "pfo sql --tenant martin --csv 'select display_name, current_balance from positions'"
    ),
)
@click.argument("query", required=False)
@click.option(
    "--tenant", metavar="NAME", shell_complete=completing.TENANTS, help="See this tenant's rows and no others."
)
@formats
@without_pandas
def sql(query: str | None, tenant: str | None, form: str | None) -> None:
    """Run a query on the published ledger.

    Without QUERY it is read from standard input; on a terminal you are asked for one after the other, until Ctrl-D.
    """
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.sql import print_answer, run_sql, shows_all

    place = find_place()
    if tenant is not None:
        chosen_tenants(place, (tenant,))
    if query is None and sys.stdin.isatty():
        from pfo_pipeline.commands.sql_prompt import prompt_for_sql

        prompt_for_sql(place, tenant, form)
        return
    text = sys.stdin.read() if query is None else query
    print_answer(run_sql(place, text, tenant, whole=shows_all(form)), form)


@click.command(
    short_help="Write one tenant's data into files.",
    epilog=examples(
        "pfo export --tenant martin --to martin-2026",
        "pfo export --tenant martin --to martin-2026-10 --as-of 2026-10-31 --format csv",
        "pfo export --tenant martin --to martin-books --format beancount",
    ),
)
@TENANT
@click.option(
    "--to", "folder", required=True, metavar="PATH", type=click.Path(path_type=Path), help="A new or empty folder."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "csv-exact", "beancount"]),
    default="parquet",
    show_default=True,
)
@AS_OF
@KNOWN_AT
@without_pandas
def export(tenant: str, folder: Path, form: Any, as_of: date | None, known_at: date | None) -> None:
    """Write one tenant's data from the published ledger into files that need no DuckDB: all of them, or none.

    A MOMENT is an ISO date, which means the end of that day in the tenant's time zone, or an ISO date and time, in UTC where
    no zone is given: 2026-03-31, 2026-03-31T18:00+02:00. Without one, nothing is left out. In csv a text that a spreadsheet
    would take for a formula begins with an apostrophe; csv-exact has every text as it is.
    """
    from pfo_pipeline.commands.export import export_and_show
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.terminal import progress

    with progress():
        export_and_show(find_place(), tenant, folder, form, as_of, known_at)


@click.command(
    short_help="Write the cash page.",
    epilog=examples(
        "pfo report",
        "pfo report --tenant martin --as-of 2026-10-31 --to martin-october.html",
        "pfo report --since 2026-11-01",
    ),
)
@TENANTS
@AS_OF
@KNOWN_AT
@click.option("--since", type=Moment(), metavar="MOMENT", help="What changed since then, not the last report.")
@click.option(
    "--to",
    "path",
    default="cash-page.html",
    show_default=True,
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page is written; a file that is there is replaced.",
)
def report(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, since: date | None, path: Path) -> None:
    """Write the cash page: how much there is, where, as of when, what changed and why, who must act.

    One HTML file for any browser, without a server or a network. Each refresh writes one for its tenant by itself.
    A MOMENT is an ISO date, which means the end of that day in the tenant's time zone, or an ISO date and time, in UTC
    where no zone is given.
    """
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.report import report_and_show
    from pfo_pipeline.commands.terminal import progress
    from pfo_pipeline.ledger.store import utc_now

    with progress():
        report_and_show(find_place(), tenants, path, utc_now(), as_of=as_of, known_at=known_at, since=since)
