"""docs/cash-page.md describes every part of the page, and every reason that it gives."""

import re
from typing import get_args

from pfo_pipeline.report.model import Reason
from pfo_pipeline_tests.docs.pages import DOCS, PROJECT, read

PAGE = read(DOCS / "cash-page.md")


def rows_of(heading: str) -> set[str]:
    """The first cells of the table under a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| ([^|]+?) \|", part, re.MULTILINE)[1:])


def test_every_part_of_the_page_is_documented() -> None:
    templates = "".join(read(path) for path in (PROJECT / "pfo_pipeline" / "report" / "templates").glob("*.jinja"))
    titles = r'call section\("\w+", "([^"]+)"\)|<h2[^>]*>([^<{]+)</h2>'
    parts = {called or written for called, written in re.findall(titles, templates)}

    assert len(parts) > 7
    assert rows_of("What each part says") == parts


def test_every_reason_for_a_difference_is_documented() -> None:
    assert rows_of("Why a balance changed") == set(get_args(Reason))
