"""Routes that issue and revoke tokens.

Here: `/auth/*`, `/clients/{id}`.
Not here: what a token may do (calls.py).
Facts: Powens docs, Authentication. The key differs by route: `auth_token`, `code`, `access_token`. Assumed:
401 for wrong client credentials, 404 for an unknown `id_user`, 400 for a
code that is used up. `GET /clients/{id}` opens with a user token and gives the whitelist (seen in a client).
"""

from pfo_pipeline.simulator import errors, tokens
from pfo_pipeline.simulator.calls import Answer, Call
from pfo_pipeline.simulator.records import TokenKind

CODE_ACCESS = {"singleAccess": "single", "requestAccess": "standard"}


def init(call: Call) -> Answer:
    """Create a user: permanent with both credentials, else anonymous for half an hour."""
    permanent = call.body.get("client_id") is not None and call.body.get("client_secret") is not None
    if permanent:
        _check_client(call)
    user = tokens.add_user(call.world, call.domain, anonymous=not permanent)
    kind: TokenKind = "permanent" if permanent else "temporary"
    token = tokens.issue_token(call.world, call.domain, kind, user.id)
    life = None if permanent else tokens.TEMPORARY_LIFE_SECONDS
    payload = {"auth_token": token.value, "type": token.kind, "id_user": user.id, "expires_in": life}
    return Answer(200, dict(payload))


def renew(call: Call) -> Answer:
    """Issue another permanent token, or, without `id_user`, silently create a user."""
    _check_client(call)
    if call.body.get("grant_type", "client_credentials") != "client_credentials":
        raise errors.invalid_value("grant_type")
    given = call.body.get("id_user")
    if given is None:
        user = tokens.add_user(call.world, call.domain)
    else:
        found = call.domain.users.get(int(str(given))) if str(given).isdigit() else None
        if found is None:
            raise errors.not_found()
        user = found
        user.anonymous = False
    if call.body.get("revoke_previous") in (True, "true", "1"):
        tokens.revoke_tokens(call.domain, user.id)
    token = tokens.issue_token(call.world, call.domain, "permanent", user.id)
    return Answer(200, {"access_token": token.value, "token_type": "Bearer"})


def code(call: Call) -> Answer:
    """Issue a temporary code for the webview or an exchange."""
    token = call.bearer("permanent", "temporary")
    kind = call.query.get("type", "requestAccess")
    if kind not in CODE_ACCESS:
        raise errors.invalid_value("type")
    issued = tokens.issue_code(call.world, call.domain, token.id_user or 0, single_use=kind == "singleAccess")
    return Answer(
        200,
        {
            "code": issued.value,
            "type": "temporary",
            "access": CODE_ACCESS[kind],
            "expires_in": tokens.TEMPORARY_LIFE_SECONDS,
        },
    )


def access(call: Call) -> Answer:
    """Exchange a code for a permanent token; an anonymous user becomes permanent."""
    _check_client(call)
    if call.body.get("grant_type", "authorization_code") != "authorization_code":
        raise errors.invalid_value("grant_type")
    value = call.body.get("code")
    if value is None:
        raise errors.missing_parameter("code")
    # Half an hour or one exchange, whichever comes first.
    used = call.domain.codes.pop(str(value), None)
    if used is None:
        raise errors.invalid_value("code")
    call.domain.users[used.id_user].anonymous = False
    token = tokens.issue_token(call.world, call.domain, "permanent", used.id_user)
    return Answer(200, {"access_token": token.value, "token_type": "Bearer"})


def revoke(call: Call) -> Answer:
    """Revoke the permanent token of the header."""
    token = call.bearer("permanent")
    del call.domain.tokens[token.value]
    return Answer(204)


def get_client(call: Call) -> Answer:
    """The client application as its users may see it."""
    call.bearer("permanent", "temporary")
    if call.params["client"] != call.domain.client_id:
        raise errors.not_found()
    uris = list(call.domain.settings.redirect_uris)
    return Answer(200, {"id": int(call.domain.client_id), "name": call.domain.name, "redirect_uris": uris})


def _check_client(call: Call) -> None:
    for name in ("client_id", "client_secret"):
        if call.body.get(name) is None:
            raise errors.missing_parameter(name)
    given = (str(call.body["client_id"]), str(call.body["client_secret"]))
    if given != (call.domain.client_id, call.domain.client_secret):
        raise errors.unauthorized("Invalid client credentials")
