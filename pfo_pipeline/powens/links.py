"""Where a member goes to connect a bank or to act on a connection: Powens' webview.

Facts: Powens docs, Webview: `https://webview.powens.com/{lang}/{connect|reconnect}` with domain, client_id, redirect_uri, a
temporary `code` (30 minutes or one use) and a `state` that comes back with the member. The language segment is always given:
without it an edge server answered 503.
"""

from urllib.parse import urlencode

from pfo_pipeline.config import Tenant


def connect_link(tenant: Tenant, code: str, state: str | None = None) -> str:
    """The page on which a member chooses a bank and consents.

    Args: as of `reconnect_link`.
    """
    return _page(tenant, "connect", code=code, state=state)


def reconnect_link(tenant: Tenant, connection_id: str, code: str | None = None, state: str | None = None) -> str:
    """The reconnect page of one connection.

    Args:
        code: Temporary code from `GET /auth/token/code`; without it the link says where, but opens for nobody.
        state: What the member brings back, for who waits for the return.
    """
    return _page(tenant, "reconnect", connection_id=connection_id, code=code, state=state)


def _page(tenant: Tenant, page: str, **more: str | None) -> str:
    known = {"client_id": tenant.client_id, "redirect_uri": tenant.redirect_uri, **more}
    query = {"domain": f"{tenant.domain}.biapi.pro", **{key: value for key, value in known.items() if value}}
    return f"{tenant.webview_url}/{page}?{urlencode(query)}"
