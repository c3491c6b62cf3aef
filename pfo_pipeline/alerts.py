"""Failed runs, one JSON line each, in `data/alerts.jsonl`: for a monitor to follow and for `pfo status` to show.

Nothing personal and no secret is in a line; what is written was scrubbed by the caller.
"""

import json
from collections.abc import Mapping
from pathlib import Path

ALERTS = "alerts.jsonl"


def append_alert(data_dir: Path, alert: Mapping[str, str | None]) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / ALERTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(alert) + "\n")


def recent_alerts(data_dir: Path, tenant_id: str, limit: int = 3) -> list[dict[str, str | None]]:
    """The newest alerts of a tenant, newest last."""
    path = data_dir / ALERTS
    if not path.exists():
        return []
    alerts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [alert for alert in alerts if alert["tenant"] == tenant_id][-limit:]
