"""The scenarios of the test connector, from the first request to data."""

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank
from pfo_pipeline_tests.simulator.conftest import create, payload, read, web


@pytest.mark.parametrize(
    ("scenario", "asked", "answer"),
    [
        ("SCARequiredAndOTP", "additionalInformationNeeded", {"openapisms": "abcd"}),
        ("SCARequiredAndDecoupled", "decoupled", {"resume": True}),
    ],
)
def test_a_consent_can_be_renewed_ahead_of_time(
    bank: SimulatedBank, client: httpx.Client, scenario: str, asked: str, answer: dict[str, object]
) -> None:
    made = payload(create(client, scenario), 202)
    address = f"users/me/connections/{made['id']}"
    client.post(address)
    payload(client.post(address, json=answer))
    bank.advance(days=100)
    before = read(client, made["id"])

    due = payload(client.post(address, json={"refresh_auth": True, "source": "openapi"}), 202)
    renewed = payload(client.post(address, json=answer))

    assert (before["state"], due["state"], renewed["state"]) == (None, asked, None)
    # While a login is open, this is the time at which the login expires; the sources have the end of the access.
    assert due["expire"] == "2026-06-18 16:00:00"
    sources = read(client, made["id"], "?expand=sources")["sources"]
    assert [(s["access_expire"], s["expire"]) for s in sources] == [("2026-12-15 13:00:00", None)]
    assert (before["expire"], renewed["expire"]) == ("2026-09-06 14:00:00", "2026-12-15 13:00:00")


SCENARIOS: dict[str, list[str]] = {
    "par": [],
    "SCARequired": ["SCARequired", "webauthRequired"],
    "SCARequiredAndOTP": ["SCARequired", "additionalInformationNeeded"],
    "SCARequiredAndDecoupled": ["SCARequired", "decoupled"],
    "additionalInformationNeeded": ["additionalInformationNeeded"],
    "shortDecoupled": ["decoupled"],
}


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_leads_through_its_states_to_data(
    bank: SimulatedBank, scenario: str, *, background: bool
) -> None:
    domain = bank.add_domain("jones-sandbox")
    answers: dict[str, dict[str, object]] = {
        "SCARequired": {},
        "additionalInformationNeeded": {"openapisms": "abcd"},
        "decoupled": {"resume": True},
    }
    with bank.client(bank.add_user(domain.name)) as client:
        connection = create(client, scenario).json()
        address = f"users/me/connections/{connection['id']}{'?background' if background else ''}"

        for state in SCENARIOS[scenario]:
            assert connection["state"] == connection["error"] == state
            assert (connection["last_update"], connection["next_try"]) == (None, None)
            assert bool(connection["fields"]) == (state == "additionalInformationNeeded")
            if state == "webauthRequired":
                query = {"client_id": domain.client_id, "redirect_uri": "http://127.0.0.1:1/"}
                found = client.get("webauth-url", params={**query, "id_connection": connection["id"]})
                web.get(payload(found)["url"])
                connection = read(client, connection["id"])
            else:
                connection = client.post(address, json=answers[state]).json()
        validating = background and "decoupled" in SCENARIOS[scenario]
        assert connection["state"] == ("validating" if validating else None)
        bank.advance(minutes=1)

        done = read(client, connection["id"])
    assert (done["state"], done["last_update"], done["fields"]) == (None, "2026-03-10 13:00:20", None)
    assert done["expire"] == "2026-09-06 14:00:00"
