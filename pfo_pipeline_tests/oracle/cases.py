"""Inputs that a ledger once answered wrongly, each as a script with the right answer written by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pfo_pipeline_tests.oracle.recording import Decision, Link
from pfo_pipeline_tests.oracle.script import (
    NO_ACCOUNT,
    Instead,
    Moment,
    Record,
    Script,
    UserState,
    account,
    connection,
    day,
    source,
)

IBAN = "FR7630004000031234567890143"
NUMBER = "00000000011"
_BEFORE_BREAKFAST = timedelta(hours=2)
AN_HOUR = 1 / 24


@dataclass(frozen=True)
class Right:
    """The right answer at the end of a moment."""

    totals: Mapping[str, str] | None
    """By class and currency, as `cash EUR`. None: the rules leave it open."""
    accounts: int | None = None
    says: Mapping[Link, str] = field(default_factory=dict)
    double: Mapping[str, str] | None = None
    same_as: int | None = None
    """Index of an earlier moment with the same accounts."""
    past: Mapping[int, str] = field(default_factory=dict)
    """The answer then to a query about an earlier moment: its cash in euro."""

    def decimals(self) -> dict[tuple[str, str], Decimal] | None:
        """Return the totals as numbers."""
        if self.totals is None:
            return None
        keys = {name: name.split() for name in self.totals}
        return {(kind, currency): Decimal(self.totals[name]) for name, (kind, currency) in keys.items()}


@dataclass(frozen=True)
class Case:
    name: str
    script: Script
    right: tuple[Right, ...]

    def __post_init__(self) -> None:
        assert len(self.right) == len(self.script.moments), self.name


def cash(amount: str, **more: Any) -> Right:
    return Right({"cash EUR": amount}, **more)


NOTHING = Right({}, accounts=0)


def at(number: float) -> datetime:
    """Return when the bank's side was last updated before the moment of that day."""
    return day(number) - _BEFORE_BREAKFAST


def state(connections: list[Record], accounts: list[Record], instead: Mapping[str, Instead] | None = None) -> UserState:
    return UserState(tuple(connections), tuple(accounts), instead or {})


def moment(number: float, **users: UserState) -> Moment:
    return Moment(day(number), users)


def one_connection(number: int, when: float, *accounts: Record, **more: Any) -> UserState:
    return state([connection(number, at(when), **more)], list(accounts))


def lone(connection_id: int, row: int, amount: Any, when: float, **more: Any) -> UserState:
    """Return a user with one account."""
    return one_connection(connection_id, when, account(row, connection_id, amount, at(when), **more))


def pockets(
    connection_id: int, first: int, when: float, *, is_reversed: bool = False, has_ids_reversed: bool = False
) -> UserState:
    """Return a user with two accounts under one IBAN."""
    ids = (first + 1, first) if has_ids_reversed else (first, first + 1)
    rows = [
        account(ids[0], connection_id, "100.00", at(when), iban=IBAN, number="1"),
        account(ids[1], connection_id, "5000.00", at(when), iban=IBAN, number="2"),
    ]
    return one_connection(connection_id, when, *(rows[::-1] if is_reversed else rows))


#
# Which linked accounts are one account


def two_pockets_of_one_iban_come_back() -> Case:
    script = Script(
        (
            moment(0, jane=pockets(1, 11, 0)),
            moment(1, jane=pockets(1, 11, 1)),
            moment(2, jane=state([], [])),
            moment(3, jane=pockets(2, 21, 3)),
            moment(4, jane=pockets(2, 21, 4)),
        )
    )
    past = {0: "5100.00", 1: "5100.00"}
    both = cash("5100.00", accounts=2)
    again = cash("5100.00", accounts=2, same_as=0, past=past)
    removed = Right({}, accounts=0, past=past)
    return Case("two_pockets_of_one_iban_come_back", script, (both, both, removed, again, again))


def two_pockets_come_back_in_another_order() -> Case:
    """Removed and added between two reads."""
    script = Script((moment(0, jane=pockets(1, 11, 0)), moment(1, jane=pockets(2, 21, 1, has_ids_reversed=True))))
    right = (cash("5100.00", accounts=2), cash("5100.00", accounts=2, same_as=0))
    return Case("two_pockets_come_back_in_another_order", script, right)


def two_members_see_two_pockets_in_another_order() -> Case:
    script = Script(
        tuple(moment(n, jane=pockets(1, 11, n), john=pockets(2, 21, n + AN_HOUR, is_reversed=True)) for n in range(3))
    )
    return Case("two_members_see_two_pockets_in_another_order", script, (cash("5100.00", accounts=2),) * 3)


def two_members_see_two_pockets_numbered_the_other_way() -> Case:
    script = Script(
        tuple(moment(n, jane=pockets(1, 11, n), john=pockets(2, 1, n, has_ids_reversed=True)) for n in range(3))
    )
    return Case("two_members_see_two_pockets_numbered_the_other_way", script, (cash("5100.00", accounts=2),) * 3)


def one_mask_of_two_accounts(mask: str = "****1234", name: str = "one_mask_of_two_accounts") -> Case:
    script = Script(
        tuple(
            moment(n, jane=lone(1, 11, "111.00", n, number=mask), john=lone(2, 21, "222.00", n, number=mask))
            for n in range(2)
        )
    )
    return Case(name, script, (cash("333.00", accounts=2),) * 2)


def a_mask_without_any_digit() -> Case:
    return one_mask_of_two_accounts("XXXXXXXXXXXX", "a_mask_without_any_digit")


def a_number_of_one_digit_repeated() -> Case:
    return one_mask_of_two_accounts("000000000", "a_number_of_one_digit_repeated")


def one_account_through_two_sources() -> Case:
    def user(n: float) -> UserState:
        sources = source(11, 1, at(n)), source(12, 1, at(-6), "directaccess", state="wrongpass")
        rows = [
            account(111, 1, "2500.00", at(n), iban=IBAN, id_source=11),
            account(112, 1, "2400.00", at(-6), iban=IBAN, id_source=12),
        ]
        return state([connection(1, at(n), *sources)], rows)

    script = Script(tuple(moment(n, jane=user(n)) for n in range(2)))
    return Case("one_account_through_two_sources", script, (cash("2500.00", accounts=1),) * 2)


def an_iban_learnt_late() -> Case:
    jane = [lone(1, 11, "10.00", n, iban=IBAN) for n in range(4)]
    script = Script(
        (
            moment(0, jane=jane[0], john=lone(2, 21, "10.00", 0, number=NUMBER)),
            moment(1, jane=jane[1], john=state([], [])),
            moment(2, jane=jane[2], john=lone(3, 31, "10.00", 2, number=NUMBER)),
            moment(3, jane=jane[3], john=lone(3, 31, "10.00", 3, number=NUMBER, iban=IBAN)),
        )
    )
    two = cash("20.00", accounts=2)
    return Case("an_iban_learnt_late", script, (two, cash("10.00", accounts=1), two, cash("10.00", accounts=1)))


def three_links_of_one_account() -> Case:
    def now(n: int, **john: Any) -> Moment:
        return moment(
            n,
            jane=lone(1, 11, "10.00", n, iban=IBAN),
            john=lone(2, 21, "10.00", n, number=NUMBER, **john),
            june=lone(3, 31, "10.00", n, number=NUMBER),
        )

    script = Script((now(0), now(1, iban=IBAN), now(2, iban=IBAN)))
    one = cash("10.00", accounts=1)
    return Case("three_links_of_one_account", script, (cash("20.00", accounts=2), one, one))


def a_removed_connection_beside_an_unreadable_row() -> Case:
    def user(n: int, *, is_removed: bool) -> UserState:
        rows = [account("x", 2, "7.00", at(n)), account(21, 2, "50.00", at(n), number="4000001")]
        if is_removed:
            return state([connection(2, at(n), bank="Crédit Sapin")], rows)
        more = [account(11, 1, "1000.00", at(n), iban=IBAN), account(12, 1, "500.00", at(n), number="4000012")]
        return state([connection(1, at(n)), connection(2, at(n), bank="Crédit Sapin")], [*more, *rows])

    script = Script(
        (
            moment(0, jane=user(0, is_removed=False)),
            moment(1, jane=user(1, is_removed=True)),
            moment(2, jane=user(2, is_removed=True)),
        )
    )
    gone = cash("50.00", accounts=1, says={("jane", 11): "gone", ("jane", 12): "gone"})
    right = (cash("1550.00", accounts=3), gone, gone)
    return Case("a_removed_connection_beside_an_unreadable_row", script, right)


def old_and_new_side_by_side() -> Case:
    def row(number: int, n: float) -> Record:
        return account(number, 1, "12000.00", at(n), iban=IBAN, number=NUMBER)

    script = Script(
        (
            moment(0, jane=one_connection(1, 0, row(11, 0))),
            moment(1, jane=one_connection(1, 1, row(11, 1))),
            moment(2, jane=one_connection(1, 2, row(11, 1), row(12, 2))),
            moment(3, jane=one_connection(1, 3, row(11, 1), row(12, 3))),
            moment(4, jane=one_connection(1, 4, row(12, 4))),
            moment(6, jane=one_connection(1, 6, row(12, 6))),
        )
    )
    one = cash("12000.00", accounts=1)
    same = cash("12000.00", accounts=1, same_as=0)
    return Case("old_and_new_side_by_side", script, (one, one, same, same, same, same))


def a_renewed_account_with_only_a_mask() -> Case:
    """The old one ends when the new one appears, in one source: a weak key that is one to one is enough."""
    script = Script(
        (
            moment(0, jane=lone(1, 11, "700.00", 0, number="****1234")),
            moment(1, jane=lone(1, 12, "710.00", 1, number="****1234")),
        )
    )
    right = (cash("700.00", accounts=1), cash("710.00", accounts=1, same_as=0))
    return Case("a_renewed_account_with_only_a_mask", script, right)


def a_second_list_with_one_pocket_of_two() -> Case:
    script = Script(
        tuple(moment(n, jane=pockets(1, 11, n), john=lone(2, 21, "5000.00", n + AN_HOUR, iban=IBAN)) for n in range(2))
    )
    right = cash("5100.00", accounts=2, says={("john", 21): "one of others"}, double={})
    return Case("a_second_list_with_one_pocket_of_two", script, (right,) * 2)


def a_joint_account_by_another_type(other: str = "joint", name: str = "a_joint_account_by_another_type") -> Case:
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "8000.00", n, number=NUMBER),
                john=lone(2, 21, "8000.00", n, number=NUMBER, type=other),
            )
            for n in range(2)
        )
    )
    return Case(name, script, (cash("8000.00", accounts=1),) * 2)


def a_joint_account_of_unknown_type() -> Case:
    return a_joint_account_by_another_type("unknown", "a_joint_account_of_unknown_type")


def a_card_under_the_iban_of_its_account() -> Case:
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "-800.00", n, iban=IBAN, type="card"),
                john=lone(2, 21, "5000.00", n, iban=IBAN),
            )
            for n in range(2)
        )
    )
    right = Right({"cash EUR": "5000.00", "card EUR": "-800.00"}, accounts=2)
    return Case("a_card_under_the_iban_of_its_account", script, (right,) * 2)


def a_loan_under_the_iban_it_is_repaid_from() -> Case:
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "-150000.00", n, iban=IBAN, type="mortgage"),
                john=lone(2, 21, "5000.00", n, iban=IBAN),
            )
            for n in range(2)
        )
    )
    right = Right({"cash EUR": "5000.00", "loan EUR": "-150000.00"}, accounts=2)
    return Case("a_loan_under_the_iban_it_is_repaid_from", script, (right,) * 2)


def _with_card(amount: str) -> Script:
    def user(n: int) -> UserState:
        card = account(12, 1, amount, at(n), type="card", id_parent=11, number="****9876", original_name="CARTE")
        return one_connection(1, n, account(11, 1, "5000.00", at(n), iban=IBAN, coming="-300.00"), card)

    return Script(tuple(moment(n, jane=user(n)) for n in range(2)))


def a_card_that_repeats_its_parent() -> Case:
    right = cash("5000.00", accounts=1, says={("jane", 12): "part of another"})
    return Case("a_card_that_repeats_its_parent", _with_card("5000.00"), (right,) * 2)


def a_card_with_its_own_outstanding() -> Case:
    right = Right({"cash EUR": "5000.00", "card EUR": "-300.00"}, accounts=2)
    return Case("a_card_with_its_own_outstanding", _with_card("-300.00"), (right,) * 2)


def a_split_that_passes_on() -> Case:
    def now(n: int, connection_id: int, row: int) -> Moment:
        jane = lone(1, 11, "111.00", n, number=NUMBER)
        return moment(n, jane=jane, john=lone(connection_id, row, "222.00", n, number=NUMBER))

    script = Script(
        (now(0, 2, 21), now(1, 2, 21), now(2, 3, 31), now(3, 3, 31)),
        (Decision(day(1), "split", one=("jane", 11), other=("john", 21)),),
    )
    two = cash("333.00", accounts=2)
    same = cash("333.00", accounts=2, same_as=1)
    return Case("a_split_that_passes_on", script, (Right(None, accounts=1), two, same, same))


def two_numbers_under_one_iban() -> Case:
    """Each of two members sees their own account."""
    script = Script(
        tuple(
            moment(
                n,
                jane=lone(1, 11, "100.00", n, iban=IBAN, number="40000010"),
                john=lone(2, 21, "5000.00", n, iban=IBAN, number="40000028"),
            )
            for n in range(2)
        )
    )
    return Case("two_numbers_under_one_iban", script, (cash("5100.00", accounts=2),) * 2)


#
# What is gone, and what is only missing


def _bank_that_falls_silent(n: float, instead: Mapping[str, Instead] | None = None, *, is_silent: bool) -> UserState:
    rows = [
        account(11, 1, "1000000.00", at(n), iban=IBAN),
        account(12, 1, "200000.00", at(n), number="4000012"),
        account(13, 1, "50000.00", at(n), number="4000013", type="livret_a"),
    ]
    return state([connection(1, at(n))], [] if is_silent else rows, instead)


def _silence(name: str, instead: Mapping[str, Instead] | None = None) -> Case:
    script = Script(
        (
            moment(0, jane=_bank_that_falls_silent(0, is_silent=False)),
            moment(1, jane=_bank_that_falls_silent(1, instead, is_silent=True)),
            moment(2, jane=_bank_that_falls_silent(2, instead, is_silent=True)),
            moment(3, jane=_bank_that_falls_silent(3, is_silent=False)),
        )
    )
    totals = {"cash EUR": "1200000.00", "savings EUR": "50000.00"}
    missing = Right(totals, accounts=3, says={("jane", number): "counted, missing" for number in (11, 12, 13)})
    back = Right(totals, accounts=3, same_as=0)
    return Case(name, script, (Right(totals, accounts=3), missing, missing, back))


def an_empty_list_of_a_healthy_bank() -> Case:
    return _silence("an_empty_list_of_a_healthy_bank")


def no_account_of_a_healthy_bank() -> Case:
    return _silence("no_account_of_a_healthy_bank", {"accounts": NO_ACCOUNT})


def an_empty_list_of_one_source_of_two() -> Case:
    def user(n: float, *, is_silent: bool) -> UserState:
        sources = source(11, 1, at(n)), source(12, 1, at(n), "directaccess")
        rows = [account(111, 1, "40.00", at(n), number="4000011", id_source=11)]
        more = [account(112, 1, "2.00", at(n), number="4000012", id_source=12)]
        return state([connection(1, at(n), *sources)], rows + ([] if is_silent else more))

    script = Script(tuple(moment(n, jane=user(n, is_silent=n > 0)) for n in range(5)))
    return Case("an_empty_list_of_one_source_of_two", script, (cash("42.00", accounts=2),) * 5)


def an_account_closed_without_a_stamp() -> Case:
    """Missing twice, a day apart, while its sibling advanced."""

    def user(n: float, *, is_closed: bool) -> UserState:
        rows = [account(11, 1, "100.00", at(n), number="4000011")]
        return one_connection(1, n, *rows, *([] if is_closed else [account(12, 1, "200.00", at(n), number="4000012")]))

    script = Script(tuple(moment(n, jane=user(n, is_closed=n > 0)) for n in (0, 1, 1.5, 2)))
    kept = cash("300.00", accounts=2, says={("jane", 12): "counted, missing"})
    right = (cash("300.00", accounts=2), kept, kept, cash("100.00", accounts=1, says={("jane", 12): "gone"}))
    return Case("an_account_closed_without_a_stamp", script, right)


def an_account_with_a_stamp() -> Case:
    def user(n: int, **more: Any) -> UserState:
        rows = (
            account(11, 1, "100.00", at(n), number="4000011"),
            account(12, 1, "200.00", at(0), number="4000012", **more),
        )
        return one_connection(1, n, *rows)

    script = Script((moment(0, jane=user(0)), moment(1, jane=user(1, deleted="2026-03-03 06:00:00"))))
    right = (cash("300.00", accounts=2), cash("100.00", accounts=1, says={("jane", 12): "deleted"}, past={0: "300.00"}))
    return Case("an_account_with_a_stamp", script, right)


def a_member_taken_out() -> Case:
    def now(n: int) -> Moment:
        return moment(n, jane=lone(1, 11, "100.00", n, iban=IBAN), john=lone(2, 21, "50.00", n, number="4000021"))

    script = Script((now(0), now(1), now(9)), (Decision(day(1), "leave", member="john"),))
    left = cash("150.00", accounts=2, says={("john", 21): "counted, no longer read"})
    return Case("a_member_taken_out", script, (cash("150.00", accounts=2), left, left))


def a_consent_that_shares_no_account() -> Case:
    script = Script(tuple(moment(n, jane=one_connection(1, n)) for n in range(2)))
    return Case("a_consent_that_shares_no_account", script, (NOTHING,) * 2)


#
# What is quarantined, and the class in which it counts


def an_unknown_type() -> Case:
    rows = {"number": "4000011"}, {"number": "4000012", "type": "leasing"}
    script = Script(
        tuple(
            moment(
                n,
                jane=one_connection(
                    1, n, account(11, 1, "100.00", at(n), **rows[0]), account(12, 1, "-9000.00", at(n), **rows[1])
                ),
            )
            for n in range(2)
        )
    )
    right = Right({"cash EUR": "100.00", "unclassified EUR": "-9000.00"}, accounts=2)
    return Case("an_unknown_type", script, (right,) * 2)


def the_noise_of_a_float() -> Case:
    script = Script((moment(0, jane=lone(1, 11, "83710.79999999999", 0, iban=IBAN)),))
    return Case("the_noise_of_a_float", script, (cash("83710.80", accounts=1),))


def zero_dates() -> Case:
    zero = "0000-00-00 00:00:00"
    user = one_connection(1, 0, account(11, 1, "100.00", at(0), iban=IBAN), expire=zero, next_try=zero)
    return Case("zero_dates", Script((moment(0, jane=user),)), (cash("100.00", accounts=1),))


def zero_dates_for_stamps() -> Case:
    zero = "0000-00-00 00:00:00"
    user = lone(1, 11, "100.00", 0, iban=IBAN, disabled=zero, deleted=zero)
    return Case("zero_dates_for_stamps", Script((moment(0, jane=user),)), (cash("100.00", accounts=1),))


def a_currency_in_small_letters() -> Case:
    small = {"id": "eur", "name": "Euro", "symbol": "€", "precision": 2}
    script = Script(
        (
            moment(0, jane=lone(1, 11, "100.00", 0, iban=IBAN)),
            moment(1, jane=lone(1, 11, "120.00", 1, iban=IBAN, currency=small)),
        )
    )
    right = (cash("100.00", accounts=1), cash("120.00", accounts=1, same_as=0))
    return Case("a_currency_in_small_letters", script, right)


def disabled_false() -> Case:
    script = Script((moment(0, jane=lone(1, 11, "100.00", 0, iban=IBAN, disabled=False)),))
    return Case("disabled_false", script, (cash("100.00", accounts=1),))


CASES: tuple[Case, ...] = (
    two_pockets_of_one_iban_come_back(),
    two_pockets_come_back_in_another_order(),
    two_members_see_two_pockets_in_another_order(),
    two_members_see_two_pockets_numbered_the_other_way(),
    one_mask_of_two_accounts(),
    a_mask_without_any_digit(),
    a_number_of_one_digit_repeated(),
    one_account_through_two_sources(),
    an_iban_learnt_late(),
    three_links_of_one_account(),
    a_removed_connection_beside_an_unreadable_row(),
    old_and_new_side_by_side(),
    a_renewed_account_with_only_a_mask(),
    a_second_list_with_one_pocket_of_two(),
    a_joint_account_by_another_type(),
    a_joint_account_of_unknown_type(),
    a_card_under_the_iban_of_its_account(),
    a_loan_under_the_iban_it_is_repaid_from(),
    a_card_that_repeats_its_parent(),
    a_card_with_its_own_outstanding(),
    a_split_that_passes_on(),
    two_numbers_under_one_iban(),
    an_empty_list_of_a_healthy_bank(),
    no_account_of_a_healthy_bank(),
    an_empty_list_of_one_source_of_two(),
    an_account_closed_without_a_stamp(),
    an_account_with_a_stamp(),
    a_member_taken_out(),
    a_consent_that_shares_no_account(),
    an_unknown_type(),
    the_noise_of_a_float(),
    zero_dates(),
    zero_dates_for_stamps(),
    a_currency_in_small_letters(),
    disabled_false(),
)
