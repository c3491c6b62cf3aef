"""The models of the configuration: the office, its tenants, their Powens users."""

from collections.abc import Mapping
from functools import cached_property
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pfo_pipeline.config.token_store import MemberFiles, read_secret
from pfo_pipeline.config.values import (
    BaseUrl,
    CurrencyCode,
    DomainLabel,
    LocaleName,
    PathName,
    RedirectUri,
    SecretReference,
    SecretReferences,
    Slug,
    TimeZoneName,
)
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.errors import ConfigError, SecretError

DEFAULT_TIMEZONE = "Europe/Paris"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class User(_Section):
    """One Powens user of a tenant: a member of the household, with a permanent token."""

    id: Slug
    """The member's short name, in commands and in the ledger."""
    powens_id: int | None = Field(default=None, gt=0, strict=True)
    """The user's number at Powens, if the user exists already; `pfo connect` stores the number of a user that it creates."""
    name: str = ""
    """The member's name on the cash page."""
    token: SecretReference
    """The permanent token; `pfo connect` writes it if this is `file:PATH`."""


class Tenant(_Section):
    """One customer of the office, with its own Powens domain and credentials (bring your own key)."""

    id: Slug
    name: str = ""
    """The tenant's name for people: the title of its cash page."""
    domain: DomainLabel
    """Label of the Powens domain: `smith` for `https://smith.biapi.pro`."""
    base_url: BaseUrl = ""
    """Root of the API, if it is not the domain's own; http on loopback only."""
    client_id: Annotated[str, Field(pattern=r"^\d+$")] | None = None
    """From the Powens console, digits in quotes; part of the links that members open."""
    client_secret: SecretReference | None = None
    """From the Powens console; for `pfo connect`, which creates users and their tokens."""
    redirect_uri: RedirectUri | None = None
    """Where members return to, exactly as the console allows it; if it is on this machine, commands wait for them there."""
    webview_url: BaseUrl = "https://webview.powens.com/en"
    """Where members connect and repair their banks; the last segment is the language of the pages."""
    config_token: SecretReference | None = None
    """From the Powens console; needed only to register webhooks."""
    webhook_secret: SecretReference | None = None
    """The key with which Powens signs its posts."""
    webhook_bearer: SecretReferences = ()
    """The token that Powens sends with posts that it does not sign: by default the token of the user whom the post is about.
    """
    timezone: TimeZoneName = DEFAULT_TIMEZONE
    """The time zone of the tenant's schedules and dates."""
    integration: Literal["connected", "disconnected"] = "connected"
    """`disconnected` pauses a tenant: its steps are refused."""
    timeout_seconds: int = Field(default=60, ge=1, le=600, strict=True)
    """For one call; Powens may be slow."""
    requests_per_minute: int | None = Field(default=None, ge=1, strict=True)
    """Calls to the domain, by all programs of this machine; default 30 on a sandbox, otherwise unlimited."""
    requests_per_day: int | None = Field(default=None, ge=1, strict=True)
    """Likewise per day; default 86,400 on a sandbox."""
    currency_changes: Mapping[str, CurrencyCode] = Field(default_factory=dict)
    """Accounts, by canonical id, whose currency a bank has really changed, with the new currency."""
    alert_targets: SecretReferences = ()
    """Further addresses, only for this tenant's alerts."""
    users: tuple[User, ...] = Field(default=(), validate_default=True)
    """The members of the household."""

    @field_validator("users")
    @classmethod
    def _users_are_there_and_distinct(cls, users: tuple[User, ...]) -> tuple[User, ...]:
        if not users:
            raise ValueError("there is none; add [[tenants.NAME.users]] with an id and a token")
        for what, values in (("id", [u.id for u in users]), ("powens_id", [u.powens_id for u in users if u.powens_id])):
            if len(set(values)) != len(values):
                raise ValueError(f"two of them have the same {what}")
        return users

    @field_validator("webhook_bearer")
    @classmethod
    def _posts_are_proved_in_one_way(cls, bearer: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        if bearer and others.data.get("webhook_secret"):
            raise ValueError("posts are signed, as webhook_secret says; take one of the two out")
        return bearer

    @property
    def root(self) -> str:
        """The root of the tenant's API, without a trailing slash (Powens docs, API design: one sub-domain per client)."""
        return self.base_url or f"https://{self.domain}.biapi.pro/2.0"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def user(self, user_id: str) -> User | None:
        return next((user for user in self.users if user.id == user_id), None)

    def secret_references(self) -> list[tuple[str, str]]:
        """Return every reference to a secret, with its key."""
        one_each = ((name, getattr(self, name)) for name in ("client_secret", "config_token", "webhook_secret"))
        found = [(f"tenants.{self.id}.{name}", reference) for name, reference in one_each if reference]
        for name in ("webhook_bearer", "alert_targets"):
            found += [(f"tenants.{self.id}.{name}", reference) for reference in getattr(self, name)]
        return found + [(_token_key(self, user), user.token) for user in self.users]


Waits = tuple[Annotated[int, Field(ge=1, le=24 * 366, strict=True)], ...]


class RepeatHours(_Section):
    """Hours until an alert that is still open is repeated; the last value applies from then on. Empty: never repeated."""

    critical: Waits = (24,)
    """For conditions that an operator must repair at once."""
    warning: Waits = (24, 24, 24, 168)
    """For conditions that need an action."""
    notice: Waits = (168,)
    """For information."""


class AlertSettings(_Section):
    """Alert targets (Apprise URLs, which contain a password) and repeat policy."""

    targets: SecretReferences = ()
    """Targets of all tenants' alerts; without any, only `alerts.jsonl` is written."""
    repeat_hours: RepeatHours = RepeatHours()
    """Hours until an open alert is repeated, by severity."""


class ReportSettings(_Section):
    """The cash page: whether each refresh writes one for its tenant, its number format, its reference currency."""

    after_refresh: bool | None = None
    """Whether each refresh writes its tenant's page; default: only if the ledger is not encrypted."""
    locale: LocaleName = "en_GB"
    """The format of amounts and dates."""
    reference_currency: CurrencyCode | None = None
    """The currency to which every amount with a rate is converted; needs `rates`."""
    rates: PathName | None = None
    """Exchange rates as the European Central Bank publishes them (eurofxref-hist.csv); the path is relative to this file's
    folder.
    """

    @model_validator(mode="after")
    def _rates_are_there_for_the_reference_currency(self) -> "ReportSettings":
        if (self.reference_currency is None) != (self.rates is None):
            raise ValueError("reference_currency and rates go together: give both, or neither")
        return self


class Config(_Section):
    """The whole configuration. `source` is the file that it was read from; relative paths start at its folder."""

    source: Path
    office: Slug
    """Name of the ledger, which refuses another office's configuration."""
    data_dir: PathName | None = None
    """The folder of the ledger and Dagster's history, relative to this file's folder; default: `data` in the working
    directory.
    """
    encryption_key: SecretReference | None = None
    """The encryption key of the ledger's files; without one they are plain."""
    publish_personal_columns: bool = True
    """`false` leaves names, account numbers, IBANs and BICs out of the published ledger."""
    freshness: Freshness = Freshness()
    """How old a balance may be."""
    alerts: AlertSettings = AlertSettings()
    """Alert targets and repeat policy."""
    report: ReportSettings = ReportSettings()
    """The cash page."""
    tenants: tuple[Tenant, ...] = Field(default=(), validate_default=True)
    """The customers of the office, one table each."""

    @model_validator(mode="before")
    @classmethod
    def _with_old_names(cls, raw: Any) -> Any:
        """Accept `alerts.stale_hours`, the name of `freshness.read_hours` in release 0.1.0."""
        alerts = raw.get("alerts") if isinstance(raw, dict) else None
        if not isinstance(alerts, dict) or "stale_hours" not in alerts:
            return raw
        freshness = raw.get("freshness", {})
        if not isinstance(freshness, dict):
            return raw
        others = {key: value for key, value in alerts.items() if key != "stale_hours"}
        return {**raw, "alerts": others, "freshness": {"read_hours": alerts["stale_hours"], **freshness}}

    @field_validator("tenants")
    @classmethod
    def _tenants_are_there(cls, tenants: tuple[Tenant, ...], others: ValidationInfo) -> tuple[Tenant, ...]:
        if not tenants:
            raise ValueError("there is none; add a table such as [tenants.smith]")
        tokens = [user.token for tenant in tenants for user in tenant.users]
        repeated = sorted({token for token in tokens if tokens.count(token) > 1})
        if repeated:
            raise ValueError(
                f"two users have the same token reference, {repeated[0]}; each user has a token of its own"
            )
        known: dict[tuple[str, int], str] = {}
        for tenant in tenants:
            for user in tenant.users:
                name = f"tenants.{tenant.id}.users.{user.id}"
                if user.powens_id and (first := known.setdefault((tenant.domain, user.powens_id), name)) != name:
                    raise ValueError(
                        f"{first} and {name} are one Powens user, {user.powens_id} of {tenant.domain}: each account would "
                        "count twice. Leave one of them out"
                    )
        keys = (
            {_spelt_once(others.data["encryption_key"]): "encryption_key"} if others.data.get("encryption_key") else {}
        )
        for key, reference in (pair for tenant in tenants for pair in tenant.secret_references()):
            first = keys.setdefault(_spelt_once(reference), key)
            if _purpose(first) != _purpose(key):
                raise ValueError(f"{first} and {key} are the same secret, {reference}; each needs one of its own")
        return tenants

    @cached_property
    def by_id(self) -> Mapping[str, Tenant]:
        return {tenant.id: tenant for tenant in self.tenants}

    def tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant. Raises: ConfigError: no such tenant."""
        found = self.by_id.get(tenant_id)
        if found is None:
            known = ", ".join(sorted(self.by_id))
            raise ConfigError(f"Tenant {tenant_id!r} is not in {self.source}. Known tenants: {known}.")
        return found

    def secret(self, reference: str, *, key: str) -> str:
        """Read the secret behind a reference.

        Args:
            reference: `env:NAME`, or `file:PATH` (relative to the configuration file).
            key: The configuration key of the reference, for the error.
        Raises:
            SecretError: unset, unreadable or empty.
        """
        return read_secret(reference, folder=self.source.parent, key=key)

    def secret_references(self) -> list[tuple[str, str]]:
        """Return every reference to a secret, with its key."""
        found = [("encryption_key", self.encryption_key)] if self.encryption_key else []
        found += [("alerts.targets", reference) for reference in self.alerts.targets]
        return found + [pair for tenant in self.tenants for pair in tenant.secret_references()]

    def ledger_key(self) -> str | None:
        """Return the encryption key of the ledger's files; None if they are plain. Raises: SecretError."""
        return self.secret(self.encryption_key, key="encryption_key") if self.encryption_key else None

    @property
    def is_encrypted(self) -> bool:
        """Whether the ledger's files are encrypted."""
        return self.encryption_key is not None

    @property
    def writes_pages(self) -> bool:
        """Whether each refresh writes a cash page."""
        wanted = self.report.after_refresh
        return not self.is_encrypted if wanted is None else wanted

    def webhook_secret(self, tenant: Tenant) -> str | None:
        """Return the key for signatures; None if posts are not signed. Raises: SecretError."""
        key = f"tenants.{tenant.id}.webhook_secret"
        return self.secret(tenant.webhook_secret, key=key) if tenant.webhook_secret else None

    def webhook_bearer(self, tenant: Tenant) -> list[str]:
        """Return the accepted bearer tokens. Raises: SecretError."""
        return [self.secret(r, key=f"tenants.{tenant.id}.webhook_bearer") for r in tenant.webhook_bearer]

    def user_token(self, tenant: Tenant, user: User) -> str:
        """Return the user's token. Raises: SecretError."""
        return self.secret(user.token, key=_token_key(tenant, user))

    def member_files(self, user: User) -> MemberFiles | None:
        """Return the files of the user's token; None if the reference names no file."""
        kind, _, path = user.token.partition(":")
        return MemberFiles((self.source.parent / path).resolve()) if kind == "file" else None

    def powens_id(self, tenant: Tenant, user: User) -> int | None:
        """Return the Powens user id of a user: as configured, else as created.

        Raises: SecretError: it cannot be read, or was created on another domain, where the number belongs to another user.
        """
        if user.powens_id is not None:
            return user.powens_id
        files = self.member_files(user)
        stored = files.stored_user() if files else None
        if files is None or stored is None:
            return None
        if stored.domain != tenant.domain:
            raise SecretError(
                f"{files.user} is of a user that was made on the Powens domain {stored.domain!r}, and tenants.{tenant.id} is "
                f"on {tenant.domain!r}, where the number is somebody else's. Configure the former domain again, or move that "
                f"file and {files.token} away: pfo connect then makes a user on the new one."
            )
        return stored.powens_id


def _token_key(tenant: Tenant, user: User) -> str:
    return f"tenants.{tenant.id}.users.{user.id}.token"


def _purpose(key: str) -> str:
    """Describe the purpose of the secret at a key. Posts may be authenticated by the user token, as is Powens' default."""
    name = key.rpartition(".")[2]
    return "token" if name == "webhook_bearer" else name


def _spelt_once(reference: str) -> str:
    kind, _, rest = reference.partition(":")
    return f"{kind}:{normpath(rest)}" if kind == "file" else reference
