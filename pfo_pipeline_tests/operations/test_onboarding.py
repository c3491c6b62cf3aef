"""A Powens user is created once, for any failure and any interruption; and is removed when requested.

Powens bills permanent users. Half an hour later only those are left, so they are counted then.
"""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pfo_pipeline.config import ConfigError, MemberFiles, SecretError, StoredUser, load_config
from pfo_pipeline.errors import PfoError
from pfo_pipeline.operations.onboarding import (
    MemberAccess,
    NotConnected,
    delete_user,
    explained,
    member_token,
    revoke_token,
)
from pfo_pipeline.powens.client import client_of
from pfo_pipeline.powens.errors import PowensError
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain
from pfo_pipeline_tests.simulator.conftest import payload, web

T = TypeVar("T")
INIT, CODE, ACCESS, RENEW = "^/auth/init$", "^/auth/token/code$", "^/auth/token/access$", "^/auth/renew$"


class Killed(BaseException):
    """Simulates the end of the program."""


@dataclass
class PowensUser:
    """Jane of the Smiths, who has no Powens user at first."""

    bank: SimulatedBank
    domain: SimulatedDomain
    folder: Path
    token: str = "file:secrets/jane"
    more: str = ""
    base_url: str = ""
    client_secret: str = "file:client_secret"

    @property
    def files(self) -> MemberFiles:
        return MemberFiles((self.folder / "secrets" / "jane").resolve())

    def do(self, act: Callable[[MemberAccess], Awaitable[T]]) -> T:
        (self.folder / "client_secret").write_text(self.domain.client_secret)
        (self.folder / "pfo.toml").write_text(
            f'office = "north"\n[tenants.smith]\ndomain = "{self.domain.name}"\nclient_id = "{self.domain.client_id}"\n'
            f'base_url = "{self.base_url or self.domain.base_url}"\nclient_secret = "{self.client_secret}"\n'
            f'[[tenants.smith.users]]\nid = "jane"\ntoken = "{self.token}"\n{self.more}\n'
        )
        config = load_config(self.folder / "pfo.toml")
        (tenant,) = config.tenants

        async def acted() -> T:
            async with client_of(config, tenant) as client:
                return await act(MemberAccess(config, tenant, tenant.users[0], client))

        return asyncio.run(acted())

    def get_token(self) -> str:
        return self.do(member_token)

    def billed(self) -> list[int]:
        """The permanent users of the domain."""
        self.bank.advance(minutes=31)
        return self.users()

    def users(self) -> list[int]:
        headers = {"Authorization": f"Bearer {self.domain.users_token}"}
        return [user["id"] for user in payload(web.get(f"{self.domain.base_url}/users", headers=headers))["users"]]

    def owner(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return int(payload(web.get(f"{self.domain.base_url}/users/me", headers=headers))["id"])


@pytest.fixture
def jane(bank: SimulatedBank, tmp_path: Path) -> PowensUser:
    return PowensUser(bank, bank.add_domain("smith-sandbox"), tmp_path)


async def open_page(access: MemberAccess) -> str:
    try:
        return await access.member(await member_token(access)).page_code()
    except PowensError as error:
        raise explained(access, error) from None


def refused(act: Callable[[], Any], kind: type[PfoError] = NotConnected) -> str:
    with pytest.raises(kind) as caught:
        act()
    return str(caught.value)


def assert_one_user(jane: PowensUser, token: str) -> None:
    assert jane.billed() == [jane.owner(token)]
    assert jane.files.token.read_text() == token + "\n"
    assert jane.files.stored_user() == StoredUser(jane.domain.name, jane.owner(token), is_permanent=True)


def test_a_member_gets_one_user_and_a_private_token(jane: PowensUser) -> None:
    token = jane.get_token()

    assert_one_user(jane, token)
    assert stat.S_IMODE(jane.files.token.stat().st_mode) == 0o600
    assert stat.S_IMODE(jane.files.user.stat().st_mode) == 0o600
    assert stat.S_IMODE(jane.files.token.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in jane.files.token.parent.iterdir()) == ["jane", "jane.user"]


def test_a_user_is_never_made_permanent_in_one_call(jane: PowensUser) -> None:
    """`/auth/init` with credentials, and `/auth/renew` without a user, each create a billed user per attempt."""
    jane.bank.fault("reset", path=ACCESS, executed=True)
    refused(jane.get_token)
    jane.get_token()

    assert [e["path"] for e in jane.bank.journal() if e["method"] == "POST"] == [
        "/auth/init",
        "/auth/token/access",
        "/auth/renew",
    ]


def test_an_existing_token_is_used(jane: PowensUser) -> None:
    token = jane.get_token()

    assert jane.get_token() == token
    assert_one_user(jane, token)


@pytest.mark.parametrize("kind", ["reset", "truncated", "html"])
@pytest.mark.parametrize("call", [INIT, CODE, ACCESS])
@pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("later", [0, 31], ids=["at-once", "half-an-hour-later"])
def test_a_lost_answer_creates_no_second_user(
    jane: PowensUser, kind: str, call: str, executed: bool, later: int
) -> None:
    jane.bank.fault(kind, path=call, executed=executed)
    found = refused(jane.get_token)
    jane.bank.advance(minutes=later)

    token = jane.get_token()

    assert "goes on where this stopped" in found
    assert_one_user(jane, token)


@pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
def test_a_failed_renewal_creates_no_second_user(jane: PowensUser, executed: bool) -> None:
    jane.bank.fault("reset", path=ACCESS, executed=True)
    jane.bank.fault("reset", path=RENEW, executed=executed)
    refused(jane.get_token)
    refused(jane.get_token)

    assert_one_user(jane, jane.get_token())


@pytest.mark.parametrize("point", range(8))
@pytest.mark.parametrize("later", [0, 31], ids=["at-once", "half-an-hour-later"])
def test_a_killed_program_leaves_one_user_to_find(
    jane: PowensUser, monkeypatch: pytest.MonkeyPatch, point: int, later: int
) -> None:
    """Before and after each file that is written, and each call that follows."""
    places = [(MemberFiles, "store_user"), (MemberFiles, "store_token"), (MemberFiles, "store_user")]
    seen = 0

    def killing(original: Callable[..., Any]) -> Callable[..., Any]:
        def written(*words: Any) -> Any:
            nonlocal seen
            for act in (None, original):
                if act is not None:
                    act(*words)
                if seen == point:
                    raise Killed
                seen += 1

        return written

    with monkeypatch.context() as patch:
        for owner, name in dict.fromkeys(places):
            patch.setattr(owner, name, killing(getattr(owner, name)))
        try:
            jane.get_token()
        except Killed:
            assert point < 6
        else:
            assert point >= 6  # Everything is written by then.
    jane.bank.advance(minutes=later)

    assert_one_user(jane, jane.get_token())


def test_a_draft_left_by_a_crash_is_overwritten(jane: PowensUser) -> None:
    jane.files.prepare()
    for pid in range(3):
        (jane.files.token.parent / f".jane.{pid}").write_text("half")

    assert_one_user(jane, jane.get_token())


def test_a_lost_token_is_replaced_for_the_same_user(jane: PowensUser) -> None:
    before = jane.get_token()
    jane.files.token.unlink()

    token = jane.get_token()

    assert token != before
    assert_one_user(jane, token)


def test_a_configured_user_is_not_created(jane: PowensUser) -> None:
    there = jane.bank.add_user("smith-sandbox")
    jane.more = f"powens_id = {there.id}"

    assert jane.owner(jane.get_token()) == there.id
    assert jane.billed() == [there.id]


def test_a_token_from_elsewhere_identifies_its_user_in_case_it_is_lost(jane: PowensUser) -> None:
    there = jane.bank.add_user("smith-sandbox")
    jane.files.prepare()
    jane.files.store_token(there.token)

    assert jane.get_token() == there.token
    jane.files.token.unlink()

    assert jane.owner(jane.get_token()) == there.id
    assert jane.billed() == [there.id]


def test_a_revoked_token_creates_no_second_user(jane: PowensUser) -> None:
    token = jane.get_token()
    powens_id = jane.owner(token)
    web.delete(f"{jane.domain.base_url}/auth/token", headers={"Authorization": f"Bearer {token}"})
    jane.files.forget_user()

    found = refused(jane.get_token)

    assert found.startswith("tenants.smith.users.jane.token: GET ")
    assert "Set powens_id to the member's number in the Powens console and delete" in found
    assert token not in found
    assert jane.billed() == [powens_id]


def test_a_revoked_token_of_a_known_user_is_replaced_after_removal(jane: PowensUser) -> None:
    token = jane.get_token()
    powens_id = jane.owner(token)
    web.delete(f"{jane.domain.base_url}/auth/token", headers={"Authorization": f"Bearer {token}"})

    found = refused(lambda: jane.do(open_page))

    assert (
        f"Delete {jane.files.token}; pfo connect then gets another token for the same Powens user, {powens_id}" in found
    )
    jane.files.token.unlink()
    assert jane.do(open_page)
    assert jane.billed() == [powens_id]


def test_a_user_that_was_deleted_at_powens_is_not_replaced_silently(jane: PowensUser) -> None:
    token = jane.get_token()
    web.delete(f"{jane.domain.base_url}/users/me", headers={"Authorization": f"Bearer {token}"})
    jane.files.token.unlink()

    found = refused(jane.get_token)

    assert "has no user" in found
    assert f"remove {jane.files.user}" in found
    assert jane.billed() == []


def test_a_configured_user_that_does_not_exist_is_reported(jane: PowensUser) -> None:
    jane.more = "powens_id = 731"

    assert "has no user 731 (any more). If it was deleted there, remove powens_id" in refused(jane.get_token)
    assert jane.users() == []


def test_a_wrong_client_secret_is_reported_and_nothing_is_billed(jane: PowensUser) -> None:
    good, jane.domain = jane.domain, SimulatedDomain(**(vars(jane.domain) | {"client_secret": "WR0NG"}))
    found = refused(jane.get_token)
    again = refused(jane.get_token)

    assert found.startswith(
        "tenants.smith.client_secret: POST /smith-sandbox/2.0/auth/token/access: Powens does not accept"
    )
    assert again.startswith("tenants.smith.client_secret: POST /smith-sandbox/2.0/auth/renew: Powens does not accept")
    assert "WR0NG" not in found + again
    assert jane.billed() == []
    jane.domain = good
    assert_one_user(jane, jane.get_token())


def test_a_domain_that_does_not_exist_is_reported(jane: PowensUser) -> None:
    jane.base_url = f"{jane.bank.url}/nobody/2.0"

    assert refused(jane.get_token).startswith("tenants.smith.domain: Powens has no domain 'smith-sandbox'.")


def test_a_domain_that_cannot_be_reached_is_reported(jane: PowensUser) -> None:
    jane.base_url = "https://smith-sandbox.invalid/2.0"

    found = refused(jane.get_token)

    assert found.startswith(
        "tenants.smith.domain: https://smith-sandbox.invalid/2.0 cannot be reached. POST /2.0/auth/init"
    )
    assert "this machine's clock" in found


def test_a_missing_secret_is_found_before_anything_is_created(jane: PowensUser) -> None:
    jane.client_secret = "env:NOT_SET_ANYWHERE"

    assert "tenants.smith.client_secret" in refused(jane.get_token, SecretError)
    assert jane.bank.journal() == []


def test_an_environment_variable_cannot_be_written(jane: PowensUser, monkeypatch: pytest.MonkeyPatch) -> None:
    jane.token = "env:JANES_TOKEN"

    assert 'is not set and cannot be written. Make it "file:PATH"' in refused(jane.get_token, ConfigError)
    assert jane.bank.journal() == []
    there = jane.bank.add_user("smith-sandbox")
    monkeypatch.setenv("JANES_TOKEN", there.token)
    assert jane.get_token() == there.token


def test_an_unwritable_folder_is_found_before_anything_is_created(
    jane: PowensUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)

    assert f"{jane.files.token.parent} cannot be written: Read-only file system." in refused(
        jane.get_token, SecretError
    )
    assert jane.bank.journal() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"domain": "smith-sandbox", "powens_id": "731", "permanent": true}',
        '{"domain": "smith-sandbox", "powens_id": -1, "permanent": true}',
        '{"powens_id": 731, "permanent": true}',
    ],
)
def test_an_unreadable_note_of_the_user_creates_no_second_user(jane: PowensUser, text: str) -> None:
    jane.get_token()
    jane.files.token.unlink()
    jane.files.user.write_text(text)

    assert f"{jane.files.user} cannot be read" in refused(jane.get_token, SecretError)
    assert len(jane.billed()) == 1


@pytest.mark.parametrize("act", [member_token, revoke_token, delete_user], ids=lambda act: str(act.__name__))
@pytest.mark.parametrize("has_token", [True, False])
def test_after_a_domain_change_another_user_with_the_same_number_is_not_used(
    jane: PowensUser, act: Callable[[MemberAccess], Awaitable[object]], has_token: bool
) -> None:
    token = jane.get_token()
    powens_id = jane.owner(token)
    jane.domain = jane.bank.add_domain("smith")
    stranger = jane.bank.add_user("smith")
    assert jane.owner(stranger.token) == powens_id
    if not has_token:
        jane.files.token.unlink()
    jane.bank.clear_journal()

    if act is revoke_token and not has_token:
        assert jane.do(act) is False
    else:
        found = refused(lambda: jane.do(act), SecretError)
        assert "was made on the Powens domain 'smith-sandbox', and tenants.smith is on 'smith'" in found

    assert jane.files.token.exists() is has_token
    assert [entry["path"] for entry in jane.bank.journal() if entry["status"] == 200] == []


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (INIT, '{"auth_token": "T0KEN"}'),
        (INIT, '{"auth_token": "T0KEN", "id_user": true}'),
        (INIT, '{"id_user": 5}'),
        (CODE, '{"code": null}'),
        (ACCESS, '{"access_token": "two words"}'),
        (ACCESS, "{}"),
    ],
)
def test_an_answer_of_another_shape_stops_and_can_be_repeated(jane: PowensUser, call: str, body: str) -> None:
    jane.bank.fault("body", path=call, body=body)

    found = refused(jane.get_token)

    assert "[unreadable]" in found
    assert "T0KEN" not in found
    assert_one_user(jane, jane.get_token())


class TestLeaving:
    def test_a_revoked_member_keeps_the_user_and_gets_it_back(self, jane: PowensUser) -> None:
        token = jane.get_token()
        powens_id = jane.owner(token)

        assert jane.do(revoke_token) is True

        assert not jane.files.token.exists()
        assert jane.do(revoke_token) is False
        back = jane.get_token()
        assert back != token
        assert jane.owner(back) == powens_id
        assert_one_user(jane, back)

    @pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
    def test_revoking_continues_after_a_lost_answer(self, jane: PowensUser, executed: bool) -> None:
        token = jane.get_token()
        jane.bank.fault("reset", method="DELETE", executed=executed)
        refused(lambda: jane.do(revoke_token))
        assert jane.files.token.exists()

        jane.do(revoke_token)

        assert not jane.files.token.exists()
        answer = web.get(f"{jane.domain.base_url}/users/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401

    @pytest.mark.parametrize("executed", [True, False], ids=["done", "not-done"])
    def test_deleting_the_user_continues_after_a_lost_answer(self, jane: PowensUser, executed: bool) -> None:
        jane.get_token()
        jane.bank.fault("reset", method="DELETE", executed=executed)
        refused(lambda: jane.do(delete_user))

        assert jane.do(delete_user) is not executed

        assert jane.billed() == []
        assert not jane.files.token.exists()
        assert jane.do(delete_user) is False

    def test_a_user_whose_token_was_revoked_is_deleted_anyway(self, jane: PowensUser) -> None:
        jane.get_token()
        jane.do(revoke_token)

        assert jane.do(delete_user) is True
        assert jane.billed() == []

    def test_a_user_with_a_revoked_token_and_no_note_cannot_be_deleted(self, jane: PowensUser) -> None:
        jane.files.prepare()
        jane.files.store_token("REVOKED")

        assert "cannot be told. Set powens_id" in refused(lambda: jane.do(delete_user))
        assert jane.files.token.exists()
