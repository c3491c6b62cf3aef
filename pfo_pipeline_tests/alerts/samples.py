"""Conditions for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pfo_pipeline.alerts.conditions import Condition, Findings, Kind
from pfo_pipeline.alerts.state import Notice

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERY_KIND: frozenset[Kind] = frozenset(
    {"configuration", "daemon", "sensor", "run", "check", "user", "connection", "consent", "stale"}
)


def condition(thing: str = "38", tenant_id: str = "smith", **changes: Any) -> Condition:
    values: dict[str, Any] = {
        "kind": "connection",
        "tenant_id": tenant_id,
        "thing": thing,
        "owner": "member",
        "severity": "warning",
        "code": "SCARequired",
        "text": f"Connection {thing} (Banque Exemple): SCARequired",
        "remedy": "The member opens the link and confirms access at the bank.",
        "link": f"https://webview.powens.com/en/reconnect?connection_id={thing}",
    }
    return Condition(**values | changes)


def found(
    *conditions: Condition, kinds: frozenset[Kind] = EVERY_KIND, tenants: frozenset[str] | None = None
) -> Findings:
    return Findings(conditions, kinds, tenants)


def notice(event: Any = "opened", **changes: Any) -> Notice:
    return Notice(event, condition(**changes), NOW - HOUR)
