"""The clock: Paris wall time, daily movement, equal worlds from equal seeds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, web

PARIS = ZoneInfo("Europe/Paris")
MEMBERS = {
    "martin-sandbox": {731, 732},
    "lindqvist-sandbox": {731, 732},
    "moreau-sandbox": {731},
}


@pytest.mark.parametrize(
    ("moment", "paris"),
    [
        ("2026-03-29T00:59:59+00:00", "2026-03-29 01:59:59"),
        ("2026-03-29T01:00:00+00:00", "2026-03-29 03:00:00"),
        ("2026-10-25T00:30:00+00:00", "2026-10-25 02:30:00"),
        ("2026-10-25T01:30:00+00:00", "2026-10-25 02:30:00"),
        ("2026-10-25T02:30:00+00:00", "2026-10-25 03:30:00"),
        ("2026-12-31T23:30:00Z", "2027-01-01 00:30:00"),
        ("2026-07-01 09:00:00", "2026-07-01 09:00:00"),
    ],
)
def test_moments_are_paris_wall_time(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, moment: str, paris: str
) -> None:
    made = bank.add_connection(user, last_update=moment)

    assert payload(client.get(f"users/me/connections/{made.id}"))["last_update"] == paris


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_the_daily_sync_keeps_its_wall_time_over_a_clock_change(day: str) -> None:
    with SimulatedBank(now=datetime.fromisoformat(f"{day}T12:00:00+00:00")) as bank:
        bank.add_domain()
        user = bank.add_user()
        made = bank.add_connection(user)
        with bank.client(user) as client:
            address = f"users/me/connections/{made.id}"
            before = payload(client.get(address))["last_update"]
            bank.advance(days=1)
            after = payload(client.get(address))["last_update"]

    assert before[11:] == after[11:]
    assert before[:10] < after[:10]


def test_a_year_has_one_sync_a_day_at_the_same_wall_time(bank: SimulatedBank, user: SimulatedUser) -> None:
    made = bank.add_connection(user, expire=None, accounts=[{"balance": "1000"}])

    bank.advance(days=365)

    (account,) = bank.truth("smith-sandbox")["accounts"]
    assert account["id"] == made.account_ids[0]
    moments = [datetime.fromisoformat(figure["as_of"]).astimezone(PARIS) for figure in account["figures"]]
    first = moments[0].date()
    assert [moment.date() for moment in moments] == [first + timedelta(days=n) for n in range(366)]
    assert len({moment.time() for moment in moments}) == 1
    assert len({moment.utcoffset() for moment in moments}) == 2


def test_a_consent_of_180_days_ends_with_the_first_sync_after_it(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1000"}])
    address = f"users/me/connections/{made.id}"
    # Noon in winter is one o'clock in summer: 180 days are counted in hours.
    bank.advance(days=179, hours=23)
    assert payload(client.get(address))["state"] is None
    bank.advance(hours=1)
    ended = payload(client.get(address))
    assert (ended["state"], ended["expire"]) == (None, "2026-09-06 14:00:00")

    bank.advance(hours=18)

    asked = payload(client.get(address))
    assert (asked["state"], asked["last_update"]) == ("SCARequired", ended["last_update"])
    assert asked["last_update"] < asked["expire"]


def test_a_permanent_token_does_not_expire(bank: SimulatedBank, client: httpx.Client) -> None:
    bank.advance(days=2000)

    assert client.get("users/me").status_code == 200


def test_balances_move_once_a_day_independently_of_the_clock_steps(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1000"}])
    address = f"users/me/accounts/{made.account_ids[0]}"
    with SimulatedBank() as other:
        other.add_domain()
        twin = other.add_user()
        other.add_connection(twin, accounts=[{"balance": "1000"}])
        other.advance(days=10)
        with other.client(twin) as other_client:
            jumped = payload(other_client.get(address))

    balances = []
    for _ in range(10):
        bank.advance(days=1)
        balances.append(payload(client.get(address))["balance"])

    assert len(set(balances)) > 5
    assert payload(client.get(address)) == jumped


def test_the_clock_only_moves_forward(bank: SimulatedBank) -> None:
    with pytest.raises(ValueError, match="forward"):
        bank.advance_to(datetime(2026, 1, 1, tzinfo=UTC))


def demo_payloads(bank: SimulatedBank) -> dict[str, bytes]:
    """All answers that a client can read from the demo world, by address."""
    seen = {}
    for domain, users in MEMBERS.items():
        for user_id in users:
            token = bank.demo_token(domain, user_id)
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("accounts?all", "connections?expand=sources,connector,all_accounts"):
                url = f"{bank.base_url(domain)}/users/{user_id}/{path}"
                answer = web.get(url, headers=headers)
                assert answer.status_code == 200
                seen[f"{domain}/{user_id}/{path}"] = answer.content
    return seen


def test_two_worlds_of_one_seed_are_equal_and_of_another_seed_are_not() -> None:
    evening = datetime(2026, 3, 10, 20, tzinfo=UTC)
    with SimulatedBank(world="demo") as first, SimulatedBank(world="demo", now=evening) as later:
        assert demo_payloads(first) == demo_payloads(later)
        with SimulatedBank(world="demo", seed=8) as other:
            assert demo_payloads(first).keys() == demo_payloads(other).keys()
            assert demo_payloads(first) != demo_payloads(other)


def test_a_world_that_ran_for_a_month_equals_one_started_a_month_later() -> None:
    month_later = datetime(2026, 4, 9, 12, tzinfo=UTC)
    with SimulatedBank(world="demo") as old, SimulatedBank(world="demo", now=month_later) as new:
        old.advance_to(month_later)
        for domain in ("martin-sandbox", "lindqvist-sandbox"):
            headers = {"Authorization": f"Bearer {old.demo_token(domain, 731)}"}
            path = f"{domain}/2.0/users/me/accounts?all"
            assert (
                web.get(f"{old.url}/{path}", headers=headers).content
                == web.get(f"{new.url}/{path}", headers=headers).content
            )


def test_the_demo_shows_every_kind_of_trouble() -> None:
    with SimulatedBank(world="demo") as bank:
        seen = demo_payloads(bank)
        headers = {"Authorization": f"Bearer {bank.demo_token('moreau-sandbox', 731)}"}
        base = f"{bank.base_url('moreau-sandbox')}/users/me"
        connections = payload(web.get(f"{base}/connections?expand=sources", headers=headers))["connections"]
        accounts = payload(web.get(f"{base}/accounts?all", headers=headers))["accounts"]

    assert len(seen) == 10
    assert [item["state"] for item in connections] == [
        None,
        "SCARequired",
        "websiteUnavailable",
        "wrongpass",
        None,
        None,
        "regulatoryHold",
    ]
    assert "?token=" in connections[1]["error_message"]
    assert connections[2]["next_try"] is not None
    assert (connections[4]["next_try"], connections[4]["last_update"][:10]) == (None, "2026-02-26")
    assert [source["state"] for source in connections[5]["sources"]] == [None, "bug"]
    assert [item["disabled"] is not None for item in accounts].count(True) == 1
    assert [item["deleted"] is not None for item in accounts].count(True) == 1
    assert any(item["balance"] is None and item["disabled"] is None for item in accounts)
    assert any(item["type"] == "green_pocket" for item in accounts)
