"""`pfo connect` and `pfo reconnect`: a link, a member who comes back, a sync; and a person who comes that was not sent."""

import asyncio
import threading
from urllib.parse import urlencode

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner, Result

from pfo_pipeline.cli import main
from pfo_pipeline.cli.callback_server import ERRORS, listening_for, wait_for_return
from pfo_pipeline.ledger.lock import hold_lock
from pfo_pipeline_tests.cli.visiting import (
    CANCEL,
    CONSENT,
    FIX,
    Visitor,
    free_port,
    new_household,
    parameters,
    visit,
    way_back,
)
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, sync_and_refresh
from pfo_pipeline_tests.simulator.conftest import web

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)


@pytest.fixture
def jane(office: Office, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    return new_household(office, monkeypatch)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def refused(result: Result) -> str:
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.stderr


def connections(jane: Visitor) -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {jane.token_file.read_text().strip()}"}
    found: list[dict[str, object]] = web.get(f"{jane.domain.base_url}/users/me/connections", headers=headers).json()[
        "connections"
    ]
    return found


def test_a_member_connects_a_bank_and_the_tenant_is_synced(jane: Visitor) -> None:
    result = jane.connect(lambda link: visit(link, CONSENT))

    assert result.exit_code == 0, result.output
    (page,) = jane.seen
    assert isinstance(page, httpx.Response)
    assert (page.status_code, "All is done. You can close this window." in page.text) == (200, True)
    assert page.headers["Cache-Control"] == "no-store"
    (connection,) = connections(jane)
    assert f"smith: jane has come back from the bank of connection {connection['id']}." in result.stdout
    assert jane.synced == [("smith",)]
    assert len(jane.users()) == 1


def test_the_link_is_told_and_neither_token_nor_secret_is(jane: Visitor) -> None:
    result = jane.connect(lambda link: visit(link, CONSENT))

    (link,) = jane.links
    assert link in result.stdout.splitlines()
    assert link.startswith(f"{jane.office.bank.url}/webview/en/connect?")
    assert sorted(parameters(link)) == ["client_id", "code", "domain", "redirect_uri", "state"]
    assert len(parameters(link)["state"]) >= 32
    for secret in (jane.token_file.read_text().strip(), jane.domain.client_secret):
        assert secret not in result.output


def test_a_second_bank_is_of_the_same_user(jane: Visitor) -> None:
    jane.connect(lambda link: visit(link, CONSENT))
    result = jane.connect(lambda link: visit(link, CONSENT))

    assert result.exit_code == 0, result.output
    assert len(connections(jane)) == 2
    assert len(jane.users()) == 1
    assert parameters(jane.links[0])["state"] != parameters(jane.links[1])["state"]


def test_a_member_who_comes_back_without_a_bank_has_connected_none(jane: Visitor) -> None:
    def browse(link: str) -> str:
        way = {"state": parameters(link)["state"], "connection_id": "abc"}
        return web.get(jane.redirect_uri, params=way).text

    result = jane.connect(browse)

    assert "The member came back without a bank. The same command gives a new link." in refused(result)
    assert "All is done" not in str(jane.seen)
    assert jane.synced == []


def test_who_comes_without_the_right_state_changes_nothing(jane: Visitor) -> None:
    def browse(link: str) -> list[int]:
        back = jane.redirect_uri
        state = parameters(link)["state"]
        wrong = [
            {},
            {"connection_id": "666"},
            {"connection_id": "666", "state": ""},
            {"connection_id": "666", "state": state[:-1]},
            {"connection_id": "666", "state": state + "é\udc00"[:1]},
            {"error": "access_denied", "state": "x"},
        ]
        statuses = [web.get(back, params=query).status_code for query in wrong]
        statuses += [web.get(back + "/other", params={"state": state}).status_code, web.post(back).status_code]
        return [*statuses, visit(link, CONSENT).status_code]

    result = jane.connect(browse)

    assert result.exit_code == 0, result.output
    assert jane.seen == [[400] * 6 + [404, 405, 200]]
    assert "666" not in result.output
    assert len(jane.synced) == 1


def test_a_member_who_does_not_consent_is_told_of_and_nothing_is_synced(jane: Visitor) -> None:
    printed = refused(jane.connect(lambda link: visit(link, CANCEL)))

    assert "NotConnected: The member did not consent, or left the page. The same command gives a new link." in printed
    assert "cancelled" not in printed
    assert jane.synced == []
    assert jane.connect(lambda link: visit(link, CONSENT)).exit_code == 0
    assert len(jane.users()) == 1


@pytest.mark.parametrize("error", [*ERRORS, "unheard_of<script>"])
def test_each_way_to_fail_has_a_sentence_and_what_came_is_not_shown(jane: Visitor, error: str) -> None:
    def browse(link: str) -> str:
        given = {"error": error, "error_description": "J0HN SMITH <b>", "state": parameters(link)["state"]}
        return web.get(f"{jane.redirect_uri}?{urlencode(given)}").text

    printed = refused(jane.connect(browse))

    sentence = ERRORS.get(error, "Powens' page ended with an error that we do not know.")
    assert f"NotConnected: {sentence}" in printed
    (page,) = jane.seen
    assert sentence in str(page)
    assert not any(shown in printed + str(page) for shown in ("J0HN", "<script>", "<b>"))


def test_nobody_is_waited_for_longer_than_the_code_holds() -> None:
    uri = f"http://127.0.0.1:{free_port()}/powens"
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    with listening_for(uri) or pytest.fail("no socket") as listener:
        assert asyncio.run(wait_for_return(listener, uri, "ST4TE", sleep=sleep)) is None
    assert waited == [1800]


def test_a_link_that_ended_is_told(jane: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfo_pipeline.cli.callback_server.CODE_LIFE_SECONDS", 0)

    assert "Nobody came back within half an hour" in refused(run("connect", "--tenant", "smith", "--member", "jane"))


def test_a_port_that_is_taken_is_told_before_anything_is_made(jane: Visitor) -> None:
    with listening_for(jane.redirect_uri) or pytest.fail("no socket"):
        printed = refused(run("connect", "--tenant", "smith", "--member", "jane"))

    assert "CannotWait: redirect_uri: port" in printed
    assert "configure another port" in printed
    assert jane.office.calls("smith") == []


@pytest.mark.parametrize(
    "uri", ["https://office.example/powens", "https://127.0.0.1:8765/powens", "http://127.0.0.1/powens"]
)
def test_an_address_elsewhere_is_not_waited_at(jane: Visitor, uri: str) -> None:
    jane.office.change_tenant("smith", redirect_uri=uri)
    jane.office.bank.change_domain(jane.domain.name, redirect_uris=[uri])

    result = run("connect", "--tenant", "smith", "--member", "jane")

    assert result.exit_code == 0, result.output
    (link,) = result.stdout.splitlines()
    assert "state" not in parameters(link)
    assert "The next run reads what was connected: pfo run --tenant smith" in result.stderr
    assert way_back(link, CONSENT).startswith(f"{uri}?connection_id=")
    assert jane.synced == []


def test_an_address_that_the_console_does_not_allow_is_named(jane: Visitor) -> None:
    jane.office.bank.change_domain(jane.domain.name, redirect_uris=["https://office.example/powens"])

    printed = refused(run("connect", "--tenant", "smith", "--member", "jane"))

    assert f"ConfigError: tenants.smith.redirect_uri: {jane.redirect_uri} is not among the addresses" in printed
    assert jane.synced == []


@pytest.mark.parametrize("key", ["client_id", "redirect_uri"])
def test_what_the_page_needs_is_named_before_anything_is_made(jane: Visitor, key: str) -> None:
    del jane.office.tenants["smith"][key]
    jane.office.write()

    assert f"tenants.smith.{key}: is missing" in refused(run("connect", "--tenant", "smith", "--member", "jane"))
    assert jane.office.calls("smith") == []


def test_whom_there_is_not_is_named_with_who_there_is(jane: Visitor) -> None:
    assert "Known tenants: smith." in refused(run("connect", "--tenant", "stranger", "--member", "jane"))
    assert "Tenant smith has no user 'john'. Known users: jane." in refused(
        run("connect", "--tenant", "smith", "--member", "john")
    )


def test_connecting_needs_the_role_admin(jane: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFO_ROLE", "user")

    assert "needs role admin" in refused(run("connect", "--tenant", "smith", "--member", "jane"))
    assert jane.office.calls("smith") == []


def test_two_at_once_for_one_member_are_one_and_the_second_is_told(jane: Visitor) -> None:
    printed = []

    def browse(link: str) -> object:
        printed.append(second())
        return visit(link, CONSENT)

    def second() -> bool:
        """A second program would find the lock taken."""
        lock = jane.office.files.private / "members" / "smith.jane.lock"
        try:
            with hold_lock(lock, deadline_seconds=0):
                return True
        except Exception:
            return False

    assert jane.connect(browse).exit_code == 0
    assert printed == [False]
    with hold_lock(jane.office.files.private / "members" / "smith.jane.lock", deadline_seconds=0):
        shown = []
        thread = threading.Thread(target=lambda: shown.append(run("connect", "--tenant", "smith", "--member", "jane")))
        thread.start()
        thread.join(timeout=60)
    (result,) = shown
    assert "is at work for member jane of smith (pfo connect, reconnect or disconnect)." in refused(result)


@pytest.fixture
def troubled(jane: Visitor, instance: dg.DagsterInstance) -> Visitor:
    """Jane has connected her bank, which no longer knows her password; the ledger knows of it."""
    jane.connect(lambda link: visit(link, CONSENT))
    assert all(run.success for run in sync_and_refresh(jane.office, instance, "smith"))
    (connection,) = connections(jane)
    jane.office.bank.change_connection(jane.domain.name, int(str(connection["id"])), state="wrongpass")
    jane.synced.clear()
    return jane


def test_a_member_fixes_a_connection_and_the_tenant_is_synced(troubled: Visitor) -> None:
    (connection,) = connections(troubled)
    assert connection["state"] == "wrongpass"
    words = ("reconnect", "--tenant", "smith", "--connection", str(connection["id"]))

    result = troubled.connect(lambda link: visit(link, FIX), *words)

    assert result.exit_code == 0, result.output
    troubled.office.bank.advance(minutes=1)
    (connection,) = connections(troubled)
    assert connection["state"] is None
    assert troubled.synced == [("smith",)]


def test_a_member_who_is_elsewhere_is_sent_the_link(troubled: Visitor) -> None:
    ((connection,),) = troubled.office.ask("select connection_id from connections_latest")

    result = run("reconnect", "--tenant", "smith", "--connection", connection, "--no-wait")

    assert result.exit_code == 0, result.output
    (link,) = result.stdout.splitlines()
    assert sorted(parameters(link)) == ["client_id", "code", "connection_id", "domain", "redirect_uri"]
    assert f"connection_id={connection}" in way_back(link, FIX)
    assert troubled.synced == []


def test_a_check_of_the_configuration_says_how_a_token_is_made(jane: Visitor) -> None:
    printed = refused(run("config", "check"))

    assert f"{jane.token_file} cannot be read" in printed
    assert "pfo connect --tenant smith --member jane" in printed
    jane.connect(lambda link: visit(link, CONSENT))
    assert run("config", "check").exit_code == 0


def test_mending_makes_no_user_where_the_token_is_lost(troubled: Visitor) -> None:
    ((connection,),) = troubled.office.ask("select connection_id from connections_latest")
    words = ("reconnect", "--tenant", "smith", "--connection", connection, "--no-wait")
    troubled.token_file.unlink()

    assert run(*words).exit_code == 0
    troubled.token_file.unlink()
    troubled.token_file.with_name(f"{troubled.token_file.name}.user").unlink()

    assert f"{troubled.token_file} cannot be read" in refused(run(*words))
    assert len(troubled.users()) == 1
