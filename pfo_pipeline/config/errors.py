"""Errors of the configuration."""

from pfo_pipeline.errors import PfoError


class ConfigError(PfoError):
    """The configuration cannot be used; the message lists every mistake by its key."""


class SecretError(PfoError):
    """A secret reference does not resolve; the message names the key and the reference, never the value."""
