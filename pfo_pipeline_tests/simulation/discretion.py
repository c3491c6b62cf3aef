"""Privacy check: search every text of a half-year for every secret of its plan."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb

from pfo_pipeline.alerts.notify import ALERTS
from pfo_pipeline_tests.simulation.play import Played

# The table of accounts has names and numbers for analysts, in columns that its contract marks as personal.
_OPEN_TABLES = ("users", "connections", "quarantine", "drift", "identities", "loads", "telemetry")


def indiscretions(played: Played, con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Secrets that were found, with their place; the secret itself is not repeated."""
    secrets = sorted({*played.plan.secrets, *played.world.tokens})
    for where, text in _texts(played, con):
        for position, secret in enumerate(secrets):
            if secret in text:
                yield f"{where}: holds secret {position} of the plan, of {len(secret)} characters"


def _texts(played: Played, con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    yield "log", "\n".join(played.said)
    alerts: Path = played.ledger.files.data_dir / ALERTS
    if alerts.exists():
        lines = alerts.read_text(encoding="utf-8").splitlines()
        yield "alerts", "\n".join(str(value) for line in lines for value in json.loads(line).values())
    for table in _OPEN_TABLES:
        rows = con.execute(f"from {table}").fetchall()
        yield table, "\n".join(str(value) for row in rows for value in row)
