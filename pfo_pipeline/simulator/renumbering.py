"""The same bank accounts under new Powens ids.

Here: a bank added again, a connection or source that finds an account anew, an account seen through a second connection.
Not here: reading the admin's words (admin_records.py).
Facts: Powens docs, Connections: a bank that is added again gets new ids, an account that is found is disabled. Seen live:
an account of a repaired connection came back disabled under a new id.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pfo_pipeline.simulator import announcements
from pfo_pipeline.simulator.banking import open_connection
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.records import Account, Connection, Domain, World
from pfo_pipeline.simulator.truth import note_figure

Numbers = Literal["same", "reformatted", "absent"]


@dataclass(frozen=True)
class Manner:
    """How an account comes back.

    Args:
        numbers: Whether IBAN and number are told as before, in groups with spaces, or not at all.
        disabled: Whether it has to be enabled again.
        erased: Whether the old record is gone without a trace, instead of marked as deleted.
        source: Name of the source that finds it, default the first one that is not disabled.
    """

    numbers: Numbers = "same"
    disabled: bool = True
    erased: bool = False
    source: str | None = None


def renumber_connection(
    world: World, domain: Domain, connection: Connection, manner: Manner
) -> tuple[Connection, dict[int, int]]:
    """The bank is taken away and added again; the new connection, and the new ids of its accounts by the old ones."""
    now = world.clock.now()
    user = domain.users[connection.id_user]
    accounts = domain.accounts_of(user.id, connection.id)
    announcements.connection_deleted(domain, connection, now)
    domain.erase_connection(connection.id, now)
    again = open_connection(world, domain, user, connection.connector, created=now)
    made = {account.id: _again(domain, account, again, manner, now) for account in accounts if account.deleted is None}
    _tie_parents(made)
    return again, {old: account.id for old, account in made.items()}


def renumber_accounts(world: World, domain: Domain, accounts: list[Account], manner: Manner) -> list[Account]:
    """Their connection finds them anew, after a repair or through another source."""
    now = world.clock.now()
    made = {}
    for account in accounts:
        made[account.id] = _again(domain, account, domain.connections[account.id_connection], manner, now)
        if manner.erased:
            domain.erase_account(account.id, now)
        else:
            account.deleted = now
    _tie_parents(made)
    return list(made.values())


def see_again(domain: Domain, account: Account, connection: Connection, now: datetime) -> Account:
    """The same account through another connection, enabled; from now on both move in step."""
    return _again(domain, account, connection, Manner(disabled=False), now)


def _again(domain: Domain, account: Account, connection: Connection, manner: Manner, now: datetime) -> Account:
    # Both records are one account at the bank, whatever becomes of its IBAN.
    account.bank_account = account.identity
    again = replace(
        account,
        id=domain.next_id("account"),
        id_connection=connection.id,
        id_user=connection.id_user,
        id_source=_source_id(connection, manner.source),
        known=account.known and not manner.disabled,
        disabled=now if manner.disabled else None,
        deleted=None,
        last_update=None if manner.disabled else account.last_update,
        pending=list(account.pending),
        figures=[],
        fields={**account.fields, **_numbers(account, manner.numbers)},
        verbatim=dict(account.verbatim),
    )
    domain.accounts[again.id] = again
    announcements.account_found(domain, again, now)
    note_figure(again, now)
    return again


def _source_id(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return next((source.id for source in connection.sources if source.disabled is None), None)
    return next(source.id for source in connection.sources if source.name == name)


def _numbers(account: Account, manner: Numbers) -> JsonObject:
    if manner == "same":
        return {}
    if manner == "absent":
        return {"iban": None, "number": None, "webid": None, "bic": None}
    told = {name: account.fields.get(name) for name in ("iban", "number")}
    return {name: _in_groups(value) for name, value in told.items() if isinstance(value, str)}


def _in_groups(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _tie_parents(made: dict[int, Account]) -> None:
    for account in made.values():
        parent = account.fields.get("id_parent")
        if isinstance(parent, int) and parent in made:
            account.fields["id_parent"] = made[parent].id
