"""At most one run of a tenant at a time, whoever started it; different tenants go on side by side."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline.defs.io_manager import LedgerIOManager
from pfo_pipeline.defs.resources import OfficeResource, OpenBankingResource, TenantTurnResource
from pfo_pipeline.ledger.store import LedgerFiles
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, hurried_defs, run_job

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

HOLDER = """
import sys
from pathlib import Path
from pfo_pipeline.ledger.lock import queue_for
with queue_for(Path(sys.argv[1]), deadline_seconds=60):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def turn_taken(office: Office, tenant: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the tenant's turn, until its standard input is closed."""
    lock = office.files.private / "turns" / f"{tenant}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.communicate()


def defs_that_tell(arrived: threading.Event) -> dg.Definitions:
    """`arrived` is set when a run asks where its turn is kept."""

    class TellingOffice(OfficeResource):
        def files(self) -> LedgerFiles:
            arrived.set()
            return super().files()

    office = TellingOffice()
    turn = TenantTurnResource(office=office)
    return hurried_defs(
        {
            "office": office,
            "primary_open_banking": OpenBankingResource(office=office, tenant_turn=turn),
            "ledger": LedgerIOManager(office=office),
        }
    )


def test_a_run_waits_for_its_tenants_turn_and_another_tenant_does_not(
    office: Office, lasting_instance: dg.DagsterInstance
) -> None:
    for tenant in ("smith", "jones"):
        office.add_tenant(tenant, "jane")
        office.connect(tenant, "jane", "1")
    arrived = threading.Event()
    ended: list[bool] = []
    defs = defs_that_tell(arrived)
    run = threading.Thread(
        target=lambda: ended.append(run_job(office, lasting_instance, "smith", defs=defs).success), daemon=True
    )

    with turn_taken(office, "smith"):
        run.start()
        assert arrived.wait(timeout=60)
        assert run_job(office, lasting_instance, "jones").success
        asked_meanwhile = office.calls("smith")
    run.join(timeout=60)

    assert asked_meanwhile == []
    assert ended == [True]
    first, last = office.calls("smith")[0]["seq"], office.calls("jones")[-1]["seq"]
    assert first > last


def test_two_runs_of_one_tenant_never_speak_to_the_bank_at_once(
    office: Office, lasting_instance: dg.DagsterInstance
) -> None:
    """The first run's call is held by the bank until the second run has come for its turn."""
    office.add_tenant("smith", "jane", "john")
    for user in ("jane", "john"):
        office.connect("smith", user, "1")
    ended: list[bool] = []
    lasting_instance.add_dynamic_partitions("tenants", ["smith"])
    runs = [
        threading.Thread(target=lambda: ended.append(run_job(office, lasting_instance, "smith").success), daemon=True)
        for _ in range(3)
    ]

    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=120)

    assert ended == [True] * 3
    # Each run reads connections and then accounts of both users; no two runs are interleaved.
    paths = office.paths("smith")
    assert len(paths) == 12
    for begin in range(0, 12, 4):
        assert sorted(paths[begin : begin + 4]) == ["/users/me/accounts"] * 2 + ["/users/me/connections"] * 2
    assert office.ask("select count(*), count(distinct account_id) from accounts") == [(2, 2)]


def test_a_turn_that_is_never_given_up_fails_the_run_by_name(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.defs.resources.TURN_SECONDS", 0.01)
    office.add_tenant("smith", "jane")

    with turn_taken(office, "smith") as holder:
        result = run_job(office, instance, "smith")

    assert not result.success
    assert office.calls("smith") == []
    (failed,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.PIPELINE_FAILURE]
    told = str(failed.event_specific_data)
    assert f"Tenant smith is being worked on by process {holder.pid} for over 0.01 s." in told


def test_the_turn_of_a_process_that_was_killed_is_free(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    with turn_taken(office, "smith") as holder:
        holder.kill()

    assert run_job(office, instance, "smith").success


def test_a_folder_in_the_place_of_the_turn_is_a_named_failure(
    office: Office, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    office.add_tenant("smith", "jane")
    office.files.private.mkdir(parents=True)
    (office.files.private / "turns").write_text("in the way")

    result = run_job(office, instance, "smith")

    assert not result.success
    (failed,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.PIPELINE_FAILURE]
    assert "LedgerUnwritable" in str(failed.event_specific_data)
