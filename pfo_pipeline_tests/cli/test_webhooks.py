"""`pfo webhooks register`: once or ten times, the same addresses and one secret, which is shown to nobody."""

from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.powens.webhooks import EVENTS, path_of
from pfo_pipeline_tests.defs.office import Office
from pfo_pipeline_tests.simulated_bank import SimulatedDomain
from pfo_pipeline_tests.simulator.conftest import payload, web

BASE = "https://hooks.office.example"


@pytest.fixture
def domain(office: Office) -> SimulatedDomain:
    """Tenant `smith`, which may register and has not done so yet."""
    made = office.add_tenant("smith", "jane", config_token="file:smith.config", webhook_secret="file:secrets/hooks")
    (office.folder / "smith.config").write_text(made.config_token)
    return made


def secret_file(office: Office) -> Path:
    return office.folder / "secrets" / "hooks"


def register(base: str = BASE, tenant: str = "smith") -> Result:
    return CliRunner().invoke(main, ["webhooks", "register", "--tenant", tenant, "--url", base])


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr


def listed(domain: SimulatedDomain, path: str, key: str) -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {domain.config_token}"}
    found: list[dict[str, object]] = payload(web.get(f"{domain.base_url}/{path}", headers=headers))[key]
    return found


def test_each_event_gets_an_address_with_the_secret_that_was_stored(office: Office, domain: SimulatedDomain) -> None:
    result = register()

    assert result.exit_code == 0, result.output
    (provider,) = listed(domain, "webhooks/auth", "authproviders")
    webhooks = listed(domain, "webhooks", "webhooks")
    assert sorted(str(w["url"]) for w in webhooks) == sorted(BASE + path_of("smith", event) for event in EVENTS)
    assert {w["id_auth"] for w in webhooks} == {provider["id"]}
    assert provider["name"] == "pfosmith"
    assert secret_file(office).stat().st_mode & 0o077 == 0
    assert len(secret_file(office).read_text().strip()) > 20


def test_the_output_says_what_must_be_in_the_console_and_no_secret(office: Office, domain: SimulatedDomain) -> None:
    printed = register().output

    assert "In the Powens console, under webhooks, these 8 must be there with the authentication pfosmith" in printed
    assert f"{BASE}/powens/smith/connection-synced" in printed
    assert secret_file(office).read_text().strip() not in printed
    assert domain.config_token not in printed


def test_a_second_call_adds_nothing(office: Office, domain: SimulatedDomain) -> None:
    register()
    before = secret_file(office).read_bytes()

    again = register(BASE + "/")

    assert again.exit_code == 0, again.output
    assert "added" not in again.output
    assert again.output.count("there already") == len(EVENTS)
    assert len(listed(domain, "webhooks", "webhooks")) == len(EVENTS)
    assert secret_file(office).read_bytes() == before
    assert list(secret_file(office).parent.iterdir()) == [secret_file(office)]


def test_a_call_that_was_cut_off_is_completed_by_the_next(office: Office, domain: SimulatedDomain) -> None:
    office.bank.fault("status", status=500, method="POST", path="^/webhooks$", skip=3)
    assert "POST /smith-sandbox/2.0/webhooks" in refused(register())
    assert len(listed(domain, "webhooks", "webhooks")) == 3

    result = register()

    assert result.output.count("there already") == 3
    assert len(listed(domain, "webhooks", "webhooks")) == len(EVENTS)


def test_a_secret_whose_telling_was_lost_is_made_again_once_it_was_taken_out(
    office: Office, domain: SimulatedDomain
) -> None:
    """Powens tells it once: what was lost on the way back is of no use."""
    office.bank.fault("reset", method="POST", path="^/webhooks/auth$", executed=True)
    refused(register())
    assert list(secret_file(office).parent.iterdir()) == []

    assert "delete that authentication in the Powens console" in refused(register())
    (provider,) = listed(domain, "webhooks/auth", "authproviders")
    headers = {"Authorization": f"Bearer {domain.config_token}"}
    httpx.delete(f"{domain.base_url}/webhooks/auth/{provider['id']}", headers=headers, trust_env=False)

    assert register().exit_code == 0
    assert secret_file(office).exists()


def test_a_secret_of_somebody_elses_is_not_overwritten(office: Office, domain: SimulatedDomain) -> None:
    secret_file(office).parent.mkdir()
    secret_file(office).write_text("of another domain")

    assert "Powens has no such secret. Delete the file" in refused(register())
    assert secret_file(office).read_text() == "of another domain"
    assert listed(domain, "webhooks/auth", "authproviders") == []


@pytest.mark.parametrize(
    "base", ["http://hooks.office.example", "hooks.office.example", "https://x.example/hooks", "https://u:p@x.example"]
)
def test_a_base_at_which_no_signed_post_would_arrive_is_refused(
    office: Office, domain: SimulatedDomain, base: str
) -> None:
    assert refused(register(base)).startswith("ConfigError: --url: ")
    assert not secret_file(office).exists()


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"webhook_secret": "file:hooks"}, "tenants.smith.config_token: is missing"),
        ({"config_token": "file:smith.config"}, 'tenants.smith.webhook_secret: must be "file:PATH"'),
        (
            {"config_token": "file:smith.config", "webhook_secret": "env:HOOKS"},
            'tenants.smith.webhook_secret: must be "file:PATH"',
        ),
    ],
)
def test_what_the_configuration_lacks_is_named(office: Office, settings: dict[str, str], mistake: str) -> None:
    made = office.add_tenant("smith", "jane", **settings)
    (office.folder / "smith.config").write_text(made.config_token)

    assert mistake in refused(register())


def test_a_token_of_another_kind_is_refused_by_powens(office: Office, domain: SimulatedDomain) -> None:
    (office.folder / "smith.config").write_text(domain.users_token)

    assert "the token is not accepted" in refused(register())


def test_registering_needs_an_admin(office: Office, domain: SimulatedDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    assert "needs role admin" in refused(register())
    assert listed(domain, "webhooks", "webhooks") == []
