"""The state of a simulated world: plain mutable records and look-ups between them.

Times are aware UTC; amounts are Decimal in the account's currency.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from pfo_pipeline.simulator.catalogue import CONNECTORS, CatalogueConnector
from pfo_pipeline.simulator.dice import roll
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paris_time import Clock

TokenKind = Literal["permanent", "temporary", "users", "config"]


@dataclass
class Token:
    """A bearer token. `id_user` is null for the console's tokens, `expires` for permanent ones."""

    value: str
    kind: TokenKind
    id_user: int | None
    expires: datetime | None = None


@dataclass
class Code:
    """A temporary code that can be exchanged for a token."""

    value: str
    id_user: int
    single_use: bool
    expires: datetime


@dataclass
class WorldUser:
    """An end user of the client application; anonymous ones are deleted with their temporary token."""

    id: int
    signin: datetime
    anonymous: bool = False


@dataclass
class WorldSource:
    """A source of a connection."""

    id: int
    id_connector_source: int
    name: str
    created: datetime
    last_update: datetime | None
    state: str | None = None
    error_message: str | None = None
    disabled: datetime | None = None
    expire: datetime | None = None
    next_try: datetime | None = None


@dataclass
class RunningSync:
    """A running sync; it ends when the clock reaches `finishes`."""

    finishes: datetime
    outcome: str | None


@dataclass
class WorldConnection:
    """A user's link to a bank.

    `next_try` is the schedule: when the clock passes it, the automatic sync runs; null means never.
    `verbatim` replaces or adds wire fields unchanged.
    """

    id: int
    id_user: int
    connector: CatalogueConnector
    created: datetime
    sync_time: time
    last_update: datetime | None
    next_try: datetime | None
    expire: datetime | None
    state: str | None = None
    error_message: str | None = None
    fields: list[object] | None = None
    last_push: datetime | None = None
    active: bool = True
    sources: list[WorldSource] = field(default_factory=list)
    scenario: str | None = None
    running: RunningSync | None = None
    forced_at: datetime | None = None
    login_until: datetime | None = None
    """The time at which an open login expires, unless it is completed."""
    erased: datetime | None = None
    verbatim: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Pending:
    """An announced operation; on the day `due` it is posted or dropped."""

    amount: Decimal
    due: date
    dropped: bool = False


@dataclass(frozen=True)
class WorldBalance:
    """The balance that an account showed from a time on; `as_of` is the balance's own time."""

    shown_from: datetime
    as_of: datetime | None
    balance: Decimal | None
    coming: Decimal | None
    currency: str | None


@dataclass
class WorldAccount:
    """A bank account.

    `known` is false until the first sync after enabling: then only few values are sent. `swing` limits a daily move,
    `moved_to` is
    the last day whose move is in `balance`, `unseen` is the movement that only a sync of the same account elsewhere has seen.
    Balances are `lag` old when they arrive. `announces` is whether `coming` is the sum of `pending`, `buys` whether purchases
    are
    generated. `bank_account` identifies the account at the bank if that is not its IBAN. `fields` are further wire fields,
    `verbatim` replaces or adds any of them unchanged.
    """

    id: int
    id_connection: int
    id_user: int
    id_source: int | None
    type: str
    currency: str | None
    balance: Decimal | None
    coming: Decimal | None
    last_update: datetime | None
    moved_to: date
    swing: Decimal = Decimal(0)
    known: bool = True
    disabled: datetime | None = None
    deleted: datetime | None = None
    numbers_as_strings: bool = False
    bank_account: str | None = None
    unseen: Decimal = Decimal(0)
    lag: timedelta = timedelta(seconds=1)
    announces: bool = False
    buys: bool = False
    pending: list[Pending] = field(default_factory=list)
    figures: list[WorldBalance] = field(default_factory=list)
    erased: datetime | None = None
    fields: JsonObject = field(default_factory=dict)
    verbatim: JsonObject = field(default_factory=dict)

    @property
    def visible(self) -> bool:
        """Whether lists contain it without `all`."""
        return self.disabled is None and self.deleted is None

    @property
    def identity(self) -> str:
        """Identity of the account at the bank; the same for all its records."""
        return self.bank_account or str(self.fields.get("iban") or self.id)


@dataclass
class AuthProvider:
    """A secret for the signatures of posts."""

    id: int
    type: str
    name: str
    secret: str


@dataclass
class Webhook:
    """An address for one event, optionally of one user; without a provider, posts carry the user's token."""

    id: int
    event: str
    url: str
    id_auth: int | None
    id_user: int | None


@dataclass(eq=False)
class WebhookDelivery:
    """A post to deliver. `number` is `id_webhook_data`, `token` the user's at the time of the event."""

    number: int
    webhook_id: int
    id_user: int
    at: datetime
    body: bytes
    token: str | None
    tries: int = 0


@dataclass
class Settings:
    """The behaviour of a domain. The two sync times are assumptions; Powens publishes none.

    `redirect_uris` are the addresses to which the webview may return a member.
    """

    rate_limit_per_minute: int = 0
    page_size: int | None = None
    sync_seconds: int = 20
    forced_sync_interval_seconds: int = 900
    webhooks_gzip: bool = False
    redirect_uris: tuple[str, ...] = ()


@dataclass
class Domain:
    """One client application with all its records. Ids are unique only within a domain."""

    name: str
    client_id: str
    client_secret: str
    settings: Settings
    users: dict[int, WorldUser] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    connections: dict[int, WorldConnection] = field(default_factory=dict)
    accounts: dict[int, WorldAccount] = field(default_factory=dict)
    erased_connections: list[WorldConnection] = field(default_factory=list)
    erased_accounts: list[WorldAccount] = field(default_factory=list)
    auth_providers: dict[int, AuthProvider] = field(default_factory=dict)
    webhooks: dict[int, Webhook] = field(default_factory=dict)
    outbox: list[WebhookDelivery] = field(default_factory=list)
    issued: int = 0
    requests: int = 0
    last_ids: dict[str, int] = field(default_factory=dict)

    def next_id(self, kind: Literal["user", "connection", "account", "source", "provider", "webhook", "event"]) -> int:
        """A new id; ids are never reused, so a bank that is added again gets new ones."""
        firsts = {"user": 731, "connection": 4821, "account": 17301, "source": 9101}
        first = (firsts | {"provider": 12, "webhook": 41, "event": 556_001})[kind]
        self.last_ids[kind] = self.last_ids.get(kind, first - 1) + 1
        return self.last_ids[kind]

    def connector_id(self, connector: CatalogueConnector) -> int:
        """The connector's id in this domain; it differs between domains, as in Powens."""
        return connector.base_id + 2000 * (roll("connector ids", self.name) % 7)

    def source_id(self, connector: CatalogueConnector, position: int) -> int:
        """The id of a connector's source in this domain."""
        return 10 * self.connector_id(connector) + position + 1

    def connector(self, reference: str) -> CatalogueConnector | None:
        """Find a connector by this domain's id or by uuid."""
        for connector in CONNECTORS:
            if reference in (connector.uuid, str(self.connector_id(connector))):
                return connector
        return None

    def connections_of(self, user_id: int) -> list[WorldConnection]:
        """A user's connections by id."""
        return sorted((c for c in self.connections.values() if c.id_user == user_id), key=lambda c: c.id)

    def accounts_of(self, user_id: int, connection_id: int | None = None) -> list[WorldAccount]:
        """A user's accounts by id, optionally of one connection; including disabled and deleted ones."""
        chosen = (
            account
            for account in self.accounts.values()
            if account.id_user == user_id and connection_id in (None, account.id_connection)
        )
        return sorted(chosen, key=lambda account: account.id)

    def permanent_token(self, user_id: int) -> str | None:
        """The user's first token that is not revoked."""
        kept = (t.value for t in self.tokens.values() if t.id_user == user_id and t.kind == "permanent")
        return next(kept, None)

    def erase_account(self, account_id: int, at: datetime) -> None:
        """Remove an account from every answer; only the truth keeps it."""
        account = self.accounts.pop(account_id)
        account.erased = at
        self.erased_accounts.append(account)

    def erase_connection(self, connection_id: int, at: datetime) -> None:
        """Remove a connection and its records from every answer."""
        connection = self.connections.pop(connection_id)
        connection.erased = at
        self.erased_connections.append(connection)
        for account in self.accounts_of(connection.id_user, connection_id):
            self.erase_account(account.id, at)

    def erase_user(self, user_id: int, at: datetime) -> None:
        """Delete a user, and remove the user's records from every answer."""
        for connection in self.connections_of(user_id):
            self.erase_connection(connection.id, at)
        self.tokens = {value: token for value, token in self.tokens.items() if token.id_user != user_id}
        self.codes = {value: code for value, code in self.codes.items() if code.id_user != user_id}
        del self.users[user_id]


@dataclass
class World:
    """All state, with its clock and its seed. `advanced_to` is the time up to which events have been played."""

    clock: Clock
    seed: int
    advanced_to: datetime
    settings: Settings
    domains: dict[str, Domain] = field(default_factory=dict)
