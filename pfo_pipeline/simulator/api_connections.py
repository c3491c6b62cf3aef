"""Routes of connections.

Here: `/users/{u}/connections…`, `/webauth-url`, `/webauth`.
Not here: what the requests bring about (dialogue.py, movement.py).
Facts: Powens docs, Connections. Assumed: 201 on creation, 202 when the user is asked for more. The page
behind `/webauth-url` belongs to a bank; here it consents at once and goes back to `redirect_uri`.
"""

from urllib.parse import urlencode

from starlette.datastructures import URL

from pfo_pipeline.simulator import announcements, dialogue, errors, tokens
from pfo_pipeline.simulator.calls import Answer, Call, whole_number
from pfo_pipeline.simulator.catalogue import Connector
from pfo_pipeline.simulator.dialogue import INTERACTIVE_STATES
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paging import page
from pfo_pipeline.simulator.records import Connection, Source
from pfo_pipeline.simulator.views import connection_json, source_json


def list_connections(call: Call) -> Answer:
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
    return Answer(200, payload)


def get_connection(call: Call) -> Answer:
    """One connection."""
    return _answer(call, call.connection())


def create_connection(call: Call) -> Answer:
    """Connect a bank with credentials."""
    user = call.user()
    connector = _wanted_connector(call)
    source = call.query.get("source") or call.body.get("source") or _source_of_form(call, connector)
    connection = dialogue.create(call.world, call.domain, user, connector, str(source), call.body)
    status = 202 if connection.state in INTERACTIVE_STATES else 201
    return _answer(call, connection, status)


def update_connection(call: Call) -> Answer:
    """Answer what the connection asks for, change credentials, or sync."""
    connection = call.connection()
    background = call.flag("background") or call.body.get("background") is True
    values = {name: value for name, value in call.body.items() if name != "background"}
    dialogue.submit(call.world, call.domain, connection, values, background=background)
    status = 202 if connection.state in INTERACTIVE_STATES else 200
    return _answer(call, connection, status)


def sync_connection(call: Call) -> Answer:
    """Force a sync; `psu_requested` says whether the user is there to answer."""
    connection = call.connection()
    given = call.query.get("psu_requested", call.body.get("psu_requested", "true"))
    text = str(given).lower()
    if text not in ("true", "false", "1", "0"):
        raise errors.invalid_value("psu_requested")
    dialogue.force(call.world, call.domain, connection, user_present=text in ("true", "1"))
    return _answer(call, connection)


def delete_connection(call: Call) -> Answer:
    """Erase a connection with its accounts."""
    connection = call.connection()
    announcements.connection_deleted(call.domain, connection, call.world.clock.now())
    call.domain.erase_connection(connection.id, call.world.clock.now())
    return Answer(204)


def list_sources(call: Call) -> Answer:
    """The connection's sources; disabled ones only with `all`."""
    connection = call.connection()
    shown = [item for item in connection.sources if item.disabled is None or call.flag("all")]
    sources = [source_json(connection, item) for item in shown]
    return Answer(200, {"sources": sources, "total": len(sources)})


def get_source(call: Call) -> Answer:
    """One source."""
    connection = call.connection()
    return Answer(200, source_json(connection, _source_of_path(call, connection)))


def update_source(call: Call) -> Answer:
    """Disable a source, so that syncs leave it out, or enable it again."""
    connection = call.connection()
    source = _source_of_path(call, connection)
    disabled = {"true": True, "1": True, "false": False, "0": False}.get(str(call.body.get("disabled")).lower())
    if disabled is None:
        raise errors.missing_parameter("disabled") if "disabled" not in call.body else errors.invalid_value("disabled")
    source.disabled = (source.disabled or call.world.clock.now()) if disabled else None
    return Answer(200, source_json(connection, source))


def webauth_url(call: Call) -> Answer:
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
    code = tokens.issue_code(call.world, call.domain, token.id_user or 0, single_use=True)
    here = URL(f"{call.url.scheme}://{call.url.netloc}/{call.domain.name}/2.0/webauth")
    return Answer(200, {"url": f"{here}?{urlencode({**forwarded, 'token': code.value})}"})


def webauth(call: Call) -> Answer:
    """The bank's login page: consents and sends the user back."""
    code = call.domain.codes.pop(call.query.get("token", ""), None)
    redirect_uri = call.query.get("redirect_uri")
    if code is None or redirect_uri is None:
        raise errors.invalid_value("token" if code is None else "redirect_uri")
    answer = {"state": call.query["state"]} if "state" in call.query else {}
    if "id_connection" in call.query:
        connection = _owned(call, call.query["id_connection"], code.id_user)
        dialogue.confirm_at_the_bank(call.world, call.domain, connection)
    else:
        connector = call.domain.connector(call.query.get("id_connector", ""))
        if connector is None:
            raise errors.invalid_value("id_connector")
        user = call.domain.users[code.id_user]
        connection = dialogue.connect_at_the_bank(call.world, call.domain, user, connector)
    answer["id_connection"] = str(connection.id)
    return Answer(302, headers={"Location": f"{redirect_uri}?{urlencode(answer)}"})


def _answer(call: Call, connection: Connection, status: int = 200) -> Answer:
    return Answer(status, connection_json(call.domain, connection, call.expand))


def _owned(call: Call, text: str, user_id: int | None) -> Connection:
    connection = call.domain.connections.get(whole_number(text))
    if connection is None or connection.id_user != user_id:
        raise errors.not_found()
    return connection


def _source_of_path(call: Call, connection: Connection) -> Source:
    wanted = whole_number(call.params["source"])
    for source in connection.sources:
        if source.id == wanted:
            return source
    raise errors.not_found()


def _wanted_connector(call: Call) -> Connector:
    for name in ("connector_uuid", "id_connector"):
        if call.body.get(name) is not None:
            connector = call.domain.connector(str(call.body[name]))
            if connector is None:
                raise errors.invalid_value(name)
            return connector
    raise errors.missing_parameter("connector_uuid")


def _source_of_form(call: Call, connector: Connector) -> str:
    for name in connector.source_names:
        if f"{name}website" in call.body:
            return name
    return connector.source_names[0]
