"""A small Powens server that plays a script over real HTTP on the loopback, and keeps every byte that it sends."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pfo_pipeline_tests.oracle.recording import Exchange
from pfo_pipeline_tests.oracle.script import Moment, Record, Script, UserState

VERSION = "/2.0"
FIRST_USER_ID = 700
TYPES = (
    "article83 capitalisation card cat cel checking crowdlending csl deposit joint ldds lifeinsurance livret_a livret_b loan "
    "madelin market pea pee per perco perp pel real_estate rsp savings unknown lep mortgage consumercredit revolvingcredit"
).split()
_READS_OF_A_CLIENT = (
    ("/users/me/connections", "expand=connector,sources"),
    ("/users/me/accounts", "all"),
)


def written(value: Any) -> str:
    """Return JSON in which decimals keep their digits."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def is_hidden(record: Record) -> bool:
    return any(record.get(key) and not str(record[key]).startswith("0000-") for key in ("disabled", "deleted"))


@dataclass(frozen=True)
class Request:
    """A request without its user."""

    path: str
    query: str

    @property
    def wants_all(self) -> bool:
        return "all" in parse_qs(self.query, keep_blank_values=True)

    @property
    def expands(self) -> set[str]:
        """Return the names at the outermost level of `expand`."""
        names, depth, name = set(), 0, ""
        for sign in [*parse_qs(self.query).get("expand", [""])[0], ","]:
            depth += (sign == "[") - (sign == "]")
            if sign == "," and depth == 0:
                names.add(name.partition("[")[0])
                name = ""
            else:
                name += sign
        return names - {""}


def answer(user: UserState, user_id: int, request: Request) -> tuple[int, Record]:
    """Return status and body for a user whose token is right."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["account_types"]:
            return 200, {"accounttypes": [_type(number, name) for number, name in enumerate(TYPES, 1)]}
        case ["connectors" | "banks"]:
            connectors = {row["connector_uuid"]: row["connector"] for row in user.connections if "connector" in row}
            return 200, {"connectors": list(connectors.values()), "total": len(connectors)}
        case ["users", who, *rest] if who in ("me", str(user_id)):
            return _of_user(user, user_id, rest, request)
    return _not_found()


def _of_user(user: UserState, user_id: int, rest: list[str], request: Request) -> tuple[int, Record]:
    instead = user.instead.get("/".join(rest))
    if instead is not None:
        return instead.status, instead.body
    shown = [_owned(row, user_id) for row in user.accounts if request.wants_all or not is_hidden(row)]
    match rest:
        case []:
            return 200, {"id": user_id, "signin": "2025-01-06 09:00:00", "platform": "sharedAccess"}
        case ["connections"]:
            rows = [_connection(row, user, user_id, request) for row in user.connections]
            return 200, {"connections": rows, "total": len(rows)}
        case ["connections", number]:
            return _one([_connection(row, user, user_id, request) for row in user.connections], number)
        case ["connections", number, "accounts"]:
            return 200, _envelope([row for row in shown if str(row.get("id_connection")) == number])
        case ["accounts"]:
            return 200, _envelope(shown)
        case ["accounts", number]:
            return _one(shown, number)
    return _not_found()


def _connection(row: Record, user: UserState, user_id: int, request: Request) -> Record:
    more: Record = {name: row[name] for name in ("connector", "sources") if name in request.expands and name in row}
    for name in request.expands & {"accounts", "all_accounts"}:
        mine = [a for a in user.accounts if a.get("id_connection") == row["id"]]
        more[name] = [a for a in mine if name == "all_accounts" or not is_hidden(a)]
    return _owned({key: value for key, value in row.items() if key not in ("connector", "sources")} | more, user_id)


def _owned(row: Record, user_id: int) -> Record:
    return row | {"id_user": user_id} if row.get("id_user", user_id) is None else row


def _envelope(rows: list[Record]) -> Record:
    sums: dict[str, Decimal] = {}
    for row in rows:
        if isinstance(row.get("balance"), Decimal) and isinstance(row.get("currency"), Mapping):
            code = str(row["currency"].get("id"))
            sums[code] = sums.get(code, Decimal()) + row["balance"]
    return {"balances": sums, "coming_balances": sums, "accounts": rows, "total": len(rows)}


def _one(rows: list[Record], number: str) -> tuple[int, Record]:
    found = [row for row in rows if str(row["id"]) == number]
    return (200, found[0]) if found else _not_found()


def _type(number: int, name: str) -> Record:
    return {"id": number, "name": name, "id_parent": None, "is_invest": False, "display_name": name}


def _not_found() -> tuple[int, Record]:
    return 404, {"code": "notFound", "description": "Resource not found", "message": None, "request_id": 1}


def _unauthorized() -> tuple[int, Record]:
    return 401, {"code": "unauthorized", "description": "Invalid or missing access token", "request_id": "req-1"}


def user_id_of(script: Script, member: str) -> int:
    return FIRST_USER_ID + script.members.index(member)


def exchanged(script: Script, moment: Moment, member: str, request: Request) -> Exchange:
    """Return one answer to a member, as it is sent."""
    user = moment.users.get(member)
    status, body = answer(user, user_id_of(script, member), request) if user is not None else _unauthorized()
    return Exchange(moment.at, member, request.path, request.query, status, written(body).encode())


def recorded(script: Script) -> list[Exchange]:
    """Return the answers to a client that reads both lists of each user at each time. No HTTP, for hundreds of scripts."""
    away = _away(script)
    return [
        exchanged(script, moment, member, Request(path, query))
        for moment in script.moments
        for member in moment.users
        if member not in away[moment.at]
        for path, query in _READS_OF_A_CLIENT
    ]


def _away(script: Script) -> dict[datetime, set[str]]:
    """Return members who are not configured, by time."""
    away: set[str] = set()
    found: dict[datetime, set[str]] = {}
    for moment in script.moments:
        for decision in script.decisions:
            if decision.at == moment.at and decision.kind in ("leave", "return"):
                (away.add if decision.kind == "leave" else away.discard)(decision.member)
        found[moment.at] = set(away)
    return found


@dataclass
class Bank:
    """Plays a script. `now` is one of its times; `go_to` moves it. Use it in a `with` block."""

    script: Script
    number: int = 0
    shows_date: bool = True
    """Whether answers have the script's date. A client that uses the machine's clock would consider one of the two wrong."""
    sent: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> "Bank":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{VERSION}"

    @property
    def moment(self) -> Moment:
        return self.script.moments[self.number]

    def now(self) -> datetime:
        return self.moment.at

    def token(self, member: str) -> str:
        return f"token-of-{member}"

    def moments(self) -> Iterator[Moment]:
        """Yield each time in turn; the bank runs while the caller works."""
        for number in range(len(self.script.moments)):
            self.number = number
            yield self.moment

    def reply(self, authorization: str | None, target: str) -> tuple[int, bytes]:
        """Return status and body, and keep what a member is sent."""
        parts = urlsplit(target)
        member = next((m for m in self.script.members if authorization == f"Bearer {self.token(m)}"), None)
        if not parts.path.startswith(VERSION + "/"):
            status, body = _not_found()
            return status, written(body).encode()
        request = Request(parts.path.removeprefix(VERSION), parts.query)
        if member is None and request.path not in ("/account_types", "/connectors", "/banks"):
            status, body = _unauthorized()
            return status, written(body).encode()
        if member is None:
            status, body = answer(UserState(), 0, request)
            return status, written(body).encode()
        with self._lock:
            sent = exchanged(self.script, self.moment, member, request)
            self.sent.append(sent)
        return sent.status, sent.body


def _handler_of(bank: Bank) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize: ClassVar[int] = -1  # Head and body in one packet.

        def do_GET(self) -> None:
            self._send(*bank.reply(self.headers["Authorization"], self.path))

        def do_POST(self) -> None:
            self._refuse()

        def do_PUT(self) -> None:
            self._refuse()

        def _refuse(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self._send(405, b'{"code": "methodNotAllowed", "description": "This bank is only read"}')

        def _send(self, status: int, body: bytes) -> None:
            self.send_response_only(status)
            if bank.shows_date:
                self.send_header("Date", format_datetime(bank.now(), usegmt=True))
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing: `sent` has the answers."""

    return Handler
