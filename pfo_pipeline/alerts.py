"""Failed runs and consents that end, one JSON line each, in `data/alerts.jsonl`: for a monitor to follow.

`pfo status` shows the failed runs; how a consent stands, it asks the ledger.

Nothing personal and no secret is in a line; what is written was scrubbed by the caller.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

ALERTS = "alerts.jsonl"
CONSENT_ENDS = "consentEnds"
"""Code of an alert that no run has failed for."""
_SHOWN = ("at", "tenant", "job", "reason")


def append_alert(data_dir: Path, alert: Mapping[str, str | None]) -> None:
    """Raises: OSError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / ALERTS).open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")  # A crash left half a line, which would swallow this one.
        file.write(json.dumps(alert).encode() + b"\n")


def unwritable(data_dir: Path, error: OSError) -> str:
    """What to do when `append_alert`, or the memory of who was told, failed."""
    return (
        f"{error.filename or data_dir / ALERTS} cannot be written: {error.strerror}. Free the disk if it is full; else give "
        "this account the right to write there. What could not be told is told the next time."
    )


def recent_alerts(data_dir: Path, tenant_id: str, limit: int = 3) -> list[dict[str, str]]:
    """The newest failed runs of a tenant, newest last; what is no alert is passed over, such as half a line.

    Returns: Each with at least `at`, `tenant`, `job` and `reason`.
    Raises: OSError.
    """
    try:
        lines = (data_dir / ALERTS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    alerts = [alert for alert in map(_alert, lines) if alert is not None and alert.get("code") != CONSENT_ENDS]
    return [alert for alert in alerts if alert["tenant"] == tenant_id][-limit:]


def _alert(line: bytes) -> dict[str, str] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_alert = isinstance(found, dict) and all(isinstance(found.get(key), str) for key in _SHOWN)
    return found if is_alert else None
