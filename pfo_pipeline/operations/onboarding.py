"""Create the Powens user and the token of a user, at most once, find them again, and revoke them.

The user is created anonymous, recorded in a note, and only then made permanent, so that there is a note of every user that is
billed. Before the note, Powens deletes the user by itself; after it, `renew` finds the user again. The caller holds the lock
of the user. Revoking can be repeated after any failure.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from pfo_pipeline.config import Config, ConfigError, MemberFiles, SecretError, StoredUser, Tenant, User
from pfo_pipeline.errors import PfoError
from pfo_pipeline.powens.auth import Onboarding, PowensUser
from pfo_pipeline.powens.client import PowensClient
from pfo_pipeline.powens.errors import Missing, PowensError, Refused, Unreachable


class NotConnected(PfoError):
    """A user could not be connected; the message says what exists, and how to continue."""


@dataclass(frozen=True)
class MemberAccess:
    """A user of a tenant, with the access to their Powens user."""

    config: Config
    tenant: Tenant
    user: User
    client: PowensClient

    @property
    def key(self) -> str:
        return f"tenants.{self.tenant.id}.users.{self.user.id}"

    @property
    def files(self) -> MemberFiles | None:
        return self.config.member_files(self.user)

    def member(self, token: str) -> PowensUser:
        return PowensUser(self.client, self.tenant.root, token)

    def stored_token(self) -> str | None:
        """The stored token. Raises: SecretError: it exists and cannot be read."""
        if self.files is None:
            try:
                return self.config.user_token(self.tenant, self.user)
            except SecretError:
                return None
        return self.config.user_token(self.tenant, self.user) if self.files.token.exists() else None

    def onboarding(self) -> Onboarding:
        """The client for onboarding. Raises: ConfigError, SecretError: the client's credentials are not configured."""
        tenant = self.tenant
        if tenant.client_id is None or tenant.client_secret is None:
            absent = "client_id" if tenant.client_id is None else "client_secret"
            raise ConfigError(f"tenants.{tenant.id}.{absent}: is missing; Powens gives no token without it.")
        secret = self.config.secret(tenant.client_secret, key=f"tenants.{tenant.id}.client_secret")
        return Onboarding(self.client, tenant.root, tenant.client_id, secret)


async def member_token(access: MemberAccess) -> str:
    """Return the user's permanent token: the stored one, else a new one for the existing Powens user, else a new user's.

    Raises:
        ConfigError: a necessary setting is missing.
        SecretError: a file of the user's cannot be read or written; checked before Powens creates anything.
        NotConnected: Powens refuses, or cannot be reached. A repeated call continues where this one stopped.
    """
    try:
        token = access.stored_token()
        if token is None:
            return await _new_token(access)
        await remember(access, token)
    except PowensError as error:
        raise explained(access, error) from None
    return token


async def _new_token(access: MemberAccess) -> str:
    files = access.files
    if files is None:
        raise ConfigError(
            f'{access.key}.token: is {access.user.token}, which is not set and cannot be written. Make it "file:PATH": '
            "the token is written there."
        )
    onboarding = access.onboarding()
    files.prepare()
    stored = files.stored_user()
    known = access.config.powens_id(access.tenant, access.user)
    if known is not None:
        try:
            token = await onboarding.renew(known)
        except Missing as missing:
            if stored is None or stored.is_permanent or stored.powens_id != known:
                raise _unknown_user(access, known) from missing
        else:
            return _kept(access, files, known, token)
    begun = await onboarding.begin()
    files.store_user(StoredUser(access.tenant.domain, begun.powens_id, is_permanent=False))
    return _kept(access, files, begun.powens_id, await onboarding.make_permanent(begun))


def _kept(access: MemberAccess, files: MemberFiles, powens_id: int, token: str) -> str:
    files.store_token(token)
    files.store_user(StoredUser(access.tenant.domain, powens_id, is_permanent=True))
    return token


async def remember(access: MemberAccess, token: str) -> None:
    """Record whose token it is, so that the user is found again if the token is lost. Raises: PowensError, SecretError."""
    files = access.files
    if files is None:
        return
    known = access.config.powens_id(access.tenant, access.user)
    stored = files.stored_user()
    if stored is not None and not stored.is_permanent:
        files.store_user(replace(stored, is_permanent=True))
    elif known is None:
        powens_id = await access.member(token).powens_id()
        with suppress(SecretError):  # Another program writes the tokens into this folder; the token is usable anyway.
            files.store_user(StoredUser(access.tenant.domain, powens_id, is_permanent=True))


def _unknown_user(access: MemberAccess, powens_id: int) -> NotConnected:
    files = access.files
    where = "powens_id" if access.user.powens_id is not None else str(files.user if files else "")
    return NotConnected(
        f"{access.key}: the Powens domain {access.tenant.domain!r} has no user {powens_id} (any more). If it was deleted "
        f"there, remove {where}; the next pfo connect then makes a new one. Nothing was made now."
    )


def explained(access: MemberAccess, error: PowensError) -> PfoError:
    """Return an error that tells the operator how to handle a failed call."""
    tenant = f"tenants.{access.tenant.id}"
    go_on = "The same command goes on where this stopped; no second user is made."
    if isinstance(error, Refused) and error.call.endswith(("/auth/renew", "/auth/token/access")):
        return NotConnected(f"{tenant}.client_secret: {error}. Take both from the Powens console. {go_on}")
    if isinstance(error, Refused):
        return NotConnected(f"{access.key}.token: {error}. {_instead_of_token(access)}")
    if isinstance(error, Missing) and error.call.endswith(("/auth/init", "/auth/renew")):
        return NotConnected(f"{tenant}.domain: Powens has no domain {access.tenant.domain!r}. {error}")
    if isinstance(error, Unreachable):
        return NotConnected(
            f"{tenant}.domain: {access.tenant.root} cannot be reached. {error}. Check the name of the domain, the network "
            f"and this machine's clock. {go_on}"
        )
    return NotConnected(f"{access.key}: {error}. {go_on}")


def _instead_of_token(access: MemberAccess) -> str:
    """Return the remedy for a revoked token: never a second user, unless the operator wants one."""
    place = str(access.files.token) if access.files else access.user.token
    known = access.config.powens_id(access.tenant, access.user)
    if known is None:
        return (
            f"It was revoked, or its user deleted. Set powens_id to the member's number in the Powens console and delete "
            f"{place}; pfo connect then gets another token for that user. Without the number it would make a new user."
        )
    return (
        f"It was revoked, or its user deleted. Delete {place}; pfo connect then gets another token for the same "
        f"Powens user, {known}, and makes no other."
    )


async def revoke_token(access: MemberAccess) -> bool:
    """Revoke the user's token and remove its file. The user remains at Powens, and the note about them remains here.

    Returns: Whether there was a token.
    Raises: SecretError, NotConnected.
    """
    token = access.stored_token()
    if token is None:
        return False
    files = access.files
    if files is not None:
        files.prepare()
    try:
        with suppress(Refused):  # Revoked already, perhaps by an interrupted attempt.
            await remember(access, token)
            await access.member(token).revoke_token()
    except PowensError as error:
        raise explained(access, error) from None
    if files is not None:
        files.forget_token()
    return True


async def delete_user(access: MemberAccess) -> bool:
    """Delete the Powens user with all their data at Powens, then remove the token's file.

    Returns: Whether there was a user.
    Raises: ConfigError, SecretError, NotConnected.
    """
    files = access.files
    if files is not None:
        files.prepare()
    try:
        found = await _delete(access)
    except PowensError as error:
        raise explained(access, error) from None
    if files is not None:
        files.forget_token()
    return found


async def _delete(access: MemberAccess) -> bool:
    token = access.stored_token()
    if token is not None:
        try:
            await access.member(token).delete()
        except Refused:  # Revoked, or deleted by an attempt whose answer was lost; a new token shows which.
            pass
        else:
            return True
    powens_id = access.config.powens_id(access.tenant, access.user)
    if powens_id is None and token is None:
        return False
    if powens_id is None:
        raise NotConnected(
            f"{access.key}.token: Powens refuses it, and whose it was is not known here, so whether the user is deleted "
            "cannot be told. Set powens_id to the member's number in the Powens console, and run this again."
        )
    try:
        token = await access.onboarding().renew(powens_id)
    except Missing:
        return False
    await access.member(token).delete()
    return True
