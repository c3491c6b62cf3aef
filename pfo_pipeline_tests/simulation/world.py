"""The bank's side of a plan: members, connections and accounts at the simulator, changed by the events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Literal

import httpx

from pfo_pipeline.simulator.exact_json import dumps
from pfo_pipeline.simulator.state import Domain
from pfo_pipeline.simulator.views import account_json
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedDomain, SimulatedUser
from pfo_pipeline_tests.simulation.events import (
    AccountAppeared,
    AccountChanged,
    AccountVanished,
    Connected,
    ConnectionChanged,
    ConnectionRemoved,
    CurrencyAccepted,
    Event,
    HttpFault,
    NewAccount,
    TokenChanged,
    TwiceInList,
)
from pfo_pipeline_tests.simulation.plan import Plan
from pfo_pipeline_tests.simulation.truth import Picture, picture

TENANT = "willow"
OFFICE = "north"
WEBHOOK_SECRET = "hooks"


@dataclass
class World:
    """One tenant at the simulated bank."""

    bank: SimulatedBank
    plan: Plan
    folder: Path
    domain: SimulatedDomain = field(init=False)
    users: dict[str, SimulatedUser] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """The member of each connection."""
    bank_accounts: dict[int, NewAccount] = field(default_factory=dict)
    """The plan's account of each simulator account, by id."""
    unreadable: dict[int, Literal["record", "figure"]] = field(default_factory=dict)
    twice: set[int] = field(default_factory=set)
    """Accounts that the next list will contain twice."""
    accepted: dict[int, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    _currency_changes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.domain = self.bank.add_domain(f"{TENANT}-sandbox")
        for member in self.plan.members:
            self.users[member] = self.bank.add_user(self.domain.name)
            self._write_token(member, self.users[member].token)
        self.write_config()

    @property
    def config(self) -> Path:
        return self.folder / "pfo.toml"

    @property
    def records(self) -> Domain:
        return self.bank.world.domains[self.domain.name]

    def picture(self, member: str) -> Picture:
        return picture(self.records, self.users[member].id)

    def write_config(self) -> None:
        """Write the configuration as an operator would."""
        lines = [
            f"office = {json.dumps(OFFICE)}",
            f"[tenants.{TENANT}]",
            f"domain = {json.dumps(self.domain.name)}",
            f"base_url = {json.dumps(self.domain.base_url)}",
            f"timezone = {json.dumps(self.plan.zone)}",
            "timeout_seconds = 20",
            f'webhook_secret = "file:{WEBHOOK_SECRET}"',
        ]
        lines += [f"[tenants.{TENANT}.currency_changes]"]
        lines += [f"{account} = {json.dumps(currency)}" for account, currency in self._currency_changes.items()]
        for member in self.plan.members:
            lines += [f"[[tenants.{TENANT}.users]]", f'id = "{member}"', f'token = "file:{member}.token"']
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @singledispatchmethod
    def apply(self, event: Event) -> None:
        """Apply an event at the bank, or between the bank and us."""
        raise NotImplementedError(type(event).__name__)

    @apply.register
    def _(self, event: Connected) -> None:
        if event.replaces is not None:
            self.bank.delete_connection(self.domain.name, self.connections[event.replaces])
        made = self.bank.add_connection(
            self.users[event.member], event.connector, [_fields(account) for account in event.accounts]
        )
        self.connections[event.connection] = made.id
        self.owners[event.connection] = event.member
        for account, number in zip(event.accounts, made.account_ids, strict=True):
            self._remember(account, number)

    @apply.register
    def _(self, event: AccountAppeared) -> None:
        self.appear(event.connection, event.account)

    def appear(self, connection: str, account: NewAccount) -> None:
        self._remember(
            account, self.bank.add_account(self.domain.name, self.connections[connection], **_fields(account))
        )

    @apply.register
    def _(self, event: ConnectionRemoved) -> None:
        self.bank.delete_connection(self.domain.name, self.connections[event.connection])

    @apply.register
    def _(self, event: ConnectionChanged) -> None:
        self.bank.change_connection(self.domain.name, self.connections[event.connection], **event.fields)

    @apply.register
    def _(self, event: AccountChanged) -> None:
        number = self.accounts[event.account]
        self.bank.change_account(self.domain.name, number, **event.fields)
        if event.unreadable == "nothing":
            self.unreadable.pop(number, None)
        elif event.unreadable is not None:
            self.unreadable[number] = event.unreadable

    @apply.register
    def _(self, event: AccountVanished) -> None:
        self.vanish(event.account)

    def vanish(self, account: str) -> None:
        self.bank.delete_account(self.domain.name, self.accounts[account])

    @apply.register
    def _(self, event: TokenChanged) -> None:
        token = self.folder / f"{event.member}.token"
        if event.how == "renewed":
            self._write_token(event.member, self._new_token(event.member))
        elif not token.exists():
            return  # Lost earlier.
        elif event.how == "lost":
            token.unlink()
        else:
            self._call("DELETE", "auth/token", token.read_text(encoding="utf-8"))

    @apply.register
    def _(self, event: HttpFault) -> None:
        given = {name: value for name, value in event.fault.items() if value is not None}
        self.bank.fault(
            **{**given, "user": self.users[event.member].id, "times": event.times, "domain": self.domain.name}  # type: ignore[arg-type]
        )

    @apply.register
    def _(self, event: TwiceInList) -> None:
        number = self.accounts[event.account]
        account = self.records.accounts.get(number)
        if account is None:
            return
        told = [account_json(self.records, item, {}) for item in self.records.accounts_of(account.id_user)]
        double = {**account_json(self.records, account, {}), "name": f"{account.fields['name']} bis"}
        body = dumps({"accounts": [*told, double], "total": len(told)}).decode("utf-8")
        self.bank.fault("body", body=body, path="accounts$", user=account.id_user, domain=self.domain.name)
        self.twice.add(number)

    def accept(self, event: CurrencyAccepted, ids: Mapping[int, str]) -> None:
        """
        Args:
            ids: The pipeline's ids of accounts, as the operator reads them in the ledger.
        """
        number = self.accounts[event.account]
        if number in ids:
            self.accepted[number] = event.currency
            self._currency_changes[ids[number]] = event.currency
            self.write_config()

    def has_token(self, member: str) -> bool:
        return (self.folder / f"{member}.token").exists()

    def settle_down(self) -> None:
        """End all faults between the bank and us."""
        self.bank.clear_faults()
        self.bank.change_domain(self.domain.name, page_size=1000)
        self.twice.clear()

    def _new_token(self, member: str) -> str:
        body = {
            "grant_type": "client_credentials",
            "client_id": self.domain.client_id,
            "client_secret": self.domain.client_secret,
            "id_user": self.users[member].id,
            "revoke_previous": True,
        }
        answer = self._call("POST", "auth/renew", None, json=body)
        return str(answer.json()["access_token"])

    def _call(self, method: str, path: str, token: str | None, **body: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.domain.base_url}/{path}"
        return self.bank.admin.request(method, url, headers=headers, **body).raise_for_status()  # type: ignore[arg-type]

    def _write_token(self, member: str, token: str) -> None:
        self.tokens.add(token)
        (self.folder / f"{member}.token").write_text(token, encoding="utf-8")

    def _remember(self, account: NewAccount, number: int) -> None:
        self.accounts[account.key] = number
        self.bank_accounts[number] = account


def _fields(account: NewAccount) -> dict[str, object]:
    fields: dict[str, object] = {
        "type": account.type,
        "currency": account.currency,
        "balance": account.balance,
        "name": account.name,
        "number": account.number,
        "iban": account.iban,
        "disabled": account.disabled,
    }
    return {**fields, "known": False} if account.disabled else fields
