"""The small bank over real HTTP: the documentation's promises to a client that reads."""

import json
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any

import pytest

from pfo_pipeline_tests.oracle.bank import Bank, recorded
from pfo_pipeline_tests.oracle.cases import CASES, at, moment, state
from pfo_pipeline_tests.oracle.script import Script, account, connection

JANE = "token-of-jane"
SCRIPT = Script(
    (
        moment(
            0,
            jane=state(
                [connection(1, at(0))],
                [
                    account(11, 1, "0.10", at(0)),
                    account(12, 1, "2.00", at(0), disabled="2026-01-05 09:00:00"),
                    account(13, 1, "3.00", at(0), deleted="2026-01-05 09:00:00"),
                ],
            ),
        ),
    )
)


@pytest.fixture
def bank() -> Iterator[Bank]:
    with Bank(SCRIPT) as running:
        yield running


def asked(bank: Bank, path: str, token: str | None = JANE) -> tuple[int, Any, str]:
    line = HTTPConnection("127.0.0.1", int(bank.base_url.split(":")[2].split("/")[0]))
    try:
        line.request("GET", f"/2.0{path}", headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = line.getresponse()
        return answer.status, json.loads(answer.read(), parse_float=Decimal), answer.headers["Date"]
    finally:
        line.close()


def ids(body: Any) -> list[int]:
    return [row["id"] for row in body["accounts"]]


def test_disabled_and_deleted_accounts_are_only_shown_on_request(bank: Bank) -> None:
    assert ids(asked(bank, "/users/me/accounts")[1]) == [11]
    assert ids(asked(bank, "/users/me/accounts?all")[1]) == [11, 12, 13]
    assert ids(asked(bank, "/users/me/connections/1/accounts?all")[1]) == [11, 12, 13]
    assert asked(bank, "/users/me/accounts/12")[0] == 404
    assert asked(bank, "/users/me/accounts/12?all")[1]["balance"] == Decimal("2.00")


def test_a_balance_keeps_its_digits(bank: Bank) -> None:
    assert str(asked(bank, "/users/me/accounts/11")[1]["balance"]) == "0.10"


def test_connector_and_sources_are_shown_when_expanded(bank: Bank) -> None:
    bare = asked(bank, "/users/me/connections")[1]["connections"][0]
    full = asked(bank, "/users/me/connections/1?expand=connector[countries],sources")[1]
    assert not {"connector", "sources"} & bare.keys()
    assert {"connector", "sources"} <= full.keys()


def test_a_wrong_token_is_unauthorized(bank: Bank) -> None:
    status, body, _ = asked(bank, "/users/me/accounts", "no-such")
    assert (status, body["code"]) == (401, "unauthorized")
    assert asked(bank, "/users/me/accounts", None)[0] == 401
    assert not bank.sent


def test_another_users_lists_are_not_found(bank: Bank) -> None:
    assert asked(bank, "/users/700/accounts")[0] == 200
    assert asked(bank, "/users/701/accounts")[0] == 404


def test_the_clock_of_the_answers_is_the_scripts(bank: Bank) -> None:
    assert asked(bank, "/users/me")[2] == "Mon, 02 Mar 2026 08:00:00 GMT"


def test_naive_dates_are_wall_time_of_paris(bank: Bank) -> None:
    assert asked(bank, "/users/me/accounts/11")[1]["last_update"] == "2026-03-02 07:00:00"


def test_public_answers_need_no_token(bank: Bank) -> None:
    assert asked(bank, "/account_types", None)[0] == 200
    assert asked(bank, "/connectors", None)[0] == 200


def test_the_kept_bytes_are_those_that_were_sent(bank: Bank) -> None:
    asked(bank, "/users/me/connections?expand=connector,sources")
    asked(bank, "/users/me/accounts?all")
    assert bank.sent == recorded(SCRIPT)


def test_a_scripted_refusal_is_sent_instead_of_a_list() -> None:
    case = next(case for case in CASES if case.name == "no_account_of_a_healthy_bank")
    with Bank(case.script, number=1) as bank:
        status, body, _ = asked(bank, "/users/me/accounts?all", bank.token("jane"))
    assert (status, body["code"]) == (409, "noAccount")
