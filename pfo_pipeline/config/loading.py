"""Find and read the configuration: every mistake is reported at once, by its key."""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pfo_pipeline.config.model import Config
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.errors import ConfigError

CONFIG_VARIABLE = "PFO_CONFIG"
DATA_DIR_VARIABLE = "PFO_DATA_DIR"
DEFAULT_CONFIG = Path("pfo.toml")


def config_path() -> Path:
    """Return the path of the configuration: `PFO_CONFIG`, else `pfo.toml` in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG).absolute()


def role_of_process() -> Role:
    """Return the role of this process: `PFO_ROLE`, default `admin`.

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
        ConfigError: missing, not TOML, or with mistakes; all of them are reported, each by its key.
    """
    path = path or config_path()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {path}. Copy pfo.example.toml to pfo.toml, "
            f"or name a file in {CONFIG_VARIABLE}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}. It must be a UTF-8 text file.") from None
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: its values are nested too deeply.") from None
    except ValueError as error:  # Not only TOMLDecodeError: Python itself refuses a number of 5000 digits.
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
    """Return fields that the models have and a file must not have: its own path, and a tenant's name in its own table."""
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
    """Return the data folder: `PFO_DATA_DIR`, else the configuration's `data_dir`, else `data` in the working directory."""
    folder = os.environ.get(DATA_DIR_VARIABLE)
    if folder:
        return Path(folder).absolute()
    if config is not None and config.data_dir is not None:
        return (config.source.parent / config.data_dir).absolute()
    return Path("data").absolute()
