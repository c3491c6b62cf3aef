"""What holds for every test: Ctrl-C reaches the programs that tests start."""

import signal


def pytest_configure() -> None:
    # A shell's background job ignores Ctrl-C, and so would every program that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
