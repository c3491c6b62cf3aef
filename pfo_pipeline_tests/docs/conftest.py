"""The site, built once for all its tests."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pfo_pipeline_tests.browser.pages import browser
from pfo_pipeline_tests.docs.pages import PROJECT, read


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `make docs`, in a separate folder; warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    made = _build(folder)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return folder / "html"


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the Makefile's command, with this Python and into that folder."""
    (line,) = re.findall(r"^\t@\$\(VENV\)/bin/python (-m sphinx .*)$", read(PROJECT / "Makefile"), re.MULTILINE)
    words = [str(folder / "html") if word == "build/docs" else word for word in line.split()]
    words = [str(folder / "trees") if word == "build/doctrees" else word for word in words]
    assert words[-2:] == ["docs", str(folder / "html")]
    return subprocess.run(
        [sys.executable, *words], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """While it is open, nothing else can have an event loop in this thread."""
    with browser() as program:
        yield program
