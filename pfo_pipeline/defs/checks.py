"""Asset checks after each step. All checks of an asset read the ledger in one opening.

Rules are blocking errors: the next step of the run does not start, so no broken state is published. They check the tenant of
the run, and block no other tenant. All other checks warn, and cover every tenant: Dagster shows only the newest result of a
check, so a healthy tenant must not hide one with a problem. A partial failure does not fail the run.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg

from pfo_pipeline.config import Config
from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.from_contract import ASSET_KEYS, retry_policy
from pfo_pipeline.defs.metadata import NOT_SHOWN, cell, table, without_content
from pfo_pipeline.defs.resources import PARTITION_TAG, OfficeResource
from pfo_pipeline.ledger.known import Violation
from pfo_pipeline.ledger.publication import differences
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.action_items import ActionItem, find_action_items
from pfo_pipeline.operations.anomalies import LOOK_BACK, implausible_jumps
from pfo_pipeline.operations.consents import STAGES_DAYS, EndingConsent, ending_consents
from pfo_pipeline.operations.freshness import BalanceAge, TenantFreshness, freshness_of
from pfo_pipeline.powens.auth import reconnect_link

NEWS_DAYS = 7
"""Number of days for which drift is a warning. Powens may send it forever."""


@dataclass(frozen=True)
class CheckContext:
    """One check of the ledger after a step: for the tenant of a run, or for all tenants if a person started it."""

    config: Config
    reader: Reader
    tenant_id: str | None
    run_id: str
    operation: str
    now: datetime

    @property
    def everyone(self) -> list[str]:
        """All tenants whose integration is connected."""
        return [tenant.id for tenant in self.config.tenants if tenant.integration == "connected"]

    @property
    def about(self) -> list[str]:
        return [self.tenant_id] if self.tenant_id else self.everyone

    @cached_property
    def freshness(self) -> list[TenantFreshness]:
        return freshness_of(self.reader, self.everyone, self.config.freshness, self.now)


@dataclass(frozen=True)
class CheckResult:
    """The number of problems, a text with the remedy, and metadata for the UI."""

    found: int
    text: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)


Query = Callable[[CheckContext], CheckResult]


def invariant(rule: str, remedy: str) -> Query:
    """A rule of ledger/checks.py for the tenants of the look."""

    def check(context: CheckContext) -> CheckResult:
        found = [
            (tenant_id, violation)
            for tenant_id in context.about
            for violation in context.reader.violations(rule, tenant_id, context.run_id)
            if not _is_allowed(context.config, rule, tenant_id, violation)
        ]
        rows = [tuple(map(cell, (tenant_id, v.subject, v.problem))) for tenant_id, v in found]
        return CheckResult(
            len(found), remedy, {"broken": table(("tenant", "about", "problem"), rows, nothing="Nothing.")}
        )

    return check


def _is_allowed(config: Config, rule: str, tenant_id: str, violation: Violation) -> bool:
    if rule != "currencies_are_stable":
        return False
    return config.tenant(tenant_id).currency_changes.get(violation.subject) == violation.problem


def open_action_items(context: CheckContext) -> CheckResult:
    items = find_action_items(context.reader, context.everyone, context.config.freshness, context.now)
    rows = [
        tuple(map(cell, (i.tenant_id, _subject(i), i.institution_name, i.why, i.who_acts, i.remedy)))
        for i in items
        if i.needs_person
    ]
    head = ("tenant", "what", "bank", "state", "who acts", "what to do")
    text = "Each line says who acts and how. A member's link: `pfo reconnect --tenant TENANT --connection ID`."
    return CheckResult(len(rows), text, {"who_must_act": table(head, rows, nothing="Nobody.")})


def _subject(item: ActionItem) -> str:
    return f"user {item.user_id}" if item.subject == "user" else f"connection {item.connection_id}"


def failed_to_be_read(context: CheckContext) -> CheckResult:
    failed = sum(context.reader.failed_last(tenant_id, context.operation) for tenant_id in context.about)
    return CheckResult(
        failed,
        "Their older figures stay. The step's metadata says why (problems); the next run asks again.",
        {"tenant_that_ran": context.tenant_id or "all", "failed": failed},
    )


def consents_that_end(context: CheckContext) -> CheckResult:
    until = context.now + timedelta(days=max(STAGES_DAYS))
    consents = [
        consent
        for tenant_id in context.reader.with_consents_until(context.everyone, until)
        for consent in ending_consents(
            tenant_id, context.reader.connections(tenant_id), context.reader.accounts(tenant_id), context.now
        )
    ]
    calendar = table(
        ("tenant", "connection", "bank", "user", "ends", "accounts that go stale", "their totals", "link"),
        [_consent_row(context.config, consent) for consent in consents],
        nothing="No consent ends within 14 days.",
    )
    return CheckResult(
        len(consents), "Each member renews at the link.", {"ending": len(consents), "calendar": calendar}
    )


def _consent_row(config: Config, consent: EndingConsent) -> tuple[str, ...]:
    totals = ", ".join(f"{plain(total)} {currency}" for currency, total in consent.totals)
    texts = (consent.tenant_id, consent.connection_id, consent.institution_name, consent.user_id)
    figures = (f"{consent.ends_at:%Y-%m-%d %H:%M}Z", str(consent.accounts), totals)
    # Without an access code, which only `pfo reconnect` adds, for the user.
    link = reconnect_link(config.tenant(consent.tenant_id), consent.connection_id)
    return (*map(cell, texts), *figures, f"[renew]({link})")


def undocumented_values(context: CheckContext) -> CheckResult:
    """An undocumented field does no harm, and is only shown; an undocumented value may mean anything."""
    drift = context.reader.drift_since(context.everyone, context.now - timedelta(days=NEWS_DAYS))
    drift.sort(key=lambda d: not d.value)
    rows = [(*map(cell, (d.tenant_id, d.field, d.value)), f"{d.first_at:%Y-%m-%d}") for d in drift]
    return CheckResult(
        sum(bool(d.value) for d in drift),
        "Kept as it came. Look the value up in Powens' documentation, or ask Powens support what it means. "
        f"Shown for {NEWS_DAYS} days.",
        {"drift": table(("tenant", "field", "value", "since"), rows, nothing="None.")},
    )


def stale_accounts(context: CheckContext) -> CheckResult:
    mine = [tenant for tenant in context.freshness if tenant.tenant_id in context.about]
    stale = [age for tenant in mine for age in tenant.stale]
    head = ("tenant", "account", "bank", "type", "currency", "by the bank", "Powens' sync", "our record", "limit")
    shown = table((*head, "held up", "who acts"), [_stale_row(age) for age in stale], nothing="None.")
    text = "Powens syncs by itself; where nobody acts, ask Powens support. `[freshness]` has the limits."
    return CheckResult(len(stale), text, {"tenant_that_ran": context.tenant_id or "all", "stale": shown})


def _stale_row(age: BalanceAge) -> tuple[str, ...]:
    f = age.balance
    texts = (f.tenant_id, f.account_id, f.institution_name, f.account_type, f.currency)
    ages = [_hours(length) for length in (age.at_bank, age.at_powens, age.in_ledger, age.limit)]
    return (*map(cell, texts), *ages, age.held or "", cell(f.who_acts))


def _hours(age: timedelta | None) -> str:
    if age is None:
        return "never"
    hours = int(abs(age).total_seconds() // 3600)
    return f"{hours} h" if age >= timedelta(0) else f"{hours} h ahead"


def stale_tenants(context: CheckContext) -> CheckResult:
    stale = [tenant for tenant in context.freshness if not tenant.is_fresh]
    text = "; ".join(_stale_parts(tenant) for tenant in stale[:3]) + ("; …" if len(stale) > 3 else "")
    head = ("tenant", "currency", "stale", "of", "stale loans", "of", "accounts stale", "last read")
    # Stale tenants first: the table does not show all of many tenants.
    rows = [row for tenant in sorted(context.freshness, key=lambda t: t.is_fresh) for row in _tenant_rows(tenant)]
    return CheckResult(len(stale), text, {"tenants": table(head, rows, nothing="None."), "stale_tenants": len(stale)})


def _stale_parts(tenant: TenantFreshness) -> str:
    parts = [
        f"{a.currency} {plain(a.stale)} of {plain(a.total)}"
        for a in tenant.amounts
        if a.stale or (a.stale_loans and not a.total)
    ]
    what = f"{', '.join(parts)} is older than its limit" if parts else f"{len(tenant.stale)} accounts are stale"
    return f"{tenant.tenant_id}: {what if tenant.last_read_at else 'never read'}"


def _tenant_rows(tenant: TenantFreshness) -> list[tuple[str, ...]]:
    read = f"{tenant.last_read_at:%Y-%m-%d %H:%M}Z" if tenant.last_read_at else "never"
    counts = f"{len(tenant.stale)} of {len(tenant.accounts)}"
    return [
        (tenant.tenant_id, cell(a.currency), *map(plain, (a.stale, a.total, a.stale_loans, a.loans)), counts, read)
        for a in tenant.amounts
    ] or [(tenant.tenant_id, "", "", "", "", "", counts, read)]


def jumps(context: CheckContext) -> CheckResult:
    since = context.now - LOOK_BACK
    found = [
        (tenant_id, jump)
        for tenant_id in context.about
        for jump in implausible_jumps(context.reader.daily_balances(tenant_id, since))
    ]
    rows = [(t, cell(j.account_id), plain(j.move), plain(j.largest_before)) for t, j in found]
    accounts = ", ".join(jump.account_id for _, jump in found[:5])
    return CheckResult(
        len(found),
        f"Compare with the bank's own site: {accounts}." if found else "",
        {"jumps": table(("tenant", "account", "newest move", "largest before"), rows, nothing="None.")},
    )


def asset_check_result(name: str, result: CheckResult, config: Config, *, is_rule: bool) -> dg.AssetCheckResult:
    text = NOT_SHOWN if config.is_encrypted else result.text
    return dg.AssetCheckResult(
        check_name=name,
        passed=not result.found,
        severity=dg.AssetCheckSeverity.ERROR if is_rule else dg.AssetCheckSeverity.WARN,
        description=f"{result.found} found. {text}" if result.found else None,
        metadata=without_content(result.shown) if config.is_encrypted else {**result.shown},
    )


@dataclass(frozen=True)
class Check:
    """A check and a sentence that is true if it passes; `is_rule`: a failure ends the run."""

    name: str
    description: str
    check: Query
    is_rule: bool = False


def _rule(name: str, description: str, remedy: str) -> Check:
    return Check(name, description, invariant(name, remedy), is_rule=True)


_VERIFY = "Run `pfo verify`, and put a backup back if it finds more; nothing of this run was published."
_IDS = _rule("ids_are_unique", "No account has two versions of one load, two ids, or two newest balances.", _VERIFY)
_COVERED = _rule(
    "accounts_are_counted_or_named",
    "Every account that was ever linked is in the totals, or has one reason why not.",
    'Compare `pfo sql "from coverage"` with `pfo sql "from totals"`; nothing of this run was published.',
)
_ACTS = Check(
    "nobody_has_to_act", "No user, connection or account of any tenant waits for a person.", open_action_items
)
_READ = "Every record of the tenant that ran could be brought up to date."

CHECKS: Mapping[str, tuple[Check, ...]] = {
    "sync-accounts": (
        _IDS,
        _COVERED,
        _ACTS,
        Check("every_account_was_read", _READ, failed_to_be_read),
        Check(
            "consents_hold",
            "No consent of any tenant ends within 14 days: after that its accounts go stale until the member renews.",
            consents_that_end,
        ),
        Check(
            "contract_has_not_drifted", "Powens has not begun to send what no documentation knows.", undocumented_values
        ),
    ),
    "refresh-balances": (
        _IDS,
        _rule("balances_have_accounts", "Each balance belongs to an account of the tenant.", _VERIFY),
        _rule("no_balance_is_in_the_future", "No balance is dated more than a day ahead.", _VERIFY),
        _rule(
            "currencies_are_stable",
            "No account has changed its currency without the configuration's word.",
            "If the bank has really changed it, name the account in tenants.NAME.currency_changes; else run `pfo verify`.",
        ),
        _COVERED,
        _ACTS,
        Check("every_balance_was_read", _READ, failed_to_be_read),
        Check(
            "balances_are_within_their_limits",
            "Every enabled account of the tenant that ran has a balance within its freshness limit.",
            stale_accounts,
        ),
        Check(
            "tenants_are_fresh", "Every tenant, not only the one that ran, was read, and all is in time.", stale_tenants
        ),
        Check(
            "balances_move_plausibly",
            "No account of the tenant that ran has moved far beyond what its own history knows.",
            jumps,
        ),
    ),
}


def ledger_checks() -> list[dg.AssetChecksDefinition]:
    """One step of checks for each asset that reads the bank, and one after the last publication.

    Each check writes three events to Dagster's history, a twentieth of a second. Balances follow accounts, so the copy that
    `accounts/fetched` has published is compared minutes later.
    """
    steps = {step.id: step for workflow in WORKFLOWS for step in workflow.steps}
    return [
        *(_checks(steps[step_id], checks) for step_id, checks in CHECKS.items()),
        _published(steps["fetch-balances"]),
    ]


def _checks(step: Step, checks: tuple[Check, ...]) -> dg.AssetChecksDefinition:
    key = ASSET_KEYS[step.id]

    @dg.multi_asset_check(
        name=f"{'__'.join(key.path)}_checks",
        specs=[
            dg.AssetCheckSpec(check.name, asset=key, description=check.description, blocking=check.is_rule)
            for check in checks
        ],
        retry_policy=retry_policy(step.retry),
    )
    def ledger_is_in_order(
        context: dg.AssetCheckExecutionContext, office: OfficeResource
    ) -> Iterator[dg.AssetCheckResult]:
        with named_failures(step):
            with office.ledger().reader().at_once() as reader:
                ledger = _ledger_context(context, office, reader, step)
                found = [check.check(ledger) for check in checks]
            results = [
                asset_check_result(c.name, one, ledger.config, is_rule=c.is_rule)
                for c, one in zip(checks, found, strict=True)
            ]
        yield from results

    return ledger_is_in_order


def _ledger_context(
    context: dg.AssetCheckExecutionContext, office: OfficeResource, reader: Reader, step: Step
) -> CheckContext:
    tenant_id = context.run.tags.get(PARTITION_TAG)
    return CheckContext(office.config(), reader, tenant_id, context.run.run_id, step.operation.key, utc_now())


def _published(step: Step) -> dg.AssetChecksDefinition:
    name = "published_equals_primary"

    @dg.asset_check(
        asset=ASSET_KEYS[step.id],
        name=name,
        description="What everybody reads holds the same loads, rows and proofs as the private ledger.",
        blocking=True,
        retry_policy=retry_policy(step.retry),
    )
    def published_equals_primary(context: dg.AssetCheckExecutionContext, office: OfficeResource) -> dg.AssetCheckResult:
        with named_failures(step):
            found = differences(office.ledger().reader(), office.published(), context.run.run_id)
        rows = [tuple(map(cell, (violation.subject, violation.problem))) for violation in found]
        result = CheckResult(
            len(rows),
            "Run `pfo run`, which publishes again; if it lasts, `pfo verify` shows which of the two is wrong.",
            {"differences": table(("about", "problem"), rows, nothing="None.")},
        )
        return asset_check_result(name, result, office.config(), is_rule=True)

    return published_equals_primary
