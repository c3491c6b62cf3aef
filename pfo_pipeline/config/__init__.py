"""The one configuration file: tenants, their Powens domain and users, references to secrets.

Secrets are references (`env:NAME`, `file:PATH`), never values.
"""

from pfo_pipeline.config.loading import (
    CONFIG_VARIABLE,
    DATA_DIR_VARIABLE,
    config_path,
    data_dir,
    load_config,
    role_of_process,
)
from pfo_pipeline.config.model import Config, Tenant, User
from pfo_pipeline.config.token_store import USER_NOTE, MemberFiles, StoredUser
from pfo_pipeline.config.values import checked_base_url, secret_reference
from pfo_pipeline.errors import ConfigError, SecretError

__all__ = [
    "CONFIG_VARIABLE",
    "DATA_DIR_VARIABLE",
    "USER_NOTE",
    "Config",
    "ConfigError",
    "MemberFiles",
    "SecretError",
    "StoredUser",
    "Tenant",
    "User",
    "checked_base_url",
    "config_path",
    "data_dir",
    "load_config",
    "role_of_process",
    "secret_reference",
]
