"""Following a list from page to page without leaking the token or going round in circles.

Facts: Powens docs, API design: `_links.next.href` is absolute and opaque, or null; `limit` is at most 1000. Some
clients met path-only links and an empty `_links`. A link to another host would carry the bearer token away, so it is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

PAGE_SIZE = 1000
MAX_LINK_LENGTH = 8_000
MAX_PAGES = 1_000


@dataclass(frozen=True)
class Listing:
    """A list read whole. `missing` is how many records fewer it has than its own `total` says; negative for more."""

    records: list[dict[str, Any]]
    missing: int = 0


class BadLink(ValueError):
    """A next link that must not be followed; the text says why, without the link."""


def next_url(current: str, envelope: Mapping[str, object], seen: set[str]) -> str | None:
    """Where the next page is, or None on the last one.

    Args:
        current: URL of this page.
        envelope: The decoded answer.
        seen: URLs already asked for in this list.
    Raises:
        BadLink: no URL, another host, a page that was asked for before, or more pages than any list has.
    """
    links = envelope.get("_links")
    following = links.get("next") if isinstance(links, Mapping) else None
    href = following.get("href") if isinstance(following, Mapping) else None
    if href is None:
        return None
    if not isinstance(href, str):
        raise BadLink("the next page's link is not a text")
    if len(href) > MAX_LINK_LENGTH or not (href.isascii() and href.isprintable()):
        raise BadLink("the next page's link is not a URL")
    try:
        target = urljoin(current, href)
        is_same_host = urlsplit(target)[:2] == urlsplit(current)[:2]
    except ValueError:
        raise BadLink("the next page's link is not a URL") from None
    if not is_same_host:
        raise BadLink("the next page's link points to another host")
    if len(seen) >= MAX_PAGES:
        raise BadLink(f"the list has more than {MAX_PAGES} pages")
    if target in seen:
        raise BadLink("the next page's link leads back to a page already read")
    return target


def record_id(record: Mapping[str, Any]) -> int | None:
    """A record's own id; None where it has none that could be one."""
    value = record.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def later_holds(records: list[dict[str, Any]], page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All records with one more page's. What both have is the page's, read later: the set moves while it is paged."""
    again = {record_id(record) for record in page} - {None}
    return [record for record in records if record_id(record) not in again] + page


def missing(records: list[dict[str, Any]], envelope: Mapping[str, object]) -> int:
    """How many records fewer there are than the last page's `total` says; 0 where it says nothing (seen live only)."""
    total = envelope.get("total")
    if not isinstance(total, int) or isinstance(total, bool):
        return 0
    ids = [record_id(record) for record in records]
    # Whether a record that one page holds twice counts once or twice in the total, nobody says.
    distinct = len(set(ids) - {None}) + ids.count(None)
    return total - len(ids) if total > len(ids) else min(0, total - distinct)
