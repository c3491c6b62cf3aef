"""What a member decides at Powens, or an operator on the member's behalf: opening the pages, consenting, leaving.

Here: the calls with the member's own token. Not here: how a token is come by (onboarding.py), reading (bank.py).
Facts: Powens docs, Authentication, Users, Connections, Bank accounts: without `all` a disabled account is not found, and
enabling one is the member's consent. `GET /clients/{id}` answers a member with the addresses that pages may return to;
seen by one client and not documented, so any refusal of it means nothing.
"""

from dataclasses import dataclass, field

from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import Invalid, Missing, Permanent

ME = "/users/me"


@dataclass(frozen=True)
class Member:
    """One Powens user, who is whoever holds the token. Every call raises: PowensError."""

    client: PowensClient
    root: str
    token: str = field(repr=False)

    async def page_code(self) -> str:
        """A code that opens Powens' pages as this member: 30 minutes, or one use."""
        return await self._code("/auth/token/code?type=singleAccess")

    async def exchange_code(self) -> str:
        """A code to be exchanged for a permanent token."""
        return await self._code("/auth/token/code")

    async def powens_id(self) -> int:
        found = (await self._call("GET", ME)).get("id")
        if not isinstance(found, int) or isinstance(found, bool):
            raise Invalid("unreadable", f"GET {ME}", "the answer holds no id")
        return found

    async def may_return_to(self, client_id: str, redirect_uri: str) -> bool:
        """Whether Powens' pages lead back to the address; true where Powens does not tell."""
        try:
            told = (await self._call("GET", f"/clients/{client_id}")).get("redirect_uris")
        except Permanent:
            return True
        return not (isinstance(told, list) and told) or redirect_uri in told

    async def connection_ids(self) -> list[str]:
        listing = await self.client.read_list(f"{ME}/connections", "connections", self.token)
        return [str(record["id"]) for record in listing.records if "id" in record]

    async def delete_connection(self, connection_id: str) -> None:
        """For good, with its accounts. One that is not there is no error: it may have gone in an attempt before."""
        try:
            await self._call("DELETE", f"{ME}/connections/{connection_id}")
        except Missing:
            return

    async def enable_account(self, powens_account_id: str) -> None:
        await self._call("PUT", f"{ME}/accounts/{powens_account_id}?all", {"disabled": False})

    async def revoke_token(self) -> None:
        await self._call("DELETE", "/auth/token")

    async def delete(self) -> None:
        """The user with everything that Powens has of them."""
        await self._call("DELETE", ME)

    async def _code(self, path: str) -> str:
        code = (await self._call("GET", path)).get("code")
        if not isinstance(code, str) or not code:
            raise Invalid("unreadable", "GET /auth/token/code", "the answer holds no code")
        return code

    async def _call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        return await self.client.call(method, self.root + path, self.token, json=body)
