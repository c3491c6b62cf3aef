"""What a reference to a secret leads to, read when it is used and never kept."""

import os
from pathlib import Path

from pfo_pipeline.config.errors import SecretError


def read_secret(reference: str, *, folder: Path, key: str) -> str:
    """
    Args:
        reference: `env:NAME`, or `file:PATH`, relative to `folder`.
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
    path = folder / rest
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


def _one_word(value: str, where: str) -> str:
    """A secret travels in an HTTP header, which takes nothing else."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SecretError(f"{where} holds more than one word of plain characters. Put the secret alone into it.")
    return value
