"""The browser that the tests use: Chromium as the system has it."""

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "On Debian or Ubuntu: apt-get install chromium. On macOS: brew install --cask chromium."


def find_browser() -> str | None:
    """The path of the program; None where none is installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
