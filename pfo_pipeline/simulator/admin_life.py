"""Admin routes about a bank that lives: renumbering, the truth, whole worlds.

Here: reading the requests of `/admin/domains/D/renumber`, `/admin/truth`, `/admin/worlds`.
Not here: what they bring about (renumbering.py, truth.py, worlds.py).
"""

from typing import get_args

from pfo_pipeline.simulator import worlds
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.records import Domain, World
from pfo_pipeline.simulator.renumbering import Manner, Numbers, renumber_accounts, renumber_connection
from pfo_pipeline.simulator.values import Reader


def renumber(world: World, domain: Domain, body: JsonObject) -> JsonObject:
    """Give connections and single accounts new ids; what was is answered by what is.

    Raises:
        KeyError: an id is unknown; nothing is renumbered then.
        ValueError: a word cannot be understood.
    """
    reader = Reader(body)
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
    """Make a domain from a seed.

    Raises:
        ValueError: the name is taken, or a number makes no sense.
    """
    reader = Reader(body)
    order = worlds.Order(
        domain=reader.text("domain") or "",
        seed=reader.whole("seed", 0) or 0,
        members=reader.whole("members", 2) or 0,
        connections=reader.whole("connections", 2) or 0,
        accounts=reader.whole("accounts", 3) or 0,
    )
    redirect_uris = reader.texts("redirect_uris", ())
    reader.done()
    domain = worlds.populate(world, order)
    domain.settings.redirect_uris = redirect_uris
    return {"base_url": f"{root}{domain.name}/2.0", **worlds.keys(domain)}
