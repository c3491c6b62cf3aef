"""One call and one list, over real HTTP: every failure has its own error, none is retried, none reveals a secret."""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import httpx
import pytest

from pfo_pipeline.errors import ConfigError
from pfo_pipeline.ledger.store import Clock, utc_now
from pfo_pipeline.powens import client as client_module
from pfo_pipeline.powens.client import CALLS_AT_ONCE, Listing, PowensClient, TransportFactory
from pfo_pipeline.powens.errors import (
    Invalid,
    Missing,
    NotJson,
    PowensError,
    RateLimited,
    Refused,
    ServerFault,
    TooSlow,
    Transient,
    Unreachable,
    WrongClock,
    WrongHost,
)
from pfo_pipeline.simulator import listen, url_of
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser

R = TypeVar("R")
HOST = "https://smith.biapi.pro"
ROOT = f"{HOST}/2.0"


def with_client(
    root: str,
    work: Callable[[PowensClient], Awaitable[R]],
    *,
    timeout_seconds: float = 30,
    transport: TransportFactory | None = None,
) -> R:
    """Open a client, do the work, close it."""

    async def run() -> R:
        async with PowensClient(root, timeout_seconds=timeout_seconds, transport=transport) as client:
            return await work(client)

    return asyncio.run(run())


def call(user: SimulatedUser, path: str = "/users/me", *, timeout_seconds: float = 30) -> dict[str, Any]:
    return with_client(
        user.base_url, lambda c: c.call("GET", user.base_url + path, user.token), timeout_seconds=timeout_seconds
    )


def read_accounts(user: SimulatedUser, **params: str) -> list[dict[str, Any]]:
    return listing(user, **params).records


def listing(user: SimulatedUser, **params: str) -> Listing:
    return with_client(user.base_url, lambda c: c.read_list("/users/me/accounts", "accounts", user.token, params))


def failure(work: Callable[[], object]) -> PowensError:
    with pytest.raises(PowensError) as failed:
        work()
    return failed.value


def answered_by(handler: Callable[[httpx.Request], httpx.Response]) -> TransportFactory:
    """A transport for answers that the simulator cannot send."""
    return lambda: httpx.MockTransport(handler)


def failure_of_answer(response: httpx.Response, clock: Clock = utc_now) -> PowensError:
    async def run() -> None:
        client = PowensClient(ROOT, timeout_seconds=30, transport=answered_by(lambda _: response), clock=clock)
        async with client:
            await client.call("GET", f"{ROOT}/users/me", "t0ken")

    return failure(lambda: asyncio.run(run()))


class TestAnswers:
    def test_a_call_sends_the_token_and_returns_the_object(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        answer = call(user)

        assert answer["id"] == user.id
        assert [(entry["user"], entry["status"]) for entry in bank.journal()] == [(user.id, 200)]

    def test_numbers_arrive_exact(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.add_connection(user, accounts=[{"balance": "123456789012345.67"}])

        (account,) = read_accounts(user)

        assert account["balance"] == Decimal("123456789012345.67")
        assert isinstance(account["balance"], Decimal)

    def test_a_body_is_sent_as_json(self, bank: SimulatedBank, domain: SimulatedDomain) -> None:
        body = {"client_id": domain.client_id, "client_secret": domain.client_secret}

        made = with_client(domain.base_url, lambda c: c.call("POST", f"{domain.base_url}/auth/init", None, json=body))

        assert made["type"] == "permanent"

    def test_calls_of_one_client_share_its_limit(self) -> None:
        under_way = most = 0

        async def handler(request: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            for _ in range(5):
                await asyncio.sleep(0)
            under_way -= 1
            return httpx.Response(200, json={})

        async def many(client: PowensClient) -> None:
            await asyncio.gather(*(client.call("GET", f"{ROOT}/x", "t") for _ in range(25)))

        with_client(ROOT, many, transport=lambda: httpx.MockTransport(handler))

        assert most == CALLS_AT_ONCE


class TestRefusals:
    def test_an_unknown_token_is_refused(self, domain: SimulatedDomain) -> None:
        unknown = SimulatedUser(domain.name, domain.base_url, 1, "unknown")

        error = failure(lambda: call(unknown))

        assert isinstance(error, Refused)
        assert (error.code, error.call) == ("unauthorized", "GET /smith-sandbox/2.0/users/me")

    def test_no_token_is_refused(self, domain: SimulatedDomain) -> None:
        error = failure(
            lambda: with_client(domain.base_url, lambda c: c.call("GET", f"{domain.base_url}/users/me", None))
        )

        assert isinstance(error, Refused)

    def test_a_token_of_the_wrong_kind_is_refused(self, domain: SimulatedDomain) -> None:
        console = SimulatedUser(domain.name, domain.base_url, 1, domain.users_token)

        error = failure(lambda: call(console, "/users/me/accounts"))

        assert isinstance(error, Refused)
        assert error.code == "forbidden"

    def test_a_404_is_missing(self, user: SimulatedUser) -> None:
        error = failure(lambda: call(user, "/users/me/accounts/999"))

        assert isinstance(error, Missing)
        assert error.code == "notFound"

    @pytest.mark.parametrize(
        ("status", "code"), [(400, "invalidValue"), (405, "methodNotAllowed"), (409, "conflict"), (409, "noAccount")]
    )
    def test_any_other_4xx_is_invalid_and_keeps_its_code(
        self, bank: SimulatedBank, user: SimulatedUser, status: int, code: str
    ) -> None:
        bank.fault("status", status=status, code=code)

        error = failure(lambda: call(user))

        assert isinstance(error, Invalid)
        assert error.code == code
        assert f"Powens answered {status}" in error.reason

    def test_an_error_keeps_its_request_id(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("status", status=400)

        error = failure(lambda: call(user))

        assert error.request_id is not None
        assert error.request_id.isdigit()
        assert f"(request {error.request_id})" in str(error)

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_token_needs_no_readable_body(
        self, bank: SimulatedBank, user: SimulatedUser, status: int
    ) -> None:
        bank.fault("body", status=status, body="<html>go away</html>", content_type="text/html")

        error = failure(lambda: call(user))

        assert isinstance(error, Refused)
        assert error.code == f"http{status}"

    def test_an_unreadable_error_answer_is_transient(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("body", status=400, body="<html>Bad request</html>", content_type="text/html")

        error = failure(lambda: call(user))

        assert isinstance(error, NotJson)
        assert (error.code, error.reason) == ("notJson", "Powens answered 400 without a readable body")


class TestTooManyCalls:
    def test_retry_after_in_seconds_is_kept(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("status", status=429, retry_after=7)

        error = failure(lambda: call(user))

        assert isinstance(error, RateLimited)
        assert (error.code, error.retry_after_seconds) == ("tooManyRequests", 7)

    def test_without_retry_after_there_is_no_wait(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("status", status=429)

        error = failure(lambda: call(user))

        assert isinstance(error, RateLimited)
        assert error.retry_after_seconds is None

    def test_a_domain_at_its_limit_sends_retry_after(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.change_domain(user.domain, rate_limit_per_minute=1)
        call(user)

        error = failure(lambda: call(user))

        assert isinstance(error, RateLimited)
        assert error.retry_after_seconds is not None
        assert 1 <= error.retry_after_seconds <= 60

    def test_a_429_with_html_is_still_rate_limited(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("body", status=429, body="<html>", content_type="text/html", retry_after=3)

        error = failure(lambda: call(user))

        assert isinstance(error, RateLimited)
        assert (error.code, error.retry_after_seconds) == ("http429", 3)

    @pytest.mark.parametrize(
        ("found", "seconds"),
        [
            ("0", 0.0),
            (" 12 ", 12.0),
            ("Tue, 10 Mar 2026 12:01:30 GMT", 90.0),
            ("Tue, 10 Mar 2026 13:01:30 +0100", 90.0),
            ("Tue, 10 Mar 2026 11:00:00 GMT", 0.0),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("²", None),
            ("٣", None),
            ("Tue, 10 Mar 2026 12:01:30 -0000", None),
            ("Tue, 10 Mar 2026 12:01:30 +9999999999999999", None),
            ("Tue, 99 Mar 2026 12:01:30 GMT", None),
        ],
    )
    def test_any_retry_after_is_read_or_ignored(self, found: str, seconds: float | None) -> None:
        headers = [(b"Retry-After", found.encode()), (b"Date", b"Tue, 10 Mar 2026 12:00:00 GMT")]
        answer = httpx.Response(429, headers=headers, json={"code": "tooManyRequests"})

        error = failure_of_answer(answer, clock=lambda: datetime(2026, 3, 10, 12, tzinfo=UTC))

        assert isinstance(error, RateLimited)
        assert error.retry_after_seconds == seconds

    def test_a_retry_date_needs_the_servers_own_date(self) -> None:
        headers = {"Retry-After": "Tue, 10 Mar 2026 12:01:30 GMT"}

        error = failure_of_answer(httpx.Response(429, headers=headers, json={}))

        assert isinstance(error, RateLimited)
        assert error.retry_after_seconds is None


class TestServer:
    def test_a_server_fault_keeps_its_code(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("status", status=500, code="bug")

        error = failure(lambda: call(user))

        assert isinstance(error, ServerFault)
        assert error.code == "bug"

    def test_a_page_of_the_edge_is_a_server_fault(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("html")

        error = failure(lambda: call(user))

        assert isinstance(error, ServerFault)
        assert (error.code, error.reason) == ("http503", "Powens answered 503")

    @pytest.mark.parametrize(
        "order",
        [
            {"body": ""},
            {"body": "<html>Welcome</html>", "content_type": "text/html"},
            {"body_base64": base64.b64encode(b'{"id": "\xff\xfe"}').decode()},
            {"body": "[", "repeat": 100_000},
            {"body": '{"a":', "repeat": 100_000},
            {"body": '{"id": 1'},
            {"body": "[]"},
            {"body": "null"},
            {"body": '"text"'},
            {"body": "12"},
        ],
        ids=lambda order: str(order)[:40],
    )
    def test_a_success_without_a_json_object_is_transient(
        self, bank: SimulatedBank, user: SimulatedUser, order: dict[str, Any]
    ) -> None:
        bank.fault("body", **order)

        error = failure(lambda: call(user))

        assert isinstance(error, NotJson)
        assert (error.code, error.reason) == ("notJson", "the answer is not a JSON object")

    def test_a_too_large_answer_is_not_read_to_its_end(
        self, bank: SimulatedBank, user: SimulatedUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 2 * 1024 * 1024)
        bank.fault("body", body=" " * 1024, repeat=2 * 1024 + 1)

        error = failure(lambda: call(user))

        assert isinstance(error, Invalid)
        assert (error.code, error.reason) == ("tooLarge", "the answer is larger than 2 MiB")

    def test_an_answer_of_exactly_the_largest_size_is_read(
        self, bank: SimulatedBank, user: SimulatedUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 1024)
        bank.fault("body", body="{}".ljust(1024))

        assert call(user) == {}

    def test_a_redirect_is_not_followed_because_it_would_carry_the_token(self) -> None:
        asked: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            return httpx.Response(302, headers={"Location": "https://evil.example/"})

        error = failure(
            lambda: with_client(
                ROOT, lambda c: c.call("GET", f"{ROOT}/users/me", "t0ken"), transport=answered_by(handler)
            )
        )

        assert asked == [f"{ROOT}/users/me"]
        assert isinstance(error, Invalid)
        assert (error.code, error.reason[:32]) == ("http302", "Powens answered 302, a redirect,")


class TestClock:
    """Each answer has Powens' own time; data read under a wrong clock would have wrong dates permanently."""

    THEIRS = datetime(2026, 3, 10, 12, tzinfo=UTC)

    def ask(
        self, ours: datetime, method: str = "GET", date: str = "Tue, 10 Mar 2026 12:00:00 GMT", status: int = 200
    ) -> dict[str, Any]:
        def handler(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, json={"id": 1}, headers={"Date": date} if date else {})

        async def run() -> dict[str, Any]:
            client = PowensClient(ROOT, timeout_seconds=5, transport=answered_by(handler), clock=lambda: ours)
            async with client:
                return await client.call(method, f"{ROOT}/users/me", "t0ken")

        return asyncio.run(run())

    @pytest.mark.parametrize(
        ("apart", "found"),
        [
            (timedelta(hours=-1), "1.0 hours behind"),
            (timedelta(hours=1), "1.0 hours ahead of"),
            (timedelta(days=-2), "48.0 hours behind"),
            (timedelta(days=2), "48.0 hours ahead of"),
        ],
    )
    def test_a_clock_that_is_an_hour_off_is_named(self, apart: timedelta, found: str) -> None:
        error = failure(lambda: self.ask(self.THEIRS + apart))

        assert isinstance(error, WrongClock)
        assert (error.code, error.reason) == ("clock", f"this machine's clock is {found} that of Powens")

    @pytest.mark.parametrize("status", [401, 404, 429, 503])
    def test_an_error_answer_also_proves_a_wrong_clock(self, status: int) -> None:
        error = failure(lambda: self.ask(self.THEIRS + timedelta(days=2), status=status))

        assert isinstance(error, WrongClock)

    @pytest.mark.parametrize("minutes", [-29, 0, 29])
    def test_a_drifting_clock_is_tolerated(self, minutes: int) -> None:
        assert self.ask(self.THEIRS + timedelta(minutes=minutes)) == {"id": 1}

    @pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Mar 2026 12:00:00 GMT"])
    def test_an_answer_without_a_date_is_accepted(self, date: str) -> None:
        assert self.ask(self.THEIRS + timedelta(days=9), date=date) == {"id": 1}

    def test_a_changing_call_reports_its_result_under_a_wrong_clock(self) -> None:
        assert self.ask(self.THEIRS + timedelta(days=2), "POST") == {"id": 1}


class TestProxies:
    """Of the environment, as every program of this machine has them."""

    def test_a_server_on_this_machine_is_called_without_a_proxy(
        self, bank: SimulatedBank, user: SimulatedUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://proxy.powens.invalid:3128")

        assert call(user)["id"] == user.id

    def test_other_servers_are_called_through_the_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listen() as listener:
            nobody = url_of(listener)
        monkeypatch.setenv("HTTP_PROXY", nobody)
        elsewhere = SimulatedUser("smith", "http://smith.powens.invalid/2.0", 1, "t0ken")

        assert failure(lambda: call(elsewhere)).code == "unreachable"  # Not unknownHost: the proxy would look it up.

    @pytest.mark.parametrize("proxy", ["gopher://jane:s3cret@proxy:1", "socks5://jane:s3cret@proxy:1", "http://[::1"])
    def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
        self, user: SimulatedUser, proxy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)

        with pytest.raises(ConfigError, match=r"HTTPS_PROXY.*not a proxy that can be used.*unset it") as raised:
            call(user)
        assert "s3cret" not in str(raised.value)


class TestConnectionsThatFail:
    """Exactly one request each: the step counts the attempts, not the client."""

    def test_a_reset_on_a_fresh_connection(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("reset")

        error = failure(lambda: call(user))

        assert isinstance(error, Unreachable)
        assert len(bank.journal()) == 1

    # Some libraries retry by themselves when a kept-alive connection drops.
    def test_a_reset_on_a_connection_kept_alive(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        async def twice(client: PowensClient) -> None:
            await client.call("GET", f"{user.base_url}/users/me", user.token)
            bank.clear_journal()
            bank.fault("reset")
            await client.call("GET", f"{user.base_url}/users/me", user.token)

        error = failure(lambda: with_client(user.base_url, twice))

        assert isinstance(error, Unreachable)
        assert [entry["fault"] for entry in bank.journal()] == ["reset"]

    def test_a_lost_connection_is_not_reported_as_a_slow_answer(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("reset")

        error = failure(lambda: call(user))

        assert error.code == "unreachable"
        assert "no answer within" not in str(error)
        assert "Timeout" not in str(error)

    def test_an_answer_cut_short(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("truncated")

        error = failure(lambda: call(user))

        assert isinstance(error, Unreachable)
        assert len(bank.journal()) == 1

    def test_a_port_where_nobody_listens(self) -> None:
        with listen() as listener:
            url = url_of(listener)
        nobody = SimulatedUser("smith", f"{url}/smith/2.0", 1, "t0ken")

        error = failure(lambda: call(nobody))

        assert isinstance(error, Unreachable)
        assert error.call == "GET /smith/2.0/users/me"

    def test_an_answer_that_takes_too_long(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("slow", seconds=3600)

        error = failure(lambda: call(user, timeout_seconds=1))

        assert isinstance(error, TooSlow)
        assert (error.code, error.reason) == ("timeout", "no answer within 1 s")
        assert len(bank.journal()) == 1

    def test_an_endless_answer_is_abandoned_in_time(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("endless", body=" ", seconds="0.01")

        error = failure(lambda: call(user, timeout_seconds=0.1))

        assert isinstance(error, TooSlow)

    def test_an_unknown_host_name_is_reported_as_one(self) -> None:
        nowhere = SimulatedUser("smith", "https://smith.powens.invalid/2.0", 1, "t0ken")

        error = failure(lambda: call(nowhere))

        assert isinstance(error, WrongHost)
        assert str(error) == "GET /2.0/users/me: no address is found for smith.powens.invalid [unknownHost]"

    def test_a_trickling_answer_is_too_slow_as_a_whole(self) -> None:
        # Each byte comes in time, so no timeout between bytes would end it.
        class Trickle(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                while True:
                    yield b" "
                    await asyncio.sleep(0)

        error = failure(
            lambda: with_client(
                ROOT,
                lambda c: c.call("GET", f"{ROOT}/users/me", "t0ken"),
                timeout_seconds=0.05,
                transport=answered_by(lambda _: httpx.Response(200, stream=Trickle())),
            )
        )

        assert isinstance(error, TooSlow)

    @pytest.mark.parametrize("kind", ["reset", "truncated", "html"])
    def test_a_client_works_after_a_failure(self, bank: SimulatedBank, user: SimulatedUser, kind: str) -> None:
        async def again(client: PowensClient) -> dict[str, Any]:
            with pytest.raises(Transient):
                await client.call("GET", f"{user.base_url}/users/me", user.token)
            return await client.call("GET", f"{user.base_url}/users/me", user.token)

        bank.fault(kind)

        assert with_client(user.base_url, again)["id"] == user.id
        assert len(bank.journal()) == 2

    @pytest.mark.parametrize("kind", ["status", "html", "body", "truncated"])
    def test_no_failed_call_is_repeated(self, bank: SimulatedBank, user: SimulatedUser, kind: str) -> None:
        bank.fault(kind, times=None)

        failure(lambda: call(user))

        assert len(bank.journal()) == 1


class TestPages:
    def test_a_list_is_read_page_after_page(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        made = bank.add_connection(user, accounts=[{"balance": str(number)} for number in range(5)])
        bank.change_domain(user.domain, page_size=2)

        records = read_accounts(user)

        assert [record["id"] for record in records] == made.account_ids
        queries = [entry["query"] for entry in bank.journal()]
        assert len(queries) == 3
        assert all("limit=1000" in query for query in queries)
        assert ["cursor=" in query for query in queries] == [False, True, True]

    def test_a_list_on_one_page_takes_one_call(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.add_connection(user, accounts=[{"balance": "1"}])

        assert len(read_accounts(user)) == 1
        assert len(bank.journal()) == 1

    def test_the_query_applies_to_every_page(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        made = bank.add_connection(
            user, accounts=[{"balance": "1", "disabled": number % 2 == 0} for number in range(4)]
        )
        bank.change_domain(user.domain, page_size=1)

        records = read_accounts(user, all="")

        assert [record["id"] for record in records] == made.account_ids
        assert len(read_accounts(user)) == 2

    def test_an_empty_list_is_a_list(self, user: SimulatedUser) -> None:
        assert read_accounts(user) == []

    def test_a_failed_later_page_leaves_no_partial_list(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.add_connection(user, accounts=[{"balance": str(number)} for number in range(5)])
        bank.change_domain(user.domain, page_size=2)
        bank.fault("status", status=500, skip=1)

        error = failure(lambda: read_accounts(user))

        assert isinstance(error, ServerFault)
        assert len(bank.journal()) == 2

    @pytest.mark.parametrize(
        ("href", "why"),
        [
            ("https://evil.example/2.0/users/me/accounts?token=s3cret", "points to another host"),
            ("?limit=1000", "leads back to a page already read"),
            ("//[", "is not a URL"),
            ("/2.0/\u0000", "is not a URL"),
            (7, "is not a text"),
        ],
    )
    def test_a_link_that_must_not_be_followed_ends_the_list(
        self, bank: SimulatedBank, user: SimulatedUser, href: object, why: str
    ) -> None:
        bank.fault("body", body=json.dumps({"accounts": [], "_links": {"next": {"href": href}}}))

        error = failure(lambda: read_accounts(user))

        assert isinstance(error, Invalid)
        assert (error.code, error.call) == ("badLink", "GET /users/me/accounts")
        assert why in error.reason
        assert "s3cret" not in str(error)
        assert len(bank.journal()) == 1

    def test_two_pages_that_link_to_each_other_end_the_list(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        for cursor in ("b", "a", "b"):
            bank.fault("body", body=json.dumps({"accounts": [], "_links": {"next": {"href": f"?cursor={cursor}"}}}))

        error = failure(lambda: read_accounts(user))

        assert error.code == "badLink"
        assert len(bank.journal()) == 3

    @pytest.mark.parametrize(
        "body", ["{}", '{"accounts": null}', '{"accounts": {}}', '{"accounts": [1]}', '{"accounts": [{}, null]}']
    )
    def test_an_envelope_without_its_list_cannot_be_read(
        self, bank: SimulatedBank, user: SimulatedUser, body: str
    ) -> None:
        bank.fault("body", body=body)

        error = failure(lambda: read_accounts(user))

        assert isinstance(error, Invalid)
        assert (error.code, error.reason) == ("unreadable", "the answer holds no list of accounts")


class TestDiscretion:
    @pytest.mark.parametrize(
        "order",
        [
            {"kind": "status", "status": 401},
            {"kind": "status", "status": 404},
            {"kind": "status", "status": 409},
            {"kind": "status", "status": 429},
            {"kind": "status", "status": 500},
            {"kind": "html"},
            {"kind": "reset"},
            {"kind": "truncated"},
            {"kind": "body", "status": 200, "body": "S3CRET"},
            {"kind": "body", "status": 200, "body": '{"S3CRET": 1}'},
            {"kind": "body", "status": 400, "body": "S3CRET"},
            {"kind": "body", "status": 400, "body": '{"code": "S3CRET is Jane", "request_id": "S3CRET/1"}'},
            {"kind": "body", "status": 400, "body": '{"code": ["S3CRET"], "request_id": {"S3CRET": 1}}'},
            {"kind": "body", "status": 409, "body": '{"code": "x", "description": "S3CRET", "message": "S3CRET"}'},
            {"kind": "body", "status": 500, "body": '{"code": "bug", "message": "https://bank/?S3CRET"}'},
        ],
        ids=str,
    )
    def test_no_error_contains_token_query_or_body(
        self, bank: SimulatedBank, user: SimulatedUser, order: dict[str, Any]
    ) -> None:
        bank.add_connection(user, accounts=[{"balance": "5210.33", "name": "S3CRET"}])
        bank.fault(**order)

        error = failure(lambda: read_accounts(user, search="S3CRET"))

        for text in (str(error), repr(error)):
            assert "S3CRET" not in text
            assert user.token not in text
            assert "?" not in text
            assert "limit" not in text
        # The cause is removed, so that no traceback shows it.
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__

    @pytest.mark.parametrize(
        ("code", "kept"),
        [
            ("noAccount", "noAccount"),
            ("too_many-1", "too_many-1"),
            (42, "http400"),
            ("FR7630006000011234567890189", "http400"),
            ("fr7630006000011234567890189", "http400"),
            ("", "http400"),
            (None, "http400"),
            (True, "http400"),
            ("Jane Smith", "http400"),
            ("x" * 65, "http400"),
        ],
    )
    def test_a_code_is_a_word_or_hidden(
        self, bank: SimulatedBank, user: SimulatedUser, code: object, kept: str
    ) -> None:
        bank.fault("body", status=400, body=json.dumps({"code": code}))

        assert failure(lambda: call(user)).code == kept

    @pytest.mark.parametrize("body", ["{}", '{"code": "bug"}', '{"code": "bug", "message": null, "request_id": null}'])
    def test_an_envelope_may_lack_its_parts(self, bank: SimulatedBank, user: SimulatedUser, body: str) -> None:
        bank.fault("body", status=500, body=body)

        error = failure(lambda: call(user))

        assert isinstance(error, ServerFault)
        assert error.request_id is None

    def test_any_status_with_any_body_is_one_of_our_errors(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        rng = random.Random(7)  # noqa: S311
        statuses = [*range(300, 600, 7), 404, 409, 429, 503]
        for status in statuses:
            body = base64.b64encode(rng.randbytes(rng.randrange(40))).decode()
            bank.fault("body", status=status, body_base64=body)

        async def each(client: PowensClient) -> list[PowensError]:
            return [await caught(client) for _ in statuses]

        async def caught(client: PowensClient) -> PowensError:
            with pytest.raises(PowensError) as failed:
                await client.call("GET", f"{user.base_url}/users/me", user.token)
            return failed.value

        errors = with_client(user.base_url, each)

        found = [error.reason.removeprefix("Powens answered ")[:3] for error in errors]
        assert found == [str(status) for status in statuses]


def test_cookies_of_one_user_are_not_sent_for_another() -> None:
    seen: list[str | None] = []

    def remember(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Cookie"))
        return httpx.Response(200, json={"id": 1}, headers={"Set-Cookie": "session=jane; Path=/"})

    async def two_calls() -> None:
        root = "https://smith.biapi.pro/2.0"
        async with PowensClient(root, timeout_seconds=5, transport=lambda: httpx.MockTransport(remember)) as client:
            await client.call("GET", f"{root}/users/me", "token-of-jane")
            await client.call("GET", f"{root}/users/me", "token-of-john")

    asyncio.run(two_calls())

    assert seen == [None, None]


class TestTotals:
    def test_a_list_that_adds_up_is_read_once(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.add_connection(user, accounts=[{}, {}])

        assert listing(user).missing == 0
        assert len(bank.journal()) == 1

    def test_a_list_that_does_not_add_up_is_read_once_more(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.add_connection(user, accounts=[{}, {}])
        bank.fault("body", body='{"accounts": [], "total": 2}')

        read = listing(user)

        assert (len(read.records), read.missing) == (2, 0)
        assert len(bank.journal()) == 2

    def test_a_list_that_still_does_not_add_up_is_reported(self, bank: SimulatedBank, user: SimulatedUser) -> None:
        bank.fault("body", body='{"accounts": [{"id": 1}], "total": 3}', times=2)

        assert listing(user) == Listing([{"id": 1}], missing=2)
        assert len(bank.journal()) == 2
