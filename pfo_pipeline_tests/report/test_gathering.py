"""A page says what the ledger holds, of any moment by what was known at another."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pfo_pipeline_tests.report.ledgers import WORLDS, Told, written


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_page_as_of_before_the_first_record_has_no_figure(tmp_path: Path, world: Callable[[Told], None]) -> None:
    with written(tmp_path, world) as told:
        page = told.page(as_of=datetime(2001, 1, 1, tzinfo=UTC))

    assert {position.current for position in page.positions} <= {None}
    assert (page.cash, page.liabilities, page.history, page.changes) == ((), (), (), None)
