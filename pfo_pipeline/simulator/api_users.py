"""Routes of users, connections, bank accounts and reference data.

Facts: Powens docs, Users, Connections, Bank accounts, Connectors, Bank account types. Reference data needs no token. Without
`all` a disabled account is 404, for updates too; an enabled account gets its values with the next sync. Assumed: a bulk
update answers like a list; 201 on creation, 202 if the user must give more. The page behind `/webauth-url` belongs to a
bank; here it consents immediately and returns to `redirect_uri`.
"""

from urllib.parse import urlencode

from starlette.datastructures import URL

from pfo_pipeline.simulator import auth_flow, domains, errors, webhook_events
from pfo_pipeline.simulator.auth_flow import INTERACTIVE_STATES
from pfo_pipeline.simulator.calls import ApiAnswer, Call, page, whole_number
from pfo_pipeline.simulator.catalogue import (
    ACCOUNT_TYPES,
    CONNECTORS,
    CURRENCIES,
    CatalogueConnector,
    account_type_object,
    currency_object,
)
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.state import WorldAccount, WorldConnection, WorldSource
from pfo_pipeline.simulator.views import (
    account_json,
    account_sums,
    connection_json,
    connector_fields_json,
    connector_json,
    connector_sources_json,
    source_json,
    user_json,
)


def list_users(call: Call) -> ApiAnswer:
    """All users of the domain, for the console's token."""
    call.bearer("users")
    return ApiAnswer(200, {"users": [user_json(user) for user in call.domain.users.values()]})


def get_user(call: Call) -> ApiAnswer:
    """The caller, or any user for the console's token."""
    if call.token is not None and call.token.kind == "users":
        user = call.domain.users.get(whole_number(call.params["user"]))
        if user is None:
            raise errors.not_found()
        return ApiAnswer(200, user_json(user))
    return ApiAnswer(200, user_json(call.user()))


def delete_user(call: Call) -> ApiAnswer:
    """Erase a user with all data."""
    if call.token is not None and call.token.kind == "users":
        user_id = whole_number(call.params["user"])
        if user_id not in call.domain.users:
            raise errors.not_found()
    else:
        user_id = call.user().id
    webhook_events.user_deleted(call.domain, call.domain.users[user_id], call.world.clock.now())
    call.domain.erase_user(user_id, call.world.clock.now())
    return ApiAnswer(204)


def list_connectors(call: Call) -> ApiAnswer:
    """All banks, or those of some countries."""
    wanted = {code for code in call.query.get("country_codes", "").lower().split(",") if code}
    chosen = [connector for connector in CONNECTORS if not wanted or connector.country in wanted]
    payload = [connector_json(call.domain, connector, call.expand) for connector in chosen]
    return ApiAnswer(200, {"connectors": payload, "total": len(payload)})


def get_connector(call: Call) -> ApiAnswer:
    """One bank by id or uuid."""
    return ApiAnswer(200, connector_json(call.domain, _connector(call), call.expand))


def get_connector_fields(call: Call) -> ApiAnswer:
    """A bank's form."""
    fields = connector_fields_json(_connector(call))
    return ApiAnswer(200, {"fields": fields, "total": len(fields)})


def get_connector_sources(call: Call) -> ApiAnswer:
    """The sources of a bank."""
    sources = connector_sources_json(call.domain, _connector(call))
    return ApiAnswer(200, {"sources": sources, "total": len(sources)})


def list_currencies(call: Call) -> ApiAnswer:  # noqa: ARG001 -- every handler takes the call
    """All currencies."""
    return ApiAnswer(200, {"currencies": [currency_object(code) for code in CURRENCIES]})


def list_account_types(call: Call) -> ApiAnswer:  # noqa: ARG001 -- every handler takes the call
    """All account types."""
    types = [account_type_object(kind) for kind in ACCOUNT_TYPES.values()]
    return ApiAnswer(200, {"accounttypes": types, "total": len(types)})


def _connector(call: Call) -> CatalogueConnector:
    connector = call.domain.connector(call.params["connector"])
    if connector is None:
        raise errors.not_found()
    return connector


def list_connections(call: Call) -> ApiAnswer:
    """The user's connections."""
    connections = call.domain.connections_of(call.user().id)
    chosen, links = page(connections, call.query, call.url, call.domain.settings.page_size)
    expand = call.expand
    payload: JsonObject = {
        "connections": [connection_json(call.domain, connection, expand) for connection in chosen],
        "total": len(connections),
    }
    if links is not None:
        payload["_links"] = links
    return ApiAnswer(200, payload)


def get_connection(call: Call) -> ApiAnswer:
    """One connection."""
    return _answer(call, call.connection())


def create_connection(call: Call) -> ApiAnswer:
    """Connect a bank with credentials."""
    user = call.user()
    connector = _wanted_connector(call)
    source = call.query.get("source") or call.body.get("source") or _source_of_form(call, connector)
    connection = auth_flow.create(call.world, call.domain, user, connector, str(source), call.body)
    status = 202 if connection.state in INTERACTIVE_STATES else 201
    return _answer(call, connection, status)


def update_connection(call: Call) -> ApiAnswer:
    """Submit the requested fields, change credentials, or sync."""
    connection = call.connection()
    background = call.flag("background") or call.body.get("background") is True
    values = {name: value for name, value in call.body.items() if name != "background"}
    auth_flow.submit(call.world, call.domain, connection, values, background=background)
    status = 202 if connection.state in INTERACTIVE_STATES else 200
    return _answer(call, connection, status)


def sync_connection(call: Call) -> ApiAnswer:
    """Force a sync; `psu_requested` says whether the user is present to answer."""
    connection = call.connection()
    given = call.query.get("psu_requested", call.body.get("psu_requested", "true"))
    text = str(given).lower()
    if text not in ("true", "false", "1", "0"):
        raise errors.invalid_value("psu_requested")
    auth_flow.force(call.world, call.domain, connection, user_present=text in ("true", "1"))
    return _answer(call, connection)


def delete_connection(call: Call) -> ApiAnswer:
    """Erase a connection with its accounts."""
    connection = call.connection()
    webhook_events.connection_deleted(call.domain, connection, call.world.clock.now())
    call.domain.erase_connection(connection.id, call.world.clock.now())
    return ApiAnswer(204)


def list_sources(call: Call) -> ApiAnswer:
    """The connection's sources; disabled ones only with `all`."""
    connection = call.connection()
    shown = [item for item in connection.sources if item.disabled is None or call.flag("all")]
    sources = [source_json(connection, item) for item in shown]
    return ApiAnswer(200, {"sources": sources, "total": len(sources)})


def get_source(call: Call) -> ApiAnswer:
    """One source."""
    connection = call.connection()
    return ApiAnswer(200, source_json(connection, _source_of_path(call, connection)))


def update_source(call: Call) -> ApiAnswer:
    """Disable a source, so that syncs leave it out, or enable it again."""
    connection = call.connection()
    source = _source_of_path(call, connection)
    disabled = {"true": True, "1": True, "false": False, "0": False}.get(str(call.body.get("disabled")).lower())
    if disabled is None:
        raise errors.missing_parameter("disabled") if "disabled" not in call.body else errors.invalid_value("disabled")
    source.disabled = (source.disabled or call.world.clock.now()) if disabled else None
    return ApiAnswer(200, source_json(connection, source))


def webauth_url(call: Call) -> ApiAnswer:
    """The address where the user logs in at the bank.

    Raises:
        ApiError: 409 when the connection needs no login.
    """
    token = call.bearer("permanent", "temporary")
    for name in ("client_id", "redirect_uri"):
        if name not in call.query:
            raise errors.missing_parameter(name)
    if call.query["client_id"] != call.domain.client_id:
        raise errors.invalid_value("client_id")
    forwarded = {name: call.query[name] for name in ("redirect_uri", "state") if name in call.query}
    if "id_connection" in call.query:
        connection = _owned(call, call.query["id_connection"], token.id_user)
        if connection.state is None:
            raise errors.already_up_to_date()
        forwarded["id_connection"] = str(connection.id)
    elif "id_connector" not in call.query:
        raise errors.missing_parameter("id_connector")
    else:
        forwarded["id_connector"] = call.query["id_connector"]
        if call.domain.connector(forwarded["id_connector"]) is None:
            raise errors.invalid_value("id_connector")
    code = domains.issue_code(call.world, call.domain, token.id_user or 0, single_use=True)
    here = URL(f"{call.url.scheme}://{call.url.netloc}/{call.domain.name}/2.0/webauth")
    return ApiAnswer(200, {"url": f"{here}?{urlencode({**forwarded, 'token': code.value})}"})


def webauth(call: Call) -> ApiAnswer:
    """The bank's login page: consents and sends the user back."""
    code = call.domain.codes.pop(call.query.get("token", ""), None)
    redirect_uri = call.query.get("redirect_uri")
    if code is None or redirect_uri is None:
        raise errors.invalid_value("token" if code is None else "redirect_uri")
    answer = {"state": call.query["state"]} if "state" in call.query else {}
    if "id_connection" in call.query:
        connection = _owned(call, call.query["id_connection"], code.id_user)
        auth_flow.confirm_at_the_bank(call.world, call.domain, connection)
    else:
        connector = call.domain.connector(call.query.get("id_connector", ""))
        if connector is None:
            raise errors.invalid_value("id_connector")
        user = call.domain.users[code.id_user]
        connection = auth_flow.connect_at_the_bank(call.world, call.domain, user, connector)
    answer["id_connection"] = str(connection.id)
    return ApiAnswer(302, headers={"Location": f"{redirect_uri}?{urlencode(answer)}"})


def _answer(call: Call, connection: WorldConnection, status: int = 200) -> ApiAnswer:
    return ApiAnswer(status, connection_json(call.domain, connection, call.expand))


def _owned(call: Call, text: str, user_id: int | None) -> WorldConnection:
    connection = call.domain.connections.get(whole_number(text))
    if connection is None or connection.id_user != user_id:
        raise errors.not_found()
    return connection


def _source_of_path(call: Call, connection: WorldConnection) -> WorldSource:
    wanted = whole_number(call.params["source"])
    for source in connection.sources:
        if source.id == wanted:
            return source
    raise errors.not_found()


def _wanted_connector(call: Call) -> CatalogueConnector:
    for name in ("connector_uuid", "id_connector"):
        if call.body.get(name) is not None:
            connector = call.domain.connector(str(call.body[name]))
            if connector is None:
                raise errors.invalid_value(name)
            return connector
    raise errors.missing_parameter("connector_uuid")


def _source_of_form(call: Call, connector: CatalogueConnector) -> str:
    for name in connector.source_names:
        if f"{name}website" in call.body:
            return name
    return connector.source_names[0]


USAGES = ("PRIV", "ORGA", "ASSO", None)


def list_accounts(call: Call) -> ApiAnswer:
    """The user's accounts, or those of one connection."""
    user = call.user()
    connection_id = call.connection().id if "connection" in call.params else None
    accounts = call.domain.accounts_of(user.id, connection_id)
    shown = [account for account in accounts if account.visible or call.flag("all")]
    chosen, links = page(shown, call.query, call.url, call.domain.settings.page_size)
    expand = call.expand
    payload: JsonObject = {
        **account_sums(shown),
        "accounts": [account_json(call.domain, account, expand) for account in chosen],
        "total": len(shown),
    }
    if links is not None:
        payload["_links"] = links
    return ApiAnswer(200, payload)


def get_account(call: Call) -> ApiAnswer:
    """One account."""
    return ApiAnswer(200, account_json(call.domain, call.account(call.params["account"]), call.expand))


def update_accounts(call: Call) -> ApiAnswer:
    """Change one account, or several given as `1234,4567`; none when one of them is refused."""
    changes = _checked(call.body)
    texts = call.params["account"].split(",")
    accounts = [call.account(text) for text in texts]
    for account in accounts:
        _apply(call, account, changes)
    if len(texts) == 1:
        return ApiAnswer(200, account_json(call.domain, accounts[0], call.expand))
    payload = [account_json(call.domain, account, call.expand) for account in accounts]
    return ApiAnswer(200, {"accounts": payload, "total": len(payload)})


def _apply(call: Call, account: WorldAccount, changes: JsonObject) -> None:
    was_disabled = account.disabled is not None
    if "disabled" in changes:
        account.verbatim.pop("disabled", None)
        if not changes["disabled"]:
            account.disabled = None
        elif account.disabled is None:
            account.disabled = call.world.clock.now()
        if was_disabled != (account.disabled is not None):
            webhook_events.account_switched(call.domain, account, call.world.clock.now())
    account.fields |= {name: value for name, value in changes.items() if name != "disabled"}


def _checked(body: JsonObject) -> JsonObject:
    changes: JsonObject = {}
    for name in ("disabled", "display", "bookmarked"):
        if name in body:
            value = {"true": True, "1": True, "false": False, "0": False}.get(str(body[name]).lower())
            if value is None:
                raise errors.invalid_value(name)
            changes[name] = int(value) if name == "bookmarked" else value
    if "name" in body:
        if not isinstance(body["name"], str):
            raise errors.invalid_value("name")
        changes["name"] = body["name"]
    if "usage" in body:
        if body["usage"] not in USAGES:
            raise errors.invalid_value("usage")
        changes["usage"] = body["usage"]
    return changes
