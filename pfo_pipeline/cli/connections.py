"""`pfo connections`: every connection with its accounts, and consent to read accounts that Powens found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from pfo_pipeline.cli.context import Place, find_place, require_admin, select_tenants
from pfo_pipeline.cli.options import (
    TENANT,
    TENANTS,
    YES,
    complete_accounts,
    confirming,
    examples,
    formats,
    without_pandas,
)
from pfo_pipeline.cli.output import moment, print_rows
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection
from pfo_pipeline.operations.access import OperationRefused

if TYPE_CHECKING:
    from pfo_pipeline.operations.onboarding import MemberAccess

WAITING_COLUMNS = ("account_id", "account", "type", "connection_id")
COLUMNS = (
    "tenant_id",
    "connection_id",
    "member",
    "bank",
    "state",
    "who_acts",
    "consent_expires_at",
    "accounts_enabled",
    "accounts_disabled",
)


def connection_records(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """One row for each connection; `accounts_disabled` names the accounts that Powens found and may not read.

    Raises: LedgerError.
    """
    accounts = place.reader.linked_accounts(tenant_id)
    return [
        _record(tenant_id, connection, [a for a in accounts if a.connection_id == connection.connection_id])
        for connection in place.reader.connections(tenant_id)
        if connection.status != "gone"
    ]


def _record(tenant_id: str, connection: KnownConnection, accounts: Sequence[KnownAccount]) -> dict[str, Any]:
    values = (
        tenant_id,
        connection.connection_id,
        connection.user_id,
        connection.institution_name,
        connection.state or connection.status,
        connection.who_acts,
        connection.consent_expires_at,
        sum(account.is_enabled for account in accounts),
        " ".join(account.account_id for account in accounts if waits_for_consent(account)),
    )
    return dict(zip(COLUMNS, values, strict=True))


def waiting_accounts(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """The accounts that Powens found and may not read, by the names that the member knows."""
    return [
        {
            "account_id": a.account_id,
            "account": a.display_name,
            "type": a.account_type,
            "connection_id": a.connection_id,
        }
        for a in place.reader.linked_accounts(tenant_id)
        if waits_for_consent(a)
    ]


def waits_for_consent(account: KnownAccount) -> bool:
    """Powens found it, and may not read it."""
    return account.disabled_at is not None and account.deleted_at is None


def enable_accounts(place: Place, tenant_id: str, account_ids: Sequence[str], confirm: Callable[[str], None]) -> None:
    """Let Powens read accounts that it found, with the consent of the member whose they are.

    Raises:
        ConfigError, SecretError: nothing is configured, or not this tenant, or the token is missing.
        OperationRefused: not an admin, or no such account waits for consent.
        NotConnected: Powens refused or could not be reached; accounts reported as enabled before that are enabled.
    """
    require_admin("Enabling an account gives a member's consent")
    place.configured().tenant(tenant_id)
    chosen = _chosen(place, tenant_id, account_ids)
    connections = {c.connection_id: c for c in place.reader.connections(tenant_id)}
    if not chosen:
        return
    lines = [
        f"  {a.account_id}  {a.account_type}, member {a.user_id}, {a.institution_name}, connection {a.connection_id}"
        for a in chosen
    ]
    confirm(
        "These accounts are enabled at Powens, which is the consent of the member named; Powens then fetches their "
        "balances and transactions with every sync, and bills them:\n" + "\n".join(lines)
    )
    for account in chosen:
        _enable(place, tenant_id, account)
        planned = connections[account.connection_id].next_try_at if account.connection_id in connections else None
        when = f"planned for {moment(planned)}" if planned else "none is planned yet"
        click.echo(
            f"{account.account_id} is enabled. Its first figure comes with the bank's next sync at Powens ({when}); the run "
            "after that shows it."
        )


def _chosen(place: Place, tenant_id: str, account_ids: Sequence[str]) -> list[KnownAccount]:
    accounts = {account.account_id: account for account in place.reader.linked_accounts(tenant_id)}
    waiting = [account.account_id for account in accounts.values() if waits_for_consent(account)]
    chosen = []
    for account_id in dict.fromkeys(account_ids):
        account = accounts.get(account_id)
        if account is not None and account.is_enabled:
            click.echo(f"{account_id} is enabled already.")
        elif account is None or account.deleted_at is not None:
            raise OperationRefused(
                f"Tenant {tenant_id} has no account {account_id!r} that could be enabled. "
                f"These wait for consent: {', '.join(waiting) or 'none'}."
            )
        else:
            chosen.append(account)
    return chosen


def _enable(place: Place, tenant_id: str, account: KnownAccount) -> None:
    from pfo_pipeline.cli.connect import ask_powens, configured_member  # A list of connections needs no HTTP client.

    config, tenant, user = configured_member(place, tenant_id, account.user_id)
    token = config.user_token(tenant, user)

    async def enable(access: "MemberAccess") -> None:
        await access.member(token).enable_account(account.source_id)

    ask_powens(config, tenant, user, enable)


@click.group(
    invoke_without_command=True,
    short_help="List connections with their users, consents and accounts.",
    epilog=examples("pfo connections", "pfo connections --tenant moreau --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def connections(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Every connection: whose, how it stands, its consent, its accounts; and the accounts that wait for consent."""
    if ctx.invoked_subcommand is not None:
        return

    with find_place().at_once() as place:
        chosen = select_tenants(place, tenants)
        rows = [row for tenant_id in chosen for row in connection_records(place, tenant_id)]
        waiting = [row for tenant_id in chosen for row in waiting_accounts(place, tenant_id)]
    print_rows(list(COLUMNS), rows, form)
    if waiting and not form:
        click.echo("\nFound by Powens and not read, for want of consent (pfo connections enable):")
        print_rows(list(WAITING_COLUMNS), waiting, form)


@connections.command(epilog=examples("pfo connections enable --tenant smith --account acc_7fdc91d088e3100ef153"))
@TENANT
@click.option(
    "--account",
    "accounts",
    required=True,
    multiple=True,
    metavar="ID",
    shell_complete=complete_accounts,
    help="This account; may be repeated.",
)
@YES
def enable(tenant: str, accounts: tuple[str, ...], yes: bool) -> None:
    """Let Powens read accounts that it found. This is the consent of the member whose they are."""
    enable_accounts(find_place(), tenant, accounts, confirming(yes))
