"""The cash page as an asset: written for the tenant whose balances were just published, with a preview without names."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg

from pfo_pipeline.config import Config
from pfo_pipeline.contracts.records import EXACT, plain
from pfo_pipeline.defs.failures import named_errors
from pfo_pipeline.defs.from_contract import ASSET_KEYS, CASH_PAGE, tenants
from pfo_pipeline.defs.metadata import cell, table, without_content
from pfo_pipeline.defs.resources import OfficeResource
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.report.output import PUBLIC_MODE, page_path, remove_pages, write_page
from pfo_pipeline.telemetry import measured

if TYPE_CHECKING:
    from pfo_pipeline.report.model import Bridge, CashPage
    from pfo_pipeline.report.rates import Rates

_RATES = dg.AssetCheckSpec(
    "rates_can_be_used", asset=CASH_PAGE, description="The rates file, where one is configured, holds usable rates."
)


@dg.asset(
    key=CASH_PAGE,
    group_name=CASH_PAGE.path[0],
    deps=[ASSET_KEYS["fetch-balances"]],
    partitions_def=tenants,
    kinds={"duckdb", "altair"},
    owners=["team:platform.finance"],
    description=(
        "One page for people: how much there is, where, in which currency, as of when, and what changed; from the published "
        "ledger, into `reports/TENANT.html` beside it. It needs no server and no network.\n\n"
        "Not written where `[report]` says `after_refresh = false`, or the ledger is encrypted."
    ),
    check_specs=[_RATES],
    output_required=False,
)
def cash_page(
    context: dg.AssetExecutionContext, office: OfficeResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    with named_errors("write-cash-page"):
        config = office.config()
        if config.writes_pages:
            made: dg.MaterializeResult[None] | dg.AssetCheckResult = _made(context, office, config)
        else:
            context.log.info("No page: [report] after_refresh is off, as it is where the ledger is encrypted.")
            # An old page would be mistaken for the newest.
            remove_pages(office.files().data_dir, [context.partition_key])
            made = dg.AssetCheckResult(check_name=_RATES.name, passed=True, description="No page is written.")
    yield made


def _made(context: dg.AssetExecutionContext, office: OfficeResource, config: Config) -> dg.MaterializeResult[None]:
    """Write the page of the run's tenant."""
    # Imported late: only a run that writes a page needs it, and it takes a fifth of this package's load time.
    from pfo_pipeline.report.build import PageRequest, make_page

    rates, checked = _rates(config)
    tenant_id = context.partition_key
    with measured("pfo.report", tenant=tenant_id, run_id=context.run.run_id):
        page, html = make_page(
            office.published(),
            PageRequest((tenant_id,)),
            office=config.office,
            config=config,
            rates=rates,
            now=utc_now(),
        )
        path = page_path(office.files().data_dir, tenant_id)
        write_page(path, html, mode=PUBLIC_MODE)
    size = len(html.encode("utf-8"))
    metadata = {"page": dg.MetadataValue.path(str(path)), "size_bytes": size, **_described(page)}
    if config.is_encrypted:
        metadata = without_content(metadata)
    return dg.MaterializeResult(metadata=metadata, check_results=[checked])


def _rates(config: Config) -> tuple["Rates | None", dg.AssetCheckResult]:
    """Read the rates. A page without conversions is better than none: its balances are the bank's."""
    from pfo_pipeline.report.rates import RatesError, rates_of

    try:
        return rates_of(config), dg.AssetCheckResult(check_name=_RATES.name, passed=True)
    except RatesError as mistake:
        return None, dg.AssetCheckResult(
            check_name=_RATES.name,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"The page converts nothing. {mistake}",
        )


def _described(page: "CashPage") -> dict[str, dg.MetadataValue | int]:
    states = f"Stale or without a figure: {page.stale_accounts}. Waiting for a person: {page.waiting_for_a_person}."
    return {
        "preview": dg.MetadataValue.md(f"{_cash(page)}\n\n{states}"),
        "as_of": dg.MetadataValue.timestamp(page.as_of),
        "known_at": dg.MetadataValue.timestamp(page.known_at),
        "accounts": len(page.positions),
        "stale": page.stale_accounts,
        "waiting_for_a_person": page.waiting_for_a_person,
    }


def _cash(page: "CashPage") -> str:
    bridges = {b.currency: b for b in (page.changes.bridges if page.changes else ()) if b.side == "total"}
    cash = {a.currency: a.total for a in page.cash}
    rows = [
        (
            cell(a.currency),
            str(a.accounts),
            plain(cash.get(a.currency, Decimal(0))),
            plain(a.total),
            _change(bridges.get(a.currency)),
            plain(a.stale or Decimal(0)),
        )
        for a in page.total
    ]
    since = f"since {page.changes.since:%Y-%m-%d %H:%M}Z" if page.changes else "since the last report"
    head: Sequence[str] = ("currency", "accounts", "cash", "in all", since, "of it stale")
    return str(table(head, rows, nothing="No figure yet.").value)


def _change(bridge: "Bridge | None") -> str:
    if bridge is None:
        return ""
    difference: Decimal = EXACT.subtract(bridge.after, bridge.before)
    return f"{'+' if difference > 0 else ''}{plain(difference)}"
