"""Making a Powens user, and tokens for it, with the client's credentials.

Here: the calls. Not here: in which order, and what is kept between them (operations/onboarding.py).
Facts: Powens docs, Authentication. `/auth/init` without credentials makes an anonymous user that is purged after half an hour
unless its code is exchanged; with credentials it makes a permanent, billed one each time, and so does `/auth/renew`
without `id_user`. So neither is ever called that way. The token's key differs by route and by page; any of them is read.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import Invalid, Refused
from pfo_pipeline.powens.member import Member

_TOKEN_KEYS = ("access_token", "auth_token", "token")


@dataclass(frozen=True)
class AnonymousUser:
    """Purged by Powens half an hour after it was made, unless made permanent."""

    powens_id: int
    token: str = field(repr=False)


@dataclass(frozen=True)
class Onboarding:
    """One Powens domain, and the client's credentials. Every call raises: PowensError."""

    client: PowensClient
    root: str
    client_id: str
    client_secret: str = field(repr=False)

    async def begin(self) -> AnonymousUser:
        """A new anonymous user; nothing to pay, and nothing lost if the answer is."""
        answer = await self.client.call("POST", f"{self.root}/auth/init", None, json={})
        powens_id = answer.get("id_user")
        if not isinstance(powens_id, int) or isinstance(powens_id, bool) or powens_id <= 0:
            raise Invalid("unreadable", "POST /auth/init", "the answer holds no id_user")
        return AnonymousUser(powens_id, _token(answer, "/auth/init"))

    async def make_permanent(self, user: AnonymousUser) -> str:
        """The user's permanent token. From now on Powens bills the user."""
        code = await Member(self.client, self.root, user.token).exchange_code()
        return await self._token("/auth/token/access", {"grant_type": "authorization_code", "code": code})

    async def renew(self, powens_id: int) -> str:
        """Another permanent token of a user that there is; the tokens before it stay good."""
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
