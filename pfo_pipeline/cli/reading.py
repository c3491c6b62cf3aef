"""Commands that read what is there: accounts, balances, how the connections stand. From the published ledger alone."""

from datetime import UTC, date, datetime
from typing import Any

import click

from pfo_pipeline.cli.group import examples
from pfo_pipeline.cli.options import AS_OF, KNOWN_AT, TENANTS, formats, print_rows
from pfo_pipeline.cli.starting import without_pandas


@click.command(
    short_help="The bank accounts, now or at a moment.",
    epilog=examples("pfo accounts", "pfo accounts --tenant martin --as-of 2026-10-31", "pfo accounts --json"),
)
@TENANTS
@AS_OF
@KNOWN_AT
@formats
@without_pandas
def accounts(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, form: str | None) -> None:
    """The enabled bank accounts, with their newest balance; or those of a moment, with their balance then."""
    from pfo_pipeline.commands.records import account_records
    from pfo_pipeline.contracts.records import BankAccountRecord

    shown = (
        "tenantId",
        "userId",
        "institutionName",
        "displayName",
        "accountType",
        "accountClass",
        "accountNumberMasked",
        "currency",
        "balance",
        "id",
    )
    _print_records(tenants, as_of, known_at, form, account_records, BankAccountRecord, shown)


@click.command(
    short_help="The newest balances, or those of a moment.",
    epilog=examples(
        "pfo balances --tenant martin --csv",
        "pfo balances --as-of 2026-10-31",
        "pfo balances --as-of 2026-10-31 --known-at 2026-11-05T12:00+01:00 --json",
    ),
)
@TENANTS
@AS_OF
@KNOWN_AT
@formats
@without_pandas
def balances(tenants: tuple[str, ...], as_of: date | None, known_at: date | None, form: str | None) -> None:
    """The newest balances, or those of a moment: current, and available where it is known."""
    from pfo_pipeline.commands.records import balance_records
    from pfo_pipeline.contracts.records import AccountBalanceRecord

    shown = (
        "tenantId",
        "accountId",
        "accountClass",
        "balanceType",
        "currentBalance",
        "availableBalance",
        "currency",
        "lastUpdatedAt",
    )
    _print_records(tenants, as_of, known_at, form, balance_records, AccountBalanceRecord, shown)


def _print_records(
    tenants: tuple[str, ...],
    as_of: date | None,
    known_at: date | None,
    form: str | None,
    read: Any,
    kind: Any,
    shown: tuple[str, ...],
) -> None:
    from pfo_pipeline.commands.place import chosen_tenants, find_place
    from pfo_pipeline.commands.records import wire, with_class

    with find_place().at_once() as place:
        chosen = chosen_tenants(place, tenants)
        rows = [row for tenant_id in chosen for row in wire(read(place, tenant_id, as_of, known_at))]
    columns = [field.alias for field in kind.model_fields.values()] if form else list(shown)
    print_rows(columns, rows if form else [with_class(row) for row in rows], form)


@click.command(
    short_help="Every connection: how it stands, who must act.",
    epilog=examples("pfo status", "pfo status --tenant moreau", "pfo status --known-at 2026-11-05 --json"),
)
@TENANTS
@KNOWN_AT
@formats
@without_pandas
def status(tenants: tuple[str, ...], known_at: date | None, form: str | None) -> None:
    """Every connection: how it stands, who must act, until when the consent holds.

    With --known-at only the connections, as they were known to stand: what waits and what is stale is told of now.
    """
    from pfo_pipeline.commands.place import chosen_tenants, find_place

    with find_place().at_once() as place:
        chosen = chosen_tenants(place, tenants)
        if form or known_at:
            from pfo_pipeline.commands import connections

            rows = [row for tenant_id in chosen for row in connections.known_connections(place, tenant_id, known_at)]
            print_rows(list(connections.KNOWN_COLUMNS if form else connections.KNOWN_SHOWN), rows, form)
        else:
            from pfo_pipeline.commands.overview import print_status, views_of
            from pfo_pipeline.commands.terminal import console

            now = datetime.now(UTC)
            print_status(console(), place, views_of(place, chosen, now), now)
