"""Traces, metrics, log lines as JSON, and progress. All are off by default and then cost nothing.

Traces and metrics are sent over OTLP if OpenTelemetry's own variables name a receiver and the extra `telemetry` is installed.
A run's trace has the run's id; a measured block is a span and a duration (`<name>.duration`, seconds) with its outcome. A
receiver that does not answer delays the end of a run by a few seconds, and has no other effect. With `PFO_LOG=json` each event
that a contract names is one line on standard error, with tenant, run and trace. Texts are redacted here: only our own names,
ids, counts and durations, nothing about a person.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pfo_pipeline.redaction import scrub

if TYPE_CHECKING:
    from pfo_pipeline.otlp import Otlp


T = TypeVar("T")
Show = Callable[[str, Collection[Any]], Iterator[Any]]
"""Takes a description and the items: yields each item, and shows the progress."""

_show: ContextVar[Show | None] = ContextVar("show", default=None)


def steps(about: str, things: Collection[T]) -> Iterator[T]:
    """Iterate over the items and show the progress; `about` describes the work in a word or two."""
    show = _show.get()
    return iter(things) if show is None else show(about, things)


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Show the steps of this thread during the block."""
    token = _show.set(show)
    try:
        yield
    finally:
        _show.reset(token)


VARIABLE = "PFO_LOG"
_IDS = ("run_id", "trace_id")
_LOGGER = logging.getLogger("pfo_pipeline.telemetry")


def is_json() -> bool:
    return os.environ.get(VARIABLE) == "json"


def trace_id(run_id: str) -> str:
    """A run's trace id in OpenTelemetry's form: the run's own id, which has the same number of bits."""
    return run_id.replace("-", "")


def tell(event: str, *, tenant_id: str, run_id: str, **properties: object) -> None:
    """Write one line for an event, if JSON lines are enabled."""
    if not is_json():
        return
    _begin()
    known = {"event": event, "tenant_id": tenant_id, "run_id": run_id, "trace_id": trace_id(run_id)}
    _LOGGER.info(event, extra={"fields": known | {"properties": properties}})


def _begin() -> None:
    """Set up logging once per process, at the first line: a program without lines gets no handler."""
    if not _LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
        _LOGGER.addHandler(handler)
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.propagate = False  # Dagster's handlers would repeat the line.


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, **getattr(record, "fields", {"event": record.getMessage()})}
        # Our own ids are not secret, and one that begins like bc49… would be masked as an IBAN.
        return json.dumps({key: value if key in _IDS else _scrubbed(value) for key, value in line.items()})


def _scrubbed(value: object) -> object:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {str(key): _scrubbed(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else scrub(str(value))


_RECEIVERS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
Value = str | int | float | bool


@contextmanager
def measured(name: str, *, run_id: str | None = None, **attributes: Value) -> Iterator[None]:
    """Measure a block as a span, and its duration by outcome: `ok`, or the class of the exception.

    Args:
        run_id: Begins a span of this run's trace; without it the span belongs to the surrounding one.
        attributes: Our own ids and words; never a text from a bank or a person.
    """
    otlp = _otlp()
    if otlp is None:
        yield
        return
    begun = time.monotonic()
    outcome = "ok"
    with otlp.span(name, trace_id(run_id) if run_id else None, _clean(attributes)) as ended:
        try:
            yield
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            ended(outcome)
            otlp.record(f"{name}.duration", time.monotonic() - begun, _clean(attributes) | {"outcome": outcome})


def recorded(name: str, seconds: float, **attributes: Value) -> None:
    """Record a duration that was measured elsewhere."""
    if (otlp := _otlp()) is not None:
        otlp.record(name, seconds, _clean(attributes))


def counted(name: str, amount: int = 1, **attributes: Value) -> None:
    if amount and (otlp := _otlp()) is not None:
        otlp.add(name, amount, _clean(attributes))


def flush() -> None:
    """Send collected telemetry: a run's process ends without the interpreter's exit handlers."""
    if (otlp := _otlp()) is not None:
        otlp.flush()


def is_asked_for() -> bool:
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not is_off and any(os.environ.get(name) for name in _RECEIVERS)


def _otlp() -> "Otlp | None":
    return _begun() if is_asked_for() else None


@cache
def _begun() -> "Otlp | None":
    try:
        from pfo_pipeline.otlp import Otlp
    except ModuleNotFoundError:
        logging.getLogger(__name__).warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra is not installed: pip install 'pfo-pipeline[telemetry]'"
        )
        return None
    return Otlp()


def _clean(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in attributes.items()}
