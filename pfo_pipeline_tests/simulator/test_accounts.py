"""Accounts: exact balances, enabling, hidden accounts, paging."""

from decimal import Decimal

import httpx
import pytest

from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser
from pfo_pipeline_tests.simulator.conftest import payload, refusal


@pytest.mark.parametrize(
    ("given", "on_the_wire"),
    [
        ("7481.01", "7481.01"),
        ("8200", "8200"),
        ("8200.00", "8200"),
        ("-0.00", "0"),
        ("0.1", "0.1"),
        ("0.00000001", "0.00000001"),
        ("12345678901234567890123456789012.123", "12345678901234567890123456789012.123"),
    ],
)
def test_amounts_are_exact_on_the_wire(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, given: str, on_the_wire: str
) -> None:
    bank.add_connection(user, accounts=[{"balance": given}])

    text = client.get("users/me/accounts").text

    assert f'"balance":{on_the_wire},"coming":null' in text


def test_an_amount_can_come_as_a_string(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    bank.add_connection(user, accounts=[{"balance": "1.50", "numbers_as_strings": True}])

    assert payload(client.get("users/me/accounts"))["accounts"][0]["balance"] == "1.5"


def test_the_envelope_sums_per_currency_without_hidden_accounts(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    bank.add_connection(
        user,
        accounts=[
            {"balance": "0.10", "coming": "-0.05"},
            {"balance": "0.20"},
            {"balance": "182340500", "currency": "JPY"},
            {"balance": "1.375", "currency": "TND"},
            {"balance": "99", "disabled": True},
            {"balance": "99", "deleted": True},
        ],
    )

    listed = payload(client.get("users/me/accounts?all"))

    assert listed["balances"] == {"EUR": Decimal("0.3"), "JPY": 182340500, "TND": Decimal("1.375")}
    assert listed["coming_balances"]["EUR"] == Decimal("0.25")
    assert listed["total"] == len(listed["accounts"]) == 6
    assert [item["currency"]["precision"] for item in listed["accounts"][2:4]] == [0, 3]
    assert "_links" not in listed


def test_an_account_has_live_extra_fields_and_an_unknown_one(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    bank.add_connection(user, accounts=[{"balance": "7481.01", "coming": "-1"}])

    account = payload(client.get("users/me/accounts"))["accounts"][0]

    assert account["formatted_balance"] == "7 481,01 €"
    assert account["coming_balance"] == Decimal("7480.01")
    assert account["webid"] == account["number"]
    assert (account["type"], account["id_type"], account["bookmarked"]) == ("checking", 2, 0)
    assert account["information"] == {}
    assert "refresh_tier" in account
    digits = "".join(str(int(character, 36)) for character in account["iban"][4:] + account["iban"][:4])
    assert int(digits) % 97 == 1
    assert account["iban"][4:9] == "99999"


def test_any_field_can_be_set_unchanged(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(
        user,
        accounts=[{"balance": {"odd": 1}, "currency": "EUR", "aura": "blue", "verbatim": {"id": "seven"}}],
    )
    account = payload(client.get("users/me/accounts"))["accounts"][0]
    assert (account["balance"], account["aura"], account["id"]) == ({"odd": 1}, "blue", "seven")

    bank.change_account(user.domain, made.account_ids[0], balance="12.30", currency=None, iban=None, name=None)

    account = payload(client.get("users/me/accounts"))["accounts"][0]
    assert account["balance"] == Decimal("12.3")
    assert (account["currency"], account["iban"], account["name"]) == (None, None, None)


def test_a_disabled_account_is_not_found_without_all(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"disabled": True, "balance": "250.75"}])
    address = f"users/me/accounts/{made.account_ids[0]}"

    assert payload(client.get("users/me/accounts"))["accounts"] == []
    assert refusal(client.get(address)) == (404, "notFound")
    assert refusal(client.put(address, json={"disabled": False})) == (404, "notFound")
    assert payload(client.get(f"{address}?all"))["balance"] is None


def test_an_enabled_account_has_values_after_the_next_sync(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    found = bank.add_connection(
        user, accounts=[{"disabled": True, "balance": amount, "moves": False} for amount in ("1.1", "2.2", "3.3")]
    )
    wanted = ",".join(str(number) for number in found.account_ids[:2])

    changed = client.put(f"users/me/connections/{found.id}/accounts/{wanted}?all", json={"disabled": False})
    enabled = payload(changed)["accounts"]
    assert [(item["disabled"], item["balance"]) for item in enabled] == [(None, None), (None, None)]
    bank.advance(days=1)

    listed = payload(client.get(f"users/me/connections/{found.id}/accounts"))["accounts"]
    assert [item["balance"] for item in listed] == [Decimal("1.1"), Decimal("2.2")]
    assert all(item["last_update"].startswith("2026-03-11") for item in listed)


def test_disabling_stamps_the_account_and_a_bad_id_changes_none(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1"}, {"balance": "2"}])
    first, second = made.account_ids

    assert client.put(f"users/me/accounts/{first},999999", json={"disabled": True}).status_code == 404
    assert client.get(f"users/me/accounts/{first}").status_code == 200
    done = client.post(f"users/me/accounts/{first}", json={"disabled": True, "name": "Old"})

    assert payload(done)["disabled"] == "2026-03-10 13:00:00"
    assert payload(client.get(f"users/me/accounts/{first}?all"))["name"] == "Old"
    assert client.get(f"users/me/accounts/{second}").status_code == 200


@pytest.mark.parametrize("change", [{"disabled": "perhaps"}, {"name": 5}, {"usage": "FUN"}, {"bookmarked": 2}])
def test_an_update_with_a_wrong_value_is_refused(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client, change: dict[str, object]
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": "1"}])

    answer = client.put(f"users/me/accounts/{made.account_ids[0]}", json=change)

    assert refusal(answer) == (400, "invalidValue")


def test_pages_stay_stable_when_accounts_appear_and_vanish(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    made = bank.add_connection(user, accounts=[{"balance": str(number)} for number in range(5)])

    first = payload(client.get("users/me/accounts?limit=2&all"))
    bank.delete_account(user.domain, made.account_ids[0])
    added = bank.add_account(user.domain, made.id, balance="9")
    seen = [item["id"] for item in first["accounts"]]
    link = first["_links"]["next"]
    while link is not None:
        assert link["href"].startswith(f"{bank.url}/smith-sandbox/2.0/users/me/accounts?")
        answer = payload(client.get(link["href"]))
        seen += [item["id"] for item in answer["accounts"]]
        link = answer["_links"]["next"]

    assert seen == [*made.account_ids, added]


def test_the_previous_page_is_reached_backwards(bank: SimulatedBank, user: SimulatedUser, client: httpx.Client) -> None:
    made = bank.add_connection(user, accounts=[{"balance": str(number)} for number in range(5)])
    second = payload(client.get("users/me/accounts?limit=2&offset=2"))
    assert [item["id"] for item in second["accounts"]] == made.account_ids[2:4]

    before = payload(client.get(second["_links"]["prev"]["href"]))

    assert [item["id"] for item in before["accounts"]] == made.account_ids[:2]
    assert before["_links"]["prev"] is None
    assert before["_links"]["self"]["href"] == second["_links"]["prev"]["href"]
    after = payload(client.get(before["_links"]["next"]["href"]))
    assert [item["id"] for item in after["accounts"]] == made.account_ids[2:4]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=ten", "offset=-1", "limit=2&cursor=nonsense", "limit=²"]
)
def test_invalid_paging_is_refused(client: httpx.Client, query: str) -> None:
    for path in ("accounts", "connections"):
        assert refusal(client.get(f"users/me/{path}?{query}")) == (400, "invalidValue")


def test_a_page_size_forces_pages_on_every_request(
    bank: SimulatedBank, user: SimulatedUser, client: httpx.Client
) -> None:
    bank.change_domain(user.domain, page_size=1)
    ids = [bank.add_connection(user).id for _ in "abc"]

    first = payload(client.get("users/me/connections?expand=connector"))
    second = payload(client.get(first["_links"]["next"]["href"]))

    assert [item["id"] for item in first["connections"] + second["connections"]] == ids[:2]
    assert "connector" in second["connections"][0]
    assert first["total"] == 3
