"""Build the telemetry events of a contract: exactly the properties that it lists, masked."""

from collections.abc import Mapping, Sized
from datetime import datetime

from pfo_pipeline.contracts.model import Message, Operation, Property, TelemetryEvent, TelemetryRecord
from pfo_pipeline.redaction import PERSONAL_FIELDS, mask, scrub


def succeeded(operation: Operation, request: Message, output: Message, now: datetime) -> tuple[TelemetryRecord, ...]:
    if operation.telemetry is None:
        return ()
    return (_record(operation.telemetry.success, request, output, "", now),)


def failed(operation: Operation, request: Message, error: Exception, now: datetime) -> tuple[TelemetryRecord, ...]:
    if operation.telemetry is None:
        return ()
    return (_record(operation.telemetry.failure, request, None, str(error), now),)


def _record(
    event: TelemetryEvent, request: Message, output: Message | None, error: str, now: datetime
) -> TelemetryRecord:
    sides: Mapping[str, object] = {"input": request, "output": output, "error": error}
    properties = {p.name: _value(p, sides[p.source]) for p in event.properties}
    return TelemetryRecord(event.key, str(properties["tenantId"]), now, properties)


def _value(wanted: Property, side: object) -> object:
    if wanted.source == "error":
        return scrub(str(side))
    value = getattr(side, wanted.field, None)
    if wanted.count:
        return len(value) if isinstance(value, Sized) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return mask(value) if wanted.field in PERSONAL_FIELDS else scrub(value)
    return value
