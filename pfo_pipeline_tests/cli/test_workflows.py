"""A signal that comes while runs go on is known afterwards, whatever dropped its exception, and says nothing by itself."""

import signal
import sys

import pytest
from dagster import DagsterExecutionInterruptedError

from pfo_pipeline.cli.workflows import signals_seen


class Dropping:
    """A destructor in which an exception is raised, which Python drops."""

    def __init__(self, number: signal.Signals | None) -> None:
        self.number = number

    def __del__(self) -> None:
        if self.number is None:
            raise ValueError("not of a signal")
        signal.raise_signal(self.number)


def test_a_signal_dropped_by_a_destructor_is_seen_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with signals_seen() as seen:
        assert not seen()
        Dropping(signal.SIGINT)
        assert seen()
        assert not seen()
    assert capfd.readouterr().err == ""


def test_so_is_the_exception_that_dagster_makes_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    def raising(_: int, __: object) -> None:
        raise DagsterExecutionInterruptedError

    before = signal.signal(signal.SIGTERM, raising)
    try:
        with signals_seen() as seen:
            Dropping(signal.SIGTERM)
            assert seen()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == ""


def test_other_dropped_exceptions_are_told_as_before() -> None:
    output: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda dropped: output.append(dropped.exc_type)
    try:
        with signals_seen():
            Dropping(None)
    finally:
        sys.unraisablehook = before
    assert output == [ValueError]
