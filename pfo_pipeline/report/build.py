"""Builds the cash page of a tenant from one opening of the published ledger, and the configuration."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from pfo_pipeline.config import Config
from pfo_pipeline.config.model import DEFAULT_TIMEZONE, ReportSettings
from pfo_pipeline.contracts.operations import REFRESH_BALANCES, Freshness
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import APART, AccountAsOf, DatedBalance, KnownConnection
from pfo_pipeline.ledger.moments import (
    accounts_at,
    coverage_at,
    first_balance_at,
    last_complete_load,
    newest_loads,
    possible_doubles_at,
    shared_accounts_at,
    totals_by_day,
)
from pfo_pipeline.ledger.reader import ALWAYS, Reader
from pfo_pipeline.operations.action_items import ActionItem, find_action_items
from pfo_pipeline.operations.consents import consents_that_matter
from pfo_pipeline.operations.coverage import possibly_double_by_currency
from pfo_pipeline.operations.freshness import compute_age
from pfo_pipeline.report.changes import changes_since
from pfo_pipeline.report.layout import render
from pfo_pipeline.report.model import CashPage, Consent, LoadReference, Position
from pfo_pipeline.report.rates import Rates
from pfo_pipeline.report.totals import (
    amounts_of,
    breakdowns_of,
    classes_of,
    coverage_lines,
    days_up_to,
    ends_of,
    exact_sum,
    history_of,
    reference_history_of,
    reference_of,
    start_of,
)

_YEARS = range(1900, 9000)


class MomentRefused(PfoError):
    """No page can be made for this date or time."""


@dataclass(frozen=True)
class PageRequest:
    """The request for a page: which tenants, as of when, as known when, and compared with which time."""

    tenant_ids: tuple[str, ...]
    as_of: datetime | None = None
    """None: the newest balances; ages are then counted from now."""
    known_at: datetime | None = None
    """None: everything that is known."""
    since: datetime | None = None
    """None: the last report, which is the newest complete refresh of balances of an earlier day."""

    def __post_init__(self) -> None:
        """Raises: MomentRefused."""
        for name, moment in (("as_of", self.as_of), ("known_at", self.known_at), ("since", self.since)):
            if moment is None:
                continue
            if moment.tzinfo is None:
                raise MomentRefused(f"{name}: {moment.isoformat()} has no time zone. Add one, such as Z for UTC.")
            if moment.year not in _YEARS:
                raise MomentRefused(f"{name}: the year {moment.year} is out of range. Take a year from 1900 to 8999.")


def gather(
    reader: Reader,
    request: PageRequest,
    *,
    office: str,
    title: str,
    names: Mapping[tuple[str, str], str],
    timezone: str,
    limits: Freshness,
    rates: Rates | None,
    now: datetime,
) -> CashPage:
    """Collect the contents of a page from one state of the ledger.

    Args:
        names: Members by tenant and user id.
        timezone: Time zone in which days begin and end.
        limits: Age limits of balances.
        rates: None: nothing is converted.
    Raises:
        LedgerError: as Reader does.
        MomentRefused: `since` is after the page's time, or after `known_at`.
    """
    tenant_ids = tuple(dict.fromkeys(request.tenant_ids))
    zone = ZoneInfo(timezone)
    moment, until, known_at = (
        (request.as_of or now).astimezone(UTC),
        request.as_of or ALWAYS,
        request.known_at or ALWAYS,
    )
    _refuse_later(request.since, moment, known_at)
    days = days_up_to(moment, zone)
    with reader.at_once() as ledger:
        loads = newest_loads(ledger, tenant_ids, known_at)
        accounts = accounts_at(ledger, tenant_ids, until, known_at)
        connections = [(tenant, c) for tenant in tenant_ids for c in ledger.connections(tenant, known_at=known_at)]
        positions = _positions(accounts, limits, moment, rates, days[-1])
        totals = totals_by_day(ledger, tenant_ids, ends_of(days, zone, until), known_at)
        last_report = _last_report(ledger, tenant_ids, start_of(days[-1], zone), known_at)
        since = request.since or last_report
        stale = {(p.tenant_id, p.account_id) for p in positions if p.is_stale}
        covered = coverage_at(ledger, tenant_ids, until, known_at)
        reference = reference_of(positions, rates, days[-1]) if rates else None
        return CashPage(
            office=office,
            title=title,
            tenant_ids=tenant_ids,
            names=dict(names),
            timezone=timezone,
            as_of=moment,
            known_at=(request.known_at or max([now, *(load.recorded_at for load in loads)])).astimezone(UTC),
            positions=positions,
            cash=amounts_of(p for p in positions if p.account_class == "cash"),
            classes=classes_of(positions),
            total=amounts_of(p for p in positions if p.side == "total"),
            liabilities=amounts_of(p for p in positions if p.side == "loans"),
            unclassified=amounts_of(p for p in positions if p.side == "unclassified"),
            possibly_double=possibly_double_by_currency(possible_doubles_at(ledger, tenant_ids, until, known_at)),
            shared=tuple(shared_accounts_at(ledger, tenant_ids, until, known_at)) if len(tenant_ids) > 1 else (),
            coverage=coverage_lines(covered),
            breakdowns=breakdowns_of(positions, names),
            reference=reference,
            history=history_of(days, totals),
            reference_history=reference_history_of(days, totals, reference, rates) if reference and rates else None,
            changes=changes_since(ledger, tenant_ids, since, last_report, accounts, known_at, stale, covered)
            if since
            else None,
            action_items=_in_order(find_action_items(ledger, tenant_ids, limits, moment, known_at=known_at)),
            consents=_consents(connections, (a for a in accounts if a.counts), moment),
            sources=tuple(LoadReference(load.tenant_id, load.run_id, load.recorded_at, load.hash) for load in loads),
            first_as_of=first_balance_at(ledger, tenant_ids, known_at),
        )


def _refuse_later(since: datetime | None, moment: datetime, known_at: datetime) -> None:
    if since is not None and since > min(moment, known_at):
        of_what = "the page's own moment" if since > moment else "what the page may know"
        raise MomentRefused(f"since: {since.isoformat()} is after {of_what}. Take an earlier one.")


def _last_report(
    ledger: Reader, tenant_ids: Sequence[str], start_of_day: datetime, known_at: datetime
) -> datetime | None:
    return last_complete_load(ledger, tenant_ids, REFRESH_BALANCES.key, before=start_of_day, known_at=known_at)


def _positions(
    accounts: Sequence[AccountAsOf], limits: Freshness, moment: datetime, rates: Rates | None, day: date
) -> tuple[Position, ...]:
    positions = [_position(account, limits, moment, rates, day) for account in accounts if account.counts]
    return tuple(
        sorted(positions, key=lambda p: (p.tenant_id, p.institution_name, p.account_type, p.display_name, p.account_id))
    )


def _position(account: AccountAsOf, limits: Freshness, moment: datetime, rates: Rates | None, day: date) -> Position:
    judged = compute_age(_figure(account), limits, moment, read_at=None)
    return Position(
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        user_id=account.user_id,
        institution_name=account.institution_name,
        display_name=account.display_name,
        account_type=account.account_type,
        account_class=account.account_class,
        currency=account.currency,
        current=account.current_balance,
        available=account.available_balance,
        as_of=account.as_of,
        recorded_at=account.recorded_at,
        age=judged.at_bank,
        limit=judged.limit,
        is_stale=judged.is_stale,
        converted=_converted(account, rates, day),
    )


def _converted(account: AccountAsOf, rates: Rates | None, day: date) -> Decimal | None:
    if rates is None or account.current_balance is None or account.currency is None:
        return None
    return rates.convert(account.current_balance, account.currency, day)


def _figure(account: AccountAsOf) -> DatedBalance:
    return DatedBalance(
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        institution_name=account.institution_name,
        account_type=account.account_type,
        account_class=account.account_class,
        currency=account.currency,
        current_balance=account.current_balance,
        connection_id=account.connection_id,
        connection_status=account.connection_status,
        who_acts=account.who_acts,
        connection_class=account.connection_class,
        as_of=account.as_of,
        synced_at=account.synced_at,
        recorded_at=account.recorded_at,
    )


def _in_order(items: list[ActionItem]) -> tuple[ActionItem, ...]:
    """Those that need a person first; then by tenant, user and bank."""
    return tuple(
        sorted(items, key=lambda i: (not i.needs_person, i.tenant_id, i.user_id, i.institution_name or "", i.why))
    )


def _consents(
    connections: Iterable[tuple[str, KnownConnection]], accounts: Iterable[AccountAsOf], moment: datetime
) -> tuple[Consent, ...]:
    """Every consent with an end, the earliest first.

    Args:
        accounts: The counted accounts.
    """
    behind: dict[tuple[str, str], list[AccountAsOf]] = defaultdict(list)
    for account in accounts:
        behind[account.tenant_id, account.connection_id].append(account)
    tenants: dict[str, list[KnownConnection]] = defaultdict(list)
    for tenant_id, connection in connections:
        tenants[tenant_id].append(connection)
    consents = [
        Consent(
            tenant_id=tenant_id,
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            institution_name=connection.institution_name,
            ends_at=ends_at,
            days_left=(ends_at - moment).days,
            accounts=len(mine := behind[tenant_id, connection.connection_id]),
            amounts=_amounts(mine),
        )
        for tenant_id, some in tenants.items()
        for connection, ends_at in consents_that_matter(some)
    ]
    return tuple(sorted(consents, key=lambda consent: (consent.ends_at, consent.tenant_id, consent.connection_id)))


def _amounts(accounts: Sequence[AccountAsOf]) -> tuple[tuple[str, Decimal], ...]:
    by_currency: dict[str, list[Decimal]] = defaultdict(list)
    for account in accounts:
        if account.current_balance is not None and account.currency and account.account_class not in APART:
            by_currency[account.currency].append(account.current_balance)
    return tuple((currency, exact_sum(amounts)) for currency, amounts in sorted(by_currency.items()))


def timezone_of(config: Config | None, tenant_ids: Collection[str]) -> str:
    """Time zone of the days of these tenants: their own, or UTC if they have several."""
    zones = {tenant.timezone for tenant in config.tenants if tenant.id in tenant_ids} if config else set()
    return "UTC" if len(zones) > 1 else next(iter(zones), DEFAULT_TIMEZONE)


def make_page(
    reader: Reader, request: PageRequest, *, office: str, config: Config | None, rates: Rates | None, now: datetime
) -> tuple[CashPage, str]:
    """Collect the contents of a page, and render the page.

    Args:
        config: Names of tenants and members, if personal columns are published, time zones, limits; None without a
            configuration.
        rates: From `rates_of`; None converts nothing.
    Raises: LedgerError; MomentRefused: no page can be made for this time.
    """
    tenants = [tenant for tenant in config.tenants if tenant.id in request.tenant_ids] if config else []
    named = tenants if config and config.publish_personal_columns else []
    alone = len(request.tenant_ids) == 1
    name = named[0].name if alone and named else ""
    page = gather(
        reader,
        request,
        office=office,
        title=name or (request.tenant_ids[0] if alone else office),
        names={(tenant.id, user.id): user.name for tenant in named for user in tenant.users if user.name},
        timezone=timezone_of(config, request.tenant_ids),
        limits=config.freshness if config else Freshness(),
        rates=rates,
        now=now,
    )
    settings = config.report if config else ReportSettings()
    return page, render(page, settings.locale)
