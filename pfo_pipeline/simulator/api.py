"""The simulated API as a table of routes.

Facts: Powens docs; paths start after the version `/2.0`.
"""

from re import Pattern

from starlette.routing import compile_path

from pfo_pipeline.simulator import api_clients, api_users, errors
from pfo_pipeline.simulator.calls import Handler

_CONNECTIONS = {"GET": api_users.list_connections, "POST": api_users.create_connection}
_CONNECTION = {
    "GET": api_users.get_connection,
    "POST": api_users.update_connection,
    "PUT": api_users.sync_connection,
    "DELETE": api_users.delete_connection,
}
_ACCOUNT = {
    "GET": api_users.get_account,
    "POST": api_users.update_accounts,
    "PUT": api_users.update_accounts,
}

TABLE: tuple[tuple[str, dict[str, Handler]], ...] = (
    ("/auth/init", {"POST": api_clients.init}),
    ("/auth/renew", {"POST": api_clients.renew}),
    ("/auth/token/code", {"GET": api_clients.code}),
    ("/auth/token/access", {"POST": api_clients.access}),
    ("/auth/token", {"DELETE": api_clients.revoke}),
    ("/clients/{client}", {"GET": api_clients.get_client}),
    ("/users", {"GET": api_users.list_users}),
    ("/users/{user}", {"GET": api_users.get_user, "DELETE": api_users.delete_user}),
    ("/connectors", {"GET": api_users.list_connectors}),
    ("/connectors/{connector}", {"GET": api_users.get_connector}),
    ("/connectors/{connector}/fields", {"GET": api_users.get_connector_fields}),
    ("/connectors/{connector}/sources", {"GET": api_users.get_connector_sources}),
    ("/currencies", {"GET": api_users.list_currencies}),
    ("/account_types", {"GET": api_users.list_account_types}),
    ("/users/{user}/connections", dict(_CONNECTIONS)),
    ("/users/{user}/connections/{connection}", dict(_CONNECTION)),
    ("/users/{user}/connections/{connection}/sources", {"GET": api_users.list_sources}),
    (
        "/users/{user}/connections/{connection}/sources/{source}",
        {"GET": api_users.get_source, "POST": api_users.update_source},
    ),
    ("/users/{user}/connections/{connection}/accounts", {"GET": api_users.list_accounts}),
    ("/users/{user}/connections/{connection}/accounts/{account}", dict(_ACCOUNT)),
    ("/users/{user}/accounts", {"GET": api_users.list_accounts}),
    ("/users/{user}/accounts/{account}", dict(_ACCOUNT)),
    ("/webhooks_events", {"GET": api_clients.list_events}),
    ("/webhooks", {"GET": api_clients.list_webhooks, "POST": api_clients.add_webhook}),
    ("/webhooks/auth", {"GET": api_clients.list_providers, "POST": api_clients.add_provider}),
    ("/webhooks/auth/{provider}", {"DELETE": api_clients.delete_provider}),
    ("/webhooks/{webhook}", {"DELETE": api_clients.delete_webhook}),
    ("/webauth-url", {"GET": api_users.webauth_url}),
    ("/webauth", {"GET": api_users.webauth}),
)

_ROUTES: tuple[tuple[Pattern[str], dict[str, Handler]], ...] = tuple(
    (compile_path(path)[0], handlers) for path, handlers in TABLE
)


def find_handler(method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """Find the handler of a path after `/2.0`, with the values in the path.

    Raises:
        ApiError: 404 for an unknown path, 405 for a wrong method.
    """
    for pattern, handlers in _ROUTES:
        match = pattern.match(path)
        if match is not None:
            if method not in handlers:
                raise errors.method_not_allowed(sorted(handlers))
            return handlers[method], match.groupdict()
    raise errors.not_found()
