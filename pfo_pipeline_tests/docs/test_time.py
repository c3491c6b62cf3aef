"""The worked example of docs/time.md: load its balances into a ledger, run its queries, compare the answers.

If a change is intended, write the answers again and read the difference:

    python -m pfo_pipeline_tests.docs.test_time
"""

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pfo_pipeline_tests.docs.pages import DOCS, read
from pfo_pipeline_tests.ledger.samples import APRIL_1, MARCH_30, MARCH_31, SetClock, a_ledger, account, balance, batch
from pfo_pipeline_tests.test_analyst_questions import answer

PAGE = DOCS / "time.md"
_QUERY = re.compile(r"(```sql\n(.*?)```\n)(?:\n((?:\|[^\n]*\n)+))?", re.DOTALL)
SHOWN = list(_QUERY.finditer(read(PAGE)))


def output(data_dir: Path) -> Path:
    """31 March was reported as 10.00 on 5 April and as 12.50 on 9 April; account 2 was found on 9 April."""
    clock = SetClock()
    ledger = a_ledger(data_dir, clock=clock)
    clock.now = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
    ledger.merge(batch(account("acc_1"), balance("7.00", MARCH_30), balance("10.00", MARCH_31)))
    clock.now = datetime(2026, 4, 9, 12, 0, tzinfo=UTC)
    dollars = {"account_id": "acc_2", "source_id": "71", "currency": "USD"}
    ledger.merge(
        batch(account(**dollars), balance("12.50", MARCH_31), balance("99.00", APRIL_1, **dollars)),
    )
    return ledger.publish().path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return output(tmp_path_factory.mktemp("told"))


@pytest.mark.parametrize("shown", SHOWN, ids=[str(number) for number in range(1, len(SHOWN) + 1)])
def test_the_answer_equals_the_pages(ledger: Path, shown: re.Match[str]) -> None:
    found = answer(ledger, shown[2])

    assert found.count("\n") > 2, "no rows: an answer should show something"
    assert found == shown[3], f"renew it: python -m {__name__}"


def test_every_query_of_the_page_is_run() -> None:
    assert len(SHOWN) == read(PAGE).count("```sql") == 6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = output(Path(folder))
        PAGE.write_text(_QUERY.sub(lambda found: f"{found[1]}\n{answer(path, found[2])}", read(PAGE)), encoding="utf-8")
