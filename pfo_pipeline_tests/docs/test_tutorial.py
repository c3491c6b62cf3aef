"""Follows docs/tutorial.md from its third step, line by line, with the simulated bank instead of Powens.

Differences from a reader's machine: the address of Powens, the client's number, and the port of the redirect.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from pfo_pipeline_tests.cli.visiting import CONSENT, free_port, visit
from pfo_pipeline_tests.defs.conftest import bank
from pfo_pipeline_tests.docs.pages import DOCS, blocks, read
from pfo_pipeline_tests.integration.programs import start
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain

__all__ = ["bank"]

PAGE = DOCS / "tutorial.md"
PORT = "8765"
GOODBYE = "All is done. You can close this window."


class Reader:
    """A reader in a separate folder who types the page's commands."""

    def __init__(self, folder: Path, domain: SimulatedDomain, port: int) -> None:
        self.folder = folder
        self.domain = domain
        self.port = str(port)

    def configure(self, text: str, webview: str) -> None:
        ours = f'domain = "{self.domain.name}"\nbase_url = "{self.domain.base_url}"\nwebview_url = "{webview}"'
        for shown, own in (
            ('domain = "smith-sandbox"', ours),
            ('"12345678"', f'"{self.domain.client_id}"'),
            (PORT, self.port),
        ):
            assert shown in text
            text = text.replace(shown, own)
        (self.folder / "pfo.toml").write_text(text, encoding="utf-8")

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line.replace(".venv/bin/", f"{Path(sys.executable).parent}/")],
            cwd=self.folder,
            input=f"{self.domain.client_secret}\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def connect(self, line: str) -> str:
        """Jane opens the link, chooses the test bank, and consents."""
        words = line.removeprefix(".venv/bin/pfo ").split()
        with start(*words, cwd=self.folder, output={}) as program:
            assert program.stdout is not None
            link = program.stdout.readline().strip()
            seen = visit(link, CONSENT)
            printed, errors = program.communicate(timeout=120)
        assert program.returncode == 0, printed + errors
        assert GOODBYE in seen.text
        assert f"*{GOODBYE}*" in " ".join(read(PAGE).split())
        return printed


@pytest.fixture
def reader(bank: SimulatedBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    for name in ("PFO_CONFIG", "PFO_DATA_DIR", "DAGSTER_HOME", "PFO_ROLE"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    domain = bank.add_domain("smith-sandbox")
    bank.change_domain(domain.name, redirect_uris=[f"http://127.0.0.1:{port}/powens"])
    return Reader(tmp_path, domain, port)


def lines_from_the_third_step() -> list[str]:
    page = read(PAGE)
    shown = [line for block in blocks(PAGE, "") for line in block.splitlines()]
    return [line for line in shown if page.index(line) > page.index("## 3.") and not line.startswith("make ")]


def test_the_tutorial_leads_to_the_first_balances(reader: Reader, bank: SimulatedBank) -> None:
    (configuration,) = blocks(PAGE, "toml")
    reader.configure(configuration, f"{bank.url}/webview/en")
    printed: dict[str, str] = {}
    for line in lines_from_the_third_step():
        if " connect " in line:
            printed["connect"] = reader.connect(line)
            continue
        done = reader.type(line)
        if line.endswith("config check"):
            assert done.returncode == 1
            assert done.stderr.count("tenants.smith") == 1, done.stderr
            assert "tenants.smith.users.jane.token" in done.stderr
            assert "pfo connect --tenant smith --member jane" in done.stderr
            continue
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed[line] = done.stdout

    assert "Cash positions" in printed["connect"]
    assert (reader.folder / "data" / "reports" / "smith.html").read_text(encoding="utf-8").count("Smith household")
    assert (reader.folder / "secrets" / "smith_client").stat().st_mode & 0o777 == 0o600
    assert (reader.folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert "current_balance" in printed[next(line for line in printed if "from positions" in line)]
    assert reader.type(".venv/bin/pfo config check").returncode == 0
