"""Writing amounts, dates and ages for people."""

from datetime import datetime, timedelta
from decimal import Decimal

from babel.numbers import get_currency_precision

from pfo_pipeline.contracts.records import plain


def amount(value: Decimal | None, currency: str | None) -> str:
    """The amount with the currency's usual decimals, or as many as it has: never rounded."""
    if value is None:
        return "—"
    digits = len(plain(value).partition(".")[2])
    return f"{value:,.{max(digits, get_currency_precision(currency or ''))}f}".replace(",", " ")


def moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}Z" if value else "—"


def until(value: datetime | None, now: datetime) -> str:
    """A moment to come and the whole days that are left to it."""
    if value is None:
        return "—"
    return f"{moment(value)} ({f'{(value - now).days} d' if value > now else 'over'})"


def age(as_of: datetime | None, now: datetime, limit: timedelta) -> str:
    """`fresh` or `stale` by its limit, and how old the figure is; a bank's own date may be ahead of us."""
    if as_of is None:
        return "no figure"
    if as_of > now:
        return "in the future"
    old = now - as_of
    hours = int(old.total_seconds() // 3600)
    return f"{'fresh' if old <= limit else 'stale'} ({f'{hours} h' if hours < 48 else f'{hours // 24} d'})"


def ago(length: timedelta) -> str:
    """How long since; or how far ahead of this machine's clock, by which a wrong one has dated it."""
    return f"{duration(length)} ago" if length >= timedelta(0) else f"{duration(-length)} ahead of this clock"


def duration(length: timedelta) -> str:
    """One number and its unit, rounded down; what a clock that was put back makes negative is 0."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
