"""Tables of positions, totals, freshness and action items, which `pfo status` and the end of `pfo run` print."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pfo_pipeline.alerts.notify import list_unreached
from pfo_pipeline.alerts.state import AlertsError, read_alerts
from pfo_pipeline.cli.context import Place
from pfo_pipeline.cli.output import age, ago, amount, duration, moment, until, visible
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.ledger.known import KnownAccount, KnownConnection, Total
from pfo_pipeline.operations.action_items import ActionItem, find_action_items
from pfo_pipeline.operations.consents import ending_consents
from pfo_pipeline.operations.coverage import REASONS, TenantCoverage, coverage_of
from pfo_pipeline.operations.freshness import CLOCK_DRIFT, BalanceAge, TenantFreshness, freshness_of


@dataclass(frozen=True)
class TenantView:
    """One tenant in the published ledger."""

    tenant_id: str
    accounts: list[KnownAccount]
    connections: list[KnownConnection]
    totals: list[Total]
    action_items: list[ActionItem]
    coverage: TenantCoverage
    freshness: TenantFreshness
    limits: Freshness

    def status(self, connection: KnownConnection) -> str:
        """The status of a connection in a few words."""
        items = [item.why for item in self.action_items if item.connection_id == connection.connection_id]
        return ", ".join(items) if items and connection.status == "healthy" else connection.status


def views_of(place: Place, tenant_ids: list[str], now: datetime) -> list[TenantView]:
    """In their order, from one state of the ledger. Raises: LedgerError, SecretError."""
    limits = place.config.freshness if place.config else Freshness()
    with place.reader.at_once() as reader:
        coverages = {one.tenant_id: one for one in coverage_of(reader, tenant_ids)}
        return [
            TenantView(
                fresh.tenant_id,
                sorted(
                    reader.accounts(fresh.tenant_id),
                    key=lambda a: (a.institution_name, a.account_type, a.display_name, a.account_id),
                ),
                reader.connections(fresh.tenant_id),
                reader.totals(fresh.tenant_id),
                find_action_items(reader, [fresh.tenant_id], limits, now),
                coverages[fresh.tenant_id],
                fresh,
                limits,
            )
            for fresh in freshness_of(reader, tenant_ids, limits, now)
        ]


def positions(views: Iterable[TenantView], now: datetime) -> Table:
    table = Table(title="Cash positions", title_justify="left")
    for name in ("Tenant", "Institution", "Account", "Type", "Class", "Currency"):
        table.add_column(name)
    for name in ("Current", "Available"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("As of", no_wrap=True)
    table.add_column("Freshness", no_wrap=True)
    for view in views:
        limits = {one.balance.account_id: one.limit for one in view.freshness.accounts}
        for a in view.accounts:
            freshness = age(a.as_of, now, limits[a.account_id])
            table.add_row(
                view.tenant_id,
                visible(a.institution_name),
                visible(a.display_name),
                visible(a.account_type),
                a.account_class,
                visible(a.currency or "—"),
                amount(a.current_balance, a.currency),
                amount(a.available_balance, a.currency),
                moment(a.as_of),
                Text(freshness, style="green" if freshness.startswith("fresh") else "yellow"),
            )
        table.add_section()
    return table


_CLASS_TOTALS = ("savings", "cards", "investments", "insurance", "crypto")
_APART = ("loans", "unclassified", "possibly_double")


def totals(views: Sequence[TenantView]) -> Table:
    """Per tenant and currency, never across currencies (the ledger's view `totals`); a class that nobody has is no column."""
    caption = "In all: every class but loans and unclassified. An account linked twice counts once."
    table = Table(title="Totals", title_justify="left", caption=caption)
    every = [total for view in views for total in view.totals]
    classes, apart = (
        [name for name in names if any(getattr(t, name) for t in every)] for names in (_CLASS_TOTALS, _APART)
    )
    for name in ("Tenant", "Currency"):
        table.add_column(name)
    for name in ("Accounts", "Cash", *map(_headed, classes), "In all", *map(_headed, apart)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Oldest figure", no_wrap=True)
    for view in views:
        for total in view.totals:
            table.add_row(
                view.tenant_id,
                visible(total.currency),
                str(total.accounts),
                *(
                    amount(getattr(total, name), total.currency)
                    for name in ("cash", *classes, "current_balance", *apart)
                ),
                moment(total.oldest_as_of),
            )
        table.add_section()
    return table


def _headed(name: str) -> str:
    return name.replace("_", " ").capitalize()


def coverage(views: Iterable[TenantView]) -> RenderableType:
    """Counted and uncounted linked accounts by tenant; and amounts that may be counted twice, with the remedy."""
    lines: list[Text] = []
    for view in views:
        found = view.coverage
        counts = [
            f"{found.counted} counted" + (f" ({found.missing} missing from the bank's list)" if found.missing else "")
        ]
        for reason, count in found.reasons:
            types = f" ({', '.join(found.types)})" if reason == "unclassified" else ""
            counts.append(f"{count} {REASONS[reason]}{types}")
        linked = f"{found.linked} linked account{'s' * (found.linked != 1)}"
        lines.append(Text.assemble((view.tenant_id, "bold"), visible(f" · {linked}: {'; '.join(counts)}")))
        if found.possibly_double:
            amounts = ", ".join(f"{amount(value, currency)} {currency}" for currency, value in found.possibly_double)
            remedy = f". Which accounts: pfo identity --tenant {view.tenant_id}"
            lines.append(Text.assemble("    ", (visible(f"possibly double: {amounts}"), "yellow"), remedy))
    return Group(Text("What is counted", style="italic"), *lines, Text()) if lines else Group()


def freshness(views: Sequence[TenantView], now: datetime) -> RenderableType:
    """Stale amounts by tenant and currency; then the stale accounts, each with the cause of the delay."""
    table = Table(
        title="Freshness",
        title_justify="left",
        caption="Stale: older than its limit by the bank's own date.",
    )
    for name in ("Tenant", "Currency"):
        table.add_column(name)
    for name in ("Stale", "of", "Stale loans", "of"):
        table.add_column(name, justify="right", no_wrap=True)
    lines: list[Text] = []
    for view in views:
        fresh = view.freshness
        for a in fresh.amounts:
            cells = [amount(value, a.currency) for value in (a.stale, a.total, a.stale_loans, a.loans)]
            table.add_row(view.tenant_id, visible(a.currency), *cells)
        table.add_section()
        lines += [_stale_line(view, one) for one in fresh.stale]
    ahead = [line for view in views for line in _dated_ahead(view, now)]
    return Group(table, *ahead, *([Text("Stale figures", style="italic"), *lines] if lines else []))


def _stale_line(view: TenantView, one: BalanceAge) -> Text:
    f = one.balance
    ages = ", ".join(
        f"{name} {_length(old)}"
        for name, old in (("bank", one.at_bank), ("Powens", one.at_powens), ("ledger", one.in_ledger))
    )
    what = f"{f.account_id}, {f.institution_name}, {f.account_type}: {ages}; limit {duration(one.limit)}"
    return Text.assemble((view.tenant_id, "bold"), f" · {visible(what)}: ", (one.held or "", "yellow"))


def _length(old: timedelta | None) -> str:
    if old is None:
        return "never"
    return duration(old) if old >= timedelta(0) else ago(old)


def _dated_ahead(view: TenantView, now: datetime) -> Iterator[Text]:
    read_at = view.freshness.last_read_at
    if read_at is not None and read_at - now > CLOCK_DRIFT:
        text = f" · newest load: {moment(read_at)}, {ago(now - read_at)}. What that means, and what to do: pfo health"
        yield Text.assemble((view.tenant_id, "bold"), (text, "yellow"))


def who_must_act(views: Iterable[TenantView], *, is_demonstration: bool) -> RenderableType:
    """Action items: the connection or user, the reason, who acts, what to do and where; then those that are retried."""
    waiting: list[Text] = []
    lines: list[Text] = []
    for view in views:
        for item in view.action_items:
            (lines if item.needs_person else waiting).extend(_action(item, is_demonstration=is_demonstration))
    acting = [Text("Who must act", style="italic"), *lines] if lines else [Text("Nobody must act.")]
    return Group(*acting, *([Text(), Text("In trouble, and tried again", style="italic"), *waiting] if waiting else []))


def _action(item: ActionItem, *, is_demonstration: bool) -> Iterator[Text]:
    where = f"user {item.user_id}"
    if item.subject != "user":
        where = f"connection {item.connection_id}, {item.institution_name}, {where}"
    yield _headline(item.tenant_id, where, item.why, item.who_acts)
    next_try = f" Next try {moment(item.next_try_at)}." if item.next_try_at else ""
    yield Text(visible(f"    {item.remedy}{next_try}"))
    if item.link:
        yield Text(visible(f"    {item.link}"), style="blue")
        if not is_demonstration:
            yield Text(f"    with an access code: {_reconnect(item.tenant_id, item.thing)}")


def consents_that_end(views: Iterable[TenantView], now: datetime, *, is_demonstration: bool) -> RenderableType:
    """Consents that end within 14 days: when, the balances that become stale then, and how to renew; empty without any."""
    lines: list[Text] = []
    for view in views:
        for c in ending_consents(view.tenant_id, view.connections, view.accounts, now):
            where = f"connection {c.connection_id}, {c.institution_name}, user {c.user_id}"
            lines.append(_headline(view.tenant_id, where, f"ends {until(c.ends_at, now)}", "member"))
            totals = ", ".join(f"{amount(total, currency)} {currency}" for currency, total in c.totals)
            lines.append(
                Text(
                    visible(
                        f"    goes stale: {c.accounts} account{'s' * (c.accounts != 1)}, {totals or 'no figure yet'}"
                    )
                )
            )
            if not is_demonstration:
                lines.append(Text(f"    to renew: {_reconnect(c.tenant_id, c.connection_id)}"))
    return Group(Text(), Text("Consents that end", style="italic"), *lines) if lines else Group()


def _reconnect(tenant_id: str, connection_id: str) -> str:
    return f".venv/bin/pfo reconnect --tenant {tenant_id} --connection {connection_id}"


def _headline(tenant_id: str, what: str, why: str, who: str) -> Text:
    acting = visible(who)
    return Text.assemble(
        (tenant_id, "bold"), f" · {visible(what)}: ", (visible(why), "yellow"), " → ", (acting, "bold")
    )


def print_status(console: Console, place: Place, views: list[TenantView], now: datetime) -> None:
    """One line per connection, then who must act and what else is open."""
    table = Table(title="Connections", title_justify="left")
    for name in ("Tenant", "User", "Connection", "Institution", "Status", "Last success", "Next try", "Consent until"):
        table.add_column(name)
    for view in views:
        for c in view.connections:
            table.add_row(
                view.tenant_id,
                c.user_id,
                c.connection_id,
                visible(c.institution_name),
                Text(visible(status := view.status(c)), style="green" if status == "healthy" else "yellow"),
                f"{moment(c.last_success_at)} {age(c.last_success_at, now, timedelta(hours=view.limits.hours))}",
                moment(c.next_try_at),
                until(c.consent_expires_at, now),
            )
        table.add_section()
    console.print(table)
    console.print(freshness(views, now))
    console.print(coverage(views))
    console.print(who_must_act(views, is_demonstration=place.is_demonstration))
    console.print(consents_that_end(views, now, is_demonstration=place.is_demonstration))
    console.print(open_alerts(place, {view.tenant_id for view in views}))


_SHOWN_ABOVE = ("user", "connection", "accounts", "consent")


def open_alerts(place: Place, tenant_ids: set[str]) -> RenderableType:
    """Other open alerts: failed runs and checks, stale tenants, silent sensors; and alert targets that cannot be reached."""
    try:
        state = read_alerts(place.files.private)
    except AlertsError as unreadable:  # An analyst may have no right to it.
        return Text(visible(str(unreadable)))
    lines = [
        Text(visible(f"{c.tenant_id or place.data_dir}: {c.text} (since {moment(alert.since)})"), style="red")
        for alert in state.alerts.values()
        if alert.absent_since is None
        and (c := alert.condition).kind not in _SHOWN_ABOVE
        and (not c.tenant_id or c.tenant_id in tenant_ids)
    ]
    lines += [Text(visible(line), style="red") for line in list_unreached(state)]
    return Group(Text(), Text("Open alerts", style="italic"), *lines) if lines else Group()
