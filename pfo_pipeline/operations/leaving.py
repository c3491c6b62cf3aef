"""A member leaves: the token revoked, or the Powens user deleted. Each can be done again after any failure, and goes on.

Not here: a single connection (powens/member.py), the ledger's data (ledger/erase.py).
"""

from contextlib import suppress

from pfo_pipeline.operations.onboarding import MemberAccess, NotConnected, explained, remember
from pfo_pipeline.powens.errors import Missing, PowensError, Refused


async def revoke_token(access: MemberAccess) -> bool:
    """Revoke the member's token and remove its file. The user stays at Powens, and whose it is stays known here.

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
        with suppress(Refused):  # Revoked already, perhaps by an attempt that was cut short.
            await remember(access, token)
            await access.member(token).revoke_token()
    except PowensError as error:
        raise explained(access, error) from None
    if files is not None:
        files.forget_token()
    return True


async def delete_user(access: MemberAccess) -> bool:
    """Delete the Powens user with everything that Powens has of them; then the token's file is removed.

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
        except Refused:  # Revoked, or deleted by an attempt whose answer was lost: which, another token tells.
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
