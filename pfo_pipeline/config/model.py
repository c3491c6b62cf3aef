"""The configuration, read and checked: the office, its tenants, their Powens users.

Not here: what a single value may be (values.py), how the file is read (loading.py), what a reference leads to (secrets.py).
"""

from collections.abc import Mapping
from functools import cached_property
from os.path import normpath
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pfo_pipeline.config.errors import ConfigError, SecretError
from pfo_pipeline.config.secrets import read_secret
from pfo_pipeline.config.stored import MemberFiles
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
from pfo_pipeline.contracts.freshness import Freshness

DEFAULT_TIMEZONE = "Europe/Paris"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class User(_Section):
    """One Powens user of a tenant: a member of the household, with a permanent token."""

    id: Slug
    """The member's short name, in commands and in the ledger."""
    powens_id: int | None = Field(default=None, gt=0)
    """The number of an existing Powens user; `pfo connect` stores that of a user it creates."""
    name: str = ""
    """The member's name on the cash page."""
    token: SecretReference
    """The permanent token; `pfo connect` writes it to a `file:PATH`."""


class Tenant(_Section):
    """One customer of the office: its own Powens domain and credentials (bring your own key)."""

    id: Slug
    name: str = ""
    """Title of its cash page."""
    domain: DomainLabel
    """Label of the Powens domain: `smith` for `https://smith.biapi.pro`."""
    base_url: BaseUrl = ""
    """Root of the API, if not the domain's own; http on loopback only."""
    client_id: Annotated[str, Field(pattern=r"^\d+$")] | None = None
    """From the Powens console, digits in quotes; part of members' links."""
    client_secret: SecretReference | None = None
    """From the Powens console; `pfo connect` creates users and tokens with it."""
    redirect_uri: RedirectUri | None = None
    """Where members return, exactly as allowed in the console; on this machine, commands wait there."""
    webview_url: BaseUrl = "https://webview.powens.com/en"
    """Powens' pages for members; the last segment is their language."""
    config_token: SecretReference | None = None
    """From the Powens console; only for registering webhooks."""
    webhook_secret: SecretReference | None = None
    """Signs Powens' webhooks."""
    webhook_bearer: SecretReferences = ()
    """Sent with unsigned webhooks; by Powens' default the token of their user."""
    timezone: TimeZoneName = DEFAULT_TIMEZONE
    """Time zone of the schedules."""
    integration: Literal["connected", "disconnected"] = "connected"
    """`disconnected` pauses a tenant: its steps are refused."""
    timeout_seconds: int = Field(default=60, ge=1, le=600)
    """For one call; Powens may be slow."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Rate limit of the domain for all programs of this machine; 30 on a sandbox, otherwise none."""
    requests_per_day: int | None = Field(default=None, ge=1)
    """Likewise; 86,400 on a sandbox."""
    currency_changes: Mapping[str, CurrencyCode] = Field(default_factory=dict)
    """New currency of each account, by id, whose bank has really changed it."""
    alert_targets: SecretReferences = ()
    """Further targets, only for this tenant's alerts."""
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
        """Root of the tenant's API, without a trailing slash (Powens docs, API design: one sub-domain per client)."""
        return self.base_url or f"https://{self.domain}.biapi.pro/2.0"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def user(self, user_id: str) -> User | None:
        return next((user for user in self.users if user.id == user_id), None)

    def secret_references(self) -> list[tuple[str, str]]:
        """Every reference to a secret, with the key that it stands at."""
        one_each = ((name, getattr(self, name)) for name in ("client_secret", "config_token", "webhook_secret"))
        found = [(f"tenants.{self.id}.{name}", reference) for name, reference in one_each if reference]
        for name in ("webhook_bearer", "alert_targets"):
            found += [(f"tenants.{self.id}.{name}", reference) for reference in getattr(self, name)]
        return found + [(_token_key(self, user), user.token) for user in self.users]


Waits = tuple[Annotated[int, Field(ge=1, le=24 * 366)], ...]


class RepeatHours(_Section):
    """Hours until each repetition of an open alert; the last value continues. Empty: no repetition."""

    critical: Waits = (24,)
    """The operator must act at once."""
    warning: Waits = (24, 24, 24, 168)
    """A person must act."""
    notice: Waits = (168,)
    """For information."""


class AlertSettings(_Section):
    """Alert targets (Apprise URLs, which contain passwords) and repeat policy."""

    targets: SecretReferences = ()
    """Targets of all tenants' alerts; without any, only `alerts.jsonl` is written."""
    repeat_hours: RepeatHours = RepeatHours()
    """Hours until each repetition of an open alert, by severity; the last value continues."""
    stale_hours: int = Field(default=26, ge=1, le=24 * 31)
    """Maximum hours without a successful read of a tenant."""


class ReportSettings(_Section):
    """The cash page: whether each refresh writes one for its tenant, how it writes numbers, what it converts to."""

    after_refresh: bool | None = None
    """Whether each refresh writes the tenant's page; by default unless the ledger is encrypted."""
    locale: LocaleName = "en_GB"
    """Format of amounts and dates."""
    reference_currency: CurrencyCode | None = None
    """Amounts with a rate are converted to it; needs `rates`."""
    rates: PathName | None = None
    """Exchange rates as published by the European Central Bank (eurofxref-hist.csv), relative to this file's folder."""

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
    """Folder of ledger and Dagster's history, relative to this file's folder; by default `data` in the working directory."""
    encryption_key: SecretReference | None = None
    """Key of the ledger's files; without it they are not encrypted."""
    publish_personal_columns: bool = True
    """`false` leaves names, account numbers, IBANs and BICs out of the published ledger."""
    freshness: Freshness = Freshness()
    """Maximum age of a balance."""
    alerts: AlertSettings = AlertSettings()
    """Alert targets and repeat policy."""
    report: ReportSettings = ReportSettings()
    """The cash page."""
    tenants: tuple[Tenant, ...] = Field(default=(), validate_default=True)
    """The customers of the office, one table each."""

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
        """Raises: ConfigError: no such tenant."""
        found = self.by_id.get(tenant_id)
        if found is None:
            known = ", ".join(sorted(self.by_id))
            raise ConfigError(f"Tenant {tenant_id!r} is not in {self.source}. Known tenants: {known}.")
        return found

    def secret(self, reference: str, *, key: str) -> str:
        """The secret behind a reference, read now.

        Args:
            reference: `env:NAME`, or `file:PATH` (relative to the configuration file).
            key: Where the reference stands, for the error.
        Raises:
            SecretError: unset, unreadable or empty.
        """
        return read_secret(reference, folder=self.source.parent, key=key)

    def secret_references(self) -> list[tuple[str, str]]:
        """Every reference to a secret, with the key that it stands at."""
        found = [("encryption_key", self.encryption_key)] if self.encryption_key else []
        found += [("alerts.targets", reference) for reference in self.alerts.targets]
        return found + [pair for tenant in self.tenants for pair in tenant.secret_references()]

    def ledger_key(self) -> str | None:
        """What the ledger's files are encrypted with; None where they are plain. Raises: SecretError."""
        return self.secret(self.encryption_key, key="encryption_key") if self.encryption_key else None

    @property
    def writes_pages(self) -> bool:
        """Whether a cash page follows each refresh."""
        wanted = self.report.after_refresh
        return self.encryption_key is None if wanted is None else wanted

    def webhook_secret(self, tenant: Tenant) -> str | None:
        """None where posts are not signed. Raises: SecretError."""
        key = f"tenants.{tenant.id}.webhook_secret"
        return self.secret(tenant.webhook_secret, key=key) if tenant.webhook_secret else None

    def webhook_bearer(self, tenant: Tenant) -> list[str]:
        """Raises: SecretError."""
        return [self.secret(r, key=f"tenants.{tenant.id}.webhook_bearer") for r in tenant.webhook_bearer]

    def user_token(self, tenant: Tenant, user: User) -> str:
        """Raises: SecretError."""
        return self.secret(user.token, key=_token_key(tenant, user))

    def member_files(self, user: User) -> MemberFiles | None:
        """Where the member's token is written; None where the reference names no file."""
        kind, _, path = user.token.partition(":")
        return MemberFiles((self.source.parent / path).resolve()) if kind == "file" else None

    def powens_id(self, tenant: Tenant, user: User) -> int | None:
        """The Powens user of a member: as configured, else as it was made.

        Raises: SecretError: it cannot be read, or was made on another domain, where the number is somebody else's.
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
    """What the secret at a key is for. Posts may be proved by the user's token, which is Powens' default."""
    name = key.rpartition(".")[2]
    return "token" if name == "webhook_bearer" else name


def _spelt_once(reference: str) -> str:
    kind, _, rest = reference.partition(":")
    return f"{kind}:{normpath(rest)}" if kind == "file" else reference
