"""Sends queued webhook posts to the registered addresses.

Facts: Powens docs, guide "Webhooks": `BI-Signature` is base64 of HMAC-SHA256 over `POST.path.date.body`; success is any
2XX; a run of the flusher gives up on a webhook after 10 failures in a row or 2 timeouts and continues in the next run.
Events of an anonymous user are held until the user is permanent. Assumed: a body is signed as it is sent, including gzip; a
repeated post is signed again; a timeout is 5 seconds; a run follows each move of the clock.

Nothing waits for a post: sending runs in the background.
"""

import asyncio
import base64
import gzip
import hashlib
import hmac
import ssl
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args
from urllib.parse import urlsplit

import httpx

from pfo_pipeline.simulator.exact_json import JsonObject, dumps, loads
from pfo_pipeline.simulator.state import Domain, Webhook, WebhookDelivery, World
from pfo_pipeline.simulator.values import FieldReader

TIMEOUT_SECONDS = 5.0
MAX_FAILURES_IN_A_ROW = 10
MAX_TIMEOUTS = 2
_RUNS_AT_ONCE = 2  # one run that sends, and one for posts added meanwhile

Kind = Literal["lose", "duplicate", "reorder", "forge", "stale"]


@dataclass
class PostFault:
    """A fault for the next `times` posts, optionally of one event and domain."""

    kind: Kind
    domain: str | None
    event: str | None
    times: int
    age_seconds: int


@dataclass
class Sender:
    """The queues of a world, and their sending. `posts` is the list of sent posts, in order."""

    world: World
    timeout_seconds: float = TIMEOUT_SECONDS
    faults: list[PostFault] = field(default_factory=list)
    posts: list[JsonObject] = field(default_factory=list)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _runs: set[asyncio.Task[None]] = field(default_factory=set)

    def order(self, values: JsonObject) -> None:
        """Add a fault.

        Raises:
            ValueError: the order is invalid.
        """
        reader = FieldReader(values)
        kind = reader.text("kind")
        if kind not in get_args(Kind):
            raise ValueError(f"kind: one of {', '.join(get_args(Kind))}")
        fault = PostFault(
            kind=kind,  # type: ignore[arg-type]  # checked above
            domain=reader.text("domain", None),
            event=reader.text("event", None),
            times=reader.whole("times", 1) or 0,
            age_seconds=reader.whole("age_seconds", 30 * 86_400) or 0,
        )
        reader.done()
        self.faults.append(fault)

    def pending(self) -> int:
        """Number of posts that are not yet accepted."""
        return sum(len(domain.outbox) for domain in self.world.domains.values())

    def start(self, *, again: bool = False) -> None:
        """Start sending posts that were never tried; with `again`, also refused ones."""
        waiting = any(again or not item.tries for domain in self.world.domains.values() for item in domain.outbox)
        if waiting and len(self._runs) < _RUNS_AT_ONCE:
            run = asyncio.get_running_loop().create_task(self.flush())
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)

    async def flush(self) -> None:
        """Run the flusher once, after the earlier runs."""
        async with self._sending, self._client() as client:
            for domain in list(self.world.domains.values()):
                await self._flush_domain(client, domain)

    async def _flush_domain(self, client: httpx.AsyncClient, domain: Domain) -> None:
        ready = sorted((d for d in domain.outbox if not _is_held(domain, d)), key=lambda d: (d.at, d.number))
        if ready and self._struck("reorder", domain, None):
            ready.reverse()
        failures: Counter[int] = Counter()
        timeouts: Counter[int] = Counter()
        for delivery in ready:
            webhook = domain.webhooks.get(delivery.webhook_id)
            if webhook is None or self._struck("lose", domain, webhook.event):
                domain.outbox.remove(delivery)
                continue
            if failures[webhook.id] >= MAX_FAILURES_IN_A_ROW or timeouts[webhook.id] >= MAX_TIMEOUTS:
                continue
            status = await self._deliver(client, domain, webhook, delivery)
            if status is not None and 200 <= status < 300:
                failures[webhook.id] = 0
                domain.outbox.remove(delivery)
            else:
                failures[webhook.id] += 1
                timeouts[webhook.id] += status is None

    async def _deliver(
        self, client: httpx.AsyncClient, domain: Domain, webhook: Webhook, delivery: WebhookDelivery
    ) -> int | None:
        """Send a post, as often as a fault requires. Returns the status of the real post, null without an answer in time."""
        delivery.tries += 1
        if self._struck("forge", domain, webhook.event):
            await self._post(client, domain, webhook, _forged(domain, delivery), "forge")
        stale = self._struck("stale", domain, webhook.event)
        name, age = ("stale", stale.age_seconds) if stale else (None, 0)
        status = await self._post(client, domain, webhook, delivery, name, age)
        if self._struck("duplicate", domain, webhook.event):
            await self._post(client, domain, webhook, delivery, "duplicate")
        return status

    async def _post(
        self,
        client: httpx.AsyncClient,
        domain: Domain,
        webhook: Webhook,
        delivery: WebhookDelivery,
        fault: str | None,
        age_seconds: int = 0,
    ) -> int | None:
        body = gzip.compress(delivery.body, mtime=0) if domain.settings.webhooks_gzip else delivery.body
        date = f"{self.world.clock.now() - timedelta(seconds=age_seconds):%Y-%m-%dT%H:%M:%S.%f}Z"
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Budgea API/2.0"}
        if domain.settings.webhooks_gzip:
            headers["Content-Encoding"] = "gzip"
        provider = domain.auth_providers.get(webhook.id_auth or 0)
        if provider is None:
            token = domain.permanent_token(delivery.id_user) or delivery.token
            headers["Authorization"] = f"Bearer {'forged' if fault == 'forge' else token}"
        else:
            secret = "forged" if fault == "forge" else provider.secret
            headers |= {"BI-Signature-Date": date, "BI-Signature": _signature(secret, webhook.url, date, body)}
        status: int | None = None
        entry: JsonObject = {"event": webhook.event, "url": webhook.url, "id_webhook_data": delivery.number}
        try:
            status = (await client.post(webhook.url, content=body, headers=headers)).status_code
        except httpx.TimeoutException:
            pass
        except (httpx.HTTPError, httpx.InvalidURL):
            status = 0
        self.posts.append({**entry, "status": status, "fault": fault})
        return status

    def _client(self) -> httpx.AsyncClient:
        # Receivers of tests use plain HTTP on loopback, so no certificates are read.
        certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx.AsyncClient(timeout=self.timeout_seconds, trust_env=False, verify=certificates)

    def _struck(self, kind: Kind, domain: Domain, event: str | None) -> PostFault | None:
        """The fault for this post, with its count reduced by one."""
        for fault in self.faults:
            is_meant = fault.domain in (None, domain.name) and fault.event in (None, event)
            if fault.kind == kind and is_meant and fault.times > 0:
                fault.times -= 1
                return fault
        return None


def _is_held(domain: Domain, delivery: WebhookDelivery) -> bool:
    user = domain.users.get(delivery.id_user)
    return user is not None and user.anonymous


def _forged(domain: Domain, delivery: WebhookDelivery) -> WebhookDelivery:
    """A forged post: an event that never happened."""
    payload = loads(delivery.body)
    assert isinstance(payload, dict)
    number = domain.next_id("event")
    body = dumps({**payload, "id_webhook_data": number})
    return WebhookDelivery(number, delivery.webhook_id, delivery.id_user, delivery.at, body, None)


def _signature(secret: str, url: str, date: str, body: bytes) -> str:
    signed = f"POST.{urlsplit(url).path}.{date}.".encode() + body
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode("ascii")
