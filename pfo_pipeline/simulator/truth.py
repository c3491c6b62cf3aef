"""The true state, and everything that was ever shown.

It is read from the records, at the cost of one look at each; a balance is recorded when it changes (`note_figure`). A value
that
the simulator does not interpret, and sends unchanged, is not a balance: an account lists such keys as `overridden`.
"""

from datetime import UTC, datetime
from decimal import Decimal

from pfo_pipeline.simulator.exact_json import JsonObject, plain
from pfo_pipeline.simulator.state import Domain, World, WorldAccount, WorldBalance, WorldConnection, WorldUser


def note_figure(account: WorldAccount, at: datetime) -> None:
    """Record the account's balance from `at` on, if it is new."""
    if not account.known:
        return
    newest = WorldBalance(at, account.last_update, account.balance, account.coming, account.currency)
    last = account.figures[-1] if account.figures else None
    if last is None or (last.as_of, last.balance, last.coming, last.currency) != (
        newest.as_of,
        newest.balance,
        newest.coming,
        newest.currency,
    ):
        account.figures.append(newest)


def truth(world: World, domain: Domain, since: datetime | None = None) -> JsonObject:
    """All records of a domain, including erased ones; times are ISO 8601 in UTC, amounts exact strings.

    Args:
        since: Aware datetime; balances shown earlier are left out.
    """
    connections = [*domain.connections.values(), *domain.erased_connections]
    accounts = [*domain.accounts.values(), *domain.erased_accounts]
    return {
        "domain": domain.name,
        "now": _moment(world.clock.now()),
        "users": [_user(user) for user in domain.users.values()],
        "connections": [_connection(item) for item in sorted(connections, key=lambda item: item.id)],
        "accounts": [_account(item, since) for item in sorted(accounts, key=lambda item: item.id)],
        "same_bank_account": _same(accounts),
    }


def _user(user: WorldUser) -> JsonObject:
    return {"id": user.id, "signin": _moment(user.signin), "anonymous": user.anonymous}


def _connection(connection: WorldConnection) -> JsonObject:
    return {
        "id": connection.id,
        "id_user": connection.id_user,
        "connector": connection.connector.name,
        "state": connection.state,
        "source_states": {source.name: source.state for source in connection.sources},
        "created": _moment(connection.created),
        "last_update": _moment(connection.last_update),
        "next_try": _moment(connection.next_try),
        "expire": _moment(connection.expire),
        "active": connection.active,
        "erased": _moment(connection.erased),
        "overridden": sorted(connection.verbatim),
    }


def _account(account: WorldAccount, since: datetime | None) -> JsonObject:
    return {
        "id": account.id,
        "id_user": account.id_user,
        "id_connection": account.id_connection,
        "bank_account": account.identity,
        "type": account.type,
        "name": account.fields.get("name"),
        "number": account.fields.get("number"),
        "iban": account.fields.get("iban"),
        "known": account.known,
        "disabled": _moment(account.disabled),
        "deleted": _moment(account.deleted),
        "erased": _moment(account.erased),
        "overridden": sorted(account.verbatim),
        "figures": [_figure(figure) for figure in account.figures if since is None or figure.shown_from >= since],
    }


def _figure(figure: WorldBalance) -> JsonObject:
    return {
        "shown_from": _moment(figure.shown_from),
        "as_of": _moment(figure.as_of),
        "balance": _amount(figure.balance),
        "coming": _amount(figure.coming),
        "currency": figure.currency,
    }


def _same(accounts: list[WorldAccount]) -> list[list[int]]:
    """Groups of several ids that are one account at the bank."""
    groups: dict[str, list[int]] = {}
    for account in accounts:
        groups.setdefault(account.identity, []).append(account.id)
    return sorted(sorted(ids) for ids in groups.values() if len(ids) > 1)


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else format(plain(amount), "f")
