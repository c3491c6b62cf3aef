"""Which linked accounts are one account: every case is a few reads of banks' lists, and the accounts that then count."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pfo_pipeline.operations.account_links import Decision, LinkedAccount, Matching, State
from pfo_pipeline.operations.account_matching import match

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
IBAN = "FR7630006000011234567890189"
OTHER_IBAN = "DE89370400440532013000"
CLASSES = {"checking": "cash", "card": "card", "loan": "loan", "savings": "savings", "market": "investments"}


def listed(number_of_account: int, balance: str, **changes: Any) -> dict[str, Any]:
    """Return an account as a bank lists it; `is_stuck` if its last update does not advance."""
    values: dict[str, Any] = {"id": number_of_account, "balance": Decimal(balance), "iban": None, "number": None}
    return values | {"type": "checking", "currency": "EUR", "name": "Account", "parent": None} | changes


@dataclass
class Banks:
    """The known accounts after each read of some lists, by user, connection and source."""

    now: datetime = START
    known: dict[str, LinkedAccount] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    matching: Matching = field(default_factory=lambda: Matching({}, ()))

    def read(
        self,
        lists: dict[tuple[str, str, str | None], Sequence[dict[str, Any]]],
        days: float = 1,
        absent: State = "ended",
    ) -> "Banks":
        """Simulate a complete read, `days` after the previous one. An account in no list is ended, or only missing."""
        self.now += timedelta(days=days)
        here = set()
        for (user, connection, source), accounts in lists.items():
            for account in accounts:
                account_id = f"acc_{account['id']}"
                here.add(account_id)
                self.known[account_id] = self._updated(account_id, user, connection, source, account)
        for account_id, a in self.known.items():
            if account_id not in here and a.state == "listed":
                self.known[account_id] = replace(a, state=absent, vanished_at=self.now)
        self.decide()
        return self

    def _updated(
        self, account_id: str, user: str, connection: str, source: str | None, account: dict[str, Any]
    ) -> LinkedAccount:
        before = self.known.get(account_id)
        is_stuck = account.get("is_stuck", False)
        updated_at = account.get("updated_at") or (before.updated_at if before and is_stuck else self.now)
        advanced = before is not None and not is_stuck and before.state == "listed"
        return LinkedAccount(
            account_id=account_id,
            canonical_id=before.canonical_id if before else account_id,
            user_id=user,
            connection_id=connection,
            source_id=source,
            institution_id=account.get("bank", "bank"),
            account_type=account["type"],
            account_class=CLASSES.get(account["type"]),
            currency=account["currency"],
            iban=account["iban"],
            number=account["number"],
            name=account["name"],
            parent_id=f"acc_{account['parent']}" if account["parent"] else None,
            state="listed",
            first_seen=before.first_seen if before else (self.now, account["id"]),
            listed_since=before.listed_since if before and before.state == "listed" else self.now,
            updated_at=updated_at,
            advanced_at=self.now if advanced else before.advanced_at if before else None,
            vanished_at=None,
            balance=account["balance"] if account["balance"] is not None else before.balance if before else None,
            balance_at=updated_at if account["balance"] is not None else before.balance_at if before else None,
            evidence=before.evidence if before else None,
            decided_by=before.decided_by if before else None,
            counts_as=before.counts_as if before else None,
        )

    def decide(self) -> None:
        self.matching = match(list(self.known.values()), self.decisions)
        for account_id, placed in self.matching.placements.items():
            self.known[account_id] = replace(
                self.known[account_id],
                canonical_id=placed.canonical_id,
                evidence=placed.evidence,
                decided_by=placed.decided_by,
                counts_as=placed.counts_as,
            )

    def person(self, one: int, other: int, *, is_same: bool) -> "Banks":
        self.decisions = [d for d in self.decisions if {d.account_id, d.other_id} != {f"acc_{one}", f"acc_{other}"}]
        self.decisions.append(Decision(f"acc_{one}", f"acc_{other}", is_same))
        self.decide()
        return self

    @property
    def positions(self) -> dict[str, Decimal]:
        """Return the newest balance of each account's links that count, by account id."""
        speaking: dict[str, LinkedAccount] = {}
        for a in sorted(self.known.values(), key=lambda a: (a.updated_at or START, a.account_id)):
            if a.state in ("listed", "missing") and self.matching.placements[a.account_id].counts_as is None:
                speaking[a.canonical_id] = a
        return {account_id: a.balance for account_id, a in speaking.items() if a.balance is not None}

    @property
    def total(self) -> Decimal:
        return sum(self.positions.values(), Decimal(0))

    @property
    def proposed(self) -> set[frozenset[str]]:
        return {frozenset((p.account_id, p.other_id)) for p in self.matching.proposals}


A, B, C = ("anna", "1", None), ("ben", "2", None), ("carl", "3", None)
POCKETS = [listed(1, "100", iban=IBAN, number="1"), listed(2, "5000", iban=IBAN, number="2")]


def renumbered(accounts: Sequence[dict[str, Any]], by: int) -> list[dict[str, Any]]:
    return [account | {"id": account["id"] + by} for account in accounts]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("days", [1, 30, 300])
def test_two_pockets_of_one_iban_come_back_with_new_ids_as_the_same_two_accounts(order: int, days: int) -> None:
    banks = Banks().read({A: POCKETS}).read({A: POCKETS})
    before = banks.positions
    again = ("anna", "9", None)
    banks.read({}).read({again: renumbered(POCKETS, 10)[::order]}, days)

    assert banks.positions == before == {"acc_1": 100, "acc_2": 5000}
    assert banks.proposed == set()


@pytest.mark.parametrize("is_gone", [False, True], ids=["beside the old one", "in its place"])
def test_a_new_id_in_one_list_is_the_account_that_another_list_shows_too(is_gone: bool) -> None:
    of_ben = renumbered(POCKETS, 10)
    banks = Banks().read({A: POCKETS, B: of_ben}).read({A: POCKETS, B: of_ben})
    old, new = of_ben[1] | {"is_stuck": True}, of_ben[1] | {"id": 22}
    for _ in range(2):
        banks.read({A: POCKETS, B: [of_ben[0], *([] if is_gone else [old]), new]})

    assert banks.positions == {"acc_1": 100, "acc_2": 5000}
    assert banks.proposed == set()


def test_pockets_that_nothing_tells_apart_come_back_as_two_accounts() -> None:
    twins = [listed(1, "100", iban=IBAN), listed(2, "5000", iban=IBAN)]
    banks = Banks().read({A: twins}).read({A: twins}).read({})
    banks.read({("anna", "9", None): [twins[1] | {"id": 11}, twins[0] | {"id": 12}]})

    assert banks.positions == {"acc_1": 100, "acc_2": 5000}


@pytest.mark.parametrize("order", [1, -1])
def test_pockets_that_a_second_user_links_in_another_order_are_the_same_two(order: int) -> None:
    banks = Banks().read({A: POCKETS, B: renumbered(POCKETS, 10)[::order]})

    assert banks.positions == {"acc_1": 100, "acc_2": 5000}


@pytest.mark.parametrize("number", ["****1234", "XXXXXXXXXXXX", "••••1234", "1234"])
def test_a_masked_number_proposes_and_does_not_decide(number: str) -> None:
    banks = Banks().read({A: [listed(1, "111", number=number)], B: [listed(2, "222", number=number)]})

    assert banks.total == 333
    assert banks.proposed == {frozenset({"acc_1", "acc_2"})}


@pytest.mark.parametrize(
    ("one", "other", "is_proposed"),
    [
        ("****1234", "****1234", True),
        ("**561234", "****1234", True),
        ("****5234", "****1234", False),
        ("*****234", "****1234", False),
        ("*****234", "*****234", True),
    ],
)
def test_masked_numbers_propose_by_their_last_four_digits(one: str, other: str, is_proposed: bool) -> None:
    banks = Banks().read({A: [listed(1, "111", number=one, name="Joint")], B: [listed(2, "222", number=other)]})

    assert banks.positions == {"acc_1": 111, "acc_2": 222}
    assert banks.proposed == ({frozenset({"acc_1", "acc_2"})} if is_proposed else set())


def test_six_digits_are_a_whole_number_and_five_only_propose() -> None:
    six, five = listed(1, "111", number="123456", name="Joint"), listed(1, "111", number="12345", name="Joint")
    again = {"id": 2, "name": "Account"}

    whole = Banks().read({A: [six], B: [six | again]})
    short = Banks().read({A: [five], B: [five | again]})

    assert (len(whole.positions), whole.proposed) == (1, set())
    assert (len(short.positions), short.proposed) == (2, {frozenset({"acc_1", "acc_2"})})


def test_one_masked_number_twice_in_one_list_is_two_accounts_without_a_proposal() -> None:
    banks = Banks().read({A: [listed(1, "111", number="****1234"), listed(2, "222", number="****1234")]})

    assert banks.total == 333
    assert banks.proposed == set()


def test_two_sources_of_one_connection_show_one_account() -> None:
    openapi, directaccess = ("anna", "1", "5"), ("anna", "1", "6")
    old = listed(2, "2400", iban=IBAN, updated_at=START - timedelta(days=6))
    banks = Banks().read({openapi: [listed(1, "2500", iban=IBAN)], directaccess: [old]})

    assert banks.total == 2500


def test_an_iban_received_later_joins_accounts_that_were_counted_twice() -> None:
    one, other = listed(1, "8", iban=IBAN), listed(2, "8", number="00000000011")
    banks = Banks().read({A: [one], B: [other]})
    assert banks.total == 16
    banks.read({A: [one]}).read({A: [one], ("ben", "4", None): [other | {"id": 3}]})
    assert banks.positions == {"acc_1": 8, "acc_2": 8}
    banks.read({A: [one], ("ben", "4", None): [other | {"id": 3, "iban": IBAN}]})

    assert banks.positions == {"acc_1": 8}
    assert banks.known["acc_2"].canonical_id == "acc_1"


def test_keys_that_connect_three_links_make_one_account_with_one_id() -> None:
    a, b, c = listed(1, "10", iban=IBAN), listed(2, "10", number="123456"), listed(3, "10", number="123456")
    banks = Banks().read({A: [a], B: [b], C: [c]})
    assert banks.total == 20
    banks.read({A: [a], B: [b | {"iban": IBAN}], C: [c]})

    assert banks.positions == {"acc_1": 10}
    assert {a.canonical_id for a in banks.known.values()} == {"acc_1"}


def test_a_pocket_that_is_renumbered_twice_stays_the_same_account() -> None:
    twins = [listed(1, "100", iban=IBAN), listed(2, "5000", iban=IBAN), listed(3, "7", iban=IBAN)]
    banks = Banks().read({A: twins}).read({A: twins})
    for number in (4, 5):
        twins[1] = twins[1] | {"id": number}
        banks.read({A: twins}, absent="missing").read({A: twins}, absent="missing")

    assert banks.positions == {"acc_1": 100, "acc_2": 5000, "acc_3": 7}


def test_a_successor_beside_the_account_that_it_replaces_counts_once_throughout() -> None:
    old, new = listed(1, "12000", iban=IBAN, number="4444555"), listed(2, "12000", iban=IBAN, number="4444555")
    banks = Banks().read({A: [old]}).read({A: [old]})
    for _ in range(3):
        banks.read({A: [old | {"is_stuck": True}, new]})
        assert banks.positions == {"acc_1": 12000}
    banks.read({A: [new]})

    assert banks.positions == {"acc_1": 12000}


def test_a_masked_number_finds_the_successor_within_one_source() -> None:
    old, new = listed(1, "12000", number="****55"), listed(2, "12500", number="****55")
    banks = Banks().read({A: [old]}).read({A: [old]}).read({A: [new]})

    assert banks.positions == {"acc_1": 12500}


@pytest.mark.parametrize("is_gone", [False, True], ids=["beside the old one", "in its place"])
def test_an_advancing_account_with_the_same_masked_number_is_not_the_successor(is_gone: bool) -> None:
    old, other = listed(1, "100", number="****55", name="A"), listed(2, "50", number="****55", name="B")
    banks = Banks().read({A: [old, other]}).read({A: [old, other]})

    banks.read({A: [*([] if is_gone else [old | {"is_stuck": True}]), other, old | {"id": 3}]})

    assert banks.positions == {"acc_1": 100, "acc_2": 50}


def test_two_accounts_that_both_advance_in_one_list_are_separated_again() -> None:
    old, new = listed(1, "100", iban=IBAN), listed(2, "50", iban=IBAN)
    banks = Banks().read({A: [old]}).read({A: [old]}).read({A: [old | {"is_stuck": True}, new]})
    assert banks.total == 50
    banks.read({A: [old, new]}).read({A: [old, new]})

    assert banks.positions == {"acc_1": 100, "acc_2": 50}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_link_that_may_be_one_of_two_pockets_does_not_count_a_third_time(is_first: bool) -> None:
    single = [listed(9, "5000", iban=IBAN)]
    banks = Banks()
    if is_first:
        banks.read({B: single})
    banks.read({A: POCKETS, B: single})

    assert banks.total == 5100
    assert banks.matching.placements["acc_9"].counts_as == "one_of"
    assert banks.matching.placements["acc_9"].others == ("acc_1", "acc_2")
    assert banks.proposed == {frozenset({"acc_9", "acc_1"}), frozenset({"acc_9", "acc_2"})}


@pytest.mark.parametrize("kind", ["checking", "joint"])
def test_a_missing_link_that_may_be_one_of_two_pockets_does_not_count_a_third_time(kind: str) -> None:
    banks = Banks().read({A: POCKETS, B: [listed(9, "5000", iban=IBAN, type=kind)]})

    banks.read({A: POCKETS}, absent="missing")

    assert banks.total == 5100
    assert banks.matching.placements["acc_9"].counts_as == "one_of"


def test_missing_links_are_as_many_accounts_as_the_longer_list_of_another_bank_user_shows() -> None:
    banks = Banks().read({B: [listed(9, "5000", iban=IBAN)]}).read({}, absent="missing")

    banks.read({A: POCKETS}, absent="missing")

    assert banks.total == 5100
    assert {banks.matching.placements[f"acc_{n}"].counts_as for n in (1, 2)} == {None}


def test_a_missing_account_is_not_matched_to_others_of_its_own_list() -> None:
    three = [listed(n, f"{n}00", iban=IBAN, name=f"P{n}") for n in (1, 2, 3)]
    of_ben = renumbered(three[:2], 10)
    banks = Banks().read({A: three, B: of_ben}).read({A: three, B: of_ben})

    for _ in range(2):
        banks.read({B: of_ben}, absent="missing")

    assert banks.total == 600


def test_of_equally_long_lists_the_one_that_its_bank_shows_counts() -> None:
    banks = Banks().read({B: [listed(9, "40", iban=IBAN, type="market", name="B")]}).read({}, absent="missing")

    banks.read({A: [listed(1, "50", iban=IBAN, type="market", name="A")]}, absent="missing")

    assert banks.positions == {"acc_9": 50}


@pytest.mark.parametrize("kind", ["joint", "unknown"])
def test_a_type_that_fits_any_class_is_the_same_account_by_its_number(kind: str) -> None:
    one, other = listed(1, "8000", number="12345678"), listed(2, "8000", number="12345678", type=kind)
    banks = Banks().read({A: [one], B: [other]})

    assert banks.total == 8000
    assert banks.matching.placements["acc_2"].account_class == "cash"


@pytest.mark.parametrize(("kind", "balance"), [("card", "-800"), ("loan", "-90000")])
def test_another_class_under_the_same_iban_is_another_account(kind: str, balance: str) -> None:
    other = listed(1, balance, iban=IBAN, type=kind)
    banks = Banks().read({A: [other], B: [listed(2, "5000", iban=IBAN)]})

    assert banks.positions == {"acc_1": Decimal(balance), "acc_2": 5000}


def test_a_card_that_repeats_its_parents_balance_is_part_of_it() -> None:
    parent, card = listed(1, "5000", iban=IBAN), listed(2, "5000", type="card", parent=1)
    banks = Banks().read({A: [parent, card]})
    assert banks.total == 5000
    assert banks.matching.placements["acc_2"].others == ("acc_1",)

    banks.read({A: [parent | {"balance": Decimal(5100)}, card | {"is_stuck": True}]})
    assert banks.total == 5100

    banks.read({A: [parent, card | {"balance": Decimal(-300)}]})
    assert banks.total == 4700


def test_a_card_without_a_new_balance_still_repeats_the_older_one_of_its_parent() -> None:
    parent, card = listed(1, "100", name="P"), listed(2, "100", type="card", name="C", parent=1)
    banks = Banks().read({A: [parent, card]})

    banks.read({A: [parent | {"balance": Decimal(120)}, card | {"balance": None}]})

    assert banks.total == 120


def test_a_card_whose_parent_is_gone_counts() -> None:
    parent, card = listed(1, "5000", iban=IBAN), listed(2, "5000", type="card", parent=1)
    banks = Banks().read({A: [parent, card]}).read({A: [card]})

    assert banks.total == 5000


@pytest.mark.parametrize("connections", [1, 2])
def test_accounts_that_a_person_split_stay_split_when_the_bank_is_added_again(connections: int) -> None:
    one, other = listed(1, "111", number="12345678"), listed(2, "222", number="12345678")
    lists: dict[Any, Any] = {A: [one], B: [other]} if connections == 2 else {A: [one], ("anna", "1", "6"): [other]}
    banks = Banks().read(lists)
    assert banks.total in (111, 222)
    banks.person(1, 2, is_same=False)
    assert banks.total == 333
    banks.read({}).read({(user, f"{c}0", s): renumbered(x, 10) for (user, c, s), x in lists.items()})

    assert banks.total == 333
    assert set(banks.positions) == {"acc_1", "acc_2"}


def test_a_number_that_another_user_shows_after_a_long_gap_is_proposed() -> None:
    banks = Banks().read({A: [listed(1, "70", iban=IBAN)]}).read({}).read({B: [listed(2, "30", iban=IBAN)]}, 200)

    assert banks.positions == {"acc_2": 30}
    assert banks.proposed == {frozenset({"acc_1", "acc_2"})}
    assert Banks().read({A: [listed(1, "70", iban=IBAN)]}).read({}).read(
        {B: [listed(2, "30", iban=IBAN)]}, 100
    ).positions == {"acc_1": 30}


def test_whole_numbers_that_differ_are_two_accounts_of_one_iban() -> None:
    one, other = listed(1, "100", iban=IBAN, number="1000001"), listed(2, "5000", iban=IBAN, number="1000002")

    assert Banks().read({A: [one], B: [other]}).total == 5100


def test_a_number_with_its_branch_before_it_is_the_same_number() -> None:
    one, other = (
        listed(1, "100", iban=IBAN, number="12345678901"),
        listed(2, "100", iban=IBAN, number="30004 12345678901"),
    )

    assert Banks().read({A: [one], B: [other]}).total == 100


def test_currencies_of_one_iban_are_separate_accounts() -> None:
    one, other = listed(1, "100", iban=IBAN), listed(2, "100", iban=IBAN, currency="USD")

    assert len(Banks().read({A: [one], B: [other]}).positions) == 2


def test_an_account_survives_the_change_of_its_currency_through_one_link() -> None:
    one, other = listed(1, "100", iban=IBAN), listed(2, "100", iban=IBAN)
    banks = Banks().read({A: [one], B: [other]})
    banks.read({A: [one | {"currency": "USD"}], B: [other | {"is_stuck": True}]})

    assert banks.positions == {"acc_1": 100}


def test_a_person_joins_accounts_without_a_common_key_and_may_undo_it() -> None:
    lists: dict[Any, Any] = {A: [listed(1, "10", name="x")], B: [listed(2, "12", name="y")]}
    banks = Banks().read(lists).person(1, 2, is_same=True)
    assert set(banks.positions) == {"acc_1"}
    banks.read(lists)
    assert set(banks.positions) == {"acc_1"}
    banks.decisions.clear()
    banks.decide()

    assert banks.total == 22


def test_evidence_never_joins_accounts_that_a_person_split() -> None:
    a, b, c = (listed(n, "10", iban=IBAN) for n in (1, 2, 3))
    banks = Banks().read({A: [a], B: [b]}).person(1, 2, is_same=False)
    banks.read({A: [a], B: [b], C: [c]})

    assert banks.known["acc_1"].canonical_id != banks.known["acc_2"].canonical_id
    assert banks.total == 20


def test_the_oldest_id_survives_in_any_order() -> None:
    one, other = listed(1, "10", iban=IBAN), listed(2, "10", number="123456")
    banks = Banks().read({B: [other]}).read({A: [one], B: [other]})
    banks.read({A: [one | {"number": "123456"}], B: [other]})

    assert set(banks.positions) == {"acc_2"}


def test_deciding_again_changes_nothing() -> None:
    banks = Banks().read({A: POCKETS, B: [listed(9, "5000", iban=IBAN)], C: renumbered(POCKETS, 20)})
    first = banks.matching
    for _ in range(2):
        banks.decide()
        assert banks.matching == first


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_the_cost_is_linear_in_the_number_of_accounts(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons of two accounts are counted: a few for each account, for any number of accounts."""
    from pfo_pipeline.operations import account_matching

    counted = 0
    for name in ("is_compatible", "stood_side_by_side", "advanced_side_by_side", "do_numbers_differ"):
        original = getattr(account_matching, name)

        def counting(*arguments: Any, original: Any = original) -> Any:
            nonlocal counted
            counted += 1
            return original(*arguments)

        monkeypatch.setattr(account_matching, name, counting)
    accounts = [
        listed(n, "1", number=f"{n % (size // 2) + 10**7}", name="Account", bank=f"bank {n % 7}")
        for n in range(1, size + 1)
    ]
    lists: dict[tuple[str, str, str | None], Sequence[dict[str, Any]]] = {
        ("anna", str(n // 20), None): accounts[n : n + 20] for n in range(0, size, 20)
    }
    banks = Banks().read(lists)
    banks.read(lists)

    assert counted <= 20 * size
