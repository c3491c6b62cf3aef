"""Commands that read the published ledger."""

from typing import Any

import click

from pfo_pipeline.cli.options import TENANTS, formats, print_rows


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
