"""A cash page from a ledger and a configuration: what `pfo report` and the asset have in common.

Not here: what is on it (gathering.py), how it looks (page.py), where it is kept (files.py).
"""

from collections.abc import Collection
from datetime import datetime

from pfo_pipeline.config import Config
from pfo_pipeline.config.model import DEFAULT_TIMEZONE, ReportSettings
from pfo_pipeline.contracts.freshness import Freshness
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.report.contents import CashPage
from pfo_pipeline.report.gathering import Asked, gather
from pfo_pipeline.report.page import render
from pfo_pipeline.report.rates import Rates


def timezone_of(config: Config | None, tenant_ids: Collection[str]) -> str:
    """In which the days of these tenants begin and end: their own, or UTC where they have several."""
    zones = {tenant.timezone for tenant in config.tenants if tenant.id in tenant_ids} if config else set()
    return "UTC" if len(zones) > 1 else next(iter(zones), DEFAULT_TIMEZONE)


def make_page(
    reader: Reader, asked: Asked, *, office: str, config: Config | None, rates: Rates | None, now: datetime
) -> tuple[CashPage, str]:
    """What a page says, and the page.

    Args:
        config: Names of tenants and members, where personal columns are published, time zones, limits; None where nothing is
            configured.
        rates: As `rates_of` gives them; None converts nothing.
    Raises: LedgerError; MomentRefused: no such moment can be told of.
    """
    tenants = [tenant for tenant in config.tenants if tenant.id in asked.tenant_ids] if config else []
    named = tenants if config and config.publish_personal_columns else []
    alone = len(asked.tenant_ids) == 1
    name = named[0].name if alone and named else ""
    page = gather(
        reader,
        asked,
        office=office,
        title=name or (asked.tenant_ids[0] if alone else office),
        names={(tenant.id, user.id): user.name for tenant in named for user in tenant.users if user.name},
        timezone=timezone_of(config, asked.tenant_ids),
        limits=config.freshness if config else Freshness(),
        rates=rates,
        now=now,
    )
    settings = config.report if config else ReportSettings()
    return page, render(page, settings.locale)
