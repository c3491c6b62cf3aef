"""Export one tenant's accounts to beancount: an `open` directive and a `balance` assertion for each account.

Facts: beancount's own `parser/lexer.l`, `core/account.py`, `core/amount.py`, and "Balance Assertions" in its language syntax.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, count
from pathlib import Path

import duckdb
from babel.numbers import get_currency_precision, list_currencies

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.export_queries import POSITIONS

ACCOUNTS = "accounts.beancount"
BALANCES = "balances.beancount"

_OPENED = "1970-01-01"
"""Banks do not send the opening date of an account; beancount refuses bookings before it."""
_LIABILITIES = ("loan", "card")
"""Account classes that become liabilities."""
_CURRENCY = re.compile(r"[A-Z](?:[A-Z0-9'._-]{0,22}[A-Z0-9])?")
_DIGITS_OF_A_COIN = 8

# Every account ever known, including disabled and deleted ones, because bookings on them remain. The beancount name is made
# from the account's first name, so that a rename at the bank does not change somebody's books. All other columns are the
# newest.
_BANK_ACCOUNTS = f"""
    with versions as (
        select
            a.*, i.canonical_id, (a.load_id, a.account_id) as place,
            coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class
        from accounts a
        join account_identity_as_of($known_at::timestamptz) i
            on i.tenant_id = a.tenant_id and i.account_id = a.account_id
        left join account_types t on t.account_type = a.account_type
        where a.tenant_id = $tenant and a.recorded_at <= $known_at::timestamptz
    ),
    known as (
        select
            canonical_id as account_id,
            min(place) as first_place,
            arg_min(institution_name, place) as first_institution,
            arg_min(display_name, place) as first_name,
            arg_max(institution_name, place) as institution,
            arg_max(display_name, place) as name,
            arg_max(account_type, place) as type,
            arg_max(account_class, place) as account_class,
            arg_max(iban, place) as iban
        from versions
        group by canonical_id
    )
    select
        k.account_id, k.first_institution, k.first_name, k.institution, k.name, k.type, k.account_class, k.iban, p.currency,
        p.current_balance, p.as_of, p.recorded_at
    from known k
    left join ({POSITIONS}) p on p.account_id = k.account_id
    order by k.first_place
"""


@dataclass(frozen=True)
class BankAccount:
    """An account, once for all its links. Without a balance, the last four fields are None."""

    account_id: str
    first_institution: str
    first_name: str
    institution: str
    name: str
    type: str
    account_class: str
    iban: str | None
    currency: str | None
    current_balance: Decimal | None
    as_of: datetime | None
    recorded_at: datetime | None


def write_beancount(con: duckdb.DuckDBPyConnection, folder: Path, parameters: dict[str, str]) -> dict[str, int]:
    """Write both files into the folder and return the number of directives in each.

    Args:
        parameters: `tenant`, `as_of` and `known_at`, as in the queries of an export.
    """
    accounts = [BankAccount(*row) for row in con.execute(_BANK_ACCOUNTS, parameters).fetchall()]
    names = account_names(accounts)
    opened = [_open(account, names[account.account_id]) for account in accounts]
    asserted = sorted(
        _balance(account, account.current_balance, account.as_of, names[account.account_id])
        for account in accounts
        if account.current_balance is not None and account.as_of is not None
    )
    (folder / ACCOUNTS).write_text("\n".join(opened), encoding="utf-8")
    (folder / BALANCES).write_text("\n".join(asserted), encoding="utf-8")
    return {ACCOUNTS: len(opened), BALANCES: sum(not text.startswith(";") for text in asserted)}


def account_names(accounts: Sequence[BankAccount]) -> dict[str, str]:
    """Return a unique name for each account id.

    If two names would be equal, the account known later gets a part of its id as a suffix, so that a new account never changes
    an existing name.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for account in accounts:
        root = "Liabilities" if account.account_class in _LIABILITIES else "Assets"
        plain = f"{root}:{_component(account.first_institution)}:{_component(account.first_name)}"
        own = _component(account.account_id).lower()
        ends = chain((own[-length:] for length in range(min(6, len(own)), len(own))), (own * n for n in count(1)))
        name = next(name for name in chain([plain], (f"{plain}-{end}" for end in ends)) if name not in taken)
        names[account.account_id] = name
        taken.add(name)
    return names


def _component(text: str) -> str:
    """Return the text as an account component: letters and digits of any script, joined by hyphens.

    The component begins with a capital letter or a digit.
    """
    kept = "".join(
        c if _category(c)[0] == "L" or _category(c) == "Nd" else " " for c in unicodedata.normalize("NFC", text)
    )
    name = "-".join(kept.split())
    name = name[:1].upper() + name[1:]
    if not name or _category(name[0]) not in ("Lu", "Nd"):
        return f"X{name}"  # For scripts without capital letters and names without any letter.
    return name


def _category(character: str) -> str:
    return unicodedata.category(character)


def _open(account: BankAccount, name: str) -> str:
    return _directive(
        f"{_OPENED} open {name}",
        {
            "account-id": account.account_id,
            "institution": account.institution,
            "name": account.name,
            "type": account.type,
            "iban": account.iban,
        },
    )


def _balance(account: BankAccount, amount: Decimal, as_of: datetime, name: str) -> str:
    currency = account.currency or ""
    if not _CURRENCY.fullmatch(currency):
        return f"; Left out: {name}, whose currency beancount has no name for: {_quoted(currency)}\n"
    moments = {"as-of": _moment(as_of), "recorded-at": _moment(account.recorded_at)}
    return _directive(
        f"{_day(as_of)} balance {name}  {_number(amount, currency)} {currency}",
        {"account-id": account.account_id, **moments},
    )


def _day(as_of: datetime) -> str:
    """Return the date of the balance assertion: the UTC midnight nearest to the balance's time.

    An assertion holds at the start of its day. Most banks are read at night, when all bookings of the previous day are done
    and none of the new day.
    """
    return f"{as_of.astimezone(UTC) + timedelta(hours=12):%Y-%m-%d}"


def _number(amount: Decimal, currency: str) -> str:
    """Format an amount with all its digits, and with at least as many decimals as its currency has.

    Beancount tolerates a difference of twice half of the last digit.
    """
    digits = get_currency_precision(currency) if currency in list_currencies() else _DIGITS_OF_A_COIN
    exponent = amount.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int), "a stored amount is finite"
    return f"{amount:.{max(digits, -exponent)}f}"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _directive(line: str, metadata: dict[str, str | None]) -> str:
    lines = [f"  {key}: {_quoted(value)}" for key, value in metadata.items() if value is not None]
    return "\n".join([line, *lines, ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(" " if _category(c)[0] == "C" or _category(c) in ("Zl", "Zp") else c for c in escaped)}"'
