"""A receiver in a test's own process, over real HTTP."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import uvicorn

from pfo_pipeline.config import load_config
from pfo_pipeline.powens.webhooks import path_of, signature
from pfo_pipeline.simulator.server import LoopbackServer, listen, url_of
from pfo_pipeline.webhooks.inbox import Event, Inbox, inbox_path
from pfo_pipeline.webhooks.receiver import ImpatientProtocol, Receiver
from pfo_pipeline_tests.simulator.conftest import web

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECRET = "s3cret"
DATE = "2026-03-10T11:59:58.000001Z"


class Receiving:
    """A context manager. `lines` are its log lines, `now` is its clock's time."""

    def __init__(self, config: Path, private: Path, now: datetime = NOW) -> None:
        self.now = now
        self.lines: list[str] = []
        self.inbox = Inbox(inbox_path(private), lambda: self.now)
        self.inbox.prepare()
        app = Receiver(load_config(config), self.inbox, lambda: self.now, self.lines.append).app()
        self._server = LoopbackServer(
            uvicorn.Config(app, http=ImpatientProtocol, lifespan="off", ws="none", log_config=None)
        )
        self._listener = listen()
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self.url = url_of(self._listener)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join(timeout=10)
        self._listener.close()

    def kept(self) -> list[Event]:
        return self.inbox.after(0, 1000)

    def post(self, event: str, body: bytes, headers: Mapping[str, str], tenant: str = "smith") -> httpx.Response:
        return web.post(self.url + path_of(tenant, event), content=body, headers=headers)


def signed(event: str, body: bytes, secret: str = SECRET, tenant: str = "smith", date: str = DATE) -> dict[str, str]:
    """The headers of a correctly signed post."""
    return {"BI-Signature-Date": date, "BI-Signature": signature(secret, path_of(tenant, event), date, body)}
