"""The cash page of the demonstration after most of a year: three tenants, seven currencies, fictitious rates.

For pictures, because every balance of it is the same in every run.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.ledger.reader import published_reader
from pfo_pipeline.report.build import PageRequest, gather
from pfo_pipeline.report.model import CashPage
from pfo_pipeline.report.rates import Rates
from pfo_pipeline_tests import demo_year

_SINCE = timedelta(days=12)
_NAMES = {
    ("martin", "claire"): "Claire Martin",
    ("martin", "paul"): "Paul Martin",
    ("lindqvist", "astrid"): "Astrid Lindqvist",
    ("lindqvist", "nils"): "Nils Lindqvist",
    ("moreau", "helene"): "Hélène Moreau",
}


def demonstration(folder: Path) -> CashPage:
    """As of the last day of the year; playing the bank through the year takes most of half a minute."""
    published = demo_year.build(folder)
    rates = folder / "rates.csv"
    rates.write_text("\n".join(["Date,USD,GBP,CHF,JPY,", *_made_up(demo_year.TODAY.date())]), encoding="utf-8")
    return gather(
        published_reader(published),
        PageRequest(("martin", "lindqvist", "moreau"), since=demo_year.TODAY - _SINCE),
        office="demo",
        title="Three families",
        names=_NAMES,
        timezone="Europe/Paris",
        limits=Freshness(),
        rates=Rates.read(rates, "EUR"),
        now=demo_year.TODAY,
    )


def _made_up(last: date) -> Iterator[str]:
    """Working days of a year, the newest first as in the ECB's file; each currency varies around a plausible rate."""
    for ago in range(365):
        day = last - timedelta(days=ago)
        if day.weekday() < 5:
            step = day.toordinal() * 37 % 19 - 9
            wanders = {4: 10_800 + 3 * step, 5: 86_000 + 5 * step, 6: 945_000 + 40 * step, 2: 16_250 + 3 * step}
            rates = (f"{whole // 10**places}.{whole % 10**places:0{places}}" for places, whole in wanders.items())
            yield f"{day},{','.join(rates)},"
