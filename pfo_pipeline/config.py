"""The one configuration file: tenants, their Powens domain and users, references to secrets.

Here: reading and checking TOML, every mistake named at once by its key; resolving a secret when it is used.
Not here: what a tenant's data means. Secrets are references (`env:NAME`, `file:PATH`), never values.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pfo_pipeline.contracts.model import Role
from pfo_pipeline.errors import PfoError

CONFIG_VARIABLE = "PFO_CONFIG"
DATA_DIR_VARIABLE = "PFO_DATA_DIR"
DEFAULT_CONFIG = Path("pfo.toml")
DEFAULT_TIMEZONE = "Europe/Paris"

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1035: a label has at most 63 characters
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class ConfigError(PfoError):
    """The configuration cannot be used; the message lists every mistake by its key."""


class SecretError(PfoError):
    """A secret reference does not resolve; the message names the key and the reference, never the value."""


def _slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise ValueError(f"{value!r} is not a slug: use a-z, 0-9, - and _, at most 63, starting with a letter or digit")
    return value


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not a time zone name; use one such as Europe/Paris")
    return value


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a Powens domain label: give smith for https://smith.biapi.pro "
            "(a-z, 0-9 and -, at most 63, starting and ending with a letter or digit)"
        )
    return value


def _refuse_other_than_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not a URL; give one such as https://smith.biapi.pro/2.0")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("http would send tokens in clear; use https (http is allowed on loopback only)")


def checked_base_url(value: str) -> str:
    _refuse_other_than_url(value)
    if any(mark in value for mark in "@?#"):
        raise ValueError("must hold no user, password, query or fragment")
    return value.rstrip("/")


def _redirect_uri(value: str) -> str:
    _refuse_other_than_url(value)
    if "@" in urlsplit(value).netloc or "#" in value:
        raise ValueError("must hold no user, password or fragment")
    return value  # Unchanged: Powens compares it with its list to the letter.


def _folder(value: Path) -> Path:
    if "\0" in str(value):
        raise ValueError("is not a path: it holds a NUL character")
    return value


def secret_reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError("is not a secret reference; use env:NAME or file:PATH, never the secret itself")
    return value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Slug = Annotated[str, AfterValidator(_slug)]
SecretReference = Annotated[str, AfterValidator(secret_reference)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class User(_Section):
    """One Powens user of a tenant: a member of the household, with a permanent token."""

    id: Slug
    powens_id: int | None = Field(default=None, gt=0)
    name: str = ""
    token: SecretReference


class Tenant(_Section):
    """One customer of the office: its own Powens domain and credentials (bring your own key)."""

    id: Slug
    name: str = ""
    domain: Annotated[str, AfterValidator(_domain)]
    base_url: Annotated[str, AfterValidator(checked_base_url)] = ""
    client_id: Annotated[str, Field(pattern=r"^\d+$")] | None = None
    client_secret: SecretReference | None = None
    redirect_uri: Annotated[str, AfterValidator(_redirect_uri)] | None = None
    config_token: SecretReference | None = None
    """Of the Powens console; needed to register webhooks, and for nothing else."""
    webhook_secret: SecretReference | None = None
    """What Powens signs its posts with."""
    webhook_bearer: Annotated[tuple[SecretReference, ...], BeforeValidator(_listed)] = ()
    """What Powens sends with posts that it does not sign: by default the token of the user whom they are about."""
    timezone: Annotated[str, AfterValidator(_timezone)] = DEFAULT_TIMEZONE
    integration: Literal["connected", "disconnected"] = "connected"
    timeout_seconds: int = Field(default=60, ge=1, le=600)
    requests_per_minute: int | None = Field(default=None, ge=1)
    requests_per_day: int | None = Field(default=None, ge=1)
    currency_changes: Mapping[str, Annotated[str, Field(pattern=r"^[A-Z0-9]{2,12}$")]] = Field(default_factory=dict)
    """Accounts, by canonical id, whose currency a bank has really changed, with the new one."""
    users: tuple[User, ...] = Field(default=(), validate_default=True)

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


class Config(_Section):
    """The whole configuration. `source` is the file that it was read from; relative paths start at its folder."""

    source: Path
    office: Slug
    data_dir: Annotated[Path, AfterValidator(_folder)] | None = None
    encryption_key: SecretReference | None = None
    publish_personal_columns: bool = True
    tenants: tuple[Tenant, ...] = Field(default=(), validate_default=True)

    @field_validator("tenants")
    @classmethod
    def _tenants_are_there(cls, tenants: tuple[Tenant, ...]) -> tuple[Tenant, ...]:
        if not tenants:
            raise ValueError("there is none; add a table such as [tenants.smith]")
        tokens = [user.token for tenant in tenants for user in tenant.users]
        repeated = sorted({token for token in tokens if tokens.count(token) > 1})
        if repeated:
            raise ValueError(
                f"two users have the same token reference, {repeated[0]}; each user has a token of its own"
            )
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
        kind, _, rest = reference.partition(":")
        if kind == "env":
            value = os.environ.get(rest, "").strip()
            if not value:
                raise SecretError(
                    f'{key}: environment variable {rest} is not set. Set it, or point the reference at a file: "file:PATH".'
                )
            return _one_word(value, f"{key}: environment variable {rest}")
        path = self.source.parent / rest
        try:
            path = path.resolve()
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SecretError(
                f"{key}: file {path} cannot be read ({type(error).__name__}). "
                "Create it with the secret alone in it, readable by this account."
            ) from None
        if not value:
            raise SecretError(f"{key}: file {path} is empty. Write the secret into it.")
        return _one_word(value, f"{key}: file {path}")

    def secret_references(self) -> list[tuple[str, str]]:
        """Every reference to a secret, with the key that it stands at."""
        found = [("encryption_key", self.encryption_key)] if self.encryption_key else []
        for tenant in self.tenants:
            one_each = ((name, getattr(tenant, name)) for name in ("client_secret", "config_token", "webhook_secret"))
            found += [(f"tenants.{tenant.id}.{name}", reference) for name, reference in one_each if reference]
            found += [(f"tenants.{tenant.id}.webhook_bearer", reference) for reference in tenant.webhook_bearer]
        return found + [(_token_key(t, u), u.token) for t in self.tenants for u in t.users]

    def ledger_key(self) -> str | None:
        """What the ledger's files are encrypted with; None where they are plain. Raises: SecretError."""
        return self.secret(self.encryption_key, key="encryption_key") if self.encryption_key else None

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


def _one_word(value: str, where: str) -> str:
    """A secret travels in an HTTP header, which takes nothing else."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SecretError(f"{where} holds more than one word of plain characters. Put the secret alone into it.")
    return value


def _token_key(tenant: Tenant, user: User) -> str:
    return f"tenants.{tenant.id}.users.{user.id}.token"


def config_path() -> Path:
    """Where the configuration is looked for: `PFO_CONFIG`, else `pfo.toml` in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG).absolute()


def role_of_process() -> Role:
    """The role that this process acts under: `PFO_ROLE`, `admin` unless told otherwise.

    Raises: ConfigError: neither `user` nor `admin`.
    """
    role = os.environ.get("PFO_ROLE", "admin")
    if role == "admin":
        return "admin"
    if role == "user":
        return "user"
    raise ConfigError(f"PFO_ROLE is {role!r}. Set it to user or admin.")


def load_config(path: Path | None = None) -> Config:
    """Read and check the configuration.

    Raises:
        ConfigError: missing, not TOML, or with mistakes; all of them are named, each by its key.
    """
    path = path or config_path()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {path}. Copy pfo.example.toml to pfo.toml, "
            f"or name a file in {CONFIG_VARIABLE}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}. It must be a UTF-8 text file.") from None
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: its values are nested too deeply.") from None
    except ValueError as error:  # Not only TOMLDecodeError: a number of 5000 digits is Python's own refusal.
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    return _parse(raw, path)


def _parse(raw: dict[str, Any], path: Path) -> Config:
    found = [f"  {key}: is not a known key" for key in _keys_of_our_own(raw)]
    tenants = raw.get("tenants")
    if isinstance(tenants, dict):
        raw = raw | {"tenants": [_with_id(key, section) for key, section in tenants.items()]}
    elif "tenants" in raw:
        raw = raw | {"tenants": None}
    try:
        config = Config.model_validate(raw | {"source": path})
    except ValidationError as error:
        names = list(tenants) if isinstance(tenants, dict) else []
        found += [f"  {_key(issue['loc'], names)}{_reason(issue)}" for issue in error.errors()]
    if found:
        raise ConfigError(f"{path} has mistakes:\n" + "\n".join(sorted(found)))
    return config


def _keys_of_our_own(raw: dict[str, Any]) -> list[str]:
    """Fields that the models have and the file has not: where it was read from, and a tenant's name in its own table."""
    tenants = raw.get("tenants")
    sections = tenants if isinstance(tenants, dict) else {}
    ids = [f"tenants.{name}.id" for name, section in sections.items() if isinstance(section, dict) and "id" in section]
    return ["source"] * ("source" in raw) + ids


def _with_id(key: str, section: object) -> object:
    return {**section, "id": key} if isinstance(section, dict) else section


def _key(location: tuple[int | str, ...], tenants: list[str]) -> str:
    key = ""
    for depth, part in enumerate(location):
        if depth == 1 and location[0] == "tenants" and isinstance(part, int):
            key += f".{tenants[part]}"
        elif isinstance(part, int):
            key += f"[{part}]"
        else:
            key += f".{part}" if key else part
    return f"{key}: " if key else ""


def _reason(issue: Any) -> str:
    kind = issue["type"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known key"
    if kind in ("string_type", "string_pattern_mismatch"):
        return "must be text in quotes" + (" and digits only" if "client_id" in issue["loc"] else "")
    if kind in ("tuple_type", "model_type"):
        return "must be tables, such as [tenants.smith] and [[tenants.smith.users]]"
    return str(issue["msg"]).removeprefix("Value error, ")


def data_dir(config: Config | None) -> Path:
    """The data folder: `PFO_DATA_DIR`, else the configuration's `data_dir`, else `data` in the working directory."""
    told = os.environ.get(DATA_DIR_VARIABLE)
    if told:
        return Path(told).absolute()
    if config is not None and config.data_dir is not None:
        return (config.source.parent / config.data_dir).absolute()
    return Path("data").absolute()
