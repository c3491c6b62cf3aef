"""What holds for every test: Ctrl-C reaches the programs that tests start, and no example of Hypothesis is timed."""

import signal

import hypothesis


def pytest_configure() -> None:
    # A shell's background job ignores Ctrl-C, and so would every program that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Beside other work a machine may be slow; that is no reason to fail.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
