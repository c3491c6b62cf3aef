"""Commands that read the published ledger."""

import sys
from pathlib import Path
from typing import Any

import click

from pfo_pipeline.cli.group import TENANTS, formats, print_rows


@click.command()
@TENANTS
@formats
def accounts(tenants: tuple[str, ...], form: str | None) -> None:
    """The enabled bank accounts, with their newest balance."""
    from pfo_pipeline.commands.queries import account_records
    from pfo_pipeline.contracts.records import BankAccountRecord

    shown = (
        "tenantId",
        "userId",
        "institutionName",
        "displayName",
        "accountType",
        "accountNumberMasked",
        "currency",
        "id",
    )
    _print_records(tenants, form, account_records, BankAccountRecord, shown)


@click.command()
@TENANTS
@formats
def balances(tenants: tuple[str, ...], form: str | None) -> None:
    """The newest balances: current, and available where it is known."""
    from pfo_pipeline.commands.queries import balance_records
    from pfo_pipeline.contracts.records import AccountBalanceRecord

    shown = ("tenantId", "accountId", "balanceType", "currentBalance", "availableBalance", "currency", "lastUpdatedAt")
    _print_records(tenants, form, balance_records, AccountBalanceRecord, shown)


def _print_records(tenants: tuple[str, ...], form: str | None, read: Any, kind: Any, shown: tuple[str, ...]) -> None:
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.queries import wire

    place = find_place()
    rows = [row for tenant_id in chosen_tenants(place, tenants) for row in wire(read(place, tenant_id))]
    columns = [field.alias for field in kind.model_fields.values()] if form else list(shown)
    print_rows(columns, rows, form)


@click.command()
@TENANTS
@formats
def status(tenants: tuple[str, ...], form: str | None) -> None:
    """Every connection: how it stands, who must act, until when the consent holds."""
    from dataclasses import asdict, fields

    from pfo_pipeline.commands.overview import print_status, view_of
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.terminal import console
    from pfo_pipeline.ledger.known import KnownConnection
    from pfo_pipeline.ledger.store import utc_now

    place, now = find_place(), utc_now()
    views = [view_of(place, tenant_id, now) for tenant_id in chosen_tenants(place, tenants)]
    if form:
        rows = [{"tenant_id": view.tenant_id, **asdict(c)} for view in views for c in view.connections]
        print_rows(["tenant_id", *(f.name for f in fields(KnownConnection))], rows, form)
    else:
        print_status(console(), place, views, now)


@click.command()
@click.argument("query", required=False)
@click.option("--tenant", metavar="NAME", help="See this tenant's rows and no others.")
@formats
def sql(query: str | None, tenant: str | None, form: str | None) -> None:
    """Run a query on the published ledger; without QUERY it is read from standard input."""
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.queries import run_sql

    if query is None:
        if sys.stdin.isatty():
            raise click.UsageError('Give a query, such as: pfo sql "select * from positions"')
        query = sys.stdin.read()
    place = find_place()
    if tenant is not None:
        chosen_tenants(place, (tenant,))
    columns, rows = run_sql(place, query, tenant)
    print_rows(columns, rows, form)


@click.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose data.")
@click.option(
    "--to", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="A new or empty folder."
)
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option("--as-of", metavar="MOMENT", help="Leave out what the banks say about a later moment.")
@click.option("--known-at", metavar="MOMENT", help="Leave out what was learnt at a later moment.")
def export(tenant: str, folder: Path, form: Any, as_of: str | None, known_at: str | None) -> None:
    """Write one tenant's data from the published ledger into files that need no DuckDB: all of them, or none.

    A MOMENT is an ISO date, which means the end of that day in UTC, or an ISO date and time, in UTC where no zone is
    given: 2026-03-31, 2026-03-31T18:00+02:00. Without one, nothing is left out.
    """
    from pfo_pipeline.commands.export import export_and_show
    from pfo_pipeline.commands.place import find_place

    export_and_show(find_place(), tenant, folder, form, as_of, known_at)
