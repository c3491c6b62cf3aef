"""Log lines as JSON, one per event, on standard error: with `PFO_LOG=json`, else none.

Here: the one handler and its formatter. What is told: the events that the contracts name, when they are merged into the
ledger, with tenant, run and trace. Dagster's own lines, of runs, steps and failures, become JSON too (definitions.py).
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from pfo_pipeline.redaction import scrub

VARIABLE = "PFO_LOG"
_IDS = ("run_id", "trace_id")
_LOGGER = logging.getLogger("pfo_pipeline.telemetry")


def is_json() -> bool:
    return os.environ.get(VARIABLE) == "json"


def trace_id(run_id: str) -> str:
    """A run's trace, in the form of OpenTelemetry: the run's own id, which has as many bits."""
    return run_id.replace("-", "")


def tell(event: str, *, tenant_id: str, run_id: str, **properties: object) -> None:
    """One line about one event; nothing unless lines are asked for."""
    if not is_json():
        return
    _begin()
    known = {"event": event, "tenant_id": tenant_id, "run_id": run_id, "trace_id": trace_id(run_id)}
    _LOGGER.info(event, extra={"told": known | {"properties": properties}})


def _begin() -> None:
    """Once per process, when the first line is told: a program that tells nothing gets no handler."""
    if not _LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
        _LOGGER.addHandler(handler)
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.propagate = False  # Dagster's handlers would tell it again.


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, **getattr(record, "told", {"event": record.getMessage()})}
        # Our own ids are no secret, and one that begins like bc49… would pass for an IBAN.
        return json.dumps({key: value if key in _IDS else _scrubbed(value) for key, value in line.items()})


def _scrubbed(value: object) -> object:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {str(key): _scrubbed(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else scrub(str(value))
