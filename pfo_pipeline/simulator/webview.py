"""The webview: the pages on which a member connects a bank, shares accounts and renews a consent.

Facts: Powens docs, Webview: the query, the exact match of `redirect_uri`, the parameters of the return. Seen live: an
address without its language is a 503 page of the gateway.
Assumed: opening the page uses up the code; a visit lasts half an hour; cancelling a new connection leaves nothing behind; a
bank problem that the member cannot solve gives `server_error`. A web login consents immediately.
Not simulated: `account_ibans`, `max_connections`, `reset_credentials`, `connection_sources`, `tos_declined`, `manage`.

A simple client may skip steps: one POST can contain the fields of several pages, and `accounts=all` shares all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pfo_pipeline.simulator import auth_flow, domains, errors, webhook_events, webview_pages
from pfo_pipeline.simulator.catalogue import CONNECTORS, CatalogueConnector
from pfo_pipeline.simulator.dice import secret
from pfo_pipeline.simulator.faults import gateway_page
from pfo_pipeline.simulator.gateway import Bench
from pfo_pipeline.simulator.paris_time import paris_day
from pfo_pipeline.simulator.state import Domain, World, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.sync_engine import CONSENT, advance, start_sync

VISIT = timedelta(seconds=domains.TEMPORARY_LIFE_SECONDS)
DOMAIN_SUFFIX = ".biapi.pro"
# States that a member can resolve in the webview; all others need the bank or Powens.
CURABLE_STATES = auth_flow.INTERACTIVE_STATES | {"wrongpass", "passwordExpired", "actionNeeded", "validating"}

Form = dict[str, list[str]]
Returned = Literal["access_denied", "server_error", "session_expired"]


@dataclass
class Visit:
    """A member at the webview. `id_user` is null until an anonymous user is created, `connection_id` until there is a
    connection.
    """

    key: str
    domain: Domain
    expires: datetime
    query: QueryParams
    id_user: int | None
    anonymous: bool
    connection_id: int | None = None


class RefusedError(Exception):
    """The link to this page is wrong; the page shows the error's text."""


@dataclass
class Webview:
    """The pages of one simulator, and their visits."""

    world: World
    visits: dict[str, Visit] = field(default_factory=dict)
    opened: int = 0

    def connect(self, query: QueryParams, form: Form) -> Response:
        """Serve the next page of a new connection, or the return."""
        visit = self._visit(query, form)
        if visit is None:
            return self._leave(None, query, "session_expired")
        if _first(form, "action") == "cancel":
            self._undo(visit)
            return self._leave(visit, query, "access_denied")
        connection = visit.domain.connections.get(visit.connection_id or 0)
        if connection is None:
            made = self._make_connection(visit, form)
            if isinstance(made, Response):
                return made
            connection = made
        page = self._authenticate(visit, connection, form)
        if page is not None:
            return page
        found = self._offered_accounts(visit, connection)
        if "accounts" not in form and _first(form, "action") != "share":
            return HTMLResponse(webview_pages.share_accounts(visit.key, connection.connector, found))
        self._share(visit.domain, connection, found, form.get("accounts", []))
        return self._leave(visit, query, None)

    def reconnect(self, query: QueryParams, form: Form) -> Response:
        """Serve the next page of a renewal, or the return."""
        visit = self._visit(query, form)
        if visit is None:
            return self._leave(None, query, "session_expired")
        connection = self._known_connection(visit)
        if _first(form, "action") == "cancel":
            return self._leave(visit, query, "access_denied")
        if connection.state is not None and connection.state not in CURABLE_STATES:
            return self._leave(visit, query, "server_error")
        if not form:
            until = (paris_day(self.world.clock.now() + CONSENT)).isoformat()
            return HTMLResponse(webview_pages.renew_access(visit.key, connection.connector, until))
        if connection.state is None and connection.running is None:
            auth_flow.confirm_at_the_bank(self.world, visit.domain, connection)
        return self._authenticate(visit, connection, form) or self._leave(visit, query, None)

    def _visit(self, query: QueryParams, form: Form) -> Visit | None:
        """The visit of the form, or a new one; null if its code is no longer valid."""
        domain = self._checked_domain(query)
        key = _first(form, "visit")
        if key is not None:
            visit = self.visits.get(key)
            return visit if visit and visit.domain is domain and self._goes_on(visit) else None
        code = domain.codes.pop(query["code"], None) if "code" in query else None
        if "code" in query and code is None:
            return None
        self.opened += 1
        visit = Visit(
            key=secret(self.world.seed, "visit", domain.name, self.opened),
            domain=domain,
            expires=self.world.clock.now() + VISIT,
            query=query,
            id_user=code.id_user if code else None,
            anonymous=code is None,
        )
        self.visits[visit.key] = visit
        return visit

    def _goes_on(self, visit: Visit) -> bool:
        in_time = visit.expires > self.world.clock.now()
        return in_time and (visit.id_user is None or visit.id_user in visit.domain.users)

    def _checked_domain(self, query: QueryParams) -> Domain:
        for name in ("domain", "client_id", "redirect_uri"):
            if not query.get(name):
                raise RefusedError(f"The parameter {name} is missing.")
        domain = self.world.domains.get(query["domain"].removesuffix(DOMAIN_SUFFIX))
        if domain is None or not query["domain"].endswith(DOMAIN_SUFFIX):
            raise RefusedError("The domain is unknown.")
        if query["client_id"] != domain.client_id:
            raise RefusedError("The client_id is not the domain's.")
        if "?" in query["redirect_uri"]:
            raise RefusedError("The redirect_uri must not hold a query string.")
        if query["redirect_uri"] not in domain.settings.redirect_uris:
            raise RefusedError("The redirect_uri is not on the domain's list.")
        return domain

    def _make_connection(self, visit: Visit, form: Form) -> WorldConnection | Response:
        connectors = _offered_connectors(visit)
        chosen = [item for item in connectors if item.uuid == _first(form, "connector")]
        if not connectors:
            raise RefusedError("No bank fits the address.")
        if not chosen:
            return HTMLResponse(webview_pages.choose_bank(visit.key, connectors))
        connector = chosen[0]
        if connector.auth_mechanism != "credentials":
            user = self._user(visit)
            connection = auth_flow.connect_at_the_bank(self.world, visit.domain, user, connector)
        else:
            if "login" not in form:
                return self._ask_credentials(visit, connector, None, new=True)
            values = {name: given[-1] for name, given in form.items()}
            try:
                user = self._user(visit)
                connection = auth_flow.create(
                    self.world, visit.domain, user, connector, _source(connector, values), values
                )
            except errors.ApiError as refused:
                return self._ask_credentials(visit, connector, refused.message or refused.description, new=True)
            for name in ("login", "password"):
                form.pop(name, None)
        visit.connection_id = connection.id
        return connection

    def _ask_credentials(
        self, visit: Visit, connector: CatalogueConnector, problem: str | None, *, new: bool
    ) -> Response:
        source = connector.source_names[0]
        return HTMLResponse(webview_pages.credentials(visit.key, connector, source, problem, new=new))

    def _user(self, visit: Visit) -> WorldUser:
        if visit.id_user is None:
            visit.id_user = domains.add_user(self.world, visit.domain, anonymous=True).id
            domains.issue_token(self.world, visit.domain, "temporary", visit.id_user)
        return visit.domain.users[visit.id_user]

    def _authenticate(self, visit: Visit, connection: WorldConnection, form: Form) -> Response | None:
        """Lead the connection through the states that need the member; null when none is left."""
        world, domain, connector = self.world, visit.domain, connection.connector
        while True:
            match connection.state:
                case "SCARequired":
                    auth_flow.force(world, domain, connection, user_present=True)
                case "additionalInformationNeeded":
                    code = form.pop(auth_flow.CODE_FIELD, None)
                    if code is None:
                        return HTMLResponse(webview_pages.ask_code(visit.key, connector, auth_flow.CODE_FIELD))
                    auth_flow.submit(world, domain, connection, {auth_flow.CODE_FIELD: code[-1]}, background=False)
                case "decoupled":
                    if form.pop("resume", None) is None:
                        return HTMLResponse(webview_pages.ask_confirmation(visit.key, connector))
                    auth_flow.submit(world, domain, connection, {"resume": True}, background=False)
                case "wrongpass" | "passwordExpired" if connector.auth_mechanism == "credentials":
                    values: dict[str, object] = {
                        name: form.pop(name)[-1] for name in ("login", "password") if name in form
                    }
                    if not values:
                        return self._ask_credentials(visit, connector, connection.error_message, new=False)
                    try:
                        auth_flow.submit(world, domain, connection, values, background=False)
                    except errors.ApiError as refused:
                        return self._ask_credentials(visit, connector, refused.message, new=False)
                case "webauthRequired" | "wrongpass" | "passwordExpired" | "actionNeeded":
                    auth_flow.confirm_at_the_bank(world, domain, connection)
                case _:
                    return None

    def _offered_accounts(self, visit: Visit, connection: WorldConnection) -> list[WorldAccount]:
        wanted = _words(visit.query, "account_types")
        accounts = visit.domain.accounts_of(connection.id_user, connection.id)
        return [account for account in accounts if not wanted or account.type in wanted]

    def _share(
        self, domain: Domain, connection: WorldConnection, found: Sequence[WorldAccount], chosen: Sequence[str]
    ) -> None:
        now = self.world.clock.now()
        shared = [item for item in found if item.disabled and ("all" in chosen or str(item.id) in chosen)]
        for account in shared:
            account.disabled = None
            webhook_events.account_switched(domain, account, now)
        if shared and connection.state is None and connection.running is None:
            # The first sync ended while the member was still choosing.
            start_sync(self.world, domain, connection, outcome=None)

    def _known_connection(self, visit: Visit) -> WorldConnection:
        text = visit.query.get("connection_id", "")
        if visit.id_user is None:
            raise RefusedError("The parameter code is missing.")
        for connection in visit.domain.connections_of(visit.id_user):
            if str(connection.id) == text:
                visit.connection_id = connection.id
                return connection
        raise RefusedError("The connection is unknown.")

    def _undo(self, visit: Visit) -> None:
        connection = visit.domain.connections.get(visit.connection_id or 0)
        if connection is not None:
            webhook_events.connection_deleted(visit.domain, connection, self.world.clock.now())
            visit.domain.erase_connection(connection.id, self.world.clock.now())

    def _leave(self, visit: Visit | None, query: QueryParams, error: Returned | None) -> Response:
        """Return the member to the client, which ends a visit."""
        answer: dict[str, str] = {}
        if error is not None:
            answer = {"error": error, "error_description": _DESCRIPTIONS[error]}
        elif visit is not None:
            answer = {"connection_id": str(visit.connection_id)}
            if visit.anonymous and visit.id_user is not None:
                issued = domains.issue_code(self.world, visit.domain, visit.id_user, single_use=True)
                answer["code"] = issued.value
        if visit is not None:
            del self.visits[visit.key]
        if "state" in query:
            answer["state"] = query["state"]
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)


def webview_app(bench: Bench) -> Starlette:
    """The webview of a bench."""
    webview = Webview(bench.world)
    pages = {"connect": webview.connect, "reconnect": webview.reconnect}

    async def serve(request: Request) -> Response:
        raw = (await request.body()).decode("utf-8", "replace")
        form = parse_qs(raw, keep_blank_values=True)
        page = pages.get(request.path_params["page"])
        if page is None:
            return HTMLResponse(webview_pages.refusal("There is no such page."), 404)
        advance(bench.world)
        try:
            answer = page(request.query_params, form)
        except RefusedError as refused:
            answer = HTMLResponse(webview_pages.refusal(str(refused)), 400)
        bench.sender.start()
        return answer

    async def serve_without_language(_: Request) -> Response:
        return gateway_page()

    methods = ["GET", "POST"]
    return Starlette(
        routes=[
            Route("/webview/{language}/{page}", serve, methods=methods),
            Route("/webview/{page}", serve_without_language, methods=methods),
        ]
    )


_DESCRIPTIONS: Mapping[Returned, str] = {
    "access_denied": "The user cancelled",
    "server_error": "The bank cannot be reached now",
    "session_expired": "The session has expired",
}


def _offered_connectors(visit: Visit) -> list[CatalogueConnector]:
    """The banks that the link allows."""
    capabilities = _words(visit.query, "connector_capabilities") or {"bank"}
    uuids, ids = _words(visit.query, "connector_uuids"), _words(visit.query, "connector_ids")
    return [
        connector
        for connector in CONNECTORS
        if capabilities <= set(connector.capabilities)
        and (not uuids or connector.uuid in uuids)
        and (not ids or str(visit.domain.connector_id(connector)) in ids)
    ]


def _source(connector: CatalogueConnector, values: Mapping[str, str]) -> str:
    named = [name for name in connector.source_names if f"{name}website" in values]
    return (named or list(connector.source_names))[0]


def _words(query: QueryParams, name: str) -> set[str]:
    return {word for word in query.get(name, "").split(",") if word}


def _first(form: Form, name: str) -> str | None:
    return form[name][0] if name in form else None
