"""More inputs of the same kinds, answered by hand: other effects of the cause of a wrong answer."""

from typing import Any

from pfo_pipeline_tests.oracle.cases import (
    AN_HOUR,
    CASES,
    IBAN,
    NUMBER,
    Case,
    Right,
    at,
    cash,
    lone,
    moment,
    one_connection,
    pockets,
    state,
)
from pfo_pipeline_tests.oracle.recording import Decision
from pfo_pipeline_tests.oracle.script import Record, Script, UserState, account, connection, day, source


def _named_pockets(connection_id: int, first: int, when: float, *names: str) -> UserState:
    """Return pockets of 100 and 5,000 and 30 under one IBAN, without numbers."""
    amounts = ("100.00", "5000.00", "30.00")
    rows = [
        account(first + n, connection_id, amounts[n], at(when), iban=IBAN, original_name=name, name=name)
        for n, name in enumerate(names)
    ]
    return one_connection(connection_id, when, *rows)


def pockets_told_apart_by_name_come_back() -> Case:
    names = ("PRINCIPAL", "RESERVE")
    script = Script(
        (
            moment(0, jane=_named_pockets(1, 11, 0, *names)),
            moment(1, jane=state([], [])),
            moment(2, jane=_named_pockets(2, 21, 2, *names)),
        )
    )
    right = (cash("5100.00", accounts=2), Right({}, accounts=0), cash("5100.00", accounts=2, same_as=0))
    return Case("pockets_told_apart_by_name_come_back", script, right)


def pockets_that_nothing_tells_apart_come_back() -> Case:
    """Which pocket is which cannot be known; the total can."""
    names = ("COMPTE",) * 3
    script = Script(
        (
            moment(0, jane=_named_pockets(1, 11, 0, *names)),
            moment(1, jane=_named_pockets(2, 21, 1, *names)),
            moment(2, jane=_named_pockets(2, 21, 2, *names)),
        )
    )
    return Case("pockets_that_nothing_tells_apart_come_back", script, (cash("5130.00", accounts=3),) * 3)


def pockets_come_back_beside_another_member() -> Case:
    script = Script(
        (
            moment(0, jane=pockets(1, 11, 0), john=pockets(2, 21, 0, is_reversed=True)),
            moment(1, jane=state([], []), john=pockets(2, 21, 1, is_reversed=True)),
            moment(2, jane=pockets(3, 31, 2, has_ids_reversed=True), john=pockets(2, 21, 2)),
        )
    )
    same = cash("5100.00", accounts=2, same_as=0)
    right = (cash("5100.00", accounts=2), same, same)
    return Case("pockets_come_back_beside_another_member", script, right)


def one_member_links_a_bank_of_pockets_twice() -> Case:
    def user(n: int) -> UserState:
        one, other = pockets(1, 11, n), pockets(2, 21, n + AN_HOUR, is_reversed=True)
        return state([*one.connections, *other.connections], [*one.accounts, *other.accounts])

    script = Script(tuple(moment(n, jane=user(n)) for n in range(2)))
    return Case("one_member_links_a_bank_of_pockets_twice", script, (cash("5100.00", accounts=2),) * 2)


def a_whole_number_that_ends_as_a_mask_does() -> Case:
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "111.00", n, number="30004001234"),
                john=lone(2, 21, "222.00", n, number="XXXX1234"),
            )
            for n in range(2)
        )
    )
    return Case("a_whole_number_that_ends_as_a_mask_does", script, (cash("333.00", accounts=2),) * 2)


def two_accounts_with_one_short_number() -> Case:
    script = Script(
        tuple(
            moment(n, jane=lone(1, 11, "111.00", n, number="12"), john=lone(2, 21, "222.00", n, number="12"))
            for n in range(2)
        )
    )
    return Case("two_accounts_with_one_short_number", script, (cash("333.00", accounts=2),) * 2)


def one_number_at_two_banks() -> Case:
    def other(n: int) -> UserState:
        row = account(21, 2, "222.00", at(n), number=NUMBER)
        return state([connection(2, at(n), bank="Crédit Sapin")], [row])

    script = Script(tuple(moment(n, jane=lone(1, 11, "111.00", n, number=NUMBER), john=other(n)) for n in range(2)))
    return Case("one_number_at_two_banks", script, (cash("333.00", accounts=2),) * 2)


def one_number_in_two_currencies() -> Case:
    def user(n: int) -> UserState:
        rows = [
            account(11, 1, "111.00", at(n), number=NUMBER, iban=IBAN),
            account(12, 1, "222.00", at(n), number=NUMBER, iban=IBAN, currency="USD"),
        ]
        return one_connection(1, n, *rows)

    script = Script(tuple(moment(n, jane=user(n)) for n in range(2)))
    right = Right({"cash EUR": "111.00", "cash USD": "222.00"}, accounts=2)
    return Case("one_number_in_two_currencies", script, (right,) * 2)


def two_sources_that_know_it_by_number() -> Case:
    def user(n: float) -> UserState:
        sources = source(12, 1, at(-6), "directaccess", state="wrongpass"), source(11, 1, at(n))
        rows = [
            account(112, 1, "2400.00", at(-6), number=NUMBER, id_source=12),
            account(111, 1, "2500.00", at(n), number=NUMBER, iban=IBAN, id_source=11),
        ]
        return state([connection(1, at(n), *sources)], rows)

    script = Script(tuple(moment(n, jane=user(n)) for n in range(2)))
    return Case("two_sources_that_know_it_by_number", script, (cash("2500.00", accounts=1),) * 2)


def a_number_learnt_late() -> Case:
    """The reverse: the link that showed only its IBAN also shows its number."""
    script = Script(
        (
            moment(0, jane=lone(1, 11, "10.00", 0, iban=IBAN), john=lone(2, 21, "10.00", 0, number=NUMBER)),
            moment(
                1, jane=lone(1, 11, "10.00", 1, iban=IBAN, number=NUMBER), john=lone(2, 21, "10.00", 1, number=NUMBER)
            ),
        )
    )
    return Case("a_number_learnt_late", script, (cash("20.00", accounts=2), cash("10.00", accounts=1)))


def evidence_that_the_bank_takes_back() -> Case:
    """A decision stays when the IBAN is no longer shown."""
    script = Script(
        (
            moment(0, jane=lone(1, 11, "10.00", 0, iban=IBAN), john=lone(2, 21, "10.00", 0, iban=IBAN)),
            moment(1, jane=lone(1, 11, "10.00", 1, iban=IBAN), john=lone(2, 21, "10.00", 1)),
        )
    )
    one = cash("10.00", accounts=1)
    return Case("evidence_that_the_bank_takes_back", script, (one, cash("10.00", accounts=1, same_as=0)))


def old_and_new_side_by_side_with_a_mask() -> Case:
    def row(number: int, n: float) -> Record:
        return account(number, 1, "12000.00", at(n), number="****0143")

    script = Script(
        (
            moment(0, jane=one_connection(1, 0, row(11, 0))),
            moment(1, jane=one_connection(1, 1, row(11, 0), row(12, 1))),
            moment(2, jane=one_connection(1, 2, row(12, 2))),
        )
    )
    same = cash("12000.00", accounts=1, same_as=0)
    right = (cash("12000.00", accounts=1), same, same)
    return Case("old_and_new_side_by_side_with_a_mask", script, right)


def old_and_new_side_by_side_at_first_sight() -> Case:
    def row(number: int, n: float) -> Record:
        return account(number, 1, "12000.00", at(n), iban=IBAN, number=NUMBER)

    script = Script(
        (
            moment(0, jane=one_connection(1, 0, row(12, 0), row(11, -6))),
            moment(1, jane=one_connection(1, 1, row(12, 1), row(11, -6))),
            moment(2, jane=one_connection(1, 2, row(12, 2))),
        )
    )
    same = cash("12000.00", accounts=1, same_as=0)
    right = (cash("12000.00", accounts=1), same, same)
    return Case("old_and_new_side_by_side_at_first_sight", script, right)


def a_pocket_that_stands_still_at_first_sight() -> Case:
    """It has its own number, though a short one, so it is not the other."""

    def user(n: int) -> UserState:
        rows = [
            account(11, 1, "100.00", at(n), iban=IBAN, number="1"),
            account(12, 1, "5000.00", at(-6), iban=IBAN, number="2", error="actionNeeded"),
        ]
        return one_connection(1, n, *rows)

    script = Script(tuple(moment(n, jane=user(n)) for n in range(3)))
    return Case("a_pocket_that_stands_still_at_first_sight", script, (cash("5100.00", accounts=2),) * 3)


def a_successor_that_waits_to_be_enabled() -> Case:
    def row(number: int, n: float, amount: str = "12000.00", **more: Any) -> Record:
        return account(number, 1, amount, at(n), iban=IBAN, number=NUMBER, **more)

    disabled = account(12, 1, None, None, iban=IBAN, number=NUMBER, currency=None, disabled="2026-03-03 05:00:00")
    script = Script(
        (
            moment(0, jane=one_connection(1, 0, row(11, 0))),
            moment(1, jane=one_connection(1, 1, disabled)),
            moment(2, jane=one_connection(1, 2, row(12, 2, "12500.00"))),
        )
    )
    kept = cash("12000.00", accounts=1, says={("jane", 11): "counted, missing", ("jane", 12): "disabled"})
    right = (cash("12000.00", accounts=1), kept, cash("12500.00", accounts=1, same_as=0))
    return Case("a_successor_that_waits_to_be_enabled", script, right)


def two_pockets_of_one_iban_that_both_live() -> Case:
    """The second appears when the first stands still for a day; then both advance, and are two."""

    def row(number: int, amount: str, n: float) -> Record:
        return account(number, 1, amount, at(n), iban=IBAN, number="1" if number == 11 else "2")

    script = Script(
        (
            moment(0, jane=one_connection(1, 0, row(11, "100.00", 0))),
            moment(1, jane=one_connection(1, 1, row(11, "100.00", 0), row(12, "5000.00", 1))),
            moment(2, jane=one_connection(1, 2, row(11, "110.00", 2), row(12, "5000.00", 2))),
        )
    )
    right = (cash("100.00", accounts=1), cash("5100.00", accounts=2), cash("5110.00", accounts=2))
    return Case("two_pockets_of_one_iban_that_both_live", script, right)


def a_second_list_whose_one_pocket_is_all_that_is_left() -> Case:
    script = Script(
        (
            moment(0, jane=pockets(1, 11, 0), john=lone(2, 21, "5000.00", 0, iban=IBAN)),
            moment(1, jane=state([], []), john=lone(2, 21, "5000.00", 1, iban=IBAN)),
        )
    )
    right = (cash("5100.00", accounts=2, double={}), cash("5000.00", accounts=1, says={("john", 21): "counted"}))
    return Case("a_second_list_whose_one_pocket_is_all_that_is_left", script, right)


def a_second_list_with_a_numbered_pocket() -> Case:
    script = Script(
        tuple(
            moment(n, jane=pockets(1, 11, n), john=lone(2, 21, "5000.00", n + AN_HOUR, iban=IBAN, number="2"))
            for n in range(2)
        )
    )
    right = cash("5100.00", accounts=2, double={})
    return Case("a_second_list_with_a_numbered_pocket", script, (right,) * 2)


def three_types_of_one_joint_account() -> Case:
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "8000.00", n, number=NUMBER, type="joint"),
                john=lone(2, 21, "8000.00", n, number=NUMBER),
                june=lone(3, 31, "8000.00", n, number=NUMBER, type="unknown"),
            )
            for n in range(2)
        )
    )
    return Case("three_types_of_one_joint_account", script, (cash("8000.00", accounts=1),) * 2)


def card_and_account_under_one_iban_in_two_lists() -> Case:
    def user(connection_id: int, first: int, n: int, *, is_reversed: bool = False) -> UserState:
        rows = [
            account(first, connection_id, "-800.00", at(n), iban=IBAN, type="card"),
            account(first + 1, connection_id, "5000.00", at(n), iban=IBAN),
        ]
        return one_connection(connection_id, n, *(rows[::-1] if is_reversed else rows))

    script = Script(tuple(moment(n, jane=user(1, 11, n), john=user(2, 21, n, is_reversed=True)) for n in range(2)))
    right = Right({"cash EUR": "5000.00", "card EUR": "-800.00"}, accounts=2)
    return Case("card_and_account_under_one_iban_in_two_lists", script, (right,) * 2)


def two_loans_under_one_iban() -> Case:
    def user(connection_id: int, first: int, n: int) -> UserState:
        kinds = ("5000.00", "checking"), ("-150000.00", "mortgage"), ("-9000.00", "consumercredit")
        rows = [
            account(first + k, connection_id, amount, at(n), iban=IBAN, type=kind)
            for k, (amount, kind) in enumerate(kinds)
        ]
        return one_connection(connection_id, n, *rows)

    script = Script(tuple(moment(n, jane=user(1, 11, n), john=user(2, 21, n)) for n in range(2)))
    right = Right({"cash EUR": "5000.00", "loan EUR": "-159000.00"}, accounts=3)
    return Case("two_loans_under_one_iban", script, (right,) * 2)


def a_card_that_repeats_its_parent_through_two_members() -> Case:
    def user(connection_id: int, first: int, n: int) -> UserState:
        card = account(first + 1, connection_id, "5000.00", at(n), type="card", id_parent=first, number="****9876")
        return one_connection(connection_id, n, account(first, connection_id, "5000.00", at(n), iban=IBAN), card)

    script = Script(tuple(moment(n, jane=user(1, 11, n), john=user(2, 21, n)) for n in range(2)))
    return Case("a_card_that_repeats_its_parent_through_two_members", script, (cash("5000.00", accounts=1),) * 2)


def a_card_that_ceases_to_repeat_its_parent() -> Case:
    def now(n: int, amount: str) -> UserState:
        card = account(12, 1, amount, at(n), type="card", id_parent=11, number="****9876")
        return one_connection(1, n, account(11, 1, "5000.00", at(n), iban=IBAN), card)

    script = Script((moment(0, jane=now(0, "5000.00")), moment(1, jane=now(1, "-40.00"))))
    right = (cash("5000.00", accounts=1), Right({"cash EUR": "5000.00", "card EUR": "-40.00"}, accounts=2))
    return Case("a_card_that_ceases_to_repeat_its_parent", script, right)


def a_split_of_two_sources_that_passes_on() -> Case:
    """Both are of one connection, which is added again."""

    def user(connection_id: int, n: int) -> UserState:
        ids = connection_id * 10 + 1, connection_id * 10 + 2
        sources = source(ids[0], connection_id, at(n)), source(ids[1], connection_id, at(n), "directaccess")
        rows = [
            account(ids[0], connection_id, "111.00", at(n), number=NUMBER, id_source=ids[0]),
            account(ids[1], connection_id, "222.00", at(n), number=NUMBER, id_source=ids[1]),
        ]
        return state([connection(connection_id, at(n), *sources)], rows)

    script = Script(
        (
            moment(0, jane=user(1, 0)),
            moment(1, jane=user(1, 1)),
            moment(2, jane=state([], [])),
            moment(3, jane=user(2, 3)),
        ),
        (Decision(day(1), "split", one=("jane", 11), other=("jane", 12)),),
    )
    two = cash("333.00", accounts=2)
    right = (Right(None, accounts=1), two, Right({}, accounts=0), cash("333.00", accounts=2, same_as=1))
    return Case("a_split_of_two_sources_that_passes_on", script, right)


def an_empty_list_beside_a_living_one() -> Case:
    """One member's list is empty; the other still sees the joint account."""

    def now(n: int, *, is_silent: bool) -> Any:
        rows = (
            []
            if is_silent
            else [account(11, 1, "800.00", at(n), iban=IBAN), account(12, 1, "7.00", at(n), number=NUMBER)]
        )
        amount = "900.00" if is_silent else "800.00"
        return moment(n, jane=one_connection(1, n, *rows), john=lone(2, 21, amount, n, iban=IBAN))

    script = Script((now(0, is_silent=False), now(4, is_silent=True), now(5, is_silent=True)))
    says = {("jane", 12): "counted, missing", ("john", 21): "counted"}
    kept = cash("907.00", accounts=2, says=says)
    return Case("an_empty_list_beside_a_living_one", script, (cash("807.00", accounts=2), kept, kept))


def a_short_list_whose_rest_stands_still() -> Case:
    """The listed accounts did not advance, so the missing ones prove nothing."""

    def user(n: int, dated: int, *, is_short: bool) -> UserState:
        rows = [account(11, 1, "100.00", at(dated), number="4000011")]
        more = [] if is_short else [account(12, 1, "200.00", at(dated), number="4000012")]
        return one_connection(1, dated, *rows, *more)

    script = Script(tuple(moment(n, jane=user(n, 0, is_short=n > 0)) for n in range(4)))
    kept = cash("300.00", accounts=2, says={("jane", 12): "counted, missing"})
    return Case("a_short_list_whose_rest_stands_still", script, (cash("300.00", accounts=2), kept, kept, kept))


def a_member_who_comes_back() -> Case:
    def now(n: int) -> Any:
        jane = lone(1, 11, "100.00", n, iban=IBAN)
        rows = [account(21, 2, "100.00", at(n), iban=IBAN), account(22, 2, "50.00", at(n), number="4000021")]
        return moment(n, jane=jane, john=one_connection(2, n, *rows))

    script = Script(
        (now(0), now(1), now(2)),
        (Decision(day(1), "leave", member="john"), Decision(day(2), "return", member="john")),
    )
    whole = cash("150.00", accounts=2)
    left = cash("150.00", accounts=2, says={("john", 22): "counted, no longer read"})
    return Case("a_member_who_comes_back", script, (whole, left, cash("150.00", accounts=2, same_as=0)))


def no_type_at_all() -> Case:
    rows = [
        account(11, 1, "1.00", at(0), number="4000011", type=None),
        account(12, 1, "2.00", at(0), number="4000012", type="unknown"),
        account(13, 1, "4.00", at(0), number="4000013", type="pea"),
        account(14, 1, "8.00", at(0), number="4000014", type="lifeinsurance"),
        account(15, 1, "16.00", at(0), number="4000015", type="ldds"),
        account(16, 1, "32.00", at(0), number="4000016", type="joint"),
    ]
    right = Right(
        {
            "unclassified EUR": "3.00",
            "investments EUR": "4.00",
            "insurance EUR": "8.00",
            "savings EUR": "16.00",
            "cash EUR": "32.00",
        },
        accounts=6,
    )
    return Case("no_type_at_all", Script((moment(0, jane=one_connection(1, 0, *rows)),)), (right,))


def noise_in_a_text() -> Case:
    """A text was written by a person, so it is not rounded. The previous balance stays."""
    text = account(11, 1, "1.00", at(1), iban=IBAN) | {"balance": "83710.79999999999"}
    script = Script((moment(0, jane=lone(1, 11, "83000.00", 0, iban=IBAN)), moment(1, jane=one_connection(1, 1, text))))
    right = (cash("83000.00", accounts=1), cash("83000.00", accounts=1))
    return Case("noise_in_a_text", script, right)


def a_bank_with_only_masks_comes_back() -> Case:
    """Nothing proves that it is the same account. A person is asked; nothing counts twice."""
    script = Script(
        (
            moment(0, jane=lone(1, 11, "111.00", 0, number="****1234")),
            moment(1, jane=state([], [])),
            moment(2, jane=lone(2, 21, "112.00", 2, number="****1234")),
        )
    )
    right = (cash("111.00", accounts=1), Right({}, accounts=0), cash("112.00", accounts=1, double={}))
    return Case("a_bank_with_only_masks_comes_back", script, right)


def a_number_reused_after_half_a_year() -> Case:
    """Another member's account has the IBAN of one that ended long ago: it does not continue that account's history."""
    gone = state([], [])
    script = Script(
        (
            moment(0, jane=lone(1, 11, "111.00", 0, iban=IBAN), john=gone),
            moment(1, jane=gone, john=gone),
            moment(190, jane=gone, john=lone(2, 21, "222.00", 190, iban=IBAN)),
        )
    )
    right = (cash("111.00", accounts=1), Right({}, accounts=0), cash("222.00", accounts=1, double={}))
    return Case("a_number_reused_after_half_a_year", script, right)


def an_account_that_returns_after_it_was_gone() -> Case:
    def user(n: float, *, is_away: bool) -> UserState:
        rows = [account(11, 1, "100.00", at(n), number="4000011")]
        return one_connection(1, n, *rows, *([] if is_away else [account(12, 1, "200.00", at(n), number="4000012")]))

    script = Script(tuple(moment(n, jane=user(n, is_away=n in (1, 2))) for n in range(4)))
    right = (
        cash("300.00", accounts=2),
        cash("300.00", accounts=2, says={("jane", 12): "counted, missing"}),
        cash("100.00", accounts=1, says={("jane", 12): "gone"}),
        cash("300.00", accounts=2, same_as=0),
    )
    return Case("an_account_that_returns_after_it_was_gone", script, right)


def a_joint_account_whose_older_link_is_stale() -> Case:
    """The link in use is a week old: the other one is used, and the account stays the same."""

    def now(n: int, dated: int) -> Any:
        jane = lone(1, 11, "800.00", dated, iban=IBAN)
        return moment(n, jane=jane, john=lone(2, 21, "800.00" if n == 0 else "900.00", n, iban=IBAN))

    script = Script((now(0, 0), now(7, 0)))
    right = (cash("800.00", accounts=1), cash("900.00", accounts=1, same_as=0, double={}))
    return Case("a_joint_account_whose_older_link_is_stale", script, right)


MORE_CASES: tuple[Case, ...] = (
    pockets_told_apart_by_name_come_back(),
    pockets_that_nothing_tells_apart_come_back(),
    pockets_come_back_beside_another_member(),
    one_member_links_a_bank_of_pockets_twice(),
    a_whole_number_that_ends_as_a_mask_does(),
    two_accounts_with_one_short_number(),
    one_number_at_two_banks(),
    one_number_in_two_currencies(),
    two_sources_that_know_it_by_number(),
    a_number_learnt_late(),
    evidence_that_the_bank_takes_back(),
    old_and_new_side_by_side_with_a_mask(),
    old_and_new_side_by_side_at_first_sight(),
    a_pocket_that_stands_still_at_first_sight(),
    a_successor_that_waits_to_be_enabled(),
    two_pockets_of_one_iban_that_both_live(),
    a_second_list_whose_one_pocket_is_all_that_is_left(),
    a_second_list_with_a_numbered_pocket(),
    three_types_of_one_joint_account(),
    card_and_account_under_one_iban_in_two_lists(),
    two_loans_under_one_iban(),
    a_card_that_repeats_its_parent_through_two_members(),
    a_card_that_ceases_to_repeat_its_parent(),
    a_split_of_two_sources_that_passes_on(),
    an_empty_list_beside_a_living_one(),
    a_short_list_whose_rest_stands_still(),
    a_member_who_comes_back(),
    no_type_at_all(),
    noise_in_a_text(),
    a_bank_with_only_masks_comes_back(),
    a_number_reused_after_half_a_year(),
    an_account_that_returns_after_it_was_gone(),
    a_joint_account_whose_older_link_is_stale(),
)

ALL_CASES: tuple[Case, ...] = (*CASES, *MORE_CASES)
