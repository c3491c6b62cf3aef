"""A request to the simulated API, its answer, and paging of lists.

Facts: Powens docs, API design: `limit` up to 1000 with `offset`, or absolute `_links`. The cursor names the last id that was
sent, so a record that is added meanwhile neither repeats nor hides another.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import URL, QueryParams

from pfo_pipeline.simulator import errors
from pfo_pipeline.simulator.exact_json import JsonObject, dumps, loads
from pfo_pipeline.simulator.state import Domain, Token, World, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.views import Expansion, parse_expand


@dataclass(frozen=True)
class ApiAnswer:
    """A status and a JSON payload; no payload means no body."""

    status: int
    payload: JsonObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request to a route. `token` is null if it has no known token."""

    world: World
    domain: Domain
    method: str
    url: URL
    params: Mapping[str, str]
    query: QueryParams
    body: JsonObject
    token: Token | None

    def flag(self, name: str) -> bool:
        """Whether the query contains a flag without a value, such as `?all`."""
        return name in self.query

    @property
    def expand(self) -> Expansion:
        """The nested objects for the answer."""
        return parse_expand(",".join(self.query.getlist("expand")))

    def bearer(self, *kinds: str) -> Token:
        """The caller's token, which must be of one of these kinds.

        Raises:
            ApiError: 401 without a known token, 403 for one of another kind.
        """
        if self.token is None:
            raise errors.unauthorized()
        if self.token.kind not in kinds:
            raise errors.forbidden()
        return self.token

    def user(self) -> WorldUser:
        """The user of the path, who must be the caller.

        Raises:
            ApiError: 401, 403, or 404 for any other id.
        """
        token = self.bearer("permanent", "temporary")
        if self.params.get("user", "me") not in ("me", str(token.id_user)):
            raise errors.not_found()
        return self.domain.users[token.id_user or 0]

    def connection(self) -> WorldConnection:
        """The connection of the path, which the user of the path owns."""
        user = self.user()
        connection = self.domain.connections.get(whole_number(self.params["connection"]))
        if connection is None or connection.id_user != user.id:
            raise errors.not_found()
        return connection

    def account(self, text: str) -> WorldAccount:
        """An account of the user of the path; disabled and deleted ones only with `all`."""
        user = self.user()
        account = self.domain.accounts.get(whole_number(text))
        if account is None or account.id_user != user.id or not (account.visible or self.flag("all")):
            raise errors.not_found()
        if "connection" in self.params and str(account.id_connection) != self.params["connection"]:
            raise errors.not_found()
        return account


Handler = Callable[[Call], ApiAnswer]


def whole_number(text: str) -> int:
    """An id from a path.

    Raises:
        ApiError: 404, because ids are numbers.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.not_found()
    return int(text)


def read_body(content_type: str, raw: bytes) -> JsonObject:
    """A JSON object or a flat form; an empty body is an empty object.

    Raises:
        ApiError: 400 if it is neither.
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


MAX_LIMIT = 1000


class HasId(Protocol):
    """A record of a list."""

    id: int


Item = TypeVar("Item", bound=HasId)


def page(
    items: Sequence[Item], query: QueryParams, url: URL, forced_size: int | None
) -> tuple[list[Item], JsonObject | None]:
    """The requested page and its `_links`; the links are null if the list fits on one page.

    Args:
        items: The whole list by ascending id.
        url: The request's own absolute URL.
        forced_size: Upper limit of a page, above any request.
    Raises:
        ApiError: 400 `invalidValue` for an invalid limit, offset or cursor.
    """
    limit = _whole_number(query, "limit", low=1, high=MAX_LIMIT)
    offset = _whole_number(query, "offset", low=0, high=None) or 0
    size = min(limit or MAX_LIMIT, forced_size or MAX_LIMIT)
    if limit is None and forced_size is None and "cursor" not in query:
        return list(items[offset:]), None
    operator, bound = _read_cursor(query.get("cursor"))
    if operator == "lt":
        before = [item for item in items if item.id < bound]
        chosen = before[-size:]
    else:
        after = [item for item in items if item.id > bound]
        chosen = after[offset : offset + size]
    return chosen, _links(items, chosen, url)


def _links(items: Sequence[Item], chosen: Sequence[Item], url: URL) -> JsonObject:
    previous = following = None
    if chosen and items[0].id < chosen[0].id:
        previous = _with_cursor(url, "lt", chosen[0].id)
    if chosen and items[-1].id > chosen[-1].id:
        following = _with_cursor(url, "gt", chosen[-1].id)
    return {"self": {"href": str(url)}, "prev": previous, "next": following}


def _with_cursor(url: URL, operator: str, bound: int) -> JsonObject:
    text = dumps([{"op": operator, "value": bound}])
    cursor = base64.b64encode(text).decode("ascii")
    moved = url.remove_query_params("offset").include_query_params(cursor=cursor)
    return {"href": str(moved)}


def _read_cursor(cursor: str | None) -> tuple[str, int]:
    if cursor is None:
        return "gt", -1
    try:
        decoded = loads(base64.b64decode(cursor, validate=True))
    except (ValueError, binascii.Error):
        raise errors.invalid_value("cursor") from None
    match decoded:
        case [{"op": "gt" | "lt" as operator, "value": int(bound)}]:
            return operator, bound
        case _:
            raise errors.invalid_value("cursor")


def _whole_number(query: QueryParams, name: str, *, low: int, high: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if (
        not (text.isascii() and text.isdigit() and len(text) < 10)
        or int(text) < low
        or (high is not None and int(text) > high)
    ):
        raise errors.invalid_value(name)
    return int(text)
