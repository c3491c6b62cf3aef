"""The simulated API as a table of routes.

Here: path and method to handler.
Not here: the handlers (api_*.py), the transport (gateway.py).
Facts: Powens docs; paths as they follow the version `/2.0`.
"""

from re import Pattern

from starlette.routing import compile_path

from pfo_pipeline.simulator import api_accounts, api_auth, api_connections, api_reference, api_webhooks, errors
from pfo_pipeline.simulator.calls import Handler

_CONNECTIONS = {"GET": api_connections.list_connections, "POST": api_connections.create_connection}
_CONNECTION = {
    "GET": api_connections.get_connection,
    "POST": api_connections.update_connection,
    "PUT": api_connections.sync_connection,
    "DELETE": api_connections.delete_connection,
}
_ACCOUNT = {
    "GET": api_accounts.get_account,
    "POST": api_accounts.update_accounts,
    "PUT": api_accounts.update_accounts,
}

TABLE: tuple[tuple[str, dict[str, Handler]], ...] = (
    ("/auth/init", {"POST": api_auth.init}),
    ("/auth/renew", {"POST": api_auth.renew}),
    ("/auth/token/code", {"GET": api_auth.code}),
    ("/auth/token/access", {"POST": api_auth.access}),
    ("/auth/token", {"DELETE": api_auth.revoke}),
    ("/clients/{client}", {"GET": api_auth.get_client}),
    ("/users", {"GET": api_reference.list_users}),
    ("/users/{user}", {"GET": api_reference.get_user, "DELETE": api_reference.delete_user}),
    ("/connectors", {"GET": api_reference.list_connectors}),
    ("/connectors/{connector}", {"GET": api_reference.get_connector}),
    ("/connectors/{connector}/fields", {"GET": api_reference.get_connector_fields}),
    ("/connectors/{connector}/sources", {"GET": api_reference.get_connector_sources}),
    ("/currencies", {"GET": api_reference.list_currencies}),
    ("/account_types", {"GET": api_reference.list_account_types}),
    ("/users/{user}/connections", dict(_CONNECTIONS)),
    ("/users/{user}/connections/{connection}", dict(_CONNECTION)),
    ("/users/{user}/connections/{connection}/sources", {"GET": api_connections.list_sources}),
    (
        "/users/{user}/connections/{connection}/sources/{source}",
        {"GET": api_connections.get_source, "POST": api_connections.update_source},
    ),
    ("/users/{user}/connections/{connection}/accounts", {"GET": api_accounts.list_accounts}),
    ("/users/{user}/connections/{connection}/accounts/{account}", dict(_ACCOUNT)),
    ("/users/{user}/accounts", {"GET": api_accounts.list_accounts}),
    ("/users/{user}/accounts/{account}", dict(_ACCOUNT)),
    ("/webhooks_events", {"GET": api_webhooks.list_events}),
    ("/webhooks", {"GET": api_webhooks.list_webhooks, "POST": api_webhooks.add_webhook}),
    ("/webhooks/auth", {"GET": api_webhooks.list_providers, "POST": api_webhooks.add_provider}),
    ("/webhooks/auth/{provider}", {"DELETE": api_webhooks.delete_provider}),
    ("/webhooks/{webhook}", {"DELETE": api_webhooks.delete_webhook}),
    ("/webauth-url", {"GET": api_connections.webauth_url}),
    ("/webauth", {"GET": api_connections.webauth}),
)

_ROUTES: tuple[tuple[Pattern[str], dict[str, Handler]], ...] = tuple(
    (compile_path(path)[0], handlers) for path, handlers in TABLE
)


def find_handler(method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """The handler of a path after `/2.0`, with the values in the path.

    Raises:
        ApiError: 404 for an unknown path, 405 for a method it does not take.
    """
    for pattern, handlers in _ROUTES:
        match = pattern.match(path)
        if match is not None:
            if method not in handlers:
                raise errors.method_not_allowed(sorted(handlers))
            return handlers[method], match.groupdict()
    raise errors.not_found()
