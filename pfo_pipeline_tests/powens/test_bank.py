"""A tenant's open banking on the simulator: the reads, their number, quarantine, and the health of the slot."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs

import pytest

from pfo_pipeline.config import Config, SecretError, Tenant
from pfo_pipeline.contracts.model import Capability
from pfo_pipeline.powens.errors import Invalid, PowensError, Refused, ServerFault
from pfo_pipeline.powens.mapping import situation
from pfo_pipeline.powens.models import Account, Misfit, Since
from pfo_pipeline.powens.schema_drift import Drift
from pfo_pipeline.powens.session import BankSession, OpenBanking, Records
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser

R = TypeVar("R")
STEP = "sync-accounts"


class Household:
    """Tenant `smith` with the given members, each with a token in a file, and one run's open banking."""

    def __init__(self, folder: Path, domain: SimulatedDomain, tokens: dict[str, str], **settings: object) -> None:
        for name, token in tokens.items():
            (folder / name).write_text(token)
            (folder / f"jones-{name}").write_text(token)
        users = [{"id": name, "token": f"file:{name}"} for name in tokens]
        smith = {"id": "smith", "domain": domain.name, "base_url": domain.base_url, "users": users} | settings
        jones = smith | {"id": "jones", "users": [user | {"token": f"file:jones-{user['id']}"} for user in users]}
        self.config = Config.model_validate(
            {"source": folder / "pfo.toml", "office": "north", "tenants": [smith, jones]}
        )
        self.tenant = self.config.tenant("smith")
        self.banking = OpenBanking(self.config)

    def attempt(
        self, work: Callable[[BankSession], Awaitable[R]], *, step: str = STEP, tenant: Tenant | None = None
    ) -> R:
        """One attempt of a step."""

        async def run() -> R:
            async with self.banking.session(tenant or self.tenant, step) as session:
                return await work(session)

        return asyncio.run(run())

    def failure(self, work: Callable[[BankSession], Awaitable[object]]) -> PowensError:
        with pytest.raises(PowensError) as failed:
            self.attempt(work)
        return failed.value

    def accounts(self, *, step: str = STEP) -> Records[Account]:
        return self.attempt(lambda session: session.accounts(self.tenant.users[0]), step=step)


@pytest.fixture
def household(tmp_path: Path, domain: SimulatedDomain, user: SimulatedUser) -> Household:
    return Household(tmp_path, domain, {"jane": user.token})


def calls(bank: SimulatedBank) -> Counter[str]:
    return Counter(entry["path"] for entry in bank.journal())


class TestReading:
    def test_disabled_and_deleted_accounts_are_read_too(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        made = bank.add_connection(
            user, accounts=[{"balance": "1"}, {"balance": "2", "disabled": True}, {"balance": "3", "deleted": True}]
        )

        records = household.accounts()

        assert [account.id for account, _ in records.items] == [str(number) for number in made.account_ids]
        enabled, disabled, deleted = (account for account, _ in records.items)
        assert (enabled.disabled, enabled.deleted) == (None, None)
        assert disabled.disabled == deleted.deleted == Since(datetime(2026, 3, 10, 12, tzinfo=UTC))

    def test_enabled_accounts_are_those_that_powens_syncs(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        made = bank.add_connection(
            user, accounts=[{"balance": "1"}, {"balance": "2", "disabled": True}, {"balance": "3", "deleted": True}]
        )

        records = household.attempt(lambda session: session.enabled_accounts(household.tenant.users[0]))

        assert [account.id for account, _ in records.items] == [str(made.account_ids[0])]

    def test_a_record_keeps_its_raw_form(self, bank: SimulatedBank, user: SimulatedUser, household: Household) -> None:
        bank.add_connection(user, accounts=[{"balance": "0.1", "name": "Compte chèque"}])

        ((account, raw),) = household.accounts().items

        assert account.balance == raw["balance"] == Decimal("0.1")
        assert isinstance(raw["balance"], Decimal)
        assert account.name == raw["name"] == "Compte chèque"
        assert raw["refresh_tier"] == "standard"

    def test_a_connection_comes_with_its_bank_and_its_sources(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        made = bank.add_connection(user, "Banque Exemple", source_states={"openapi": "wrongpass"})

        records = household.attempt(lambda session: session.connections(household.tenant.users[0]))

        ((connection, _),) = records.items
        assert connection.id == str(made.id)
        assert connection.connector is not None
        assert connection.connector.name == "Banque Exemple"
        assert "wrongpass" in [source.state for source in connection.sources or ()]
        assert situation(connection, bank.now()).state == "wrongpass"

    def test_each_user_is_read_with_their_own_token(
        self, bank: SimulatedBank, domain: SimulatedDomain, user: SimulatedUser, tmp_path: Path
    ) -> None:
        john = bank.add_user(domain.name)
        bank.add_connection(user, accounts=[{"balance": "1"}])
        bank.add_connection(john, accounts=[{"balance": "2"}])
        household = Household(tmp_path, domain, {"jane": user.token, "john": john.token})

        async def both(session: BankSession) -> list[Decimal | Misfit | None]:
            lists = await asyncio.gather(*(session.accounts(member) for member in household.tenant.users))
            return [account.balance for records in lists for account, _ in records.items]

        assert household.attempt(both) == [1, 2]
        assert {entry["user"] for entry in bank.journal()} == {user.id, john.id}

    def test_a_long_list_is_read_whole(self, bank: SimulatedBank, user: SimulatedUser, household: Household) -> None:
        made = bank.add_connection(user, accounts=[{"balance": str(number)} for number in range(5)])
        bank.change_domain(user.domain, page_size=2)

        assert [account.id for account, _ in household.accounts().items] == [str(n) for n in made.account_ids]

    @pytest.mark.parametrize(
        ("status", "code"), [(409, "noAccount"), (400, "noAccount"), (409, "noaccount"), (400, "NOACCOUNT")]
    )
    def test_no_account_is_an_empty_answer(
        self, bank: SimulatedBank, household: Household, status: int, code: str
    ) -> None:
        bank.fault("status", status=status, code=code, times=2)

        every = household.accounts()
        enabled = household.attempt(lambda session: session.enabled_accounts(household.tenant.users[0]))

        assert (every.items, every.quarantine) == ((), ())
        assert (enabled.items, enabled.quarantine) == ((), ())

    def test_another_conflict_is_a_failure(self, bank: SimulatedBank, household: Household) -> None:
        bank.fault("status", status=409, code="conflict")

        error = household.failure(lambda session: session.accounts(household.tenant.users[0]))

        assert isinstance(error, Invalid)

    def test_only_the_record_that_breaks_the_contract_is_quarantined(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        made = bank.add_connection(
            user,
            accounts=[
                {"balance": "1"},
                {"balance": "2", "verbatim": {"type": ["S3CRET"]}},
                {"balance": "3", "iban": 5},
                {"balance": "4", "verbatim": {"id": "S3CRET"}},
                {"balance": "5"},
            ],
        )

        records = household.accounts()

        assert [account.balance for account, _ in records.items] == [1, 5]
        assert [(row.record, row.source_id, row.reason) for row in records.quarantine] == [
            ("account", str(made.account_ids[1]), "type: input should be a valid string"),
            ("account", str(made.account_ids[2]), "iban: input should be a valid string"),
            ("account", None, "id: not a positive integer"),
        ]
        assert {row.tenant_id for row in records.quarantine} == {"smith"}

    def test_unknown_fields_are_accepted_and_reported(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        bank.add_connection(user, state="quantumRequired", accounts=[{"type": "piggy_bank"}, {"type": "piggy_bank"}])

        async def both(session: BankSession) -> tuple[Mapping[Drift, int], Mapping[Drift, int]]:
            member = household.tenant.users[0]
            return (await session.connections(member)).drift, (await session.accounts(member)).drift

        of_connections, of_accounts = household.attempt(both)

        assert of_connections == {("connection.state", "quantumRequired"): 1}
        assert of_accounts == {("account.type", "piggy_bank"): 2, ("account.refresh_tier", ""): 2}

    def test_numbers_as_text_are_accepted(self, bank: SimulatedBank, user: SimulatedUser, household: Household) -> None:
        bank.add_connection(user, accounts=[{"balance": "123456789012345.67", "numbers_as_strings": True}])

        ((account, raw),) = household.accounts().items

        assert raw["balance"] == "123456789012345.67"
        assert account.balance == Decimal("123456789012345.67")


class TestAskingOnce:
    def test_a_later_attempt_does_not_repeat_successful_calls(
        self, bank: SimulatedBank, user: SimulatedUser, household: Household
    ) -> None:
        bank.add_connection(user, accounts=[{"balance": "1"}])
        bank.fault("status", status=503, path="accounts")
        (jane,) = household.tenant.users

        async def both(session: BankSession) -> int:
            connections = await session.connections(jane)
            return len(connections.items) + len((await session.accounts(jane)).items)

        error = household.failure(both)
        second = household.attempt(both)

        assert isinstance(error, ServerFault)
        assert second == 2
        assert calls(bank) == {"/users/me/connections": 1, "/users/me/accounts": 2}

    def test_one_users_answer_is_kept_while_another_users_call_is_repeated(
        self, bank: SimulatedBank, domain: SimulatedDomain, user: SimulatedUser, tmp_path: Path
    ) -> None:
        john = bank.add_user(domain.name)
        household = Household(tmp_path, domain, {"jane": user.token, "john": john.token})
        bank.fault("reset", user=john.id)

        async def all_members(session: BankSession) -> list[Records[Account] | BaseException]:
            reads = (session.accounts(member) for member in household.tenant.users)
            return await asyncio.gather(*reads, return_exceptions=True)

        household.attempt(all_members)
        household.attempt(all_members)

        assert Counter(entry["user"] for entry in bank.journal()) == {user.id: 1, john.id: 2}

    def test_a_failed_call_is_not_repeated_within_its_attempt(self, bank: SimulatedBank, household: Household) -> None:
        bank.fault("html")
        (jane,) = household.tenant.users

        async def twice(session: BankSession) -> list[PowensError]:
            failures = []
            for _ in range(2):
                with pytest.raises(PowensError) as failed:
                    await session.accounts(jane)
                failures.append(failed.value)
            return failures

        first, second = household.attempt(twice)

        assert first is second
        assert len(bank.journal()) == 1

    def test_concurrent_reads_of_one_list_share_one_call(self, bank: SimulatedBank, household: Household) -> None:
        (jane,) = household.tenant.users

        async def at_once(session: BankSession) -> bool:
            one, other = await asyncio.gather(session.accounts(jane), session.accounts(jane))
            return one is other

        assert household.attempt(at_once)
        assert len(bank.journal()) == 1

    def test_each_list_is_requested_separately(self, bank: SimulatedBank, household: Household) -> None:
        (jane,) = household.tenant.users

        async def every_list(session: BankSession) -> None:
            await asyncio.gather(session.connections(jane), session.accounts(jane), session.enabled_accounts(jane))

        household.attempt(every_list)

        asked = [(entry["path"], parse_qs(entry["query"], keep_blank_values=True)) for entry in bank.journal()]
        assert sorted(asked, key=str) == [
            ("/users/me/accounts", {"limit": ["1000"], "all": [""]}),
            ("/users/me/accounts", {"limit": ["1000"]}),
            ("/users/me/connections", {"limit": ["1000"], "expand": ["connector,sources"]}),
        ]

    def test_a_finished_step_reads_again(self, bank: SimulatedBank, user: SimulatedUser, household: Household) -> None:
        assert household.accounts().items == ()
        bank.add_connection(user, accounts=[{"balance": "1"}])
        assert household.accounts().items == ()

        household.banking.forget(household.tenant, STEP)

        assert len(household.accounts().items) == 1
        assert len(bank.journal()) == 2

    def test_forgetting_an_unread_step_is_not_an_error(self, household: Household) -> None:
        household.banking.forget(household.tenant, STEP)

    def test_each_step_and_each_tenant_makes_its_own_calls(self, bank: SimulatedBank, household: Household) -> None:
        (jane,) = household.tenant.users
        household.accounts()
        household.accounts(step="refresh-balances")
        household.attempt(lambda session: session.accounts(jane), tenant=household.config.tenant("jones"))
        household.banking.forget(household.tenant, "refresh-balances")
        household.accounts()

        assert len(bank.journal()) == 3


class TestTokens:
    def test_a_user_without_a_token_is_refused_by_key_before_any_call(
        self, bank: SimulatedBank, household: Household, tmp_path: Path
    ) -> None:
        (tmp_path / "jane").unlink()

        with pytest.raises(SecretError, match=r"tenants\.smith\.users\.jane\.token: .* cannot be read"):
            household.accounts()

        assert bank.journal() == []

    def test_a_token_is_read_when_it_is_used(
        self, bank: SimulatedBank, domain: SimulatedDomain, household: Household, tmp_path: Path
    ) -> None:
        john = bank.add_user(domain.name)
        (tmp_path / "jane").write_text(f"{john.token}\n")

        household.accounts()

        assert [entry["user"] for entry in bank.journal()] == [john.id]

    def test_a_revoked_token_is_refused(self, bank: SimulatedBank, user: SimulatedUser, household: Household) -> None:
        with bank.client(user) as client:
            assert client.delete("auth/token").status_code == 204

        error = household.failure(lambda session: session.accounts(household.tenant.users[0]))

        assert isinstance(error, Refused)
        assert user.token not in str(error)


class TestBinding:
    def test_a_tenant_with_tokens_is_connected_without_a_call(self, bank: SimulatedBank, household: Household) -> None:
        binding = household.banking.binding(household.tenant)

        assert (binding.slot, binding.integration) == ("primaryOpenBanking", "openbanking.powens")
        assert (binding.status, binding.reason) == ("connected", "")
        assert binding.capabilities == (
            Capability("openbanking.accounts.read", "1.0.0"),
            Capability("openbanking.balances.read", "1.0.0"),
            Capability("openbanking.transactions.read", "1.0.0"),
        )
        assert bank.journal() == []

    def test_a_disconnected_tenant_is_reported_by_its_key(
        self, domain: SimulatedDomain, user: SimulatedUser, tmp_path: Path
    ) -> None:
        household = Household(tmp_path, domain, {"jane": user.token}, integration="disconnected")

        binding = household.banking.binding(household.tenant)

        assert binding.status == "disconnected"
        assert binding.reason == 'tenants.smith.integration is "disconnected" in the configuration.'

    def test_a_tenant_without_a_usable_token_is_in_error_and_names_each_token(
        self, domain: SimulatedDomain, tmp_path: Path
    ) -> None:
        household = Household(tmp_path, domain, {"jane": "", "john": "two\nlines"})

        binding = household.banking.binding(household.tenant)

        assert binding.status == "error"
        assert "tenants.smith.users.jane.token" in binding.reason
        assert "tenants.smith.users.john.token" in binding.reason
        assert "lines" not in binding.reason.replace("more than one word", "")

    def test_one_usable_token_keeps_a_tenant_connected(
        self, domain: SimulatedDomain, user: SimulatedUser, tmp_path: Path
    ) -> None:
        household = Household(tmp_path, domain, {"jane": user.token, "john": ""})

        assert household.banking.binding(household.tenant).status == "connected"

    def test_a_repaired_token_binds_the_slot_again(
        self, domain: SimulatedDomain, user: SimulatedUser, tmp_path: Path
    ) -> None:
        household = Household(tmp_path, domain, {"jane": ""})
        assert household.banking.binding(household.tenant).status == "error"
        (tmp_path / "jane").write_text(user.token)

        assert household.banking.binding(household.tenant).status == "connected"
