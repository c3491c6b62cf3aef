"""A member with a browser: opens the link that a command tells, fills in the pages, is led back."""

import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline_tests.defs.office import Office
from pfo_pipeline_tests.simulated_bank import SimulatedDomain, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import web

TEST_BANK = "338178e6-3d01-564f-9a7b-52ca442459bf"
CONSENT = {
    "connector": TEST_BANK,
    "openapiwebsite": "par",
    "login": "jane",
    "password": "1234",
    "accounts": "all",
    "action": "share",
}
FIX = {"login": "jane", "password": "1234", "action": "confirm"}
CANCEL = {"action": "cancel"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def way_back(link: str, form: Mapping[str, str]) -> str:
    """Fill in the pages behind a link, as a browser would; the address that they lead back to."""
    page = web.get(link)
    assert page.status_code == 200, page.text
    visit = re.search(r'name="visit" value="([^"]+)"', page.text)
    assert visit is not None
    answer = web.post(link, data={"visit": visit[1], **form})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


def visit(link: str, form: Mapping[str, str]) -> httpx.Response:
    """What the member sees in the end."""
    return web.get(way_back(link, form))


def parameters(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


@dataclass
class Visitor:
    """Commands whose link a member opens in a thread of its own, as a browser would."""

    office: Office
    domain: SimulatedDomain
    monkeypatch: pytest.MonkeyPatch
    synced: list[tuple[str, ...]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)
    connections: dict[str, str] = field(default_factory=dict)

    def connect(self, browse: Callable[[str], object], *words: str) -> Result:
        """`pfo connect` for jane, or the words given."""
        threads = []

        def launch(link: str) -> None:
            self.links.append(link)
            thread = threading.Thread(target=lambda: self.seen.append(browse(link)))
            threads.append(thread)
            thread.start()

        self.monkeypatch.setattr("click.launch", launch)
        result = CliRunner().invoke(main, [*(words or ("connect", "--tenant", "smith", "--member", "jane")), "--open"])
        for thread in threads:
            thread.join(timeout=30)
        return result

    @property
    def token_file(self) -> Path:
        return self.office.folder / "smith.jane.token"

    @property
    def redirect_uri(self) -> str:
        return str(self.office.tenants["smith"]["redirect_uri"])

    def users(self) -> list[int]:
        """Those that Powens bills."""
        self.office.bank.advance(minutes=31)
        headers = {"Authorization": f"Bearer {self.domain.users_token}"}
        return [user["id"] for user in web.get(f"{self.domain.base_url}/users", headers=headers).json()["users"]]


def new_household(office: Office, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """Tenant `smith`, whose member jane has neither user nor token; syncs are noted and not done."""
    redirect_uri = f"http://127.0.0.1:{free_port()}/powens"
    domain = office.add_tenant("smith")
    office.bank.change_domain(domain.name, redirect_uris=[redirect_uri])
    (office.folder / "client_secret").write_text(domain.client_secret)
    office.change_tenant(
        "smith",
        client_id=domain.client_id,
        client_secret="file:client_secret",
        redirect_uri=redirect_uri,
        webview_url=f"{office.bank.url}/webview/en",
    )
    office.users["smith", "jane"] = SimulatedUser(domain.name, domain.base_url, 0, "")
    office.write()
    visitor = Visitor(office, domain, monkeypatch)

    def sync(_: object, tenants: tuple[str, ...]) -> int:
        visitor.synced.append(tenants)
        return 0

    monkeypatch.setattr("pfo_pipeline.cli.connect.run_and_show", sync)
    return visitor
