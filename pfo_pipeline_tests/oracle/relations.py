"""Ways to tell a script differently, and what must not change then. No true totals are needed for it.

Each relation is a function of a script and a source of randomness. It returns None if it cannot be applied to the script.
README.md has the table: what is done, which totals must not change, and where they may, with the reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from pfo_pipeline_tests.oracle.bank import is_hidden
from pfo_pipeline_tests.oracle.reading import is_whole
from pfo_pipeline_tests.oracle.script import Moment, Record, Script, UserState
from pfo_pipeline_tests.oracle.variants import each_user, renumbered, with_ids_renamed

_TWIN = "twin"
_OTHER_IDS = 5_000_000


@dataclass(frozen=True)
class Told:
    """A script told in another way, and the moments that must have the same totals: in the first script, in this one."""

    script: Script
    same: tuple[tuple[int, int], ...]


Relation = Callable[[Script, Random], Told | None]


def ids_renamed(script: Script, chance: Random) -> Told | None:
    return Told(with_ids_renamed(script), _all_of(script))


def lists_reordered(script: Script, chance: Random) -> Told | None:
    def shuffled(moment: Moment, name: str, user: UserState) -> UserState:
        connections = tuple(
            row | {"sources": chance.sample(row["sources"], len(row["sources"]))} for row in user.connections
        )
        return replace(
            user,
            connections=tuple(chance.sample(connections, len(connections))),
            accounts=tuple(chance.sample(user.accounts, len(user.accounts))),
        )

    return Told(each_user(script, shuffled), _all_of(script))


def synced_twice(script: Script, chance: Random) -> Told | None:
    moments = [again for m in script.moments for again in (m, replace(m, at=m.at + timedelta(minutes=1)))]
    same = tuple((number, 2 * number + more) for number in range(len(script.moments)) for more in (0, 1))
    return Told(replace(script, moments=tuple(moments)), same)


def split_over_two_connections(script: Script, chance: Random) -> Told | None:
    found = [key for key in _connections(script) if len(_whole_numbers(script, *key)) > 1]
    if not found:
        return None
    member, number = chance.choice(found)
    numbers = sorted(_whole_numbers(script, member, number))
    moved = set(chance.sample(numbers, len(numbers) // 2))

    def moves(row: Record, user: UserState) -> bool:
        """Whether a row belongs to the account and moves with it."""
        parent = next((r for r in user.accounts if row["id_parent"] is not None and r["id"] == row["id_parent"]), row)
        return row["id_connection"] == number and parent["number"] in moved

    def split(moment: Moment, name: str, user: UserState) -> UserState:
        if name != member:
            return user
        rows = tuple(_moved(row, _OTHER_IDS) if moves(row, user) else row for row in user.accounts)
        own = [row for row in user.connections if row["id"] == number]
        more = [_with_other_ids(row, lambda value: value + _OTHER_IDS) for row in own]
        return replace(user, connections=(*user.connections, *more), accounts=rows)

    return Told(each_user(script, split), _until(script, _first_vanishing(script, member, number)))


def stale_duplicate(script: Script, chance: Random) -> Told | None:
    start = chance.randrange(len(script.moments) // 2 + 1)
    moment = script.moments[start]
    found = [
        (name, bank)
        for name, user in moment.users.items()
        for bank in user.connections
        if bank["state"] is None
        and not user.instead
        and [row for row in user.accounts if row["id_connection"] == bank["id"] and _has_strong_key(row)]
    ]
    if not found or _TWIN in script.members:
        return None
    member, bank = chance.choice(found)
    rows = tuple(
        _moved(row, _OTHER_IDS) | {"id": row["id"] + _OTHER_IDS, "id_parent": None}
        for row in moment.users[member].accounts
        if row["id_connection"] == bank["id"] and _has_strong_key(row) and not is_hidden(row)
    )
    twin = UserState((_with_other_ids(bank, lambda value: value + _OTHER_IDS) | {"state": "wrongpass"},), rows)
    moments = tuple(
        replace(m, users={**m.users, _TWIN: twin}) if n > start else m for n, m in enumerate(script.moments)
    )
    ids = {row["id"] - _OTHER_IDS for row in rows}
    end = next((n for n, m in enumerate(script.moments) if n > start and not ids <= _listed(m, member)), len(moments))
    return Told(replace(script, moments=moments), _until(script, end))


def bank_added_again(script: Script, chance: Random) -> Told | None:
    start = chance.randrange(1, len(script.moments)) if len(script.moments) > 1 else 0
    here = script.moments[start]
    before = script.moments[start - 1]
    found = [
        (name, row["id"])
        for name, number in _connections(script)
        for row in here.users.get(name, UserState()).connections
        if row["id"] == number and _is_whole_list(script, start, name, number)
    ]
    if start == 0 or not found or set(before.users) != set(here.users):
        return None
    member, number = chance.choice(found)

    def again(moment: Moment, name: str, user: UserState) -> UserState:
        if name != member or moment.at < here.at:
            return user
        return replace(
            user,
            connections=tuple(_again(row) if row["id"] == number else row for row in user.connections),
            accounts=tuple(_row_again(row) if row["id_connection"] == number else row for row in user.accounts),
        )

    return Told(each_user(script, again), _all_of(script))


RELATIONS: tuple[Relation, ...] = (
    ids_renamed,
    lists_reordered,
    synced_twice,
    split_over_two_connections,
    stale_duplicate,
    bank_added_again,
)


def _all_of(script: Script) -> tuple[tuple[int, int], ...]:
    return _until(script, len(script.moments))


def _until(script: Script, end: int) -> tuple[tuple[int, int], ...]:
    return tuple((number, number) for number in range(end))


def _connections(script: Script) -> list[tuple[str, int]]:
    keys = [(n, c["id"]) for m in script.moments for n, user in m.users.items() for c in user.connections]
    return list(dict.fromkeys(keys))


def _rows(script: Script, member: str, number: int) -> Iterator[tuple[int, Record]]:
    """Yield each listed account of a connection, with the moment."""
    for n, moment in enumerate(script.moments):
        for row in moment.users.get(member, UserState()).accounts:
            if row["id_connection"] == number and isinstance(row["id"], int) and not is_hidden(row):
                yield n, row


def _has_strong_key(row: Record) -> bool:
    return isinstance(row["id"], int) and (bool(row["iban"]) or is_whole(row["number"] or ""))


def _whole_numbers(script: Script, member: str, number: int) -> set[str]:
    """Return the numbers of a connection's accounts; none if one of them is not whole."""
    found = {row["number"] or "" for _, row in _rows(script, member, number) if row["id_parent"] is None}
    return found if all(map(is_whole, found)) else set()


def _first_vanishing(script: Script, member: str, number: int) -> int:
    """Return the first moment when an earlier account of the connection is not in a list that shows others."""
    seen: set[int] = set()
    for n, moment in enumerate(script.moments):
        user = moment.users.get(member, UserState())
        there = {row["id"] for row in user.accounts if row["id_connection"] == number and isinstance(row["id"], int)}
        if there and not seen <= there:
            return n
        seen |= there
    return len(script.moments)


def _listed(moment: Moment, member: str) -> set[int]:
    user = moment.users.get(member, UserState())
    rows = () if user.instead else user.accounts
    return {row["id"] for row in rows if isinstance(row["id"], int) and not is_hidden(row)}


def _is_whole_list(script: Script, start: int, member: str, number: int) -> bool:
    """Whether the moment has every account of the connection that was ever listed, or its stamp.

    Each must have a balance and all numbers that it ever showed, and none may stand still beside the others of its source.
    """
    ever = {row["id"] for n, row in _rows(script, member, number) if n < start}
    user = script.moments[start].users[member]
    rows = [row for n, row in _rows(script, member, number) if n == start]
    there = {row["id"] for row in user.accounts if isinstance(row["id"], int)}
    dates = {(row["id_source"], row["last_update"]) for row in rows}
    stand_still = len(dates) > len({source_id for source_id, _ in dates})
    has_balances = all(isinstance(row["balance"], (Decimal, str)) for row in rows)
    before = {_keys(row) for n, row in _rows(script, member, number) if n < start}
    shows_less = not before <= {_keys(row) for row in user.accounts}
    return bool(ever) and not user.instead and ever <= there and has_balances and not stand_still and not shows_less


def _keys(row: Record) -> tuple[str, str | None, str | None]:
    return str(row["id"]), row["iban"], row["number"]


def _moved(row: Record, by: int) -> Record:
    """Return an account moved to another connection."""
    return row | {"id_connection": row["id_connection"] + by, "id_source": row["id_source"] + by}


def _with_other_ids(row: Record, change: Callable[[int], int]) -> Record:
    sources = [s | {"id": change(s["id"]), "id_connection": change(s["id_connection"])} for s in row.get("sources", ())]
    return row | {"id": change(row["id"]), "sources": sources}


def _again(row: Record) -> Record:
    return _with_other_ids(row, lambda value: _OTHER_IDS + renumbered(value))


def _row_again(row: Record) -> Record:
    keys = [key for key in ("id", "id_connection", "id_source", "id_parent") if isinstance(row[key], int)]
    return row | {key: _OTHER_IDS + renumbered(row[key]) for key in keys}
