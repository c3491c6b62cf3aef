"""Routes of users and reference data.

Here: `/users`, `/connectors`, `/currencies`, `/account_types`.
Not here: what users own (api_connections.py, api_accounts.py).
Facts: Powens docs, Users, Connectors, Bank account types. Reference data needs no token.
"""

from pfo_pipeline.simulator import announcements, errors
from pfo_pipeline.simulator.calls import Answer, Call, whole_number
from pfo_pipeline.simulator.catalogue import (
    ACCOUNT_TYPES,
    CONNECTORS,
    CURRENCIES,
    Connector,
    account_type_object,
    currency_object,
)
from pfo_pipeline.simulator.views import (
    connector_fields_json,
    connector_json,
    connector_sources_json,
    user_json,
)


def list_users(call: Call) -> Answer:
    """All users of the domain, for the console's token."""
    call.bearer("users")
    return Answer(200, {"users": [user_json(user) for user in call.domain.users.values()]})


def get_user(call: Call) -> Answer:
    """The caller, or anyone for the console's token."""
    if call.token is not None and call.token.kind == "users":
        user = call.domain.users.get(whole_number(call.params["user"]))
        if user is None:
            raise errors.not_found()
        return Answer(200, user_json(user))
    return Answer(200, user_json(call.user()))


def delete_user(call: Call) -> Answer:
    """Erase a user with everything he has."""
    if call.token is not None and call.token.kind == "users":
        user_id = whole_number(call.params["user"])
        if user_id not in call.domain.users:
            raise errors.not_found()
    else:
        user_id = call.user().id
    announcements.user_deleted(call.domain, call.domain.users[user_id], call.world.clock.now())
    call.domain.erase_user(user_id, call.world.clock.now())
    return Answer(204)


def list_connectors(call: Call) -> Answer:
    """All banks, or those of some countries."""
    wanted = {code for code in call.query.get("country_codes", "").lower().split(",") if code}
    chosen = [connector for connector in CONNECTORS if not wanted or connector.country in wanted]
    payload = [connector_json(call.domain, connector, call.expand) for connector in chosen]
    return Answer(200, {"connectors": payload, "total": len(payload)})


def get_connector(call: Call) -> Answer:
    """One bank by id or uuid."""
    return Answer(200, connector_json(call.domain, _connector(call), call.expand))


def get_connector_fields(call: Call) -> Answer:
    """A bank's form."""
    fields = connector_fields_json(_connector(call))
    return Answer(200, {"fields": fields, "total": len(fields)})


def get_connector_sources(call: Call) -> Answer:
    """The ways into a bank."""
    sources = connector_sources_json(call.domain, _connector(call))
    return Answer(200, {"sources": sources, "total": len(sources)})


def list_currencies(call: Call) -> Answer:  # noqa: ARG001 -- every handler takes the call
    """All currencies."""
    return Answer(200, {"currencies": [currency_object(code) for code in CURRENCIES]})


def list_account_types(call: Call) -> Answer:  # noqa: ARG001 -- every handler takes the call
    """All account types."""
    types = [account_type_object(kind) for kind in ACCOUNT_TYPES.values()]
    return Answer(200, {"accounttypes": types, "total": len(types)})


def _connector(call: Call) -> Connector:
    connector = call.domain.connector(call.params["connector"])
    if connector is None:
        raise errors.not_found()
    return connector
