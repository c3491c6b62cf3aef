"""`pfo dev` ends with all its processes."""

import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pfo_pipeline_tests.browser.serving import Serving, alive, answers


def test_sigterm_during_runs_leaves_no_process(tmp_path: Path) -> None:
    """It once left a code server and a run's process behind, which then called a bank that was gone."""
    with Serving(tmp_path) as serving:
        serving.wait_until("a run is executing", lambda: "accounts__synced - STEP_START" in serving.log)
        started = serving.processes()
        bank = _bank_port(serving)
        assert len(started) >= 5, "pfo, the simulated bank, web server, daemon, code server"
        assert answers(bank)

        status = serving.end()

        assert status == 0
        assert alive(started) == set()
        assert not answers(bank)
        assert not answers(serving.port)
        assert not list(serving.temporary.rglob("*.token")), "the demonstration's tokens are left behind"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_sigkill_leaves_no_server(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving:
        serving.wait_until_loaded()
        started = serving.processes()

        serving.kill()

        serving.wait_until_gone(started)
        assert not answers(serving.port)


def _bank_port(serving: Serving) -> int:
    [config] = serving.temporary.rglob("pfo.toml")
    base_url: str = tomllib.loads(config.read_text())["tenants"]["martin"]["base_url"]
    port = urlsplit(base_url).port
    assert port is not None
    return port
