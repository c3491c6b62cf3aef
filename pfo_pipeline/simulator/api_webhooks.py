"""Routes with which a client application registers its webhooks.

Here: `/webhooks`, `/webhooks/auth`, `/webhooks_events`, all with the configuration token.
Not here: what is announced (announcements.py), sending (sender.py).
Facts: Powens docs, guide "Webhooks"; `/webhooks` with `event`, `url`, `id_auth`, `id_user` and `params` from the older
reference. The secret is told once. A provider's name of 39 characters with dashes was answered 500 `dataError`, seen
live; where the limit lies is assumed.
"""

from urllib.parse import urlsplit

from pfo_pipeline.simulator import errors
from pfo_pipeline.simulator.announcements import EVENTS
from pfo_pipeline.simulator.calls import Answer, Call, whole_number
from pfo_pipeline.simulator.dice import secret
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.records import AuthProvider, Webhook

MAX_NAME_LENGTH = 32


def list_events(call: Call) -> Answer:
    """What can be listened to."""
    call.bearer("config")
    return Answer(200, {"webhooks_events": [{"id": event} for event in EVENTS], "total": len(EVENTS)})


def list_providers(call: Call) -> Answer:
    """The ways in which posts are proved; without their secrets."""
    call.bearer("config")
    providers = [_provider_json(provider) for provider in call.domain.auth_providers.values()]
    return Answer(200, {"authproviders": providers, "total": len(providers)})


def add_provider(call: Call) -> Answer:
    """Make a secret, and tell it this once."""
    call.bearer("config")
    kind, name = _given(call, "type"), _given(call, "name")
    if kind != "hmac_signature":
        raise errors.invalid_value("type")
    if not name.isalnum() or len(name) > MAX_NAME_LENGTH:
        raise errors.ApiError(500, "dataError", "Data error")
    number = call.domain.next_id("provider")
    made = AuthProvider(number, kind, name, secret(call.world.seed, call.domain.name, "webhooks", number))
    call.domain.auth_providers[number] = made
    return Answer(200, {**_provider_json(made), "config": {"secret_key": made.secret}})


def delete_provider(call: Call) -> Answer:
    """Forget a secret; its webhooks go back to bearer tokens."""
    call.bearer("config")
    if call.domain.auth_providers.pop(whole_number(call.params["provider"]), None) is None:
        raise errors.not_found()
    return Answer(204)


def list_webhooks(call: Call) -> Answer:
    """The registered addresses."""
    call.bearer("config")
    webhooks = [_webhook_json(webhook) for webhook in call.domain.webhooks.values()]
    return Answer(200, {"webhooks": webhooks, "total": len(webhooks)})


def add_webhook(call: Call) -> Answer:
    """Register an address for one event."""
    call.bearer("config")
    event, url = _given(call, "event"), _given(call, "url")
    if event not in EVENTS:
        raise errors.invalid_value("event")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise errors.invalid_value("url")
    made = Webhook(call.domain.next_id("webhook"), event, url, _known(call, "id_auth"), _known(call, "id_user"))
    call.domain.webhooks[made.id] = made
    return Answer(200, _webhook_json(made))


def delete_webhook(call: Call) -> Answer:
    """Forget an address."""
    call.bearer("config")
    if call.domain.webhooks.pop(whole_number(call.params["webhook"]), None) is None:
        raise errors.not_found()
    return Answer(204)


def _given(call: Call, name: str) -> str:
    """A parameter of the body, or of the query, as these routes take it too."""
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
