"""The tenant lock: one run of a tenant at a time, from any program; different tenants run concurrently."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from pfo_pipeline.defs.failures import described_failure
from pfo_pipeline.defs.io_manager import LedgerIOManager
from pfo_pipeline.defs.resources import OfficeResource, OpenBankingResource, TenantLockResource
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, hurried_defs, run_job

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

# Releases the lock when its standard input ends or has a line; first prints the number of calls for smith until then.
HOLDER = """
import json, sys, urllib.request
from pathlib import Path
from pfo_pipeline.ledger.lock import hold_lock
with hold_lock(Path(sys.argv[1]), deadline_seconds=60):
    print("held", flush=True)
    sys.stdin.readline()
    with urllib.request.urlopen(sys.argv[2] + "/admin/journal?domain=smith-sandbox") as journal:
        print(len(json.load(journal)["entries"]), flush=True)
"""


@contextmanager
def turn_taken(office: Office, tenant: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the tenant lock."""
    lock = office.files.private / "turns" / f"{tenant}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), office.bank.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            if not holder.stdin.closed:
                holder.stdin.close()
            holder.wait(timeout=60)


def defs_that_tell(arrived: Callable[[], None]) -> dg.Definitions:
    """`arrived` is called when a run asks for the path of its lock."""

    class TellingOffice(OfficeResource):
        def files(self) -> LedgerFiles:
            arrived()
            return super().files()

    office = TellingOffice()
    turn = TenantLockResource(office=office)
    return hurried_defs(
        {
            "office": office,
            "primary_open_banking": OpenBankingResource(office=office, tenant_lock=turn),
            "ledger": LedgerIOManager(office=office),
        }
    )


def test_a_run_waits_for_its_tenant_lock_and_other_tenants_do_not(office: Office, instance: dg.DagsterInstance) -> None:
    for tenant in ("smith", "jones"):
        office.add_tenant(tenant, "jane")
        office.connect(tenant, "jane", "1")

    with turn_taken(office, "smith") as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert run_job(office, instance, "jones").success

        # The run's own arrival releases the lock: nothing else could let it continue.
        result = run_job(office, instance, "smith", defs=defs_that_tell(once(holder.stdin.close)))
        asked_before_the_turn = holder.stdout.readline()

    assert asked_before_the_turn == "0\n"
    assert result.success
    assert office.paths("smith") == ["/users/me/connections", "/users/me/accounts"]


def once(action: Callable[[], None]) -> Callable[[], None]:
    left = [action]
    return lambda: left.pop()() if left else None


def test_a_lock_that_is_never_released_fails_the_run_by_name(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.defs.resources.TENANT_LOCK_SECONDS", 0.01)
    office.add_tenant("smith", "jane")

    with turn_taken(office, "smith") as holder:
        result = run_job(office, instance, "smith")

    assert not result.success
    assert office.calls("smith") == []
    output = cause_of(result)
    assert (output["code"], output["who_acts"]) == ("TenantLockRefused", "operator")
    assert f"Tenant smith is being worked on by process {holder.pid} for over 0.01 s." in str(output["reason"])


def test_the_lock_of_a_killed_process_is_free(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    with turn_taken(office, "smith") as holder:
        holder.kill()

    assert run_job(office, instance, "smith").success


def in_the_way_of_the_folder(private: Path) -> None:
    (private / "turns").write_text("in the way")


def in_the_way_of_the_lock(private: Path) -> None:
    (private / "turns" / "smith.lock").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [in_the_way_of_the_folder, in_the_way_of_the_lock])
def test_an_unusable_lock_is_a_named_failure_of_the_step(
    office: Office, instance: dg.DagsterInstance, spoil: Callable[[Path], None]
) -> None:
    office.add_tenant("smith", "jane")
    office.files.private.mkdir(parents=True)
    spoil(office.files.private)

    result = run_job(office, instance, "smith")

    assert not result.success
    assert office.calls("smith") == []
    output = cause_of(result)
    assert output["code"] == "LedgerUnwritable"
    assert "Move it away" in str(output["reason"])


def cause_of(result: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    """The operator's message; the step was tried once."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    return described_failure(failed)
