"""One day at a bank, drawn from a seed: amounts as they may be sent, dates around a midnight, ends of access.

The right answer is drawn together with each record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from pfo_pipeline_tests.oracle.script import Moment, Record, Script, UserState, account, connection, paris, source

DAY = date(2026, 6, 30)
NOW = datetime(2026, 7, 4, 8, tzinfo=UTC)
WAITING = ("webauthRequired", "SCARequired", "additionalInformationNeeded", "decoupled", "validating")
_PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True)
class Drawn:
    """A script of one moment, and its right answer."""

    script: Script
    amounts: Mapping[str, Decimal | None]
    """By Powens' id of the account; None if the amount cannot be kept."""
    rounded: frozenset[str]
    """The accounts whose kept amount differs from the one that was sent."""
    total: Mapping[str, Decimal]
    """By currency: the sum of the accounts whose balance is dated before the end of DAY in the time zone."""
    consents: Mapping[str, datetime | None]
    """By Powens' id of the connection: when its access ends."""


def drawn(seed: int, zone: str) -> Drawn:
    random = Random(seed)  # noqa: S311 - chance, not secrecy
    midnight = datetime.combine(DAY + timedelta(days=1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    connections: list[Record] = []
    accounts: list[Record] = []
    consents: dict[str, datetime | None] = {}
    amounts: dict[str, Decimal | None] = {}
    rounded: set[str] = set()
    total: dict[str, Decimal] = {}
    for number in range(1, 5):
        record, consents[str(number)] = _connection(random, number)
        connections.append(record)
        for place in range(6):
            row = number * 100 + place
            code = random.choice(("EUR", "EUR", "USD", "JPY", "KWD", "BTC"))
            sent, kept, is_rounded = _amount(random, code)
            seconds = random.choice((-86_400, -3_600, -1, 0, 1, 3_600, 86_400))
            at = midnight + timedelta(seconds=seconds)
            told = {"balance": sent, "currency": code, "name": f"Compte {row}", "number": f"1234500{row}"}
            accounts.append(account(row, number, None, at, **told))
            amounts[str(row)] = kept
            if is_rounded:
                rounded.add(str(row))
            if kept is not None and at < midnight:
                total[code] = total.get(code, Decimal(0)) + kept
    state = UserState(tuple(connections), tuple(accounts))
    return Drawn(Script((Moment(NOW, {"jane": state}),)), amounts, frozenset(rounded), total, consents)


def _amount(random: Random, code: str) -> tuple[Any, Decimal | None, bool]:
    """Return the amount sent (a Decimal as a JSON number), the amount kept, and whether the two differ."""
    places = _PLACES.get(code, 8)
    whole = Decimal(random.randrange(-(10**7), 10**7)).scaleb(-places)
    kinds = ["number", "text", "too large"] + (["coin"] if code == "BTC" else ["noise", "text with noise", "far"])
    match random.choice(kinds):
        case "number":
            return whole, whole, False
        case "text":
            return f"{whole:f}", whole, False
        case "too large":
            return Decimal(10) ** 18 * random.choice((1, -1)), None, False
        case "coin":
            exact = whole + Decimal(random.randrange(1, 10**8)).scaleb(-18)
            with localcontext(prec=60):
                kept = exact.quantize(Decimal(1).scaleb(-10), ROUND_HALF_EVEN)
            return exact, kept, kept != exact
        case "noise":
            return whole + Decimal(random.choice((1, -1)) * random.randrange(1, 99)).scaleb(-14), whole, True
        case "text with noise":
            return f"{whole + Decimal(1).scaleb(-14):f}", None, False
        case _:  # Further from a whole number than noise is, and with more digits than the ledger has.
            return whole + Decimal("0.00050000000001"), None, False


def _connection(random: Random, number: int) -> tuple[Record, datetime | None]:
    """Return a connection and the end of its access: that of the first source in use; a login has none."""
    ends: list[datetime] = []
    sources = []
    for place in range(random.randrange(1, 4)):
        end = NOW.replace(microsecond=0) + timedelta(days=random.randrange(1, 170))
        has_end, is_disabled = random.random() < 0.7, random.random() < 0.3
        ends += [end] if has_end and not is_disabled else []
        disabled = paris(NOW - timedelta(days=9)) if is_disabled else None
        told = {"access_expire": paris(end) if has_end else None, "disabled": disabled}
        sources.append(source(number * 10 + place, number, NOW, f"source {place}", **told))
    state = random.choice((None, None, *WAITING))
    own = random.choice((None, NOW + timedelta(hours=2)))
    right = min(ends) if ends else None if state in WAITING else own
    return connection(
        number, NOW, *sources, bank=f"Banque {number}", state=state, error=state, expire=paris(own)
    ), right
