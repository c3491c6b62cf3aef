"""`data/alerts.jsonl`: one JSON line for each alert that was opened, repeated or resolved, for a monitor to follow."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pfo_pipeline.alerts.book import Notice

ALERTS = "alerts.jsonl"


def append_to_log(data_dir: Path, notices: Iterable[Notice], now: datetime) -> None:
    """Raises: OSError."""
    lines = b"".join(json.dumps(_line(notice, now)).encode() + b"\n" for notice in notices)
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / ALERTS).open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                lines = b"\n" + lines  # A crash left half a line, which would swallow the first of these.
        file.write(lines)


def _line(notice: Notice, now: datetime) -> dict[str, str]:
    condition = notice.condition
    line = {
        "at": now.isoformat(timespec="seconds"),
        "event": notice.event,
        "severity": condition.severity,
        "tenant": condition.tenant_id,
        "kind": condition.kind,
        "thing": condition.thing,
        "code": condition.code,
        "who_acts": condition.owner,
        "since": notice.since.isoformat(timespec="seconds"),
        "reason": condition.text,
        "remedy": condition.remedy,
    }
    return line | ({"link": condition.link} if condition.link else {})
