"""The site, built once for all tests of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pfo_pipeline_tests.browser.pages import browser
from pfo_pipeline_tests.docs.pages import PROJECT


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds, in a folder of its own; warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    made = _build(folder)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return folder / "html"


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["-b", "html", "-n", "-W", "--keep-going", "-q", "-d", str(folder / "trees")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(folder / "html")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser() as program:
        yield program
