"""Making our addresses known to Powens: one secret to sign with, one address for each event.

Here: the calls, with the console's configuration token. Not here: where the secret is stored (commands/webhooks.py).
Facts: Powens docs, guide "Webhooks": `POST /webhooks/auth` tells the secret once, and never again. A provider's name is
short, of letters and digits: a dashed one of 39 characters was answered 500 (Formance's contract test). `/webhooks` with
`event`, `url` and `id_auth` is of the older reference, which the current pages do not contradict.
"""

from collections.abc import Callable
from typing import Any

from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import Invalid
from pfo_pipeline.powens.webhooks import EVENTS, path_of

_NAME_LENGTH = 13


def provider_name(tenant_id: str) -> str:
    return ("pfo" + "".join(c for c in tenant_id if c.isalnum()))[:_NAME_LENGTH]


class Registrar:
    """One Powens domain, and its configuration token."""

    def __init__(self, client: PowensClient, root: str, token: str) -> None:
        self._client = client
        self._root = root
        self._token = token

    async def provider(self, name: str) -> int | None:
        """The id of the signing secret of this name. Raises: PowensError."""
        providers = await self._list("/webhooks/auth", "authproviders")
        found = (p.get("id") for p in providers if p.get("name") == name and p.get("type") == "hmac_signature")
        return next((number for number in found if isinstance(number, int)), None)

    async def add_provider(self, name: str, store: Callable[[str], None]) -> int:
        """Let Powens make a secret.

        Args:
            store: Is given the secret, which is told this once.
        Raises: PowensError.
        """
        made = await self._post("/webhooks/auth", {"type": "hmac_signature", "name": name})
        secret = made.get("config", {}).get("secret_key") if isinstance(made.get("config"), dict) else None
        if not isinstance(secret, str) or not secret:
            raise Invalid("unreadable", "POST /webhooks/auth", "the answer holds no secret_key")
        store(secret)
        return int(made["id"])

    async def add_addresses(self, tenant_id: str, base: str, provider: int) -> list[tuple[str, str, bool]]:
        """Register what is not registered yet.

        Returns: For each event its URL, and whether it is new.
        Raises: PowensError.
        """
        # Each event has an address of its own; Powens names the event by a number of its own, if at all.
        known = {(w.get("url"), str(w.get("id_auth"))) for w in await self._list("/webhooks", "webhooks")}
        told = []
        for event in EVENTS:
            url = base + path_of(tenant_id, event)
            is_new = (url, str(provider)) not in known
            if is_new:
                await self._post("/webhooks", {"event": event, "url": url, "id_auth": provider})
            told.append((event, url, is_new))
        return told

    async def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        return (await self._client.read_list(path, key, self._token)).records

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        answer = await self._client.call("POST", self._root + path, self._token, json=body)
        if not isinstance(answer.get("id"), int):
            raise Invalid("unreadable", f"POST {path}", "the answer holds no id")
        return answer
