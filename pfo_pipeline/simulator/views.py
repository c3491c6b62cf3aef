"""The wire form of records.

Facts: Powens docs, Connections and Bank accounts, plus fields seen live only: `webid`, `bic`,
`coming_balance`, `formatted_balance`, `information`, `opening_date`, `total`. Assumed: list totals count
the whole list, and envelope sums leave out disabled and deleted accounts.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from pfo_pipeline.simulator.catalogue import (
    ACCOUNT_TYPES,
    CURRENCIES,
    TEST_CONNECTOR,
    TEST_SCENARIOS,
    CatalogueConnector,
    currency_object,
    precision_of,
)
from pfo_pipeline.simulator.exact_json import JsonObject, plain
from pfo_pipeline.simulator.paris_time import to_wire
from pfo_pipeline.simulator.state import Domain, WorldAccount, WorldConnection, WorldSource, WorldUser

Expansion = dict[str, "Expansion"]


def parse_expand(text: str) -> Expansion:
    """Read `a,b[c,d[e]]`; unmatched brackets and unknown names are ignored."""
    root: Expansion = {}
    levels, word = [root], ""
    last: Expansion = {}
    for character in f"{text},":
        if character not in "[],":
            word += character
            continue
        if word.strip():
            last = levels[-1].setdefault(word.strip(), {})
        word = ""
        if character == "[":
            levels.append(last)
        elif character == "]" and len(levels) > 1:
            levels.pop()
    return root


def user_json(user: WorldUser) -> JsonObject:
    """A user."""
    return {"id": user.id, "signin": to_wire(user.signin), "platform": "sharedAccess"}


def connector_json(domain: Domain, connector: CatalogueConnector, expand: Expansion) -> JsonObject:
    """A connector with this domain's ids."""
    payload: JsonObject = {
        "id": domain.connector_id(connector),
        "uuid": connector.uuid,
        "name": connector.name,
        "hidden": False,
        "charged": connector is not TEST_CONNECTOR,
        "code": connector.code,
        "beta": False,
        "color": connector.color,
        "slug": connector.slug,
        "sync_frequency": None,
        "months_to_fetch": None if connector is TEST_CONNECTOR else 24,
        "auth_mechanism": connector.auth_mechanism,
        "available_auth_mechanisms": [connector.auth_mechanism],
        "transfer_mechanism": "webauth" if "transfer" in connector.capabilities else None,
        "siret": None,
        "restricted": False,
        "capabilities": list(connector.capabilities),
        "account_usages": ["PRIV", "ORGA"],
        "products": ["bank", "wealth"] if "bankwealth" in connector.capabilities else ["bank"],
        "stability": {"status": "stable", "last_update": None},
    }
    if "sources" in expand:
        payload["sources"] = connector_sources_json(domain, connector)
    if "fields" in expand:
        payload["fields"] = connector_fields_json(connector)
    if "payment_fields" in expand:
        payload["payment_fields"] = []
    if "countries" in expand:
        payload["countries"] = [{"id": connector.country, "name": connector.country_name}]
    if "urls" in expand:
        payload["urls"] = []
    return payload


def connector_sources_json(domain: Domain, connector: CatalogueConnector) -> list[object]:
    """The sources of a bank, by priority."""
    return [
        {
            "id": domain.source_id(connector, position),
            "id_connector": domain.connector_id(connector),
            "name": name,
            "auth_mechanism": connector.auth_mechanism,
            "disabled": None,
            "priority": position + 1,
        }
        for position, name in enumerate(connector.source_names)
    ]


def connector_fields_json(connector: CatalogueConnector) -> list[object]:
    """The form for a connection by credentials; empty for web login."""
    if connector.auth_mechanism != "credentials":
        return []
    scenarios = [{"value": value, "label": label} for value, label in TEST_SCENARIOS.items()]
    lists = connector.source_names if connector is TEST_CONNECTOR else ()
    fields = [_connector_field(f"{name}website", "Type de compte", "list", [name], scenarios) for name in lists]
    both = list(connector.source_names)
    return [
        *fields,
        _connector_field("login", "Identifiant", "text", both, None),
        _connector_field("password", "Code (1234)", "password", both, None),
    ]


def connection_json(domain: Domain, connection: WorldConnection, expand: Expansion) -> JsonObject:
    """A connection; `error` is the old name of `state`.

    `expire` is the latest of its sources' dates, or, while a login is open, the time at which the login expires.
    """
    connector_id = domain.connector_id(connection.connector)
    payload: JsonObject = {
        "id": connection.id,
        "id_user": connection.id_user,
        "id_connector": connector_id,
        "id_provider": connector_id,
        "id_bank": connector_id,
        "connector_uuid": connection.connector.uuid,
        "state": connection.state,
        "error": connection.state,
        "error_message": connection.error_message,
        "fields": connection.fields,
        "created": to_wire(connection.created),
        "last_update": to_wire(connection.last_update),
        "next_try": to_wire(connection.next_try),
        "last_push": to_wire(connection.last_push),
        "expire": to_wire(
            _login_until(connection)
            or max((s.expire for s in connection.sources if s.expire), default=connection.expire)
        ),
        "active": connection.active,
    }
    if "connector" in expand:
        payload["connector"] = connector_json(domain, connection.connector, expand["connector"])
    if "sources" in expand:
        payload["sources"] = [source_json(connection, source) for source in connection.sources]
    accounts = domain.accounts_of(connection.id_user, connection.id)
    if "accounts" in expand:
        nested = expand["accounts"]
        payload["accounts"] = [account_json(domain, item, nested) for item in accounts if item.visible]
    if "all_accounts" in expand:
        nested = expand["all_accounts"]
        payload["all_accounts"] = [account_json(domain, item, nested) for item in accounts]
    return {**payload, **connection.verbatim}


def _login_until(connection: WorldConnection) -> datetime | None:
    return connection.login_until if connection.state is not None else None


def source_json(connection: WorldConnection, source: WorldSource) -> JsonObject:
    """A source of a connection."""
    return {
        "id": source.id,
        "id_connection": connection.id,
        "id_connector_source": source.id_connector_source,
        "name": source.name,
        "created": to_wire(source.created),
        "last_update": to_wire(source.last_update),
        "disabled": to_wire(source.disabled),
        "state": source.state,
        "error_message": source.error_message,
        "access_expire": to_wire(source.expire),
        "expire": to_wire(_login_until(connection)),
        "next_try": to_wire(source.next_try),
    }


def account_json(domain: Domain, account: WorldAccount, expand: Expansion) -> JsonObject:
    """A bank account; one that was never enabled shows few values."""
    known = account.known
    balance = account.balance if known else None
    coming = account.coming if known else None
    total = None if balance is None else balance + (coming or 0)
    kind = ACCOUNT_TYPES.get(account.type, ACCOUNT_TYPES["unknown"])
    fields = account.fields
    payload: JsonObject = {
        "id": account.id,
        "id_connection": account.id_connection,
        "id_user": account.id_user,
        "id_source": account.id_source,
        "id_parent": fields.get("id_parent"),
        "number": fields.get("number") if known else None,
        "webid": fields.get("webid"),
        "original_name": fields.get("original_name"),
        "name": fields.get("name"),
        "balance": _money(account, balance),
        "coming": _money(account, coming),
        "coming_balance": _money(account, total),
        "formatted_balance": _formatted(balance, account.currency),
        "display": fields.get("display", True),
        "last_update": to_wire(account.last_update),
        "deleted": to_wire(account.deleted),
        "disabled": to_wire(account.disabled),
        "iban": fields.get("iban") if known else None,
        "bic": fields.get("bic") if known else None,
        "currency": currency_object(account.currency) if account.currency and known else None,
        "type": account.type,
        "id_type": kind.id,
        "bookmarked": fields.get("bookmarked", 0),
        "error": fields.get("error"),
        "usage": fields.get("usage", "PRIV") if known else None,
        "ownership": fields.get("ownership", "owner"),
        "company_name": fields.get("company_name"),
        "loan": fields.get("loan") if known else None,
        "opening_date": fields.get("opening_date"),
        "information": fields.get("information", {}),
        # No documentation names this field; a client must ignore it.
        "refresh_tier": "standard",
    }
    payload |= {name: value for name, value in fields.items() if name not in payload}
    if "valuation" in fields:
        # The value of the holdings is the current balance.
        payload["valuation"] = _money(account, balance)
    if "connection" in expand:
        connection = domain.connections[account.id_connection]
        payload["connection"] = connection_json(domain, connection, expand["connection"])
    return {**payload, **account.verbatim}


def account_sums(accounts: Iterable[WorldAccount]) -> JsonObject:
    """The envelope's sums: per currency, and the meaningless sum across currencies."""
    balances: dict[str, Decimal] = {}
    coming: dict[str, Decimal] = {}
    for account in accounts:
        if account.visible and account.known and account.currency and account.balance is not None:
            code = account.currency
            balances[code] = balances.get(code, Decimal(0)) + account.balance
            coming[code] = coming.get(code, Decimal(0)) + account.balance + (account.coming or 0)
    return {
        "balance": plain(sum(balances.values(), Decimal(0))),
        "balances": {code: plain(amount) for code, amount in balances.items()},
        "coming_balances": {code: plain(amount) for code, amount in coming.items()},
    }


def _connector_field(
    name: str, label: str, kind: str, sources: list[str], values: list[dict[str, str]] | None
) -> JsonObject:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "required": True,
        "regex": None,
        "connector_sources": sources,
        "auth_mechanisms": ["credentials"],
        "values": values,
    }


def _money(account: WorldAccount, amount: Decimal | None) -> Decimal | str | None:
    if amount is None:
        return None
    exact = plain(amount)
    return format(exact, "f") if account.numbers_as_strings else exact


def _formatted(amount: Decimal | None, code: str | None) -> str | None:
    if amount is None:
        return None
    currency = CURRENCIES.get(code or "")
    text = f"{amount:,.{precision_of(code)}f}"
    symbol = currency.symbol if currency else code or ""
    if currency and currency.prefix:
        return f"-{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"
    return f"{text.replace(',', ' ').replace('.', ',')} {symbol}".strip()
