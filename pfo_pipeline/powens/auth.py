"""Powens users, their tokens, and the pages (webview) on which a person connects a bank.

Facts: Powens docs, Webview: `https://webview.powens.com/{lang}/{connect|reconnect}` with domain, client_id, redirect_uri, a
temporary `code` (30 minutes or one use) and a `state` that is returned. The link always contains the language: without it an
edge server answered 503. Authentication, Users, Connections, Bank accounts: without `all`, Powens does not find a disabled
account, and enabling one is the user's consent. `GET /clients/{id}` answers a user with the allowed redirect addresses; one
client saw it and no page documents it, so a refusal means nothing.
`/auth/init` without credentials creates an anonymous user that is deleted after half an hour unless its code is exchanged.
With credentials it creates a permanent, billed user each time, and so does `/auth/renew` without `id_user`: we never call
them that way. The key of the token in the answer differs by route and by documentation page; we accept each of them.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pfo_pipeline.config import Tenant
from pfo_pipeline.powens.errors import Invalid, Missing, Permanent, Refused

if TYPE_CHECKING:
    from pfo_pipeline.powens.client import PowensClient  # It imports httpx, which links need not.


def connect_link(tenant: Tenant, code: str, state: str | None = None) -> str:
    """Link to the page on which a user chooses a bank and consents.

    Args: as for `reconnect_link`.
    """
    return _page(tenant, "connect", code=code, state=state)


def reconnect_link(tenant: Tenant, connection_id: str, code: str | None = None, state: str | None = None) -> str:
    """Link to the reconnect page of one connection.

    Args:
        code: Temporary code from `GET /auth/token/code`. Without it the link has the right address, but the page does not
            open.
        state: Value that Powens returns with the user, for the process that waits for the return.
    """
    return _page(tenant, "reconnect", connection_id=connection_id, code=code, state=state)


def _page(tenant: Tenant, page: str, **more: str | None) -> str:
    known = {"client_id": tenant.client_id, "redirect_uri": tenant.redirect_uri, **more}
    query = {"domain": f"{tenant.domain}.biapi.pro", **{key: value for key, value in known.items() if value}}
    return f"{tenant.webview_url}/{page}?{urlencode(query)}"


ME = "/users/me"


@dataclass(frozen=True)
class PowensUser:
    """One Powens user, identified by the token. Every call raises: PowensError."""

    client: "PowensClient"
    root: str
    token: str = field(repr=False)

    async def page_code(self) -> str:
        """Get a code that opens Powens' pages as this user, valid for 30 minutes or one use."""
        return await self._code("/auth/token/code?type=singleAccess")

    async def exchange_code(self) -> str:
        """Get a code that can be exchanged for a permanent token."""
        return await self._code("/auth/token/code")

    async def powens_id(self) -> int:
        found = (await self._call("GET", ME)).get("id")
        if not isinstance(found, int) or isinstance(found, bool):
            raise Invalid("unreadable", f"GET {ME}", "the answer holds no id")
        return found

    async def may_return_to(self, client_id: str, redirect_uri: str) -> bool:
        """Whether Powens allows the address as a redirect; true if Powens does not say."""
        try:
            registered = (await self._call("GET", f"/clients/{client_id}")).get("redirect_uris")
        except Permanent:
            return True
        return not (isinstance(registered, list) and registered) or redirect_uri in registered

    async def connection_ids(self) -> list[str]:
        listing = await self.client.read_list(f"{ME}/connections", "connections", self.token)
        return [str(record["id"]) for record in listing.records if "id" in record]

    async def delete_connection(self, connection_id: str) -> None:
        """Delete a connection permanently, with its accounts.

        A missing connection is not an error: an earlier attempt may have deleted it.
        """
        try:
            await self._call("DELETE", f"{ME}/connections/{connection_id}")
        except Missing:
            return

    async def enable_account(self, powens_account_id: str) -> None:
        await self._call("PUT", f"{ME}/accounts/{powens_account_id}?all", {"disabled": False})

    async def revoke_token(self) -> None:
        await self._call("DELETE", "/auth/token")

    async def delete(self) -> None:
        """Delete the user and all data that Powens has of the user."""
        await self._call("DELETE", ME)

    async def _code(self, path: str) -> str:
        code = (await self._call("GET", path)).get("code")
        if not isinstance(code, str) or not code:
            raise Invalid("unreadable", "GET /auth/token/code", "the answer holds no code")
        return code

    async def _call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        return await self.client.call(method, self.root + path, self.token, json=body)


_TOKEN_KEYS = ("access_token", "auth_token", "token")


@dataclass(frozen=True)
class AnonymousUser:
    """A user that Powens deletes half an hour after its creation, unless it is made permanent."""

    powens_id: int
    token: str = field(repr=False)


@dataclass(frozen=True)
class Onboarding:
    """One Powens domain, with the client's credentials. Every call raises: PowensError."""

    client: "PowensClient"
    root: str
    client_id: str
    client_secret: str = field(repr=False)

    async def begin(self) -> AnonymousUser:
        """Create an anonymous user. It costs nothing, and a lost answer does no harm."""
        answer = await self.client.call("POST", f"{self.root}/auth/init", None, json={})
        powens_id = answer.get("id_user")
        if not isinstance(powens_id, int) or isinstance(powens_id, bool) or powens_id <= 0:
            raise Invalid("unreadable", "POST /auth/init", "the answer holds no id_user")
        return AnonymousUser(powens_id, _token(answer, "/auth/init"))

    async def make_permanent(self, user: AnonymousUser) -> str:
        """Exchange the user's code for a permanent token. From now on Powens bills the user."""
        code = await PowensUser(self.client, self.root, user.token).exchange_code()
        return await self._token("/auth/token/access", {"grant_type": "authorization_code", "code": code})

    async def renew(self, powens_id: int) -> str:
        """Get another permanent token for an existing user. Earlier tokens stay valid."""
        return await self._token("/auth/renew", {"grant_type": "client_credentials", "id_user": powens_id})

    async def _token(self, path: str, body: dict[str, Any]) -> str:
        credentials = {"client_id": self.client_id, "client_secret": self.client_secret}
        try:
            answer = await self.client.call("POST", self.root + path, None, json=credentials | body)
        except Refused as refusal:
            raise replace(refusal, reason="Powens does not accept client_id and client_secret") from None
        return _token(answer, path)


def _token(answer: dict[str, Any], path: str) -> str:
    found = next((answer[key] for key in _TOKEN_KEYS if answer.get(key)), None)
    if not isinstance(found, str) or not (found.isascii() and found.isprintable()) or " " in found:
        raise Invalid("unreadable", f"POST {path}", "the answer holds no token")
    return found
