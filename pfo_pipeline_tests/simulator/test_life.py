"""A bank over time: new ids for old accounts, corrections, late balances, announced operations, and the truth about them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload

DOMAIN = "smith-sandbox"


def accounts(client: httpx.Client, query: str = "?all") -> dict[int, Any]:
    return {item["id"]: item for item in payload(client.get(f"users/me/accounts{query}"))["accounts"]}


def figures(bank: SimulatedBank, account_id: int) -> list[dict[str, Any]]:
    (account,) = [item for item in bank.truth(DOMAIN)["accounts"] if item["id"] == account_id]
    found: list[dict[str, Any]] = account["figures"]
    return found


def test_a_bank_that_is_added_again_has_accounts_with_new_ids(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "100.10"}, {"type": "card", "balance": "0"}])
    bank.change_account(DOMAIN, made.account_ids[1], id_parent=made.account_ids[0])
    before = accounts(client)

    ids = bank.renumber(DOMAIN, connections=[made.id], disabled=False)

    after = accounts(client)
    assert set(after) == set(ids.accounts.values())
    assert not set(after) & set(before)
    assert client.get(f"users/me/connections/{made.id}").status_code == 404
    for old, new in ids.accounts.items():
        assert after[new]["id_connection"] == ids.connections[made.id]
        assert (after[new]["iban"], after[new]["balance"]) == (before[old]["iban"], before[old]["balance"])
    first, card = made.account_ids
    assert after[ids.accounts[card]]["id_parent"] == ids.accounts[first]


@pytest.mark.parametrize("numbers", ["same", "reformatted", "absent"])
def test_a_repaired_connection_finds_its_account_disabled_with_a_new_id(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, numbers: Any
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "100.10", "moves": False}])
    (old,) = made.account_ids
    iban = accounts(client)[old]["iban"]

    new = bank.renumber(DOMAIN, accounts=[old], numbers=numbers).accounts[old]

    assert accounts(client, "") == {}
    hidden = accounts(client)
    assert hidden[old]["deleted"] is not None
    assert hidden[new]["disabled"] is not None
    assert hidden[new]["balance"] is None
    payload(client.put(f"users/me/accounts/{new}?all", json={"disabled": False}))
    bank.advance(days=1)
    again = accounts(client, "")[new]
    assert again["balance"] == Decimal("100.1")
    assert again["id_connection"] == made.id
    match numbers:
        case "same":
            assert again["iban"] == iban
        case "reformatted":
            assert again["iban"] != iban
            assert again["iban"].replace(" ", "") == iban
        case "absent":
            assert (again["iban"], again["number"]) == (None, None)
    assert bank.truth(DOMAIN)["same_bank_account"] == [[old, new]]


def test_another_source_finds_an_account_with_a_new_id(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, "Crédit des Deux Rives", accounts=[{"balance": "5"}, {"balance": "6"}])
    first, second = made.source_ids
    sources = f"users/me/connections/{made.id}/sources"
    assert payload(client.post(f"{sources}/{first}", json={"disabled": True}))["disabled"] == "2026-03-10 13:00:00"
    assert client.post(f"{sources}/{first}", json={"disabled": "perhaps"}).status_code == 400
    old = made.account_ids[0]

    new = bank.renumber(DOMAIN, accounts=[old], source="directaccess", disabled=False).accounts[old]
    bank.advance(days=1)

    shown = accounts(client, "")
    assert shown[new]["id_source"] == second
    assert {number: account["last_update"][:10] for number, account in shown.items()} == {
        made.account_ids[1]: "2026-03-10",
        new: "2026-03-11",
    }
    assert [source["id"] for source in payload(client.get(sources))["sources"]] == [second]


def test_an_erased_account_remains_only_in_the_truth(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "5"}])

    ids = bank.renumber(DOMAIN, accounts=made.account_ids, erased=True, disabled=False)

    assert list(accounts(client)) == list(ids.accounts.values())
    erased = {item["id"]: item["erased"] for item in bank.truth(DOMAIN)["accounts"]}
    assert erased[made.account_ids[0]] == "2026-03-10T12:00:00+00:00"


@pytest.mark.parametrize(
    "order", [{"accounts": [1]}, {"connections": [1]}, {"numbers": "upside down"}, {"source": "fax"}]
)
def test_an_impossible_renumbering_changes_nothing(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, order: Any
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "5"}])

    with pytest.raises(ValueError, match=r"40[04]"):
        bank.renumber(DOMAIN, **{"accounts": made.account_ids, **order})

    assert list(accounts(client, "")) == made.account_ids


def test_one_bank_account_has_the_same_moves_in_every_connection(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    other = bank.add_user()
    mine = bank.add_connection(user, accounts=[{"balance": "1000.00", "buys": True}])
    theirs = bank.add_connection(other, "Crédit des Deux Rives")
    (first,) = mine.account_ids
    second = bank.see_again(DOMAIN, first, theirs.id)

    seen = []
    with bank.client(other) as other_client:
        for _ in range(6):
            bank.advance(days=1)
            one, two = accounts(client)[first], accounts(other_client)[second]
            assert [one[key] for key in ("balance", "coming", "iban")] == [
                two[key] for key in ("balance", "coming", "iban")
            ]
            seen.append(one["balance"])
        # The balance after one user's forced sync reaches the other user the next morning.
        client.put(f"users/me/connections/{mine.id}")
        bank.advance(minutes=1)
        assert accounts(client)[first]["balance"] != accounts(other_client)[second]["balance"]
        bank.advance(days=1)
        assert accounts(client)[first]["balance"] == accounts(other_client)[second]["balance"]
    assert len(set(seen)) == 6


def test_a_correction_keeps_the_balances_time_and_a_late_balance_is_earlier(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    (number,) = bank.add_connection(user, accounts=[{"balance": "10", "moves": False}]).account_ids
    before = accounts(client)[number]["last_update"]

    bank.correct(DOMAIN, number, "11.5")
    assert (accounts(client)[number]["balance"], accounts(client)[number]["last_update"]) == (Decimal("11.5"), before)
    bank.tell_late(DOMAIN, number, "9", datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert accounts(client)[number]["last_update"] == "2026-03-01 13:00:00"
    bank.advance(days=1)
    assert accounts(client)[number]["last_update"].startswith("2026-03-11 0")

    found = [(item["balance"], item["as_of"][:10], item["shown_from"][:10]) for item in figures(bank, number)]
    assert found == [
        ("10", "2026-03-10", "2026-03-10"),
        ("11.5", "2026-03-10", "2026-03-10"),
        ("9", "2026-03-01", "2026-03-10"),
        (
            accounts(client)[number]["formatted_balance"].replace(",", ".").removesuffix(" €"),
            "2026-03-11",
            "2026-03-11",
        ),
    ]


def test_a_slow_bank_reports_balances_of_the_day_before(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "10", "lag_seconds": 86_400}])

    bank.advance(days=1)

    synced = payload(client.get(f"users/me/connections/{made.id}"))["last_update"]
    as_of = accounts(client)[made.account_ids[0]]["last_update"]
    assert (synced[:10], as_of) == ("2026-03-11", f"2026-03-10{synced[10:]}")


def test_an_announced_operation_posts_or_is_dropped_on_its_day(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    (number,) = bank.add_connection(user, accounts=[{"balance": "100", "moves": False}]).account_ids
    bank.announce(
        DOMAIN,
        number,
        {"amount": "-30.25", "days": 1},
        {"amount": "-8", "days": 2, "dropped": True},
        {"amount": "5.5", "days": 3},
    )

    seen = []
    for _ in range(4):
        account = accounts(client)[number]
        seen.append((str(account["balance"]), str(account["coming"]), str(account["coming_balance"])))
        bank.advance(days=1)

    assert seen == [
        ("100", "-32.75", "67.25"),
        ("69.75", "-2.5", "67.25"),
        ("69.75", "5.5", "75.25"),
        ("75.25", "0", "75.25"),
    ]


def test_purchases_post_to_the_cent_and_some_are_dropped(bank: SimulatedBank, user: SimulatedUser) -> None:
    (number,) = bank.add_connection(user, accounts=[{"balance": "1000.00", "buys": True}]).account_ids

    bank.advance(days=60)
    jumped = figures(bank, number)

    assert len(jumped) == 61
    assert len({item["coming"] for item in jumped}) > 20
    assert all(Decimal(item["coming"]) <= 0 for item in jumped)
    assert any(Decimal(item["coming"]) == 0 for item in jumped)


def test_the_truth_equals_the_clients_answers(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(
        user,
        accounts=[
            {"balance": "12.34567891", "currency": "BTC", "type": "market"},
            {"balance": "500", "currency": "JPY"},
        ],
    )
    seen: dict[int, set[tuple[Decimal, Decimal | None]]] = {number: set() for number in made.account_ids}
    for _ in range(12):
        for number, account in accounts(client).items():
            seen[number].add((Decimal(account["balance"]), account["coming"]))
        bank.advance(hours=7)
    bank.delete_connection(DOMAIN, made.id)

    found = bank.truth(DOMAIN)

    for number in made.account_ids:
        assert {(Decimal(item["balance"]), item["coming"]) for item in figures(bank, number)} == seen[number]
    later = bank.truth(DOMAIN, since=datetime(2026, 3, 12, tzinfo=UTC))["accounts"]
    assert [len(account["figures"]) for account in later] == [2, 2]
    (connection,) = found["connections"]
    assert connection["erased"] == found["now"]
    assert connection["state"] is None
    assert found["users"][0]["id"] == user.id


def test_the_truth_of_an_unknown_domain_is_not_found(bank: SimulatedBank) -> None:
    assert bank.admin.get("/truth?domain=nobody").status_code == 404


def test_equal_seeds_give_equal_worlds(bank: SimulatedBank) -> None:
    made = bank.add_world("oak-sandbox", 11, members=3, connections=2, accounts=4)
    with SimulatedBank() as other:
        other.add_world("oak-sandbox", 11, members=3, connections=2, accounts=4)
        bank.advance(days=3)
        other.advance(days=3)
        assert bank.truth("oak-sandbox") == other.truth("oak-sandbox")
        other.add_world("elm-sandbox", 12, members=3, connections=2, accounts=4)
        kinds = [
            [(item["type"], item["name"]) for item in truth["accounts"]]
            for truth in (bank.truth("oak-sandbox"), other.truth("elm-sandbox"))
        ]
        assert kinds[0] != kinds[1]

    assert [len(links) for links in made.connections.values()] == [2, 2, 2]
    assert [len(link.account_ids) for links in made.connections.values() for link in links] == [4, 4, 5, 4, 4, 4]
    (joint,) = bank.truth("oak-sandbox")["same_bank_account"]
    with bank.client(made.users[1]) as client:
        shared = accounts(client)[joint[1]]
        assert shared["ownership"] == "co-owner"
        assert shared["balance"] is not None


def test_a_large_world_has_every_number_of_decimals_and_healthy_members(bank: SimulatedBank) -> None:
    made = bank.add_world("oak-sandbox", 3, members=4, connections=5, accounts=8)

    listed: dict[int, Any] = {}
    for member in made.users:
        with bank.client(member) as client:
            listed |= accounts(client, "")
            connections = payload(client.get("users/me/connections"))["connections"]
            assert {item["state"] for item in connections} == {None}

    assert len(listed) == 4 * 5 * 8 + 1
    assert {item["currency"]["precision"] for item in listed.values()} == {0, 2, 3, 8}
    places = {-int(Decimal(item["balance"]).as_tuple().exponent) for item in listed.values()}
    assert {0, 2, 3, 8} <= places
    assert len({item["type"] for item in listed.values()}) >= 8
    assert any(Decimal(item["balance"]) < 0 for item in listed.values())
    assert all(item["opening_date"] < "2026-03-10" for item in listed.values())


@pytest.mark.parametrize("size", [{"members": -1}, {"members": 1000, "connections": 1000}])
def test_a_world_of_an_impossible_size_is_refused(bank: SimulatedBank, size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="400"):
        bank.add_world("oak-sandbox", 1, **size)
    assert "oak-sandbox" not in bank.admin.get("/health").json()["domains"]
