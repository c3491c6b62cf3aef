"""The files for beancount, checked line by line against its grammar, and against the ledger.

The rules here are those of beancount 3's `parser/lexer.l`, `parser/grammar.y` and `core/account.py`; a file that breaks one
would not load as a whole.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfo_pipeline.contracts.tables import IdentityRow
from pfo_pipeline.ledger.beancount import BankAccount, account_names
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.export import export_tenant
from pfo_pipeline.ledger.reader import open_published
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    OFFICE,
    SetClock,
    a_ledger,
    account,
    balance,
    batch,
)

HOSTILE = (
    'Compte "joint" \\ Épargne',
    "l'épargne: 50 %; vrai",
    "two\nlines\tand\0a null",
    "储蓄账户",
    "حساب جارٍ",
    "\u202eright to left\u202c",
    "💶💶",
    "   ",
    "1-2-3",
    "ßtrange",
    "ǆ",
    "e\u0301te\u0301",
    "Ⅷ ² ½",
    "-" * 300,
    "; comment",
    "open",
)


@dataclass
class Directive:
    date: str
    kind: str
    account: str
    number: str = ""
    currency: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


_DIRECTIVE = re.compile(
    r"(?P<date>(?:1[7-9]|2[01])\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])) "
    r"(?:(?P<open>open) (?P<opened>\S+)|(?P<balance>balance) (?P<asserted>\S+)  (?P<number>-?\d+(?:\.\d+)?) "
    r"(?P<currency>[A-Z](?:[A-Z0-9'._-]{0,22}[A-Z0-9])?))"
)
_METADATA = re.compile(r'  ([a-z][a-zA-Z0-9_-]+): "((?:[^"\\\n]|\\["\\])*)"')


def read(text: str) -> list[Directive]:
    """Return every directive of a file. A line that beancount does not accept is an assertion failure."""
    found: list[Directive] = []
    for line in text.split("\n"):
        if match := _DIRECTIVE.fullmatch(line):
            name = match["opened"] or match["asserted"]
            kind = match["open"] or match["balance"]
            found.append(Directive(match["date"], kind, name, match["number"] or "", match["currency"] or ""))
            assert_account(name)
        elif match := _METADATA.fullmatch(line):
            value = re.sub(r"\\(.)", r"\1", match[2])
            assert match[1] not in found[-1].metadata
            assert all(unicodedata.category(c)[0] != "C" for c in value)
            found[-1].metadata[match[1]] = value
        else:
            assert line == "" or line.startswith("; "), f"no line of beancount: {line!r}"
    return found


def assert_account(name: str) -> None:
    root, *components = name.split(":")
    assert root in ("Assets", "Liabilities")
    assert len(components) == 2, "one account below another would be asserted with it"
    for component in components:
        assert unicodedata.category(component[0]) in ("Lu", "Nd"), component
        assert all(c == "-" or unicodedata.category(c)[0] == "L" or unicodedata.category(c) == "Nd" for c in component)


@dataclass
class Book:
    opened: list[Directive]
    asserted: list[Directive]
    texts: str

    @property
    def names(self) -> dict[str, str]:
        """By account id."""
        return {d.metadata["account-id"]: d.account for d in self.opened}

    @property
    def amounts(self) -> list[str]:
        return [f"{d.date} {d.number} {d.currency}" for d in self.asserted]


def exported(
    ledger: Ledger, *, tenant: str = "smith", as_of: datetime | None = None, known_at: datetime | None = None
) -> Book:
    folder = ledger.files.data_dir / f"out-{len(list(ledger.files.data_dir.iterdir()))}"
    ledger.publish()
    with open_published(ledger.files.published) as con:
        export_tenant(con, tenant, folder, "beancount", as_of=as_of, known_at=known_at, now=APRIL_1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "accounts.beancount",
        "balances.beancount",
        "export.json",
    ]
    texts = [(folder / f"{name}.beancount").read_text(encoding="utf-8") for name in ("accounts", "balances")]
    book = Book(read(texts[0]), read(texts[1]), "".join(texts))
    assert {d.kind for d in book.opened} <= {"open"}
    assert {d.kind for d in book.asserted} <= {"balance"}
    assert len(book.names) == len(set(book.names.values())) == len(book.opened), "every account has its own name"
    assert {d.account for d in book.asserted} <= set(book.names.values()), "what is asserted is open"
    return book


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: SetClock) -> Ledger:
    return a_ledger(tmp_path / "data", clock=clock)


def test_an_account_is_opened_and_its_newest_balance_asserted(ledger: Ledger) -> None:
    ledger.merge(batch(account(), balance("7", MARCH_30), balance("12.34", MARCH_31)))
    ledger.merge(batch(account(tenant_id="jones"), balance("777.25", tenant_id="jones"), tenant_id="jones"))

    book = exported(ledger)

    [opened], [asserted] = book.opened, book.asserted
    assert (opened.date, opened.account) == ("1970-01-01", "Assets:Banque-Exemple:Compte-courant")
    assert opened.metadata == {
        "account-id": "acc_1",
        "institution": "Banque Exemple",
        "name": "Compte courant",
        "type": "checking",
        "iban": "FR7699999000820000011200012",
    }
    assert book.amounts == ["2026-03-31 12.34 EUR"]
    assert asserted.metadata == {
        "account-id": "acc_1",
        "as-of": "2026-03-31T05:00:00Z",
        "recorded-at": "2026-04-05T12:00:00Z",
    }


def test_any_moment_as_it_was_known_at_any_other(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(account(), balance("7", MARCH_30), balance("10", MARCH_31)))
    known = clock.now
    clock.advance(days=4)
    ledger.merge(batch(balance("12.50", MARCH_31), account("acc_2")))

    assert exported(ledger, as_of=MARCH_30).amounts == ["2026-03-30 7.00 EUR"]
    assert exported(ledger, known_at=known).amounts == ["2026-03-31 10.00 EUR"]
    assert set(exported(ledger, known_at=known).names) == {"acc_1"}
    assert exported(ledger, as_of=MARCH_30 - timedelta(days=9)).asserted == []


@pytest.mark.parametrize(
    ("moment", "date"),
    [
        ("2026-03-31T00:00:00+00:00", "2026-03-31"),
        ("2026-03-31T03:57:58+00:00", "2026-03-31"),
        ("2026-03-31T11:59:59+00:00", "2026-03-31"),
        ("2026-03-31T12:00:00+00:00", "2026-04-01"),
        ("2026-03-31T23:59:59.999999+00:00", "2026-04-01"),
        ("2026-12-31T23:00:00+00:00", "2027-01-01"),
    ],
)
def test_a_balance_is_asserted_at_the_nearest_midnight(ledger: Ledger, moment: str, date: str) -> None:
    """An assertion holds when its day begins: the balance at the end of the 31st belongs to the 1st."""
    ledger.merge(batch(account(), balance("1", datetime.fromisoformat(moment))))

    assert exported(ledger).amounts == [f"{date} 1.00 EUR"]


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("88433.3", "EUR", "88433.30"),
        ("0", "EUR", "0.00"),
        ("1E+3", "EUR", "1000.00"),
        ("-24150.33", "EUR", "-24150.33"),
        ("12.345", "EUR", "12.345"),
        ("-0.0000000001", "EUR", "-0.0000000001"),
        ("12345678901234567890.1234567891", "EUR", "12345678901234567890.1234567891"),
        ("171117077", "JPY", "171117077"),
        ("71206.73", "TND", "71206.730"),
        ("0.5", "BTC", "0.50000000"),
    ],
)
def test_an_amount_has_all_its_digits_and_at_least_those_of_its_currency(
    ledger: Ledger, amount: str, currency: str, written: str
) -> None:
    """0.5 BTC would tolerate a tenth of a bitcoin."""
    ledger.merge(batch(account(currency=currency), balance(amount, currency=currency)))

    [asserted] = exported(ledger).asserted

    assert (asserted.number, asserted.currency) == (written, currency)
    assert Decimal(asserted.number) == Decimal(amount)


@pytest.mark.parametrize("kind", ["loan", "mortgage", "consumercredit", "revolvingcredit", "card"])
def test_a_debt_is_a_liability_and_negative_as_at_the_bank(ledger: Ledger, kind: str) -> None:
    ledger.merge(batch(account(account_type=kind), balance("-24150.33")))

    [asserted] = exported(ledger).asserted

    assert (asserted.account, asserted.number) == ("Liabilities:Banque-Exemple:Compte-courant", "-24150.33")


def test_accounts_of_one_name_get_different_names_and_keep_them(ledger: Ledger, clock: SetClock) -> None:
    """A later account, or a rename at the bank, changes no name in somebody's books."""
    ledger.merge(batch(account("acc_ff00aa11bb22")))
    clock.advance(days=1)
    ledger.merge(batch(account("acc_00000000beef1"), account("acc_11111111beef1")))
    before = exported(ledger).names
    clock.advance(days=1)
    ledger.merge(batch(account("acc_00"), account("acc_ff00aa11bb22", display_name="Renamed", institution_name="New")))

    after = exported(ledger)

    plain = "Assets:Banque-Exemple:Compte-courant"
    assert before == {
        "acc_ff00aa11bb22": plain,
        "acc_00000000beef1": f"{plain}-0beef1",
        "acc_11111111beef1": f"{plain}-1beef1",
    }
    assert after.names == before | {"acc_00": f"{plain}-acc-00"}
    assert [d.metadata["name"] for d in after.opened if d.account == plain] == ["Renamed"]


def test_an_account_that_is_linked_twice_is_exported_once(ledger: Ledger) -> None:
    ledger.merge(batch(account("acc_1"), account("acc_2", user_id="john", connection_id="8")))
    ledger.merge(batch(balance("5", MARCH_30, account_id="acc_1"), balance("6", MARCH_31, account_id="acc_2")))
    same = IdentityRow(tenant_id="smith", account_id="acc_2", same_as="acc_1", evidence="iban", decided_by="evidence")
    ledger.merge(batch(same))

    book = exported(ledger)

    assert list(book.names) == ["acc_1"]
    assert book.amounts == ["2026-03-31 6.00 EUR"]


def test_an_account_without_balance_or_consent_is_opened_without_an_assertion(ledger: Ledger) -> None:
    ledger.merge(batch(account("acc_1"), account("acc_2", disabled_at=MARCH_30), balance("5", account_id="acc_2")))

    book = exported(ledger)

    assert set(book.names) == {"acc_1", "acc_2"}
    assert book.asserted == []


def test_any_name_becomes_a_valid_beancount_name(ledger: Ledger) -> None:
    named = [account(f"acc_{n}", display_name=name, institution_name=name) for n, name in enumerate(HOSTILE)]
    ledger.merge(batch(*named, *(balance(str(n), account_id=f"acc_{n}") for n in range(len(HOSTILE)))))

    book = exported(ledger)

    assert len(book.asserted) == len(HOSTILE)
    assert book.names["acc_0"] == "Assets:Compte-joint-Épargne:Compte-joint-Épargne"
    assert book.names["acc_3"] == "Assets:X储蓄账户:X储蓄账户"
    assert book.names["acc_11"] == "Assets:Été:Été"
    assert book.opened[0].metadata["name"] == HOSTILE[0]


@pytest.mark.parametrize("currency", ["1INCH", "eur", "$", "X" * 25, "A B", "A\nB", "A-"])
def test_a_currency_that_beancount_cannot_name_is_left_out_and_reported(ledger: Ledger, currency: str) -> None:
    ledger.merge(batch(account(currency=currency), balance("5", currency=currency)))

    book = exported(ledger)

    assert book.asserted == []
    assert "; Left out: Assets:Banque-Exemple:Compte-courant" in book.texts


@given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from(HOSTILE) | st.text(max_size=12)), max_size=12))
def test_any_account_name_of_a_bank_becomes_a_name_that_beancount_accepts(called: list[tuple[str, str]]) -> None:
    accounts = [
        BankAccount(f"acc_{n}", bank, name, bank, name, "checking", "cash", None, None, None, None, None)
        for n, (bank, name) in enumerate(called)
    ]

    names = account_names(accounts)

    assert len(set(names.values())) == len(accounts)
    for name in names.values():
        assert_account(name)
    assert account_names(accounts[:-1]).items() <= names.items(), "who comes later renames nobody"


def test_two_thousand_accounts_of_one_name_get_different_names(ledger: Ledger) -> None:
    rows = [account(f"acc_{n:020x}") for n in range(2000)]
    ledger.merge(batch(*rows, *(balance(str(n), account_id=f"acc_{n:020x}") for n in range(2000))))

    book = exported(ledger)

    assert len(book.asserted) == 2000


def test_without_personal_columns_neither_name_nor_iban_is_written(tmp_path: Path) -> None:
    ledger = Ledger(LedgerFiles(tmp_path / "data"), OFFICE, clock=SetClock(), publish_personal=False)
    ledger.merge(batch(account(display_name="Compte de Jeanne"), balance("5")))

    book = exported(ledger)

    assert book.names == {"acc_1": "Assets:Banque-Exemple:Acc-1"}
    assert "iban" not in book.opened[0].metadata
    assert "Jeanne" not in book.texts


def test_the_same_times_give_the_same_files(ledger: Ledger, clock: SetClock) -> None:
    ledger.merge(batch(account(), account("acc_2"), balance("5"), balance("6", account_id="acc_2")))
    then = clock.now.astimezone(UTC)
    first = exported(ledger, as_of=MARCH_31, known_at=then).texts
    clock.advance(days=1)
    ledger.merge(batch(account("acc_0"), balance("9", APRIL_1), account("acc_1", display_name="Other")))

    assert exported(ledger, as_of=MARCH_31, known_at=then).texts == first
