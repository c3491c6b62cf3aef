"""An office with an encrypted ledger: Dagster's storage, which is plain, has no amount, id or bank."""

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import BALANCES_JOB, DAGSTERS_OWN_WARNING, Office, run_job
from pfo_pipeline_tests.ledger.samples import needs_encryption

BALANCE = "83710.42"
BANK = "Crédit des Deux Rives"

pytestmark = [needs_encryption, pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)]


@pytest.fixture
def stored(office: Office, instance: dg.DagsterInstance, request: pytest.FixtureRequest) -> str:
    """Every event of a sync and of a refresh, as Dagster stores it."""
    office.key = request.param
    office.add_tenant("smith", "jane")
    office.connect("smith", "jane", BALANCE, connector=BANK)
    office.connect("smith", "jane", "0", connector=BANK, state="wrongpass")
    runs = [run_job(office, instance, "smith"), run_job(office, instance, "smith", BALANCES_JOB)]
    assert [run.success for run in runs] == [True, True], [
        e.message for run in runs for e in run.all_events if e.is_failure
    ]
    return "".join(
        dg.serialize_value(record.event_log_entry) for run in runs for record in _records(instance, run.run_id)
    )


def _records(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    return list(instance.get_records_for_run(run_id).records)


@pytest.mark.parametrize("stored", ["correct-horse"], indirect=True)
@pytest.mark.parametrize("content", [BALANCE, "83710", BANK, "Deux Rives", "acc_"])
def test_run_storage_has_no_content_of_an_encrypted_ledger(stored: str, content: str) -> None:
    assert content not in stored
    assert "Not shown: the ledger is encrypted" in stored


@pytest.mark.parametrize("stored", [None], indirect=True)
@pytest.mark.parametrize("content", ["83710.42", "Deux Rives", "acc_"])
def test_run_storage_shows_the_content_of_a_plain_ledger(stored: str, content: str) -> None:
    """So that the test above would notice it."""
    assert content in stored
