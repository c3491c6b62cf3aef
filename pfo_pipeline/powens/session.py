"""Reads the connections and accounts of a tenant's users at Powens, each list at most once per step."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pfo_pipeline.config import Config, SecretError, Tenant, User
from pfo_pipeline.contracts.model import BindingStatus, IntegrationBinding
from pfo_pipeline.contracts.tables import QuarantineRow
from pfo_pipeline.contracts.workflows import POWENS_CAPABILITIES, POWENS_INTEGRATION, PRIMARY_OPEN_BANKING
from pfo_pipeline.powens.client import Listing
from pfo_pipeline.powens.errors import Invalid, Missing, Refused, TooSlow
from pfo_pipeline.powens.mapping import parse, quarantined
from pfo_pipeline.powens.models import Account, Connection, id_if_any
from pfo_pipeline.powens.schema_drift import (
    Drift,
    account_drift,
    connection_drift,
    does_not_add_up,
    misfits,
    unread_fields,
)
from pfo_pipeline.powens.values import digest, record_id

if TYPE_CHECKING:
    from pfo_pipeline.powens.client import PowensClient, TransportFactory


R = TypeVar("R", Connection, Account)
V = TypeVar("V")


@dataclass(frozen=True)
class Unread:
    """The ids of a record that could not be read, if known."""

    id: str | None
    connection_id: str | None


@dataclass(frozen=True)
class Records(Generic[R]):
    """One list of one user: typed records with their raw form, and the problems of the others."""

    items: tuple[tuple[R, Mapping[str, Any]], ...]
    quarantine: tuple[QuarantineRow, ...]
    drift: Mapping[Drift, int]
    """Undocumented fields and values, with the number of records that have them."""
    unread: tuple[Unread, ...] = ()
    """Ids of each record that was quarantined or that the list lacks."""

    def find(self, powens_id: str) -> tuple[R, Mapping[str, Any]] | None:
        """The record with this id, and its raw form."""
        return self._by_id.get(powens_id)

    @cached_property
    def _by_id(self) -> Mapping[str, tuple[R, Mapping[str, Any]]]:
        return {record.id: (record, raw) for record, raw in self.items}


@dataclass
class KeptAnswers:
    """Answers that a step already has. A retried attempt requests only the others."""

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    refused: dict[tuple[str, str], Refused] = field(default_factory=dict)
    """Calls that Powens refused: another attempt cannot help."""
    asked: dict[str, Connection] = field(default_factory=dict)
    """State of each connection before its forced sync, by connection id."""


class BankSession:
    """Reads of one tenant during one attempt. A failed call is not repeated within the attempt."""

    def __init__(self, config: Config, tenant: Tenant, client: "PowensClient", kept: KeptAnswers) -> None:
        self._config = config
        self._tenant = tenant
        self._client = client
        self._kept = kept
        self._under_way: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def connections(self, user: User) -> Records[Connection]:
        """Every connection of the user, with connector and sources (Powens docs, Connections).

        Raises: PowensError, SecretError.
        """
        return await self._once(user, "connections", self._read_connections)

    async def accounts(self, user: User) -> Records[Account]:
        """Every account of the user, including disabled and deleted ones: without `all` Powens hides them.

        Raises: PowensError, SecretError.
        """
        return await self._once(user, "accounts", self._read_accounts)

    async def enabled_accounts(self, user: User) -> Records[Account]:
        """The accounts that Powens syncs. No account is an empty result, not a failure.

        Raises: PowensError, SecretError.
        """
        return await self._once(user, "enabled_accounts", self._read_enabled_accounts)

    async def connection(self, user: User, connection_id: str) -> Connection:
        """Read one connection now, even if it was read before.

        Raises: PowensError, SecretError.
        """
        token = self._config.user_token(self._tenant, user)
        url = f"{self._tenant.root}/users/me/connections/{connection_id}?expand=sources"
        parsed = parse(Connection, self._tenant.id, user.id, await self._client.call("GET", url, token))
        if isinstance(parsed, QuarantineRow):
            raise Invalid("unreadable", f"GET /users/me/connections/{connection_id}", parsed.reason)
        return parsed

    def asked_when(self, connection_id: str) -> Connection | None:
        """The connection before this step forced its sync, in this attempt or an earlier one."""
        return self._kept.asked.get(connection_id)

    async def force_sync(self, user: User, before: Connection, *, person_present: bool) -> None:
        """Start a sync of one connection at the bank, and discard earlier reads of the user.

        Args:
            before: The connection as it is now.
            person_present: Whether a person can answer the bank, which may then require strong authentication.
        Raises: PowensError, SecretError.
        """
        token = self._config.user_token(self._tenant, user)
        asked = "true" if person_present else "false"
        url = f"{self._tenant.root}/users/me/connections/{before.id}?psu_requested={asked}"
        for answers in (self._kept.answers, self._under_way):
            for key in [key for key in answers if key[0] == user.id]:
                del answers[key]
        # Powens checks the credentials at the bank before it answers. After a timeout, the connection shows whether the sync
        # began.
        with suppress(TooSlow):
            await self._client.call("PUT", url, token)
        self._kept.asked[before.id] = before

    async def _once(self, user: User, what: str, read: Callable[[User], Awaitable[V]]) -> V:
        key = (user.id, what)
        if key in self._kept.refused:
            raise self._kept.refused[key]
        if key not in self._kept.answers:
            if key not in self._under_way:
                self._under_way[key] = asyncio.ensure_future(read(user))
            try:
                self._kept.answers[key] = await self._under_way[key]
            except Refused as refusal:
                self._kept.refused[key] = refusal
                raise
        answer: V = self._kept.answers[key]
        return answer

    async def _read_connections(self, user: User) -> Records[Connection]:
        token = self._config.user_token(self._tenant, user)
        listing = await self._client.read_list(
            "/users/me/connections", "connections", token, {"expand": "connector,sources"}
        )
        return self._typed(user, Connection, listing, connection_drift, is_whole=True)

    async def _read_accounts(self, user: User) -> Records[Account]:
        return await self._accounts(user, {"all": ""})

    async def _read_enabled_accounts(self, user: User) -> Records[Account]:
        return await self._accounts(user, {})

    async def _accounts(self, user: User, params: Mapping[str, str]) -> Records[Account]:
        token = self._config.user_token(self._tenant, user)
        try:
            listing = await self._client.read_list("/users/me/accounts", "accounts", token, params)
        except (Invalid, Missing) as error:
            # 409 in the docs, 400 in the official specification: check the code.
            if error.code.lower() != "noaccount":
                raise
            listing = Listing([])
        return self._typed(user, Account, listing, account_drift, is_whole="all" in params)

    def _typed(
        self, user: User, kind: type[R], listing: Listing, drift_of: Callable[[R], set[Drift]], *, is_whole: bool
    ) -> Records[R]:
        """Parse a list. `is_whole`: a record that the list lacks was removed at Powens."""
        name = kind.__name__.lower()
        items: list[tuple[R, Mapping[str, Any]]] = []
        quarantine: list[QuarantineRow] = []
        unread: list[Unread] = []
        drift: Counter[Drift] = Counter()
        if listing.missing:
            drift[does_not_add_up(f"{name}s")] = abs(listing.missing)
        if listing.missing > 0 and is_whole:
            # Any record that seems to be removed may be one of these, so none counts as removed.
            reason = "list: twice fewer records than its own total says"
            quarantine.append(quarantined(self._tenant.id, user.id, name, {}, reason))
            unread.append(Unread(None, None))
        contradicted = _told_in_two_ways(listing.records)
        for record in listing.records:
            if record_id(record) in contradicted:
                reason = "id: in one page more than once, with different content"
                quarantine.append(quarantined(self._tenant.id, user.id, name, record, reason))
                # One of them is another record with an unknown id.
                unread += [_unread(record), replace(_unread(record), id=None)]
                continue
            parsed = parse(kind, self._tenant.id, user.id, record)
            if isinstance(parsed, QuarantineRow):
                quarantine.append(parsed)
                unread.append(_unread(record))
                drift.update(misfits(name, parsed))
            else:
                items.append((parsed, record))
                drift.update(drift_of(parsed) | unread_fields(parsed, record))
        return Records(tuple(items), tuple(quarantine), drift, tuple(unread))


def _unread(record: Mapping[str, Any]) -> Unread:
    return Unread(id_if_any(record.get("id")), id_if_any(record.get("id_connection")))


def _told_in_two_ways(records: list[dict[str, Any]]) -> set[int]:
    """Ids that records of different content share: we cannot know which content is right."""
    times = Counter(record_id(record) for record in records)
    repeated = [(i, digest(r)) for r in records if (i := record_id(r)) is not None and times[i] > 1]
    return {i for i, times in Counter(i for i, _ in set(repeated)).items() if times > 1}


class OpenBanking:
    """The integration of the slot `primaryOpenBanking`: Powens, with each tenant's own domain and credentials."""

    def __init__(self, config: Config, transport: "TransportFactory | None" = None) -> None:
        self._config = config
        self._transport = transport
        self._kept: dict[str, KeptAnswers] = {}

    @property
    def config(self) -> Config:
        return self._config

    def binding(self, tenant: Tenant) -> IntegrationBinding:
        """Whether the slot is bound and healthy, as far as we know without a call.

        A token that Powens no longer accepts fails at the first read, for that user only.
        """
        status, reason = "connected", ""
        if tenant.integration == "disconnected":
            status, reason = "disconnected", f'tenants.{tenant.id}.integration is "disconnected" in the configuration.'
        else:
            unusable = [str(problem) for user in tenant.users if (problem := self._token_problem(tenant, user))]
            if len(unusable) == len(tenant.users):
                status, reason = "error", " ".join(unusable)
        return IntegrationBinding(
            slot=PRIMARY_OPEN_BANKING,
            integration=POWENS_INTEGRATION,
            status=cast(BindingStatus, status),
            capabilities=POWENS_CAPABILITIES,
            reason=reason,
        )

    def _token_problem(self, tenant: Tenant, user: User) -> SecretError | None:
        try:
            self._config.user_token(tenant, user)
        except SecretError as problem:
            return problem
        return None

    @asynccontextmanager
    async def session(self, tenant: Tenant, step: str) -> AsyncIterator[BankSession]:
        """Calls for one attempt of one step. Reads of the step's earlier attempts in this run are kept."""
        # Import the HTTP client only here: Dagster loads this module to know assets, jobs and schedules.
        from pfo_pipeline.powens.client import client_of

        kept = self._kept.setdefault(f"{tenant.id}/{step}", KeptAnswers())
        async with client_of(self._config, tenant, self._transport) as client:
            yield BankSession(self._config, tenant, client, kept)

    def forget(self, tenant: Tenant, step: str) -> None:
        """Discard the answers of a finished step: the next step must read again."""
        self._kept.pop(f"{tenant.id}/{step}", None)
