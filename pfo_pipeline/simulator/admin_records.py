"""Connections and accounts from a test's values.

Unknown keys and values of the wrong type go to the wire unchanged; the simulator interprets all others.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal

from pfo_pipeline.simulator.auth_flow import form_fields
from pfo_pipeline.simulator.banking import AccountDraft, open_account, open_connection, see_again
from pfo_pipeline.simulator.catalogue import CatalogueConnector, find_connector
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paris_time import paris_day
from pfo_pipeline.simulator.state import Domain, Pending, World, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.sync_engine import default_swing, set_state
from pfo_pipeline.simulator.truth import note_figure
from pfo_pipeline.simulator.values import FieldReader, exact, moment

CONNECTION_MOMENTS = ("created", "last_update", "next_try", "last_push", "expire")
SHARED_WITH_SOURCES = frozenset({"last_update", "next_try", "expire"})
ACCOUNT_MOMENTS = ("last_update", "disabled", "deleted")
ACCOUNT_AMOUNTS = ("balance", "coming")
ACCOUNT_FIELDS = (
    "number",
    "webid",
    "original_name",
    "name",
    "iban",
    "bic",
    "id_parent",
    "display",
    "bookmarked",
    "error",
    "usage",
    "ownership",
    "company_name",
    "loan",
    "opening_date",
    "information",
)


def find(domain: Domain, reference: object) -> CatalogueConnector:
    """Find a connector by uuid, name, slug, or the domain's id.

    Raises:
        ValueError: not found.
    """
    connector = find_connector(str(reference)) or domain.connector(str(reference))
    if connector is None:
        raise ValueError(f"connector: {reference!r} is unknown")
    return connector


def add_connection(world: World, domain: Domain, user: WorldUser, values: JsonObject) -> WorldConnection:
    """Create a connection with its accounts, healthy by default.

    Raises:
        ValueError: a value is invalid; nothing is added then.
    """
    reader = FieldReader(values)
    connector = find(domain, reader.take("connector", "Banque Exemple"))
    accounts = reader.take("accounts", [])
    if not isinstance(accounts, list) or not all(isinstance(item, dict) for item in accounts):
        raise ValueError("accounts: a list of objects is needed")
    created = moment(values.get("created")) or world.clock.now()
    connection = open_connection(world, domain, user, connector, created=created)
    try:
        change_connection(world, connection, reader)
        for item in accounts:
            add_account(world, domain, connection, item)
    except ValueError:
        # Remove it completely, from the truth too.
        del domain.connections[connection.id]
        domain.accounts = {i: a for i, a in domain.accounts.items() if a.id_connection != connection.id}
        raise
    return connection


def change_connection(world: World, connection: WorldConnection, reader: FieldReader) -> None:
    """Set fields of a connection; a new state sets its own `next_try` and form by default."""
    if reader.has("state"):
        state = reader.take("state")
        connection.verbatim.pop("state", None)
        if state is None or isinstance(state, str):
            set_state(connection, state, world.clock.now())
            connection.fields = form_fields(state)
            if connection.running is not None:
                # A running sync must end in the state that the test has set.
                connection.running.outcome = state
        else:
            connection.verbatim["state"] = state
    for name in CONNECTION_MOMENTS:
        if reader.has(name):
            _set_moment(connection, name, reader.take(name), world.clock.now())
            if name in SHARED_WITH_SOURCES:
                for source in connection.sources:
                    setattr(source, name, getattr(connection, name))
    if reader.has("error_message"):
        connection.error_message = reader.text("error_message", None)
    if reader.has("active"):
        connection.active = reader.flag("active", default=True)
    _set_source_states(connection, reader.take("source_states", {}))
    connection.verbatim |= _verbatim(reader)


def add_account(world: World, domain: Domain, connection: WorldConnection, values: JsonObject) -> WorldAccount:
    """Create an account in a connection with the given balance as of now. With `same_as` it is a copy of an existing account.

    Raises:
        KeyError: there is no account `same_as`.
        ValueError: a value is invalid.
    """
    reader = FieldReader(values)
    if reader.has("same_as"):
        original = domain.accounts[reader.whole("same_as", None) or 0]
        account = see_again(domain, original, connection, world.clock.now())
        account.figures.clear()
    else:
        account = _open_account(world, domain, connection, values)
    try:
        change_account(world, connection, account, reader)
    except ValueError:
        del domain.accounts[account.id]
        raise
    return account


def _open_account(world: World, domain: Domain, connection: WorldConnection, values: JsonObject) -> WorldAccount:
    kind = values.get("type", "checking")
    kind = kind if isinstance(kind, str) else "unknown"
    draft = AccountDraft(
        type=kind,
        name=str(values.get("name") or "Compte courant"),
        balance=None,
        disabled=bool(values.get("disabled")),
        has_iban=kind in ("checking", "joint"),
    )
    return open_account(world, domain, connection, draft, since=world.clock.now())


def change_account(world: World, connection: WorldConnection, account: WorldAccount, reader: FieldReader) -> None:
    """Set fields of an account; enabling it shows its values immediately."""
    was_disabled = account.disabled is not None
    for name in ACCOUNT_MOMENTS:
        if reader.has(name):
            _set_moment(account, name, reader.take(name), world.clock.now())
    if was_disabled and account.disabled is None:
        account.known = True
        account.last_update = account.last_update or connection.last_update
    if reader.has("known"):
        account.known = reader.flag("known", default=True)
    if reader.has("numbers_as_strings"):
        account.numbers_as_strings = reader.flag("numbers_as_strings", default=False)
    if reader.has("bank_account"):
        account.bank_account = reader.text("bank_account", None)
    if reader.has("lag_seconds"):
        account.lag = timedelta(seconds=reader.whole("lag_seconds", 1) or 0)
    moves = reader.flag("moves", default=True) if reader.has("moves") else None
    _set_currency_and_type(account, reader)
    _set_amounts(world, account, reader, moves=moves)
    _set_pending(account, reader, paris_day(world.clock.now()))
    for name in ACCOUNT_FIELDS:
        if reader.has(name):
            account.verbatim.pop(name, None)
            account.fields[name] = reader.take(name)
    account.verbatim |= _verbatim(reader)
    note_figure(account, world.clock.now())


def _set_currency_and_type(account: WorldAccount, reader: FieldReader) -> None:
    for name in ("currency", "type"):
        if not reader.has(name):
            continue
        value = reader.take(name)
        account.verbatim.pop(name, None)
        if name == "currency" and (value is None or isinstance(value, str)):
            account.currency = value
        elif name == "type" and isinstance(value, str):
            account.type = value
        else:
            account.verbatim[name] = value


def _set_amounts(world: World, account: WorldAccount, reader: FieldReader, *, moves: bool | None) -> None:
    given = [name for name in ACCOUNT_AMOUNTS if reader.has(name)]
    for name in given:
        value = reader.take(name)
        account.verbatim.pop(name, None)
        amount = exact(value)
        if value is not None and amount is None:
            account.verbatim[name] = value
        else:
            setattr(account, name, amount)
    if "balance" in given:
        account.moved_to = paris_day(world.clock.now())
    if moves is False:
        account.swing = account.swing * 0
    elif moves or "balance" in given:
        account.swing = default_swing(account.type, account.balance)


def _set_pending(account: WorldAccount, reader: FieldReader, today: date) -> None:
    if reader.has("buys"):
        account.buys = account.announces = reader.flag("buys", default=False)
    if reader.has("pending"):
        given = reader.take("pending")
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            raise ValueError("pending: a list of objects is needed")
        account.pending = [_pending(FieldReader(item), today) for item in given]
        account.announces = True
    if account.announces:
        account.coming = sum((item.amount for item in account.pending), Decimal(0))


def _pending(reader: FieldReader, today: date) -> Pending:
    amount, days = reader.decimal("amount", 0), reader.whole("days", 1) or 0
    pending = Pending(amount, today + timedelta(days=days), reader.flag("dropped", default=False))
    reader.done()
    return pending


def _set_moment(record: WorldConnection | WorldAccount, name: str, value: object, now: datetime) -> None:
    """Set a time: true means now, false and null mean never, text is parsed; any other value goes to the wire unchanged."""
    record.verbatim.pop(name, None)
    parsed = moment(value)
    if value is None or value is False:
        setattr(record, name, None)
    elif value is True:
        setattr(record, name, now)
    elif parsed is not None:
        setattr(record, name, parsed)
    else:
        record.verbatim[name] = value


def _set_source_states(connection: WorldConnection, states: object) -> None:
    if not isinstance(states, dict):
        raise ValueError("source_states: an object of source name to state is needed")
    sources = {source.name: source for source in connection.sources}
    for name, state in states.items():
        if name not in sources:
            raise ValueError(f"source_states: the connector has no source {name!r}")
        sources[name].state = state


def _verbatim(reader: FieldReader) -> JsonObject:
    given = reader.take("verbatim", {})
    if not isinstance(given, dict):
        raise ValueError("verbatim: an object is needed")
    return {**reader.rest(), **given}
