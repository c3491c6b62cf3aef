"""Each currency's line over time: inside its frame, with exact texts, small, and a well-formed image."""

import re
from base64 import b64decode
from decimal import Decimal
from xml.etree import ElementTree

from pfo_pipeline.defs.metadata import MOST_LINES, over_time
from pfo_pipeline.ledger.known import DailyTotals

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*totals: DailyTotals) -> ElementTree.Element:
    found = re.fullmatch(r"!\[balance over time\]\(data:image/svg\+xml;base64,(.*)\)", over_time(totals).md_str or "")
    assert found
    return ElementTree.fromstring(b64decode(found[1]))  # noqa: S314  (written by ourselves)


def points(svg: ElementTree.Element) -> list[list[tuple[int, int]]]:
    lines = [line.attrib["points"].split() for line in svg.iter(f"{SVG}polyline")]
    return [[(int(x), int(y)) for x, _, y in (point.partition(",") for point in line)] for line in lines]


def test_the_highest_total_is_at_the_top_and_the_lowest_at_the_bottom() -> None:
    svg = drawn(DailyTotals("EUR", [Decimal("-5.25"), Decimal(100), Decimal("47.375")]))

    [[first, second, third]] = points(svg)
    assert first[1] - second[1] == 56
    assert (third[1] - second[1], third[0]) == (28, 420)
    assert [text.text for text in svg.iter(f"{SVG}text")] == ["EUR: -5.25 to 100, 3 days"]


def test_a_constant_total_is_a_level_line() -> None:
    [line] = points(drawn(DailyTotals("EUR", [Decimal(7)] * 60)))

    assert len({y for _, y in line}) == 1


def test_many_currencies_stay_small_and_a_strange_one_stays_text() -> None:
    long = Decimal("1234567890123456789012345678.0000000001")
    totals = [DailyTotals(f"<{n}&", [long * n] * 60) for n in range(1, MOST_LINES + 5)]

    assert len(points(drawn(*totals))) == MOST_LINES
    assert len(over_time(totals).md_str or "") < 40_000


def test_a_line_needs_two_days() -> None:
    assert over_time([DailyTotals("EUR", [Decimal(1)])]).md_str == "Two days are needed for a line."
