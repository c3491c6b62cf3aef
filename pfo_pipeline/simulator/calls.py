"""One request to the simulated API, and its answer.

Here: what a handler receives and returns; who is calling; reading bodies.
Not here: the transport (gateway.py), the routes (api.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import URL, QueryParams

from pfo_pipeline.simulator import errors
from pfo_pipeline.simulator.exact_json import JsonObject, loads
from pfo_pipeline.simulator.records import Account, Connection, Domain, Token, User, World
from pfo_pipeline.simulator.views import Expansion, parse_expand


@dataclass(frozen=True)
class Answer:
    """A status and a JSON payload; no payload means no body."""

    status: int
    payload: JsonObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request that has reached a route. `token` is null when no known one was sent."""

    world: World
    domain: Domain
    method: str
    url: URL
    params: Mapping[str, str]
    query: QueryParams
    body: JsonObject
    token: Token | None

    def flag(self, name: str) -> bool:
        """Whether a value-less flag such as `?all` is there."""
        return name in self.query

    @property
    def expand(self) -> Expansion:
        """What to nest in the answer."""
        return parse_expand(",".join(self.query.getlist("expand")))

    def bearer(self, *kinds: str) -> Token:
        """The caller's token, which must be of one of the kinds.

        Raises:
            ApiError: 401 without a known token, 403 for one of another kind.
        """
        if self.token is None:
            raise errors.unauthorized()
        if self.token.kind not in kinds:
            raise errors.forbidden()
        return self.token

    def user(self) -> User:
        """The user of the path, who must be the caller himself.

        Raises:
            ApiError: 401, 403, or 404 for anybody else's id.
        """
        token = self.bearer("permanent", "temporary")
        if self.params.get("user", "me") not in ("me", str(token.id_user)):
            raise errors.not_found()
        return self.domain.users[token.id_user or 0]

    def connection(self) -> Connection:
        """The connection of the path, owned by the user of the path."""
        user = self.user()
        connection = self.domain.connections.get(whole_number(self.params["connection"]))
        if connection is None or connection.id_user != user.id:
            raise errors.not_found()
        return connection

    def account(self, text: str) -> Account:
        """An account of the user of the path; disabled and deleted ones only with `all`."""
        user = self.user()
        account = self.domain.accounts.get(whole_number(text))
        if account is None or account.id_user != user.id or not (account.visible or self.flag("all")):
            raise errors.not_found()
        if "connection" in self.params and str(account.id_connection) != self.params["connection"]:
            raise errors.not_found()
        return account


Handler = Callable[[Call], Answer]


def whole_number(text: str) -> int:
    """An id from a path.

    Raises:
        ApiError: 404, since nothing has an id that is no number.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.not_found()
    return int(text)


def read_body(content_type: str, raw: bytes) -> JsonObject:
    """A JSON object or a flat form; nothing at all is an empty object.

    Raises:
        ApiError: 400 when it is neither.
    """
    if not raw.strip():
        return {}
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True))
        body = loads(raw)
    except (ValueError, RecursionError):
        raise errors.bad_request("The body cannot be read") from None
    if not isinstance(body, dict):
        raise errors.bad_request("The body must be a JSON object")
    return body
