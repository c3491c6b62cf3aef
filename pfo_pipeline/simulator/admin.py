"""The admin routes, with which a test controls the world. The package's docstring lists them.

They need no token: the server only listens on loopback. An invalid request is answered with 400 and `{"error": text}`, an
unknown id with 404.
"""

from collections.abc import Callable
from typing import get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pfo_pipeline.simulator import admin_records, domains, seeds, webhook_events
from pfo_pipeline.simulator.banking import Manner, Numbers, renumber_accounts, renumber_connection
from pfo_pipeline.simulator.domains import create_domain
from pfo_pipeline.simulator.exact_json import JsonObject, dumps, loads
from pfo_pipeline.simulator.gateway import Bench
from pfo_pipeline.simulator.paris_time import from_text, to_wire
from pfo_pipeline.simulator.state import Domain, Settings, World, WorldConnection
from pfo_pipeline.simulator.sync_engine import advance, sync_automatically
from pfo_pipeline.simulator.truth import truth
from pfo_pipeline.simulator.values import FieldReader


def renumber(world: World, domain: Domain, body: JsonObject) -> JsonObject:
    """Give connections and single accounts new ids. Returns the new ids by the old ones.

    Raises:
        KeyError: an id is unknown; nothing is renumbered then.
        ValueError: a value is invalid.
    """
    reader = FieldReader(body)
    connections = [domain.connections[number] for number in reader.wholes("connections")]
    accounts = [domain.accounts[number] for number in reader.wholes("accounts")]
    given = reader.text("numbers", "same")
    manner = Manner(
        next((word for word in get_args(Numbers) if word == given), "same"),
        disabled=reader.flag("disabled", default=True),
        erased=reader.flag("erased", default=False),
        source=reader.text("source", None),
    )
    reader.done()
    if given != manner.numbers:
        raise ValueError(f"numbers: one of {', '.join(get_args(Numbers))} is needed")
    for connection in [*connections, *(domain.connections[account.id_connection] for account in accounts)]:
        if manner.source not in (None, *(source.name for source in connection.sources)):
            raise ValueError(f"source: connection {connection.id} has no source {manner.source!r}")
    made = renumber_accounts(world, domain, accounts, manner)
    answer = {"connections": {}, "accounts": {old.id: new.id for old, new in zip(accounts, made, strict=True)}}
    for connection in connections:
        again, ids = renumber_connection(world, domain, connection, manner)
        answer["connections"][connection.id] = again.id
        answer["accounts"] |= ids
    return dict(answer)


def add_world(world: World, body: JsonObject, root: str) -> JsonObject:
    """Create a domain from a seed.

    Raises:
        ValueError: the name is taken, or a number is invalid.
    """
    reader = FieldReader(body)
    order = seeds.Order(
        domain=reader.text("domain") or "",
        seed=reader.whole("seed", 0) or 0,
        members=reader.whole("members", 2) or 0,
        connections=reader.whole("connections", 2) or 0,
        accounts=reader.whole("accounts", 3) or 0,
    )
    redirect_uris = reader.texts("redirect_uris", ())
    reader.done()
    domain = seeds.populate(world, order)
    domain.settings.redirect_uris = redirect_uris
    return {"base_url": f"{root}{domain.name}/2.0", **seeds.keys(domain)}


Action = Callable[[Bench, Request, JsonObject], JsonObject]


def admin_app(bench: Bench) -> Starlette:
    """The admin application of a bench."""
    table: list[tuple[str, str, Action]] = [
        ("GET", "/health", _health),
        ("GET", "/clock", _clock),
        ("POST", "/clock", _move_clock),
        ("POST", "/domains", _add_domain),
        ("PATCH", "/domains/{domain}", _change_domain),
        ("DELETE", "/domains/{domain}/rate-limit", _clear_rate_limit),
        ("POST", "/domains/{domain}/users", _add_user),
        ("POST", "/domains/{domain}/users/{user:int}/connections", _add_connection),
        ("PATCH", "/domains/{domain}/connections/{connection:int}", _change_connection),
        ("DELETE", "/domains/{domain}/connections/{connection:int}", _delete_connection),
        ("POST", "/domains/{domain}/connections/{connection:int}/accounts", _add_account),
        ("PATCH", "/domains/{domain}/accounts/{account:int}", _change_account),
        ("DELETE", "/domains/{domain}/accounts/{account:int}", _delete_account),
        ("POST", "/domains/{domain}/renumber", _renumber),
        ("POST", "/worlds", _add_world),
        ("GET", "/truth", _truth),
        ("POST", "/faults", _add_fault),
        ("GET", "/faults", _faults),
        ("DELETE", "/faults", _clear_faults),
        ("POST", "/domains/{domain}/connections/{connection:int}/sync", _sync),
        ("GET", "/webhooks", _posts),
        ("POST", "/webhooks/faults", _add_post_fault),
        ("GET", "/journal", _journal),
        ("DELETE", "/journal", _clear_journal),
    ]
    routes = [Route(f"/admin{path}", _endpoint(bench, act), methods=[method]) for method, path, act in table]
    routes.append(Route("/admin/webhooks/flush", _flushing(bench), methods=["POST"]))
    return Starlette(routes=routes)


def _endpoint(bench: Bench, action: Action) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = loads(raw) if raw.strip() else {}
            if not isinstance(body, dict):
                raise ValueError("the body must be a JSON object")
            advance(bench.world)
            done = action(bench, request, body)
            bench.sender.start()
            return _json(200, done)
        except KeyError:
            return _json(404, {"error": "no such domain, user, connection or account"})
        except ValueError as refused:
            return _json(400, {"error": str(refused)})

    return endpoint


def _json(status: int, payload: JsonObject) -> Response:
    return Response(dumps(payload), status, media_type="application/json")


def _domain(bench: Bench, request: Request) -> Domain:
    return bench.world.domains[request.path_params["domain"]]


def _health(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    return {"status": "ok", "seed": bench.world.seed, "domains": list(bench.world.domains)}


def _clock(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    now = bench.world.clock.now()
    return {"now": now.isoformat(), "paris": to_wire(now)}


def _move_clock(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    reader = FieldReader(body)
    now, seconds = reader.text("now", None), reader.whole("advance_seconds", None)
    reader.done()
    if (now is None) == (seconds is None):
        raise ValueError("either now or advance_seconds is needed")
    if now is not None:
        bench.world.clock.put(from_text(now))
    else:
        bench.world.clock.advance(seconds or 0)
    advance(bench.world)
    bench.sender.start(again=True)
    return _clock(bench, request, {})


def _add_domain(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    reader = FieldReader(body)
    name = reader.text("domain") or ""
    client_id, client_secret = reader.text("client_id", None), reader.text("client_secret", None)
    settings = _settings(reader, bench.world.settings)
    domain = create_domain(bench.world, name, client_id=client_id, client_secret=client_secret)
    domain.settings = settings
    kinds = {token.kind: token.value for token in domain.tokens.values()}
    return {
        "domain": domain.name,
        "base_url": f"{request.base_url}{domain.name}/2.0",
        "client_id": domain.client_id,
        "client_secret": domain.client_secret,
        "users_token": kinds["users"],
        "config_token": kinds["config"],
    }


def _change_domain(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    domain.settings = _settings(FieldReader(body), domain.settings)
    return dict(vars(domain.settings))


def _settings(reader: FieldReader, current: Settings) -> Settings:
    chosen = Settings(
        rate_limit_per_minute=reader.whole("rate_limit_per_minute", current.rate_limit_per_minute) or 0,
        page_size=reader.whole("page_size", current.page_size),
        sync_seconds=reader.whole("sync_seconds", current.sync_seconds) or 0,
        forced_sync_interval_seconds=reader.whole("forced_sync_interval_seconds", current.forced_sync_interval_seconds)
        or 0,
        webhooks_gzip=reader.flag("webhooks_gzip", default=current.webhooks_gzip),
        redirect_uris=reader.texts("redirect_uris", current.redirect_uris),
    )
    reader.done()
    return chosen


def _clear_rate_limit(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    bench.limiter.clear(_domain(bench, request).name)
    return {}


def _add_user(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    reader = FieldReader(body)
    user_id = reader.whole("id", None)
    reader.done()
    if user_id in domain.users:
        raise ValueError(f"id: user {user_id} exists already")
    user = domains.add_user(bench.world, domain, user_id=user_id)
    return {"id": user.id, "token": domains.issue_token(bench.world, domain, "permanent", user.id).value}


def _add_connection(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    user = domain.users[request.path_params["user"]]
    connection = admin_records.add_connection(bench.world, domain, user, body)
    return _ids(domain, connection)


def _change_connection(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    connection = domain.connections[request.path_params["connection"]]
    admin_records.change_connection(bench.world, connection, FieldReader(body))
    return _ids(domain, connection)


def _delete_connection(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    domain = _domain(bench, request)
    connection = domain.connections[request.path_params["connection"]]
    webhook_events.connection_deleted(domain, connection, bench.world.clock.now())
    domain.erase_connection(connection.id, bench.world.clock.now())
    return {}


def _add_account(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    connection = domain.connections[request.path_params["connection"]]
    account = admin_records.add_account(bench.world, domain, connection, body)
    webhook_events.account_found(domain, account, bench.world.clock.now())
    return {"id": account.id}


def _change_account(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    domain = _domain(bench, request)
    account = domain.accounts[request.path_params["account"]]
    connection = domain.connections[account.id_connection]
    admin_records.change_account(bench.world, connection, account, FieldReader(body))
    return {"id": account.id}


def _delete_account(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    _domain(bench, request).erase_account(request.path_params["account"], bench.world.clock.now())
    return {}


def _renumber(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    return renumber(bench.world, _domain(bench, request), body)


def _add_world(bench: Bench, request: Request, body: JsonObject) -> JsonObject:
    return add_world(bench.world, body, str(request.base_url))


def _truth(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    since = request.query_params.get("since")
    domain = bench.world.domains[request.query_params.get("domain", "")]
    return truth(bench.world, domain, from_text(since) if since else None)


def _ids(domain: Domain, connection: WorldConnection) -> JsonObject:
    return {
        "id": connection.id,
        "source_ids": [source.id for source in connection.sources],
        "account_ids": [account.id for account in domain.accounts_of(connection.id_user, connection.id)],
    }


def _sync(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    domain = _domain(bench, request)
    connection = domain.connections[request.path_params["connection"]]
    sync_automatically(bench.world, domain, connection, bench.world.clock.now())
    return _ids(domain, connection)


def _posts(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    return {"posts": bench.sender.posts, "pending": bench.sender.pending()}


def _add_post_fault(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    bench.sender.order(body)
    return {}


def _flushing(bench: Bench) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        advance(bench.world)
        await bench.sender.flush()
        return _json(200, _posts(bench, request, {}))

    return endpoint


def _add_fault(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    return {"id": bench.faults.add(body).id}


def _faults(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    return {"faults": [fault.json() for fault in bench.faults.faults]}


def _clear_faults(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    bench.faults.faults.clear()
    return {}


def _journal(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    since = int(request.query_params.get("since", "0"))
    entries = bench.journal.since(since, request.query_params.get("domain"))
    return {"entries": [entry.json() for entry in entries]}


def _clear_journal(bench: Bench, request: Request, body: JsonObject) -> JsonObject:  # noqa: ARG001
    bench.journal.entries.clear()
    return {}
