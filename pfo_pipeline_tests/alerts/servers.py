"""Real servers on loopback that receive alerts: SMTP, HTTP, one that never answers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """Keeps received mails. `port` stays the same after a restart."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.port = free_port()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(cast(bytes, envelope.content), policy=default))
        return "250 taken"

    @contextmanager
    def running(self) -> Iterator["MailServer"]:
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}/?from=pfo@office.example&to=operator@office.example&format=text"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    @property
    def texts(self) -> list[str]:
        return [_text(mail) for mail in self.mails]


def _text(mail: Mail) -> str:
    parts = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
    return "\n".join(cast(bytes, part.get_payload(decode=True)).decode() for part in parts)


class WebServer:
    """Keeps received posts, and answers with `status`."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.paths.append(self.path)
                if owner.status < 300:
                    owner.posts.append(json.loads(body))
                self.send_response(owner.status, f"{self.path} of jane@office.example")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @contextmanager
    def running(self) -> Iterator["WebServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def url(self) -> str:
        return f"json://hook:hunter2-password@127.0.0.1:{self._server.server_address[1]}/in/hunter2-path"


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
