"""`pfo connections enable`: consenting to have accounts read that Powens found."""

from collections.abc import Sequence

import click

from pfo_pipeline.commands.connections import waits_for_consent
from pfo_pipeline.commands.disconnect import Confirm, ask_powens, configured_member
from pfo_pipeline.commands.figures import moment
from pfo_pipeline.commands.keeping import require_admin
from pfo_pipeline.commands.place import Place
from pfo_pipeline.ledger.known import KnownAccount
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.onboarding import MemberAccess


def enable_accounts(place: Place, tenant_id: str, account_ids: Sequence[str], confirm: Confirm) -> None:
    """Let Powens read accounts that it found, with the consent of the member whose they are.

    Raises:
        ConfigError, SecretError: nothing is configured, or not this tenant, or the token is missing.
        OperationRefused: not an admin, or no such account waits for consent.
        NotConnected: Powens refused or could not be reached; what was told as enabled before it is.
    """
    require_admin(place, "Enabling an account gives a member's consent")
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
    config, tenant, user = configured_member(place, tenant_id, account.user_id)
    token = config.user_token(tenant, user)

    async def enable(access: MemberAccess) -> None:
        await access.member(token).enable_account(account.source_id)

    ask_powens(config, tenant, user, enable)
