"""The episodes of a plan: each chooses its time, its subject, and whether the problem is resolved in time.

`EPISODES` lists them all; a problem with many variants is listed once for each group.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from pfo_pipeline_tests.simulation.draft import Draft
from pfo_pipeline_tests.simulation.events import (
    AccountAppeared,
    AccountChanged,
    AccountVanished,
    Connected,
    ConnectionRemoved,
    CurrencyAccepted,
    Death,
    HttpFault,
    ListMoves,
    Neighbour,
    NewAccount,
    OperatorDecides,
    Posts,
    TokenChanged,
    TwiceInList,
)

WAITS_FOR_A_PERSON = (
    "SCARequired",
    "webauthRequired",
    "additionalInformationNeeded",
    "decoupled",
    "wrongpass",
    "passwordExpired",
    "actionNeeded",
    "notSupported",
)
TEMPORARY = ("rateLimiting", "websiteUnavailable", "bug", "validating")
UNKNOWN = ("frobnicated", "awaitingMoonrise")

RECORD_FAULTS: dict[str, dict[str, Any]] = {
    "a currency has no text": {"verbatim": {"currency": {"id": 978}}},
    "a date is no date": {"verbatim": {"last_update": "soon"}},
    "a currency is no code": {"verbatim": {"currency": {"id": "€"}}},
}
FIGURE_FAULTS: dict[str, dict[str, Any]] = {
    "a figure has no currency": {"verbatim": {"currency": None}},
    "a figure has no date": {"verbatim": {"last_update": None}},
    "a figure comes from the future": {"verbatim": {"last_update": "2099-01-01 00:00:00"}},
    "a figure comes from the past": {"verbatim": {"last_update": "1969-12-31 12:00:00"}},
    "a figure has too many digits": {"balance": "0.12345678901"},
}
TRANSIENT: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "429": {"kind": "status", "status": 429},
    "429 with a wait": {"kind": "status", "status": 429, "retry_after": 240},
    "html": {"kind": "html"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncated"},
    "no JSON": {"kind": "body", "body": "<!doctype html>"},
}
PERMANENT: dict[str, dict[str, Any]] = {
    "400": {"kind": "status", "status": 400, "code": "invalidValue"},
    "404": {"kind": "status", "status": 404, "code": "notFound"},
    "a body without a list": {"kind": "body", "body": '{"accounts": "many", "connections": null}'},
}

_DECISIONS: tuple[tuple[Literal["join", "split"], bool], ...] = (
    ("join", True),
    ("split", False),
    ("split", True),
    ("join", False),
)
"""Possible decisions of an operator, and whether during a run."""


def a_bank_is_connected_later(draft: Draft) -> None:
    draft.connect(draft.rng.choice(draft.members), draft.moment(), what="a bank is connected later")


def an_account_appears(draft: Draft) -> None:
    connection, _ = draft.account()
    draft.events.append(AccountAppeared(draft.moment(), "an account appears", connection, draft.new_account()))


def an_account_is_found_disabled_and_enabled(draft: Draft) -> None:
    connection, _ = draft.account()
    found, enabled = draft.span()
    account = draft.new_account(disabled=True)
    draft.events.append(AccountAppeared(found, "an account is found disabled", connection, account))
    draft.change_account(enabled, "a found account is enabled", account.key, {"disabled": None})


def an_account_is_disabled(draft: Draft) -> None:
    _, account = draft.account()
    begins, ends = draft.span()
    draft.change_account(begins, "an account is disabled", account.key, {"disabled": True})
    if draft.rng.random() < 0.7:
        draft.change_account(ends, "an account is enabled again", account.key, {"disabled": None})


def an_account_is_closed(draft: Draft) -> None:
    _, account = draft.account()
    draft.change_account(draft.moment(), "an account is closed", account.key, {"deleted": True})


def an_account_vanishes(draft: Draft) -> None:
    _, account = draft.account()
    draft.events.append(AccountVanished(draft.moment(), "an account vanishes", account.key))


def a_connection_is_removed(draft: Draft) -> None:
    connection = draft.connection()
    draft.events.append(ConnectionRemoved(draft.moment(), "a connection is removed", connection))


def a_person_must_act(draft: Draft) -> None:
    _in_state(draft, draft.form(WAITS_FOR_A_PERSON), fixed=draft.rng.random() < 0.6)


def the_bank_is_down(draft: Draft) -> None:
    _in_state(draft, draft.form(TEMPORARY), fixed=draft.rng.random() < 0.8)


def a_state_is_unknown(draft: Draft) -> None:
    _in_state(draft, draft.form(UNKNOWN), fixed=draft.rng.random() < 0.5)


def _in_state(draft: Draft, state: str, *, fixed: bool) -> None:
    connection = draft.connection()
    begins, ends = draft.span()
    message = f"Bonjour {draft.person()} {draft.rng.randint(10**6, 10**7)}, confirmez votre code"
    draft.keep_secret(message)
    draft.change_connection(begins, f"state {state}", connection, {"state": state, "error_message": message})
    if fixed:
        draft.change_connection(ends, "a state is over", connection, {"state": None, "error_message": None})


def one_source_fails(draft: Draft) -> None:
    connection = draft.connection(two_sources=True)
    begins, ends = draft.span()
    source = draft.rng.choice(("openapi", "directaccess"))
    state = draft.rng.choice((*WAITS_FOR_A_PERSON, *TEMPORARY))
    draft.change_connection(begins, f"the source {source} fails", connection, {"source_states": {source: state}})
    if draft.rng.random() < 0.6:
        draft.change_connection(ends, "a source works again", connection, {"source_states": {source: None}})


def a_connection_is_stuck(draft: Draft) -> None:
    connection = draft.connection()
    begins, ends = draft.span()
    draft.change_connection(begins, "stuck: no sync is planned", connection, {"next_try": None})
    if draft.rng.random() < 0.5:
        draft.change_connection(ends, "syncs are planned again", connection, {"state": None})


def a_connection_is_paused(draft: Draft) -> None:
    connection = draft.connection()
    begins, ends = draft.span()
    draft.change_connection(begins, "a connection is paused", connection, {"active": False})
    draft.change_connection(ends, "a connection goes on", connection, {"active": True, "state": None})


def a_consent_ends(draft: Draft) -> None:
    connection = draft.connection()
    told, renewed = draft.span()
    is_heeded = draft.rng.random() < 0.3
    soon = timedelta(days=draft.rng.randint(0, 13), hours=draft.rng.randint(1, 20))
    ends = (renewed if is_heeded else told) + soon
    draft.change_connection(told, "a consent will end", connection, {"expire": ends.isoformat()})
    if is_heeded or draft.rng.random() < 0.6:
        later = (renewed + timedelta(days=180)).isoformat()
        late = "late" if renewed > ends else "in time"
        draft.change_connection(
            renewed, f"a consent is renewed {late}", connection, {"state": None, "expire": later, "error_message": None}
        )


def a_bank_is_added_again(draft: Draft) -> None:
    """With the same numbers and IBANs: strong evidence."""
    connection = draft.connections[draft.connection()]
    again = tuple(replace(a, key=draft.name("account")) for a in connection.accounts)
    _added_again(draft, connection, again, "a bank is added again, IBANs and numbers told")


def a_bank_is_added_again_and_tells_less(draft: Draft) -> None:
    """Without IBAN, and with another number of the same ending or none: weak evidence, so a person must decide."""
    connection = draft.connections[draft.connection()]
    same_end = draft.rng.random() < 0.5

    def told(account: NewAccount) -> NewAccount:
        number = f"XX{draft.rng.randint(10**9, 10**10)}{(account.number or '')[-4:]}" if same_end else None
        draft.keep_secret(number)
        return replace(account, key=draft.name("account"), number=number, iban=None)

    again = tuple(map(told, connection.accounts))
    at = _added_again(draft, connection, again, "a bank is added again and tells less")
    later = [wake.at for wake in draft.wakes[:-1] if wake.at > at]
    if later and draft.rng.random() < 0.8:
        how, during = draft.form(_DECISIONS)
        when = draft.rng.choice(later) + timedelta(seconds=-2 if during else 3 * 3_600)
        what = f"the operator decides to {how}{' during a run' if during else ''}"
        old, new = connection.accounts[0].key, again[0].key
        draft.events.append(OperatorDecides(when, what, new, old, how, during))


def _added_again(draft: Draft, connection: Connected, accounts: tuple[NewAccount, ...], what: str) -> Any:
    at = draft.moment()
    draft.add(
        Connected(
            at, what, connection.member, draft.name("connection"), connection.connector, accounts, connection.connection
        ),
        is_free=False,
    )
    return at


def two_members_share_an_account(draft: Draft) -> None:
    """With ids of different banks, and the same IBAN or number: it counts once."""
    connection, account = draft.account()
    owner = draft.connections[connection]
    others = [member for member in draft.members if member != owner.member] or [owner.member]
    at = draft.moment()
    seen = replace(account, key=draft.name("account"))
    draft.add(
        Connected(
            at, "an account is seen twice", draft.rng.choice(others), draft.name("connection"), owner.connector, (seen,)
        ),
        is_free=False,
    )


def a_figure_is_corrected(draft: Draft) -> None:
    """Another amount for a date that was reported before."""
    _, account = draft.account()
    amount = f"{draft.rng.randint(1, 10**6)}"
    what = "a figure is corrected"
    draft.change_account(draft.moment(), what, account.key, {"balance": amount, "moves": False})


def a_figure_comes_late(draft: Draft) -> None:
    """A balance of an earlier day than the newest one, then newer ones again."""
    _, account = draft.account()
    wake = draft.rng.randrange(2, len(draft.wakes))
    at = draft.wakes[wake].at - timedelta(minutes=20)
    dated = at - timedelta(days=draft.rng.randint(3, 40), seconds=draft.rng.randint(0, 80_000))
    fields = {"balance": f"{draft.rng.randint(1, 10**6)}", "last_update": dated.isoformat()}
    draft.change_account(at, "a figure comes late", account.key, fields)


def a_currency_changes(draft: Draft) -> None:
    _, account = draft.account()
    changes, accepted = draft.span()
    currency = "SEK" if account.currency != "SEK" else "GBP"
    draft.change_account(changes, "a currency changes", account.key, {"currency": currency})
    if draft.rng.random() < 0.6:
        what = "the operator accepts a currency"
        draft.events.append(CurrencyAccepted(accepted, what, account.key, currency))


def a_record_is_unreadable(draft: Draft) -> None:
    _unreadable(draft, RECORD_FAULTS, "record")


def a_figure_is_unreadable(draft: Draft) -> None:
    _unreadable(draft, FIGURE_FAULTS, "figure")


def _unreadable(draft: Draft, faults: dict[str, dict[str, Any]], whole: Literal["record", "figure"]) -> None:
    _, account = draft.account()
    what, fields = draft.form(faults.items())
    begins, ends = draft.span()
    draft.events.append(AccountChanged(begins, what, account.key, fields, whole))
    if draft.rng.random() < 0.7:
        fixed = {"balance": f"{draft.rng.randint(1, 10**6)}", "last_update": True, "currency": account.currency}
        draft.events.append(AccountChanged(ends, "a record is readable again", account.key, fixed, "nothing"))


def one_id_is_told_in_two_ways(draft: Draft) -> None:
    _, account = draft.account()
    at = draft.armed(night=True)
    if at:
        draft.events.append(TwiceInList(at, "an id comes twice in a list", account.key))


def a_call_fails_for_a_while(draft: Draft) -> None:
    _fault(draft, TRANSIENT, times=draft.rng.choice((1, 1, 2)))


def calls_fail_until_the_run_gives_up(draft: Draft) -> None:
    _fault(draft, TRANSIENT, times=draft.rng.choice((3, 4, None)))


def a_call_is_refused(draft: Draft) -> None:
    _fault(draft, PERMANENT, times=draft.rng.choice((1, None)))


def _fault(draft: Draft, faults: dict[str, dict[str, Any]], *, times: int | None) -> None:
    at = draft.armed()
    if at:
        name, fault = draft.form(faults.items())
        path = draft.rng.choice(("connections$", "accounts$", ""))
        lasts = "for good" if times is None or times >= 3 else "for a while"
        what = f"calls meet {name} {lasts}" if faults is TRANSIENT else f"calls meet {name}"
        draft.events.append(
            HttpFault(at, what, draft.rng.choice(draft.members), {**fault, "path": path or None}, times)
        )


def a_token_is_revoked(draft: Draft) -> None:
    _without_token(draft, "revoked")


def a_token_file_is_lost(draft: Draft) -> None:
    _without_token(draft, "lost")


def _without_token(draft: Draft, how: Literal["revoked", "lost"]) -> None:
    member = draft.rng.choice(draft.members)
    wake = draft.rng.randrange(1, len(draft.wakes) - 2)
    draft.events.append(TokenChanged(draft.before(wake), f"a token is {how}", member, how))
    draft.events.append(TokenChanged(draft.before(wake + 1), "a token is renewed", member, "renewed"))


def the_list_moves_while_it_is_read(draft: Draft) -> None:
    connection, account = draft.account()
    at = draft.armed()
    if at:
        grows = draft.rng.random() < 0.5
        newcomer = draft.new_account() if grows else None
        what = f"a list {'grows' if grows else 'shrinks'} while it is read"
        draft.events.append(ListMoves(at, what, account.key, newcomer, connection))


def news_is_posted(draft: Draft) -> None:
    connection, _ = draft.account()
    fault: Any = draft.form(("none", "lose", "duplicate", "reorder", "forge", "stale"))
    event: Any = draft.rng.choice(("CONNECTION_SYNCED", "ACCOUNT_SYNCED"))
    what = f"posts meet {fault}" if fault != "none" else "news is posted"
    draft.events.append(Posts(draft.moment(), what, connection, fault, event, 2 if fault == "reorder" else 1))


def a_run_dies(draft: Draft) -> None:
    at = draft.armed(night=True)
    when: Literal["before merge", "after merge"] = draft.rng.choice(("before merge", "after merge"))
    if at:
        draft.events.append(Death(at, f"a run dies {when}", when))


def another_tenant_is_written_meanwhile(draft: Draft) -> None:
    at = draft.armed()
    if at:
        draft.events.append(Neighbour(at, "another tenant is written meanwhile"))


EPISODES: tuple[Callable[[Draft], None], ...] = (
    a_bank_is_connected_later,
    an_account_appears,
    an_account_is_found_disabled_and_enabled,
    an_account_is_disabled,
    an_account_is_closed,
    an_account_vanishes,
    a_connection_is_removed,
    a_person_must_act,
    a_person_must_act,
    a_person_must_act,
    a_person_must_act,
    the_bank_is_down,
    the_bank_is_down,
    a_state_is_unknown,
    one_source_fails,
    a_connection_is_stuck,
    a_connection_is_paused,
    a_consent_ends,
    a_consent_ends,
    a_bank_is_added_again,
    a_bank_is_added_again_and_tells_less,
    a_bank_is_added_again_and_tells_less,
    two_members_share_an_account,
    a_figure_is_corrected,
    a_figure_comes_late,
    a_currency_changes,
    a_record_is_unreadable,
    a_record_is_unreadable,
    a_figure_is_unreadable,
    a_figure_is_unreadable,
    one_id_is_told_in_two_ways,
    a_call_fails_for_a_while,
    a_call_fails_for_a_while,
    calls_fail_until_the_run_gives_up,
    calls_fail_until_the_run_gives_up,
    calls_fail_until_the_run_gives_up,
    a_call_is_refused,
    a_token_is_revoked,
    a_token_file_is_lost,
    the_list_moves_while_it_is_read,
    news_is_posted,
    news_is_posted,
    news_is_posted,
    a_run_dies,
    another_tenant_is_written_meanwhile,
)
