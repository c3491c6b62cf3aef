"""One line: our own ids unchanged, everything else scrubbed."""

import json
import logging
from collections.abc import Iterator

import pytest

from pfo_pipeline.telemetry import VARIABLE, tell

IBAN = "FR7630006000011234567890189"


@pytest.fixture(autouse=True)
def requested_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handler writes to the current standard error, and exists once per process."""
    monkeypatch.setenv(VARIABLE, "json")
    logger = logging.getLogger("pfo_pipeline.telemetry")
    before, logger.handlers = logger.handlers, []
    yield
    logger.handlers = before


def test_our_own_id_is_not_masked_as_an_iban(capsys: pytest.CaptureFixture[str]) -> None:
    run_id = "bc4926a0-fdce-40ec-9d58-014d3e9cb948"

    tell("openbanking.accounts.synced", tenant_id="smith", run_id=run_id, account=IBAN)

    line = json.loads(capsys.readouterr().err)
    assert (line["run_id"], line["trace_id"]) == (run_id, run_id.replace("-", ""))
    assert IBAN not in json.dumps(line)
    assert line["properties"]["account"].endswith(IBAN[-4:])
