"""Traces and metrics over OTLP, where OpenTelemetry's own variables name a receiver and the extra `telemetry` is installed.

Here: the few words that the rest of the pipeline uses, and what stands behind them. Without a receiver they do and load
nothing. A receiver that does not answer costs a run a few seconds at its end, and nothing else.

A run's trace has the run's own id. What is measured is a span and a duration (`<name>.duration`, seconds) with its outcome.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from pfo_pipeline.redaction import scrub
from pfo_pipeline.telemetry.lines import trace_id

if TYPE_CHECKING:
    from pfo_pipeline.telemetry.otlp import Otlp

_RECEIVERS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
Value = str | int | float | bool


@contextmanager
def measured(name: str, *, run_id: str | None = None, **attributes: Value) -> Iterator[None]:
    """A span around the block, and its duration by outcome: `ok`, or the class of what was raised.

    Args:
        run_id: Begins a span of this run's trace; without it the span belongs to the one around it.
        attributes: Ids and words of our own; never what a bank or a person has written.
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
    """A duration that was measured elsewhere."""
    if (otlp := _otlp()) is not None:
        otlp.record(name, seconds, _clean(attributes))


def counted(name: str, amount: int = 1, **attributes: Value) -> None:
    if amount and (otlp := _otlp()) is not None:
        otlp.add(name, amount, _clean(attributes))


def flush() -> None:
    """Send what is gathered: a run's process ends without the interpreter's own farewell."""
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
        from pfo_pipeline.telemetry.otlp import Otlp
    except ModuleNotFoundError:
        logging.getLogger(__name__).warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra is not installed: pip install 'pfo-pipeline[telemetry]'"
        )
        return None
    return Otlp()


def _clean(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in attributes.items()}
