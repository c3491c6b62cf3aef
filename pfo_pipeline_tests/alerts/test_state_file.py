"""The book as a file: complete after a crash, restarted if garbled, errors with a remedy."""

from pathlib import Path

import pytest

from pfo_pipeline.alerts.state import (
    AlertsError,
    AlertState,
    change_alerts,
    due,
    mark_notified,
    mark_unreached,
    read_alerts,
    record_findings,
    sending_alone,
)
from pfo_pipeline_tests.alerts.samples import DAY, NOW, condition, found

REPEATS = {"critical": (24,), "warning": (24,), "notice": (24,)}


def a_book() -> AlertState:
    everything = found(condition("38"), condition("consent", kind="consent", severity="notice", stage=7))
    state = record_findings(AlertState(), everything, NOW, ["mail", "chat"])
    state = mark_notified(state, "mail", due(state, "mail", REPEATS, NOW), NOW)  # type: ignore[arg-type]
    state = mark_unreached(state, "chat", "it answered 403", NOW)
    return record_findings(state, found(condition("38")), NOW + DAY, ["mail", "chat"])


def test_a_written_book_is_read_again(tmp_path: Path) -> None:
    change_alerts(tmp_path, lambda _: a_book())

    assert read_alerts(tmp_path) == a_book()
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600


def test_without_a_file_the_book_is_empty(tmp_path: Path) -> None:
    assert read_alerts(tmp_path) == AlertState()


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b'{"entries": 5}', b"\xff", b"[" * 100_000])
def test_a_garbled_book_starts_empty(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "alerts.json").write_bytes(garbage)

    assert change_alerts(tmp_path, lambda state: state if state != AlertState() else a_book()) == a_book()
    assert read_alerts(tmp_path) == a_book()


def test_an_unreadable_or_unwritable_book_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").mkdir()

    with pytest.raises(AlertsError, match=r"alerts\.json cannot be read: Is a directory\. Give this account the right"):
        read_alerts(tmp_path)

    (tmp_path / "private").write_text("a file in the folder's place", encoding="utf-8")
    with pytest.raises(AlertsError, match=r"alerts\.json cannot be written: "):
        change_alerts(tmp_path / "private", lambda state: state)


def test_two_processes_never_notify_at_once(tmp_path: Path) -> None:
    with sending_alone(tmp_path) as first, sending_alone(tmp_path) as second:
        assert (first, second) == (True, False)
    with sending_alone(tmp_path) as again:
        assert again
