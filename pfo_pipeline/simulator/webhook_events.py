"""Webhook events, queued for every address that is registered for the event.

Facts: Powens docs, guide "Webhooks"; the body contains `id_webhook_data` beside the fields, but not the event's name.
A failed sync is also reported as `CONNECTION_SYNCED`, without accounts. A sync sends ACCOUNTS_FETCHED,
ACCOUNT_SYNCED for each account, CONNECTION_SYNCED, in this order (inferred). Transactions are left out: their lists are empty.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from pfo_pipeline.simulator.exact_json import JsonObject, dumps
from pfo_pipeline.simulator.paris_time import to_wire
from pfo_pipeline.simulator.state import Domain, WebhookDelivery, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.views import account_json, connection_json, user_json

EVENTS = (
    "USER_DELETED",
    "CONNECTION_SYNCED",
    "CONNECTION_DELETED",
    "ACCOUNTS_FETCHED",
    "ACCOUNT_SYNCED",
    "ACCOUNT_FOUND",
    "ACCOUNT_ENABLED",
    "ACCOUNT_DISABLED",
)


def synced(domain: Domain, connection: WorldConnection, at: datetime) -> None:
    """Report new data."""
    accounts = [account for account in domain.accounts_of(connection.id_user, connection.id) if account.visible]
    fetched = [account_json(domain, account, {}) for account in accounts] if domain.webhooks else []
    full = [{**account, "transactions": [], "investments": [], "market_orders": []} for account in fetched]
    _announce(domain, "ACCOUNTS_FETCHED", connection.id_user, at, lambda: _nested(domain, connection, fetched))
    for account in full:
        _announce(domain, "ACCOUNT_SYNCED", connection.id_user, at, partial(dict, account))
    _announce(
        domain,
        "CONNECTION_SYNCED",
        connection.id_user,
        at,
        lambda: _nested(domain, connection, full, subscriptions=[]),
    )


def sync_failed(domain: Domain, connection: WorldConnection, at: datetime) -> None:
    """Report a sync that has ended in a state, or was not tried."""
    _announce(
        domain,
        "CONNECTION_SYNCED",
        connection.id_user,
        at,
        lambda: _nested(domain, connection, [], subscriptions=[]),
    )


def connection_deleted(domain: Domain, connection: WorldConnection, at: datetime) -> None:
    """Report that the user has removed a bank."""
    _announce(domain, "CONNECTION_DELETED", connection.id_user, at, lambda: connection_json(domain, connection, {}))


def account_found(domain: Domain, account: WorldAccount, at: datetime) -> None:
    """Report an account that a bank shows for the first time."""
    few: JsonObject = {
        "id": account.id,
        "id_user": account.id_user,
        "id_connection": account.id_connection,
        "disabled": to_wire(account.disabled),
        "type": account.type,
    }
    _announce(domain, "ACCOUNT_FOUND", account.id_user, at, lambda: few)


def account_switched(domain: Domain, account: WorldAccount, at: datetime) -> None:
    """Report that the user has enabled or disabled an account."""
    event = "ACCOUNT_ENABLED" if account.disabled is None else "ACCOUNT_DISABLED"
    _announce(domain, event, account.id_user, at, lambda: account_json(domain, account, {}))


def user_deleted(domain: Domain, user: WorldUser, at: datetime) -> None:
    """Report the deletion of a user; call it before the deletion."""
    _announce(domain, "USER_DELETED", user.id, at, lambda: user_json(user))


def _nested(domain: Domain, connection: WorldConnection, accounts: list[JsonObject], **more: object) -> JsonObject:
    record = connection_json(domain, connection, {"connector": {}, "sources": {}})
    return {
        "user": user_json(domain.users[connection.id_user]),
        "connection": {**record, "accounts": accounts, **more},
    }


def _announce(domain: Domain, event: str, user_id: int, at: datetime, payload: Callable[[], JsonObject]) -> None:
    """Queue the event for each address; the body has the state at the event, even if it is sent later."""
    listening = [w for w in domain.webhooks.values() if w.event == event and w.id_user in (None, user_id)]
    if listening:
        number = domain.next_id("event")
        body = dumps({**payload(), "id_webhook_data": number})
        token = domain.permanent_token(user_id)
        domain.outbox += [WebhookDelivery(number, webhook.id, user_id, at, body, token) for webhook in listening]
