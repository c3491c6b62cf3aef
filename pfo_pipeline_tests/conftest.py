"""What holds for every test: Ctrl-C reaches the programs that tests start, no example of Hypothesis is timed, and tests of
one file, which share what is dear to start, run in one process, but for those that say otherwise.
"""

import signal
from pathlib import Path

import hypothesis
import pytest


def pytest_configure() -> None:
    # A shell's background job ignores Ctrl-C, and so would every program that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Beside other work a machine may be slow; that is no reason to fail.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's published ledger after most of a year. It takes a quarter of a minute to play: tests that ask for it
    run in one process, by `pytest.mark.xdist_group("year")`.
    """
    from pfo_pipeline_tests import demo_year  # Not for the tests that ask for none.

    return demo_year.build(tmp_path_factory.mktemp("year"))
