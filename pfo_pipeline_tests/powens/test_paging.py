"""Links to the next page: followed only on the same host, and never in a circle."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.powens.client import BadLink, missing, next_url

steady = settings(derandomize=True, deadline=None)
ROOT = "https://smith.biapi.pro/2.0"
FIRST = f"{ROOT}/users/me/accounts?limit=1000"


def linking_to(href: object) -> dict[str, object]:
    return {"_links": {"self": {"href": FIRST}, "prev": None, "next": {"href": href}}}


def following(href: object, *seen: str) -> str | None:
    return next_url(FIRST, linking_to(href), {FIRST, *seen})


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"_links": None},
        {"_links": {}},
        {"_links": {"next": None}},
        {"_links": {"next": {}}},
        {"_links": {"next": {"href": None}}},
        {"_links": []},
        {"_links": {"next": "text"}},
    ],
    ids=str,
)
def test_a_page_without_a_link_is_the_last(envelope: Mapping[str, object]) -> None:
    assert next_url(FIRST, envelope, {FIRST}) is None


@pytest.mark.parametrize(
    ("href", "target"),
    [
        (f"{FIRST}&cursor=abc%3D", f"{FIRST}&cursor=abc%3D"),
        ("/2.0/users/me/accounts?cursor=abc", f"{ROOT}/users/me/accounts?cursor=abc"),
        ("?cursor=abc", f"{ROOT}/users/me/accounts?cursor=abc"),
        ("accounts?cursor=abc", f"{ROOT}/users/me/accounts?cursor=abc"),
        ("//smith.biapi.pro/2.0/x", f"{ROOT}/x"),
    ],
    ids=["absolute", "path only", "query only", "relative", "without a scheme"],
)
def test_a_link_to_the_same_host_is_followed(href: str, target: str) -> None:
    assert following(href) == target


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.example/2.0/users/me/accounts",
        "//evil.example/2.0",
        "http://smith.biapi.pro/2.0/users/me/accounts",
        "https://smith.biapi.pro:8443/2.0",
        "https://smith.biapi.pro@evil.example/2.0",
        "https://smith.biapi.pro.evil.example/2.0",
        "https://jane:pw@smith.biapi.pro/2.0",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_a_link_to_another_host_is_refused_because_it_would_leak_the_token(href: str) -> None:
    with pytest.raises(BadLink, match="points to another host"):
        following(href)


@pytest.mark.parametrize("href", [FIRST, "", "?limit=1000"])
def test_a_link_to_the_same_page_is_a_circle(href: str) -> None:
    with pytest.raises(BadLink, match="leads back"):
        following(href)


def test_a_link_to_an_earlier_page_is_a_circle() -> None:
    with pytest.raises(BadLink, match="leads back"):
        following("?cursor=a", f"{ROOT}/users/me/accounts?cursor=a")


@pytest.mark.parametrize("href", [7, True, ["x"], {"href": "x"}], ids=str)
def test_a_link_that_is_not_a_text_is_refused(href: object) -> None:
    with pytest.raises(BadLink, match="not a text"):
        following(href)


# Each of these caused an error of the URL library that nothing mapped.
@pytest.mark.parametrize(
    "href", ["//[", "https://[::1", "/2.0/\x00", "/2.0/a\nb", "/2.0/\ud800", "/2.0/é", "/" + "a" * 70_000], ids=ascii
)
def test_an_invalid_link_is_refused(href: str) -> None:
    with pytest.raises(BadLink, match="not a URL"):
        following(href)


@steady
@given(st.text() | st.text().map(lambda text: f"https://{text}") | st.text().map(lambda text: f"//{text}"))
def test_any_text_stays_on_the_host_or_is_refused(href: str) -> None:
    try:
        target = following(href)
    except BadLink:
        return
    assert target is not None
    assert target.startswith("https://smith.biapi.pro/")


def test_an_error_does_not_repeat_the_link() -> None:
    for href in ("https://evil.example/?token=s3cret", "//[s3cret", "/s3crét"):
        with pytest.raises(BadLink) as refused:
            following(href)
        assert "s3cr" not in str(refused.value)


def test_an_endless_list_is_abandoned() -> None:
    seen = {f"https://smith.biapi.pro/2.0/users/me/accounts?page={n}" for n in range(1000)}

    with pytest.raises(BadLink, match="more than 1000 pages"):
        next_url(next(iter(seen)), {"_links": {"next": {"href": "/2.0/users/me/accounts?page=1000"}}}, seen)


@pytest.mark.parametrize(
    ("ids", "envelope", "lacking"),
    [
        ([1, 2], {"total": 2}, 0),
        ([1, 2], {"total": 5}, 3),
        ([1, 2, 3], {"total": 2}, -1),
        ([1, 1, 2], {"total": 2}, 0),
        ([1, 1, 2], {"total": 3}, 0),
        ([1, 1, 2], {"total": 1}, -1),
        ([1, None, None], {"total": 3}, 0),
        ([1], {}, 0),
        ([1], {"total": None}, 0),
        ([1], {"total": True}, 0),
        ([1], {"total": "7"}, 0),
    ],
)
def test_a_list_is_compared_with_its_own_total(
    ids: list[int | None], envelope: dict[str, object], lacking: int
) -> None:
    assert missing([{"id": i} for i in ids], envelope) == lacking
