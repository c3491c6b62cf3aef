"""A run's telemetry: spans and metrics to a real receiver, JSON lines; no personal data; nothing unless enabled."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline_tests.defs.conftest import bank, office
from pfo_pipeline_tests.defs.office import ACCOUNTS, Office
from pfo_pipeline_tests.integration.programs import PFO, environment
from pfo_pipeline_tests.telemetry.receiver import Received, attributes, receiving

__all__ = ["bank", "office"]

IBAN = "FR7699999000011234567890143"
NAME = "Compte de Zéphyrine Quillfeather"
PERSONAL = (IBAN, IBAN[-11:], NAME, "Quillfeather", "10.01")


@pytest.fixture
def household(office: Office) -> Office:
    """A tenant with a connection, whose accounts the bank first fails to list."""
    office.add_tenant("smith", "jane")
    user = office.users["smith", "jane"]
    account = {"balance": "10.01", "iban": IBAN, "name": NAME, "original_name": NAME, "moves": False}
    accounts: list[Mapping[str, Any]] = [account]
    office.bank.add_connection(user, accounts=accounts)
    office.bank.fault("status", status=503, path=f"^{ACCOUNTS}$", times=1)
    return office


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


def run(office: Office, *, before: tuple[str, ...] = (), **output: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*(before or PFO), "run"],
        cwd=office.folder,
        env=environment(office.environment() | output),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_run_is_one_trace_and_its_work_is_counted(household: Office, receiver: Received) -> None:
    run(household, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test")

    spans = receiver.spans()
    steps = [span for span in spans if span.name == "pfo.step"]
    runs = {row[0].replace("-", "") for row in household.ask("select distinct run_id from loads")}
    assert {span.trace_id.hex() for span in spans} == runs
    assert len(runs) == 2
    outcomes = [(attributes(s)["operation"], attributes(s)["attempt"], attributes(s)["outcome"]) for s in steps]
    assert ("openbanking.accounts.sync", 1, "TryAgain") in outcomes
    assert ("openbanking.accounts.sync", 2, "ok") in outcomes
    calls = [span for span in spans if span.name == "pfo.powens.call"]
    assert len(calls) == len(household.calls("smith"))
    assert {attributes(s)["outcome"] for s in calls} == {"ok", "ServerFault"}
    assert {s.parent_span_id for s in calls} <= {s.span_id for s in steps}
    output = receiver.durations()
    assert output["pfo.powens.call.duration"] == len(calls)
    assert output["pfo.step.duration"] == len(steps)
    assert output["pfo.run.queued"] == 2
    assert output["pfo.ledger.publish.duration"] == 2
    assert output["pfo.lock.wait"] > 4
    counts = receiver.counts()
    assert counts["pfo.step.retries"] == 1
    [(rows,)] = household.ask(
        "select (select count(*) from users) + (select count(*) from connections) + (select count(*) from accounts) "
        "+ (select count(*) from balances)"
    )
    assert counts["pfo.ledger.rows"] >= rows > 3
    (resource,) = {tuple(sorted(r.items())) for r in receiver.resources()}
    assert dict(resource)["service.name"] == "pfo-pipeline"
    assert dict(resource)["deployment.environment"] == "test"


def test_the_contracts_events_are_json_lines_with_tenant_run_and_trace(household: Office) -> None:
    output = lines(run(household, PFO_LOG="json"))

    events = {(line["event"], line["tenant_id"], line["run_id"]) for line in output}
    stored = household.ask("select event, tenant_id, run_id from telemetry")
    assert {event for event, _, _ in stored} == {"openbanking.accounts.synced", "openbanking.balances.refreshed"}
    assert events == set(stored)
    assert all(line["trace_id"] == str(line["run_id"]).replace("-", "") for line in output)
    assert all(str(line["at"]).endswith("+00:00") for line in output)


def test_no_personal_data_is_sent(household: Office, receiver: Received) -> None:
    done = run(household, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, PFO_LOG="json")

    sent = b"".join(receiver.raw)
    token = household.users["smith", "jane"].token
    assert b"pfo.powens.call" in sent
    for secret in (*PERSONAL, token):
        assert secret.encode() not in sent
        assert secret not in done.stderr


def test_by_default_nothing_is_sent_or_imported(household: Office) -> None:
    program = (
        "import sys; from pfo_pipeline.cli import main\n"
        "try: main(['run'])\n"
        "except SystemExit as end:\n"
        "    assert not [name for name in sys.modules if name.startswith('opentelemetry')], 'loaded'\n"
        "    raise\n"
    )

    assert run(household, before=(sys.executable, "-c", program + "#")).stderr == ""


def test_without_the_extra_a_run_continues_and_names_the_package(household: Office, tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "opentelemetry"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ModuleNotFoundError('No module named opentelemetry')", encoding="utf-8")
    path = f"{absent.parent}:{Path(__file__).parents[2]}"

    done = run(household, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", PYTHONPATH=path)

    assert "pip install 'pfo-pipeline[telemetry]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_receiver_stops_no_run(household: Office) -> None:
    done = run(household, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert "Cash positions" in done.stdout
    assert household.ask("select count(*) from balances") == [(1,)]
