"""Invalid answers to one member each, over real HTTP: that member fails with a clear error, and the others continue."""

import base64
import gzip
from collections.abc import Iterator
from typing import Any

import dagster as dg
import httpx
import pytest

from pfo_pipeline.config import ConfigError, load_config
from pfo_pipeline.powens import client as client_module
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS,
    DAGSTERS_OWN_WARNING,
    Office,
    failure,
    metadata,
    run_job,
    sync_and_refresh,
)
from pfo_pipeline_tests.simulated_bank import SimulatedBank

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

LIMIT = 1024 * 1024
Answer = dict[str, Any]


def text(body: str, **how: Any) -> Answer:
    return {"kind": "body", "body": body, **how}


def binary(body: bytes, **how: Any) -> Answer:
    return {"kind": "body", "body_base64": base64.b64encode(body).decode(), **how}


def packed(body: bytes, encoding: str = "gzip", **how: Any) -> Answer:
    return binary(body, headers={"Content-Encoding": encoding}, **how)


BOMB = gzip.compress(b" " * (LIMIT + 1))
# The answer; then the member's expected status and code.
BAD_ANSWERS: dict[str, tuple[Answer, str, str]] = {
    "a web page": (text("<html>Welcome</html>", content_type="text/html"), "unreachable", "notJson"),
    "as much of nothing as is read": (text("x", repeat=LIMIT), "unreachable", "notJson"),
    "more than anybody reads": (text(" ", repeat=LIMIT + 1), "refused", "tooLarge"),
    "nested without end": (text("[", repeat=100_000), "unreachable", "notJson"),
    "nested deeply, but closed": (
        text('{"accounts": [{"id": 1, "x": ' + "[" * 900 + "]" * 900 + "}]}"), "unreachable", "notJson",
    ),
    "no UTF-8": (binary(b'{"accounts": [{"name": "\xff"}]}'), "unreachable", "notJson"),
    "a gzip bomb": (packed(BOMB), "refused", "tooLarge"),
    "a gzip bomb in a gzip": (packed(gzip.compress(BOMB), "gzip, gzip"), "unreachable", "badEncoding"),
    "gzip that is none": (packed(b'{"accounts": []}'), "unreachable", "badEncoding"),
    "gzip cut short": (packed(gzip.compress(b'{"accounts": []}')[:-12]), "unreachable", "notJson"),
    "an encoding nobody asked for": (packed(b'{"accounts": []}', "br"), "unreachable", "badEncoding"),
    "a redirect to another host": (
        text("", status=307, headers={"Location": "http://127.0.0.2:9/2.0/users/me/accounts"}),
        "refused", "http307",
    ),
    "a redirect in JSON": (
        text('{"code": "moved"}', status=302, headers={"Location": "http://127.0.0.2:9/"}), "refused", "moved",
    ),
    "chunks without end": ({"kind": "endless", "body": " ", "repeat": LIMIT}, "refused", "tooLarge"),
    "a list that is none": (text('{"accounts": {"id": 1}}'), "refused", "unreadable"),
    "two lists in one": (text('{"accounts": [], "accounts": [{"id": 1}]}'), "refused", "unreadable"),
    "a token of yesterday": ({"kind": "status", "status": 401}, "refused", "unauthorized"),
}  # fmt: skip


def test_each_bad_answer_ends_clearly_for_its_member_and_everybody_else_is_synced(
    office: Office, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", LIMIT)
    members = {f"member{number}": what for number, what in enumerate(BAD_ANSWERS)}
    office.add_tenant("smith", "healthy", *members, timeout_seconds=10)
    office.add_tenant("jones", "joan")
    office.connect("jones", "joan", "2")
    for user in ("healthy", *members):
        office.connect("smith", user, "1")
    for user, what in members.items():
        office.bank.fault(user=office.users["smith", user].id, path=f"^{ACCOUNTS}$", times=None, **BAD_ANSWERS[what][0])

    smith, jones = run_job(office, instance, "smith"), run_job(office, instance, "jones")

    assert smith.success
    assert jones.success
    output = {
        user: (status, code) for user, status, code in office.ask("select user_id, status, code from users_latest")
    }
    assert {members.get(user, user): ended for user, ended in output.items()} == {
        "healthy": ("ok", None),
        "joan": ("ok", None),
        **{what: (status, code) for what, (_, status, code) in BAD_ANSWERS.items()},
    }
    # For the affected members nothing is half-written, and nothing counts as removed.
    assert office.ask("select tenant_id, user_id, deleted_at from accounts order by 1") == [
        ("jones", "joan", None),
        ("smith", "healthy", None),
    ]
    problems = str(metadata(smith, "accounts/synced")["problems"])
    assert all(f"user {user}: GET /" in problems for user in members)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A web server that is not Powens: it knows no path."""
    with SimulatedBank() as other:
        yield other.url


@pytest.mark.parametrize(
    ("url", "code", "who", "remedy"),
    [
        ("https://smith.powens.invalid/2.0", "unknownHost", "operator", "check tenants.smith.domain"),
        ("{elsewhere}/2.0", "notFound", "operator", "Check domain"),
        ("http://127.0.0.1:9/2.0", "unreachable", "powens", "the next run asks again"),
    ],
)
def test_only_a_tenant_at_a_wrong_address_fails_by_name_with_a_remedy(
    office: Office, instance: dg.DagsterInstance, elsewhere: str, url: str, code: str, who: str, remedy: str
) -> None:
    office.add_tenant("smith", "jane", "john")
    office.add_tenant("jones", "joan")
    office.connect("jones", "joan", "2")
    office.change_tenant("smith", base_url=url.format(elsewhere=elsewhere))

    wrong = run_job(office, instance, "smith")
    other = run_job(office, instance, "jones")

    assert not wrong.success
    assert other.success
    described, output = failure(wrong)
    assert (output["code"], output["who_acts"]) == (code, who)
    assert remedy in described
    assert office.ask("select distinct tenant_id, code from users_latest where status <> 'ok'") == [("smith", code)]
    assert office.ask("select distinct tenant_id from accounts") == [("jones",)]


def test_http_to_another_machine_is_refused_before_any_call(office: Office) -> None:
    office.add_tenant("smith", "jane")
    office.change_tenant("smith", base_url="http://smith.biapi.pro/2.0")

    with pytest.raises(ConfigError, match=r"tenants\.smith\.base_url: http would send tokens in clear"):
        load_config(office.config)


def test_a_user_deleted_at_powens_is_reported_and_keeps_its_history(
    office: Office, instance: dg.DagsterInstance
) -> None:
    domain = office.add_tenant("smith", "jane", "john")
    for user in ("jane", "john"):
        office.connect("smith", user, "1")
    sync_and_refresh(office, instance, "smith")
    deleted = httpx.delete(
        f"{domain.base_url}/users/{office.users['smith', 'john'].id}",
        headers={"Authorization": f"Bearer {domain.users_token}"},
    )
    assert deleted.status_code == 204

    accounts = run_job(office, instance, "smith")

    assert accounts.success
    ((status, who, remedy),) = office.ask("select status, who_acts, remedy from users_latest where user_id = 'john'")
    assert (status, who) == ("refused", "operator")
    assert "If the user was deleted there, take it out of the configuration." in remedy
    assert office.ask("select user_id from positions order by 1") == [("jane",), ("john",)]
