"""The simulator inside a test's own process, over real HTTP."""

import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from pfo_pipeline.simulator import Options, build_bench, build_server, listen, url_of
from pfo_pipeline.simulator.state import World

# A Tuesday at 13:00 in Paris: all daily syncs of the day are hours ago.
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
# Loopback speaks plain HTTP; without this each client would read the machine's certificates first.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class SimulatedDomain:
    """A client application."""

    name: str
    base_url: str
    client_id: str
    client_secret: str
    users_token: str
    config_token: str


@dataclass(frozen=True)
class SimulatedUser:
    """A user with a permanent token."""

    domain: str
    base_url: str
    id: int
    token: str


@dataclass(frozen=True)
class SimulatedConnection:
    """The ids of a connection and of what hangs on it, in the order given."""

    id: int
    source_ids: list[int]
    account_ids: list[int]


@dataclass(frozen=True)
class Renumbered:
    """New ids by the old ones."""

    connections: dict[int, int]
    accounts: dict[int, int]


@dataclass(frozen=True)
class SimulatedWorld:
    """A domain from a seed: its users, and each one's connections."""

    domain: SimulatedDomain
    users: list[SimulatedUser]
    connections: dict[int, list[SimulatedConnection]]


class SimulatedBank:
    """A running simulator; use it as a context manager.

    The clock is frozen at `now` unless told otherwise, and only `advance` moves it.
    """

    def __init__(
        self,
        *,
        world: Literal["demo", "empty"] = "empty",
        seed: int = 7,
        now: datetime = NOON,
        frozen: bool = True,
        rate_limit: int = 0,
        page_size: int | None = None,
    ) -> None:
        options = Options(world=world, seed=seed, now=now, frozen=frozen, rate_limit=rate_limit, page_size=page_size)
        self._bench = build_bench(options)
        self._server = build_server(self._bench)
        self._listener = listen()
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self.url = url_of(self._listener)
        self.admin = httpx.Client(base_url=f"{self.url}/admin", timeout=30, trust_env=False, verify=_NO_CERTIFICATES)

    def __enter__(self) -> Self:
        # The socket listens already: a first request waits until the thread serves it.
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.admin.close()
        self._server.stop()
        self._thread.join(timeout=10)
        self._listener.close()

    def base_url(self, domain: str) -> str:
        """The API root of a domain."""
        return f"{self.url}/{domain}/2.0"

    def demo_token(self, domain: str, user_id: int) -> str:
        """The permanent token of a member of the demo world."""
        for token in self._bench.world.domains[domain].tokens.values():
            if token.kind == "permanent" and token.id_user == user_id:
                return token.value
        raise KeyError(f"{domain} has no user {user_id}")

    def add_domain(self, name: str = "smith-sandbox", **settings: Any) -> SimulatedDomain:
        """A new domain; settings as `rate_limit_per_minute`, `page_size`, `sync_seconds`, `client_id`."""
        return _domain(self._send("POST", "/domains", {"domain": name, **settings}))

    def add_world(
        self, domain: str, seed: int, *, members: int = 2, connections: int = 2, accounts: int = 3
    ) -> SimulatedWorld:
        """A whole domain: `connections` for each member, `accounts` for each connection."""
        sizes = {"members": members, "connections": connections, "accounts": accounts}
        made = self._send("POST", "/worlds", {"domain": domain, "seed": seed, **sizes})
        users = [SimulatedUser(domain, made["base_url"], user["id"], user["token"]) for user in made["users"]]
        linked = {user["id"]: [SimulatedConnection(**link) for link in user["connections"]] for user in made["users"]}
        return SimulatedWorld(_domain(made), users, linked)

    def change_domain(self, name: str, **settings: Any) -> None:
        """Change settings of a domain."""
        self._send("PATCH", f"/domains/{name}", settings)

    def clear_rate_limit(self, name: str) -> None:
        """Let a domain's minute begin again."""
        self._send("DELETE", f"/domains/{name}/rate-limit")

    def add_user(self, domain: str = "smith-sandbox", user_id: int | None = None) -> SimulatedUser:
        """A new user with a permanent token."""
        made = self._send("POST", f"/domains/{domain}/users", {} if user_id is None else {"id": user_id})
        return SimulatedUser(domain, self.base_url(domain), made["id"], made["token"])

    def add_connection(
        self,
        user: SimulatedUser,
        connector: str = "Banque Exemple",
        accounts: list[Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> SimulatedConnection:
        """A connection with accounts; money as strings, to stay exact."""
        body = {"connector": connector, "accounts": [dict(item) for item in accounts or []], **fields}
        made = self._send("POST", f"/domains/{user.domain}/users/{user.id}/connections", body)
        return SimulatedConnection(made["id"], made["source_ids"], made["account_ids"])

    def change_connection(self, domain: str, connection_id: int, **fields: Any) -> None:
        """Put a connection in another state, or change any of its fields."""
        self._send("PATCH", f"/domains/{domain}/connections/{connection_id}", fields)

    def delete_connection(self, domain: str, connection_id: int) -> None:
        """Erase a connection with its accounts."""
        self._send("DELETE", f"/domains/{domain}/connections/{connection_id}")

    def add_account(self, domain: str, connection_id: int, **fields: Any) -> int:
        """One more account under a connection; its id."""
        made = self._send("POST", f"/domains/{domain}/connections/{connection_id}/accounts", fields)
        return int(made["id"])

    def change_account(self, domain: str, account_id: int, **fields: Any) -> None:
        """Change any field of an account."""
        self._send("PATCH", f"/domains/{domain}/accounts/{account_id}", fields)

    def delete_account(self, domain: str, account_id: int) -> None:
        """Make an account vanish without a trace."""
        self._send("DELETE", f"/domains/{domain}/accounts/{account_id}")

    def renumber(
        self,
        domain: str,
        *,
        connections: Sequence[int] = (),
        accounts: Sequence[int] = (),
        numbers: Literal["same", "reformatted", "absent"] = "same",
        disabled: bool = True,
        erased: bool = False,
        source: str | None = None,
    ) -> Renumbered:
        """Let banks or single accounts come back under new ids, to be enabled again unless told otherwise."""
        manner = {"numbers": numbers, "disabled": disabled, "erased": erased, "source": source}
        body = {"connections": list(connections), "accounts": list(accounts), **manner}
        made = self._send("POST", f"/domains/{domain}/renumber", body)
        return Renumbered(*({int(old): new for old, new in made[kind].items()} for kind in ("connections", "accounts")))

    def see_again(self, domain: str, account_id: int, connection_id: int) -> int:
        """The same bank account through another connection, its figures moving in step; the new id."""
        return self.add_account(domain, connection_id, same_as=account_id)

    def correct(self, domain: str, account_id: int, balance: str) -> None:
        """Restate the figure shown last, whose time stays what it was."""
        self.change_account(domain, account_id, balance=balance)

    def tell_late(self, domain: str, account_id: int, balance: str, as_of: datetime) -> None:
        """Show a figure of an earlier moment, now."""
        self.change_account(domain, account_id, balance=balance, last_update=as_of.isoformat())

    def announce(self, domain: str, account_id: int, *operations: Mapping[str, Any]) -> None:
        """Replace what is coming: operations of `amount`, `days` until they post, and whether they are `dropped`."""
        self.change_account(domain, account_id, pending=[dict(operation) for operation in operations])

    def truth(self, domain: str, since: datetime | None = None) -> dict[str, Any]:
        """Everything there is and was, with every figure shown from `since` on; amounts are exact strings."""
        query = {"domain": domain} | ({"since": since.isoformat()} if since else {})
        answer = self.admin.get("/truth", params=query)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def fault(self, kind: str, **order: Any) -> int:
        """Order a fault; its id."""
        return int(self._send("POST", "/faults", {"kind": kind, **order})["id"])

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._send("DELETE", "/faults")

    def journal(self, domain: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """The requests so far."""
        query = {"since": str(since)} | ({"domain": domain} if domain else {})
        answer = self.admin.get("/journal", params=query)
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    def clear_journal(self) -> None:
        """Forget the requests so far."""
        self._send("DELETE", "/journal")

    @property
    def world(self) -> World:
        """The simulator's own records: what is true, whatever is told."""
        return self._bench.world

    def now(self) -> datetime:
        """The virtual clock, aware; not over HTTP, since every load of a ledger asks for it."""
        return self._bench.world.clock.now()

    def advance(self, *, seconds: int = 0, minutes: int = 0, hours: int = 0, days: int = 0) -> None:
        """Move the clock forward; what is due happens."""
        total = seconds + 60 * minutes + 3600 * hours + 86_400 * days
        self._send("POST", "/clock", {"advance_seconds": total})

    def advance_to(self, moment: datetime) -> None:
        """Move the clock forward to a moment."""
        self._send("POST", "/clock", {"now": moment.isoformat()})

    def sync(self, domain: str, connection_id: int) -> None:
        """Let what the daily sync does happen now."""
        self._send("POST", f"/domains/{domain}/connections/{connection_id}/sync")

    def add_webhooks(self, domain: SimulatedDomain, urls: Mapping[str, str], *, signed: bool = True) -> str | None:
        """Register an address for each event, as a client application does; the secret that signs the posts."""
        headers = {"Authorization": f"Bearer {domain.config_token}"}
        secret, proof = None, {}
        with httpx.Client(base_url=domain.base_url, headers=headers, trust_env=False, verify=_NO_CERTIFICATES) as web:
            if signed:
                made = web.post("webhooks/auth", json={"type": "hmac_signature", "name": "testhooks"})
                secret, proof = made.raise_for_status().json()["config"]["secret_key"], {"id_auth": made.json()["id"]}
            for event, url in urls.items():
                web.post("webhooks", json={"event": event, "url": url, **proof}).raise_for_status()
        return secret

    def forget_webhooks(self, domain: SimulatedDomain) -> None:
        """Take back every address and secret, as a client application does."""
        headers = {"Authorization": f"Bearer {domain.config_token}"}
        with httpx.Client(base_url=domain.base_url, headers=headers, trust_env=False, verify=_NO_CERTIFICATES) as web:
            for path, key in (("webhooks", "webhooks"), ("webhooks/auth", "authproviders")):
                for record in web.get(path).raise_for_status().json()[key]:
                    web.delete(f"{path}/{record['id']}").raise_for_status()

    def posts(self) -> list[dict[str, Any]]:
        """Every post so far, once all that is pending was tried."""
        posts: list[dict[str, Any]] = self._send("POST", "/webhooks/flush")["posts"]
        return posts

    def pending_posts(self) -> int:
        """How many were not accepted yet."""
        return int(self._send("GET", "/webhooks")["pending"])

    def be_impatient(self, seconds: float) -> None:
        """Wait no longer than this for the answer to a post."""
        self._bench.sender.timeout_seconds = seconds

    def post_fault(self, kind: str, **order: Any) -> None:
        """Order what befalls the next posts."""
        self._send("POST", "/webhooks/faults", {"kind": kind, **order})

    def client(self, user: SimulatedUser) -> httpx.Client:
        """A client with the user's token; the caller closes it."""
        headers = {"Authorization": f"Bearer {user.token}"}
        return httpx.Client(
            base_url=user.base_url, headers=headers, timeout=30, trust_env=False, verify=_NO_CERTIFICATES
        )

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self.admin.request(method, path, json=body)
        if answer.is_error:
            raise ValueError(f"{method} {path}: {answer.status_code} {answer.text}")
        payload: dict[str, Any] = answer.json()
        return payload


def _domain(made: Mapping[str, Any]) -> SimulatedDomain:
    keys = ("client_id", "client_secret", "users_token", "config_token")
    return SimulatedDomain(made["domain"], made["base_url"], *(made[key] for key in keys))
