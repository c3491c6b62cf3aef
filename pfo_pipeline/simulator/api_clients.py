"""Routes of client applications: tokens, and the registration of webhooks.

Facts: Powens docs, Authentication. The key differs by route: `auth_token`, `code`, `access_token`. Assumed: 401 for wrong
client credentials, 404 for an unknown `id_user`, 400 for a used code. `GET /clients/{id}` accepts a user token and returns the
allowed addresses (seen in a client). Guide "Webhooks"; `/webhooks` with `event`, `url`, `id_auth`, `id_user` and `params` is
from the older reference. The secret is returned once. A provider's name of 39 characters with dashes was answered with 500
`dataError`, seen live; the limit is assumed.
"""

from urllib.parse import urlsplit

from pfo_pipeline.simulator import domains, errors
from pfo_pipeline.simulator.calls import ApiAnswer, Call, whole_number
from pfo_pipeline.simulator.dice import secret
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.state import AuthProvider, TokenKind, Webhook
from pfo_pipeline.simulator.webhook_events import EVENTS

CODE_ACCESS = {"singleAccess": "single", "requestAccess": "standard"}


def init(call: Call) -> ApiAnswer:
    """Create a user: permanent with both credentials, else anonymous for half an hour."""
    permanent = call.body.get("client_id") is not None and call.body.get("client_secret") is not None
    if permanent:
        _check_client(call)
    user = domains.add_user(call.world, call.domain, anonymous=not permanent)
    kind: TokenKind = "permanent" if permanent else "temporary"
    token = domains.issue_token(call.world, call.domain, kind, user.id)
    life = None if permanent else domains.TEMPORARY_LIFE_SECONDS
    payload = {"auth_token": token.value, "type": token.kind, "id_user": user.id, "expires_in": life}
    return ApiAnswer(200, dict(payload))


def renew(call: Call) -> ApiAnswer:
    """Issue another permanent token, or, without `id_user`, silently create a user."""
    _check_client(call)
    if call.body.get("grant_type", "client_credentials") != "client_credentials":
        raise errors.invalid_value("grant_type")
    given = call.body.get("id_user")
    if given is None:
        user = domains.add_user(call.world, call.domain)
    else:
        found = call.domain.users.get(int(str(given))) if str(given).isdigit() else None
        if found is None:
            raise errors.not_found()
        user = found
        user.anonymous = False
    if call.body.get("revoke_previous") in (True, "true", "1"):
        domains.revoke_tokens(call.domain, user.id)
    token = domains.issue_token(call.world, call.domain, "permanent", user.id)
    return ApiAnswer(200, {"access_token": token.value, "token_type": "Bearer"})


def code(call: Call) -> ApiAnswer:
    """Issue a temporary code for the webview or an exchange."""
    token = call.bearer("permanent", "temporary")
    kind = call.query.get("type", "requestAccess")
    if kind not in CODE_ACCESS:
        raise errors.invalid_value("type")
    issued = domains.issue_code(call.world, call.domain, token.id_user or 0, single_use=kind == "singleAccess")
    return ApiAnswer(
        200,
        {
            "code": issued.value,
            "type": "temporary",
            "access": CODE_ACCESS[kind],
            "expires_in": domains.TEMPORARY_LIFE_SECONDS,
        },
    )


def access(call: Call) -> ApiAnswer:
    """Exchange a code for a permanent token; an anonymous user becomes permanent."""
    _check_client(call)
    if call.body.get("grant_type", "authorization_code") != "authorization_code":
        raise errors.invalid_value("grant_type")
    value = call.body.get("code")
    if value is None:
        raise errors.missing_parameter("code")
    # Valid for half an hour or one exchange, whichever ends first.
    used = call.domain.codes.pop(str(value), None)
    if used is None:
        raise errors.invalid_value("code")
    call.domain.users[used.id_user].anonymous = False
    token = domains.issue_token(call.world, call.domain, "permanent", used.id_user)
    return ApiAnswer(200, {"access_token": token.value, "token_type": "Bearer"})


def revoke(call: Call) -> ApiAnswer:
    """Revoke the permanent token of the header."""
    token = call.bearer("permanent")
    del call.domain.tokens[token.value]
    return ApiAnswer(204)


def get_client(call: Call) -> ApiAnswer:
    """The client application as its users may see it."""
    call.bearer("permanent", "temporary")
    if call.params["client"] != call.domain.client_id:
        raise errors.not_found()
    uris = list(call.domain.settings.redirect_uris)
    return ApiAnswer(200, {"id": int(call.domain.client_id), "name": call.domain.name, "redirect_uris": uris})


def _check_client(call: Call) -> None:
    for name in ("client_id", "client_secret"):
        if call.body.get(name) is None:
            raise errors.missing_parameter(name)
    given = (str(call.body["client_id"]), str(call.body["client_secret"]))
    if given != (call.domain.client_id, call.domain.client_secret):
        raise errors.unauthorized("Invalid client credentials")


MAX_NAME_LENGTH = 32


def list_events(call: Call) -> ApiAnswer:
    """List the events."""
    call.bearer("config")
    return ApiAnswer(200, {"webhooks_events": [{"id": event} for event in EVENTS], "total": len(EVENTS)})


def list_providers(call: Call) -> ApiAnswer:
    """List the providers of signatures, without their secrets."""
    call.bearer("config")
    providers = [_provider_json(provider) for provider in call.domain.auth_providers.values()]
    return ApiAnswer(200, {"authproviders": providers, "total": len(providers)})


def add_provider(call: Call) -> ApiAnswer:
    """Create a secret, and return it this one time."""
    call.bearer("config")
    kind, name = _given(call, "type"), _given(call, "name")
    if kind != "hmac_signature":
        raise errors.invalid_value("type")
    if not name.isalnum() or len(name) > MAX_NAME_LENGTH:
        raise errors.ApiError(500, "dataError", "Data error")
    number = call.domain.next_id("provider")
    made = AuthProvider(number, kind, name, secret(call.world.seed, call.domain.name, "webhooks", number))
    call.domain.auth_providers[number] = made
    return ApiAnswer(200, {**_provider_json(made), "config": {"secret_key": made.secret}})


def delete_provider(call: Call) -> ApiAnswer:
    """Delete a secret; its webhooks use bearer tokens again."""
    call.bearer("config")
    if call.domain.auth_providers.pop(whole_number(call.params["provider"]), None) is None:
        raise errors.not_found()
    return ApiAnswer(204)


def list_webhooks(call: Call) -> ApiAnswer:
    """List the registered addresses."""
    call.bearer("config")
    webhooks = [_webhook_json(webhook) for webhook in call.domain.webhooks.values()]
    return ApiAnswer(200, {"webhooks": webhooks, "total": len(webhooks)})


def add_webhook(call: Call) -> ApiAnswer:
    """Register an address for one event."""
    call.bearer("config")
    event, url = _given(call, "event"), _given(call, "url")
    if event not in EVENTS:
        raise errors.invalid_value("event")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise errors.invalid_value("url")
    made = Webhook(call.domain.next_id("webhook"), event, url, _known(call, "id_auth"), _known(call, "id_user"))
    call.domain.webhooks[made.id] = made
    return ApiAnswer(200, _webhook_json(made))


def delete_webhook(call: Call) -> ApiAnswer:
    """Delete an address."""
    call.bearer("config")
    if call.domain.webhooks.pop(whole_number(call.params["webhook"]), None) is None:
        raise errors.not_found()
    return ApiAnswer(204)


def _given(call: Call, name: str) -> str:
    """A parameter of the body or of the query; these routes accept both."""
    value = call.body.get(name, call.query.get(name))
    if value is None:
        raise errors.missing_parameter(name)
    return str(value)


def _known(call: Call, name: str) -> int | None:
    """An id that exists, or none."""
    value = call.body.get(name, call.query.get(name))
    if value is None:
        return None
    known: dict[int, object] = {**(call.domain.auth_providers if name == "id_auth" else call.domain.users)}
    if not str(value).isdigit() or int(str(value)) not in known:
        raise errors.invalid_value(name)
    return int(str(value))


def _provider_json(provider: AuthProvider) -> JsonObject:
    return {"id": provider.id, "type": provider.type, "name": provider.name}


def _webhook_json(webhook: Webhook) -> JsonObject:
    return {
        "id": webhook.id,
        "id_event": EVENTS.index(webhook.event) + 1,
        "url": webhook.url,
        "id_auth": webhook.id_auth,
        "id_user": webhook.id_user,
        "params": None,
    }
