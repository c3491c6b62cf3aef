"""Analysts read the published ledger while the pipeline runs: no read is refused, and every read is consistent."""

import json
import subprocess
import sys

import dagster as dg
import pytest

from pfo_pipeline_tests.defs.office import (
    ACCOUNTS_JOB,
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
    sync_and_refresh,
)

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

ANALYSTS = 8
RUNS = 20
# Another person's program, without our code. All balances of one generation are equal, so a ledger with two different ones is
# half-written. It reads every 50 ms, slower than the runs on a busy machine; it ends with its standard input.
ANALYST = """
import json, os, select, sys
import duckdb
path, looks, generations, refused, torn = sys.argv[1], 0, set(), [], []
os.nice(10)
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    try:
        with duckdb.connect(path, read_only=True, config={"threads": 1}) as ledger:
            found = ledger.execute(
                "select count(*), count(distinct account_id), count(distinct current_balance), any_value(current_balance) "
                "from ledger.ledger.positions"
            ).fetchone()
        if found[:3] != (3, 3, 1):
            torn.append(str(found))
        generations.add(str(found[3]))
    except Exception as error:
        refused.append(repr(error))
    looks += 1
print(json.dumps({"looks": looks, "generations": len(generations), "refused": refused, "torn": torn}))
"""


def test_eight_analysts_are_never_refused_and_never_see_half_a_run(
    office: Office, instance: dg.DagsterInstance
) -> None:
    office.add_tenant("smith", "jane")
    user = office.users["smith", "jane"]
    accounts = office.bank.add_connection(
        user, accounts=[{"balance": "0", "moves": False} for _ in range(3)]
    ).account_ids
    sync_and_refresh(office, instance, "smith")
    analysts = [
        subprocess.Popen(
            [sys.executable, "-c", ANALYST, str(office.files.published)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(ANALYSTS)
    ]
    try:
        for analyst in analysts:
            assert analyst.stdout is not None
            assert analyst.stdout.readline() == "ready\n"

        for number in range(1, RUNS + 1):
            for account in accounts:
                office.bank.change_account("smith-sandbox", account, balance=str(number), moves=False)
            job = BALANCES_JOB if number % 5 else ACCOUNTS_JOB
            assert run_job(office, instance, "smith", job).success
    finally:
        output = [json.loads(analyst.communicate()[0]) for analyst in analysts]

    for analyst in output:
        assert analyst["refused"] == []
        assert analyst["torn"] == []
        assert analyst["looks"] > 0
    assert max(analyst["generations"] for analyst in output) > 1
