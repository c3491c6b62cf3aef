"""Read secrets by reference when they are used, and store the token and the Powens user id of each user.

Each file is replaced as a whole, is on disk before the program continues, and can be read only by this operating system user.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pfo_pipeline.errors import SecretError


def read_secret(reference: str, *, folder: Path, key: str) -> str:
    """Read the secret behind a reference.

    Args:
        reference: `env:NAME`, or `file:PATH`, relative to `folder`.
        key: The configuration key of the reference, for the error.
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
    """Check that the secret is one word, because it is sent in an HTTP header."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SecretError(f"{where} holds more than one word of plain characters. Put the secret alone into it.")
    return value


USER_NOTE = ".user"
"""Suffix of the file beside a token's file that records the Powens user."""


@dataclass(frozen=True)
class StoredUser:
    """A Powens user that was created for a user. Until it is known to be permanent, Powens may have purged it.

    Each domain numbers its users separately, so the same `powens_id` on another domain is another user.
    """

    domain: str
    powens_id: int
    is_permanent: bool


@dataclass(frozen=True)
class MemberFiles:
    """The file of a user's token, and beside it the file that records the Powens user."""

    token: Path

    @property
    def user(self) -> Path:
        return self.token.with_name(f"{self.token.name}{USER_NOTE}")

    def prepare(self) -> None:
        """Create the private folder and check that it is writable. Raises: SecretError."""
        folder = self.token.parent
        try:
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True)
                _to_disk(folder.parent)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise _unwritable(folder, error) from None

    def stored_user(self) -> StoredUser | None:
        """Return the stored user; None if none was created yet. Raises: SecretError: the file has another format than ours."""
        try:
            held = json.loads(self.user.read_text(encoding="utf-8"))
            return StoredUser(_text(held["domain"]), _positive(held["powens_id"]), held["permanent"] is True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SecretError(
                f"{self.user} cannot be read ({type(error).__name__}). It says which Powens user was made for the member: "
                'restore it, or write {"domain": DOMAIN, "powens_id": NUMBER, "permanent": true} with what the Powens console '
                "shows."
            ) from None

    def store_user(self, user: StoredUser) -> None:
        """Store the user. Raises: SecretError."""
        held = {"domain": user.domain, "powens_id": user.powens_id, "permanent": user.is_permanent}
        _replace(self.user, json.dumps(held))

    def store_token(self, token: str) -> None:
        """Store the token. Raises: SecretError."""
        _replace(self.token, token)

    def forget_token(self) -> None:
        """Remove the token. Raises: SecretError."""
        _remove(self.token)

    def forget_user(self) -> None:
        """Remove the stored user. Raises: SecretError."""
        _remove(self.user)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                opened.write(text + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _to_disk(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> SecretError:
    return SecretError(f"{path} cannot be written: {error.strerror}. Give this account the right to, and run it again.")


def _positive(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError("not a positive integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
