"""A script told in another way: changes that do not affect the right answer, or affect it in a known way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pfo_pipeline_tests.oracle.cases import Case, Right
from pfo_pipeline_tests.oracle.recording import Link
from pfo_pipeline_tests.oracle.script import Moment, Record, Script, UserState, account, connection, source

BYSTANDER = "7.00"
_FAR = 900_000


def each_user(script: Script, change: Callable[[Moment, str, UserState], UserState]) -> Script:
    moments = tuple(
        replace(moment, users={name: change(moment, name, user) for name, user in moment.users.items()})
        for moment in script.moments
    )
    return replace(script, moments=moments)


def with_lists_reversed(script: Script) -> Script:
    """Reverse connections, their sources and accounts."""

    def turned(moment: Moment, name: str, user: UserState) -> UserState:
        connections = [row | {"sources": row["sources"][::-1]} for row in reversed(user.connections)]
        return replace(user, connections=tuple(connections), accounts=user.accounts[::-1])

    return each_user(script, turned)


def renumbered(value: Any) -> Any:
    """Return another id: order and distance of the old ones are lost."""
    return value * 7919 % 1_000_003 + 50 if isinstance(value, int) and not isinstance(value, bool) else value


def with_ids_renamed(script: Script) -> Script:
    """Give other ids to connections, sources and accounts."""

    def renamed(moment: Moment, name: str, user: UserState) -> UserState:
        return replace(
            user,
            connections=tuple(_renamed_connection(row) for row in user.connections),
            accounts=tuple(_renamed(row, "id", "id_connection", "id_source", "id_parent") for row in user.accounts),
        )

    decisions = tuple(replace(d, one=renamed_link(d.one), other=renamed_link(d.other)) for d in script.decisions)
    return replace(each_user(script, renamed), decisions=decisions)


def renamed_link(link: Link) -> Link:
    return link[0], renumbered(link[1])


def _renamed(row: Record, *keys: str) -> Record:
    return row | {key: renumbered(row[key]) for key in keys if key in row}


def _renamed_connection(row: Record) -> Record:
    return _renamed(row, "id") | {"sources": [_renamed(s, "id", "id_connection") for s in row["sources"]]}


def with_unreadable(row_of: Callable[[int, Moment], Record]) -> Callable[[Script], Script]:
    """Add an unreadable record beside the others, at another bank of the first member."""

    def changed(script: Script) -> Script:
        def beside(moment: Moment, name: str, user: UserState) -> UserState:
            if name != script.members[0] or not user.connections:
                return user
            bank = connection(_FAR, moment.at, bank="Zèbre")
            return replace(user, connections=(*user.connections, bank), accounts=(*user.accounts, row_of(_FAR, moment)))

        return each_user(script, beside)

    return changed


def without_an_id(connection_id: int, moment: Moment) -> Record:
    return account(None, connection_id, "1.00", moment.at)


def with_a_word_for_an_id(connection_id: int, moment: Moment) -> Record:
    return account("x", connection_id, "1.00", moment.at)


def with_a_list_for_a_balance(connection_id: int, moment: Moment) -> Record:
    return account(_FAR + 1, connection_id, ["1.00"], moment.at, number="9812345")


def with_another_user(script: Script) -> Script:
    """Add a member with their own account at another bank, from the first moment on."""
    moments = [
        replace(
            moment,
            users={
                **moment.users,
                "zoe": UserState((connection(_FAR, moment.at, bank="Zèbre"),), (_bystander(_FAR, moment),)),
            },
        )
        for moment in script.moments
    ]
    return replace(script, moments=tuple(moments))


def with_another_connection(script: Script) -> Script:
    """Give the first member an account at another bank as well."""

    def more(moment: Moment, name: str, user: UserState) -> UserState:
        if name != script.members[0]:
            return user
        bank = connection(_FAR, moment.at, bank="Zèbre")
        return replace(user, connections=(bank, *user.connections), accounts=(_bystander(_FAR, moment), *user.accounts))

    return each_user(script, more)


def with_another_source(script: Script) -> Script:
    """Give every connection a second source, which shows its own account."""

    def more(moment: Moment, name: str, user: UserState) -> UserState:
        if name != script.members[0] or not user.connections:
            return user
        first = user.connections[0]
        extra = source(_FAR + first["id"], first["id"], moment.at, "fallback")
        row = _bystander(first["id"], moment) | {"id": _FAR + first["id"], "id_source": _FAR + first["id"]}
        connections = (first | {"sources": [*first["sources"], extra]}, *user.connections[1:])
        return replace(user, connections=connections, accounts=(*user.accounts, row))

    return each_user(script, more)


def _bystander(connection_id: int, moment: Moment) -> Record:
    return account(_FAR + 2, connection_id, BYSTANDER, moment.at, number="9876543", original_name="ZEBRE")


def variants_of(case: Case) -> list[Case]:
    """Return the case told in other ways, each with its right answer."""
    told: list[tuple[str, Callable[[Script], Script]]] = [
        ("lists reversed", with_lists_reversed),
        ("a row without an id", with_unreadable(without_an_id)),
        ("a row with a word for an id", with_unreadable(with_a_word_for_an_id)),
        ("a row with a list for a balance", with_unreadable(with_a_list_for_a_balance)),
    ]
    found = [replace(case, name=f"{case.name}, {how}", script=change(case.script)) for how, change in told]
    renamed = replace(
        case,
        name=f"{case.name}, ids renamed",
        script=with_ids_renamed(case.script),
        right=tuple(replace(r, says={renamed_link(link): text for link, text in r.says.items()}) for r in case.right),
    )
    more = [("another user", with_another_user)]
    if all(user.connections for moment in case.script.moments for user in moment.users.values()):
        more += [("another connection", with_another_connection), ("another source", with_another_source)]
    beside = [
        replace(
            case,
            name=f"{case.name}, {how}",
            script=change(case.script),
            right=tuple(_and_a_bystander(r) for r in case.right),
        )
        for how, change in more
        if not any("accounts" in user.instead for moment in case.script.moments for user in moment.users.values())
    ]
    return [*found, renamed, *beside]


def _and_a_bystander(right: Right) -> Right:
    accounts = None if right.accounts is None else right.accounts + 1
    totals = None if right.totals is None else _plus(right.totals, "cash EUR", BYSTANDER)
    past = {moment: str(Decimal(amount) + Decimal(BYSTANDER)) for moment, amount in right.past.items()}
    return replace(right, totals=totals, accounts=accounts, past=past)


def _plus(totals: Mapping[str, str], key: str, amount: str) -> dict[str, str]:
    return {**totals, key: str(Decimal(totals.get(key, "0")) + Decimal(amount))}
