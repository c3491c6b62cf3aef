"""The file of alerts: what a crash, another program or a slip left in it hides no alert and ends no command."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pfo_pipeline.alerts import append_alert, recent_alerts
from pfo_pipeline.cli import main
from pfo_pipeline_tests.ledger.samples import a_ledger, batch, connection


def alert(reason: str = "refused", **changes: object) -> dict[str, str | None]:
    return {"at": "2026-04-01", "tenant": "smith", "job": "sync", "reason": reason} | changes  # type: ignore[return-value]


def reasons(folder: Path) -> list[str]:
    return [found["reason"] for found in recent_alerts(folder, "smith")]


def test_without_a_file_there_is_no_alert(tmp_path: Path) -> None:
    assert recent_alerts(tmp_path, "smith") == []


def test_the_newest_alerts_of_a_tenant_come_last(tmp_path: Path) -> None:
    for number in "12345":
        append_alert(tmp_path, alert(number))
        append_alert(tmp_path, alert("another", tenant="jones"))

    assert reasons(tmp_path) == ["3", "4", "5"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"at": "2026-04-01", "ten',
        b'{"at": "2026-04-01", "job": "sync", "reason": "of nobody"}',
        b'{"tenant": "smith"}',
        b'{"at": "2026-04-01", "tenant": "smith", "job": null, "reason": 5}',
        b"[1, 2]",
        b"5",
        b"\xff\xfe",
        b"\0\0\0\0",
        b"",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_alert_is_passed_over(tmp_path: Path, line: bytes) -> None:
    good = json.dumps(alert("told")).encode()
    (tmp_path / "alerts.jsonl").write_bytes(b"\n".join([good, line, good, b""]))

    assert reasons(tmp_path) == ["told", "told"]


def test_half_a_line_does_not_swallow_the_alert_after_it(tmp_path: Path) -> None:
    (tmp_path / "alerts.jsonl").write_bytes(b'{"at": "2026-04-01", "ten')

    append_alert(tmp_path, alert("first"))
    append_alert(tmp_path, alert("second"))

    assert reasons(tmp_path) == ["first", "second"]


def test_a_folder_in_its_place_is_named_once_the_connections_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PFO_CONFIG", "PFO_ROLE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PFO_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ledger = a_ledger(tmp_path)
    ledger.merge(batch(connection()))
    ledger.publish()
    (tmp_path / "alerts.jsonl").mkdir()

    result = CliRunner().invoke(main, ["status"])

    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "Banque Exemple" in result.stdout
    assert "alerts.jsonl cannot be read: Is a directory. Move it away" in result.stderr
