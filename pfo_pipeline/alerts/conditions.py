"""Conditions: current problems with their owners, and those that the ledger shows."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from pfo_pipeline.config import Config, Tenant
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.ledger.known import DatedBalance
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.operations.action_items import ActionItem, find_action_items
from pfo_pipeline.operations.consents import EndingConsent, ending_consents
from pfo_pipeline.operations.freshness import CLOCK_DRIFT, Delay, compute_age
from pfo_pipeline.powens.auth import reconnect_link
from pfo_pipeline.powens.states import waiting_is_enough
from pfo_pipeline.redaction import scrub

Kind = Literal[
    "configuration", "daemon", "sensor", "run", "check", "user", "connection", "accounts", "consent", "stale"
]
Severity = Literal["critical", "warning", "notice"]


class Key(NamedTuple):
    """Identity of a condition. A new owner makes a new condition. `tenant_id` is empty for a condition of the whole office."""

    kind: Kind
    tenant_id: str
    thing: str
    owner: str


@dataclass(frozen=True)
class Condition:
    """A problem. All texts may be shown to every target of the tenant's alerts."""

    kind: Kind
    tenant_id: str
    thing: str
    """The id of a connection, job or sensor, for example."""
    owner: str
    """Who must act: member, operator, bank, powens."""
    severity: Severity
    code: str
    text: str
    remedy: str
    link: str = ""
    stage: int = 0
    """Stage of a deadline that comes closer in steps. A lower stage is notified immediately."""

    @property
    def key(self) -> Key:
        return Key(self.kind, self.tenant_id, self.thing, self.owner)


@dataclass(frozen=True)
class Findings:
    """The result of one check. It says nothing about kinds or tenants that were not checked."""

    conditions: tuple[Condition, ...]
    kinds: frozenset[Kind]
    tenants: frozenset[str] | None = None
    """None: all tenants."""

    def looked_at(self, key: Key) -> bool:
        return key.kind in self.kinds and (self.tenants is None or key.tenant_id in self.tenants)


KINDS: frozenset[Kind] = frozenset({"user", "connection", "accounts", "consent", "stale"})


def ledger_findings(config: Config, reader: Reader, now: datetime, tenant_ids: Iterable[str] | None = None) -> Findings:
    """Find the problems of all tenants in the configuration, or of some of them.

    Raises: SecretError, LedgerError.
    """
    chosen = frozenset(tenant_ids) if tenant_ids is not None else None
    tenants = [tenant for tenant in config.tenants if chosen is None or tenant.id in chosen]
    with reader.at_once() as at_once:
        last_read = at_once.last_read()
        found = [condition for tenant in tenants for condition in _of_tenant(tenant, at_once, config.freshness, now)]
        figures = at_once.dated_balances([tenant.id for tenant in tenants])
    found += _held_up(figures, config.freshness, last_read, now)
    stale_after = timedelta(hours=config.freshness.read_hours)
    for tenant in tenants:
        read_at = last_read.get(tenant.id)
        if tenant.integration == "connected" and read_at is not None and now - read_at > stale_after:
            found.append(_stale(tenant.id, read_at))
        if read_at is not None and read_at - now > CLOCK_DRIFT:
            found.append(_dated_ahead(tenant.id, read_at))
    return Findings(tuple(found), KINDS, chosen)


def _of_tenant(tenant: Tenant, reader: Reader, limits: Freshness, now: datetime) -> Iterator[Condition]:
    configured = {user.id for user in tenant.users}
    items = [i for i in find_action_items(reader, [tenant.id], limits, now) if i.needs_person]
    for item in items:
        if item.subject != "user":
            yield _connection(tenant, item)
        elif item.user_id in configured:
            yield _user(tenant, item)
    if removed := [i for i in items if i.code == "not_configured" and i.user_id not in configured]:
        yield _not_read(tenant.id, len(removed))
    connections = reader.connections(tenant.id)
    if ending_consents(tenant.id, connections, (), now):  # The affected accounts are only needed if a consent ends.
        for consent in ending_consents(tenant.id, connections, reader.accounts(tenant.id), now):
            yield _consent(tenant, consent, now)


def _user(tenant: Tenant, item: ActionItem) -> Condition:
    which = without_users(tenant, item.user_id)
    return Condition(
        kind="user",
        tenant_id=tenant.id,
        thing=which,
        owner=item.who_acts,
        severity="critical" if item.is_critical else "warning",
        code=item.code,
        text=f"User {which} in the tenant's configuration cannot be read: {scrub(item.why)}",
        remedy="pfo status names the user, and what to do.",
    )


def _not_read(tenant_id: str, count: int) -> Condition:
    """One condition for all of them: a removed user has no number to name it by."""
    who = "1 user" if count == 1 else f"{count} users"
    return Condition(
        kind="user",
        tenant_id=tenant_id,
        thing="not configured",
        owner="operator",
        severity="warning",
        code="notConfigured",
        text=f"No longer read by us: {who} missing from the configuration; their accounts still count, with old balances",
        remedy="pfo status names the user, and what to do.",
    )


def _connection(tenant: Tenant, item: ActionItem) -> Condition:
    return Condition(
        kind=item.subject,
        tenant_id=tenant.id,
        thing=item.thing,
        owner=item.who_acts,
        severity="warning",
        code=item.code,
        text=f"Connection {item.connection_id} ({_bank(item.institution_name or '')}): {item.why}",
        remedy=without_users(tenant, item.remedy) or "pfo status says more.",
        link=item.link or "",
    )


def _consent(tenant: Tenant, consent: EndingConsent, now: datetime) -> Condition:
    ends = "ended" if consent.ends_at <= now else "ends"
    currencies = ", ".join(currency for currency, _ in consent.totals) or "none"
    return Condition(
        kind="consent",
        tenant_id=tenant.id,
        thing=consent.connection_id,
        owner="member",
        severity="warning" if consent.stage_days == 0 else "notice",
        code="consentEnds",
        text=(
            f"The consent of connection {consent.connection_id} ({_bank(consent.institution_name)}) {ends} on "
            f"{consent.ends_at:%Y-%m-%d}. Stale from then on: accounts {consent.accounts}, currencies {currencies}"
        ),
        remedy="Renew it at the link.",
        link=reconnect_link(tenant, consent.connection_id),
        stage=consent.stage_days,
    )


def _stale(tenant_id: str, read_at: datetime) -> Condition:
    return Condition(
        kind="stale",
        tenant_id=tenant_id,
        thing="figures",
        owner="operator",
        severity="warning",
        code="stale",
        text=f"The tenant's figures are stale: read last on {read_at:%Y-%m-%d %H:%M} UTC",
        remedy="Look at its failed runs and at who must act: pfo status. Then run it: pfo run --tenant " + tenant_id,
    )


def _dated_ahead(tenant_id: str, read_at: datetime) -> Condition:
    return Condition(
        kind="stale",
        tenant_id=tenant_id,
        thing="loads",
        owner="operator",
        severity="warning",
        code="datedAhead",
        text=(
            f"The tenant's last load is dated {read_at:%Y-%m-%d %H:%M} UTC, ahead of this machine's clock: until then no "
            "alert reports that its balances are no longer read"
        ),
        remedy="pfo health says what it means, and what to do.",
    )


def _held_up(
    figures: list[DatedBalance], limits: Freshness, last_read: Mapping[str, datetime], now: datetime
) -> Iterator[Condition]:
    """Stale balances that no other condition covers: we read the tenant, and its connection needs no action from a person."""
    held: dict[str, Counter[Delay]] = defaultdict(Counter)
    for figure in figures:
        where = compute_age(figure, limits, now, last_read.get(figure.tenant_id)).held
        if where in ("not synced by Powens", "not given by the bank") and waiting_is_enough(figure.who_acts):
            held[figure.tenant_id][where] += 1
    for tenant_id, counts in held.items():
        yield Condition(
            kind="stale",
            tenant_id=tenant_id,
            thing="accounts",
            owner="operator",
            severity="warning",
            code="heldUp",
            text="Accounts with a figure older than its limit: "
            + ", ".join(f"{n} {w}" for w, n in sorted(counts.items())),
            remedy="pfo status shows which. Where Powens or the bank gives nothing new, ask Powens support.",
        )


def without_users(tenant: Tenant, text: str) -> str:
    """Replace user ids with `#1` for the tenant's first user, and so on: a user's id is often the name of a person.

    In a command the id becomes a word that a shell does not read as a comment.
    """
    for number, user in enumerate(tenant.users, start=1):
        if user.id != tenant.id:
            text = re.sub(rf"--member {re.escape(user.id)}(?![a-z0-9_-])", "--member MEMBER", text)
            text = re.sub(rf"(?i)(?<![a-z0-9]){re.escape(user.id)}(?![a-z0-9])", f"#{number}", text)
    return text


def _bank(name: str) -> str:
    """Sanitize a bank's name, which is foreign text: one line, without anything that could be a link or an account."""
    return " ".join(scrub(name).split())
