"""Where a member goes to act: Powens' webview.

Facts: Powens docs, Webview: `https://webview.powens.com/{lang}/reconnect` with domain, client_id, redirect_uri,
connection_id and a temporary `code` (30 minutes or one use). The language segment is always given: without it an edge
server answered 503.
"""

from urllib.parse import urlencode

from pfo_pipeline.config import Tenant

WEBVIEW = "https://webview.powens.com"
LANGUAGE = "en"


def reconnect_link(tenant: Tenant, connection_id: str, code: str | None = None) -> str:
    """The reconnect page of one connection.

    Args:
        code: Temporary code from `GET /auth/token/code`; without it the link says where, but opens for nobody.
    """
    query = {"domain": f"{tenant.domain}.biapi.pro", "connection_id": connection_id}
    if tenant.client_id:
        query["client_id"] = tenant.client_id
    if tenant.redirect_uri:
        query["redirect_uri"] = tenant.redirect_uri
    if code:
        query["code"] = code
    return f"{WEBVIEW}/{LANGUAGE}/reconnect?{urlencode(query)}"
