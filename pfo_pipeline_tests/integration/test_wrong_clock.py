"""`pfo run` as a separate program on a machine whose clock is wrong, then right, then wrong again."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import pfo_pipeline
from pfo_pipeline.alerts.state import read_alerts
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office
from pfo_pipeline_tests.integration.programs import pfo

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

# Python runs this before the program: both sources of the time are then moved by some days.
MOVED = """
import datetime, os
from pfo_pipeline.ledger import store
from pfo_pipeline.powens import client

class Moved(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(days=int(os.environ["DAYS_AHEAD"]))

store.datetime = client.datetime = Moved
"""


def run(office: Office, days: int) -> tuple[int, str]:
    """`pfo run` under a clock that is this number of days ahead."""
    folder = office.folder / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(MOVED, encoding="utf-8")
    root = Path(pfo_pipeline.__file__).parents[1]
    output = {"PYTHONPATH": os.pathsep.join([str(folder), str(root)]), "DAYS_AHEAD": str(days)}
    finished = pfo("run", cwd=office.folder, output=office.environment() | output)
    assert "Traceback" not in finished.stdout + finished.stderr
    return finished.returncode, finished.stdout


def test_a_wrong_clock_leaves_no_trace_in_the_ledger(office: Office) -> None:
    for tenant in ("smith", "jones"):
        office.add_tenant(tenant, "jane")
        office.connect(tenant, "jane", "7")
    assert run(office, 0)[0] == 0
    loads = office.ask("from loads")
    published = office.files.published.stat().st_ino

    for days in (400, -400, 400):
        status, out = run(office, days)
        assert status == 1
        for tenant in ("smith", "jones"):
            assert f"Then: pfo run --tenant {tenant}. Call: GET " in out
        assert f"9600.0 hours {'ahead of' if days > 0 else 'behind'} that of Powens [clock]" in out
        assert office.ask("from loads", published=False) == loads
        assert office.files.published.stat().st_ino == published
    output = {entry.condition.kind for entry in read_alerts(office.files.private).alerts.values()}
    assert output == {"run"}, "a wrong clock cannot show what is stale or has ended"

    assert run(office, 0)[0] == 0
    now = datetime.now(UTC)
    [(newest,)] = office.ask("select max(recorded_at) from loads")
    assert timedelta(0) <= now - newest < timedelta(minutes=5)
    state = read_alerts(office.files.private)
    assert all(entry.since <= now and (entry.absent_since or now) <= now for entry in state.alerts.values())
    assert all(output.at <= now for memory in state.targets.values() for output in memory.notifications.values())
