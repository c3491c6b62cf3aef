"""Cutting a list into pages.

Here: `limit`, `offset`, the opaque `cursor`, `_links`.
Not here: what is listed (api_*.py).
Facts: Powens docs, API design: `limit` up to 1000 with `offset`, or absolute `_links`. The cursor names
the last id seen, so a record that appears meanwhile neither repeats nor hides another.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol, TypeVar

from starlette.datastructures import URL, QueryParams

from pfo_pipeline.simulator import errors
from pfo_pipeline.simulator.exact_json import JsonObject, dumps, loads

MAX_LIMIT = 1000


class HasId(Protocol):
    """Anything listed."""

    id: int


Item = TypeVar("Item", bound=HasId)


def page(
    items: Sequence[Item], query: QueryParams, url: URL, forced_size: int | None
) -> tuple[list[Item], JsonObject | None]:
    """The page asked for and its `_links`; the links are null when the list was not cut at all.

    Args:
        items: The whole list by ascending id.
        url: The request's own absolute URL.
        forced_size: Upper bound of a page whatever the client asks for.
    Raises:
        ApiError: 400 `invalidValue` for a limit, offset or cursor that makes no sense.
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
