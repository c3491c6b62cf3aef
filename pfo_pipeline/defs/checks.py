"""What is true when all is well, asked of the ledger after each step: a partial failure leaves the run green.

Here: which check belongs to which asset, and what it says. Not here: how each is asked (watched.py).
Rules are blocking errors: the run's next step does not start, so nothing broken is published. They look at the tenant that
ran, within its own run, and hold no other tenant. All else warns. One step asks all checks of an asset, on one opening of
the ledger.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.contracts.workflows import WORKFLOWS
from pfo_pipeline.defs.failures import named_failures
from pfo_pipeline.defs.options import ASSET_KEYS, retry_policy
from pfo_pipeline.defs.resources import PARTITION_TAG, OfficeResource
from pfo_pipeline.defs.shown import cell, table
from pfo_pipeline.defs.watched import (
    Look,
    Question,
    Seen,
    broken,
    drifted,
    ending,
    failed_to_be_read,
    jumps,
    result,
    spent_budgets,
    stale_accounts,
    stale_tenants,
    who_must_act,
)
from pfo_pipeline.ledger.publication import differences
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now


@dataclass(frozen=True)
class Check:
    """A sentence that is true when it passes; `is_rule`: the run ends where it does not."""

    name: str
    description: str
    ask: Question
    is_rule: bool = False


def _rule(name: str, description: str, remedy: str) -> Check:
    return Check(name, description, broken(name, remedy), is_rule=True)


_VERIFY = "Run `pfo verify`, and put a backup back if it finds more; nothing of this run was published."
_IDS = _rule("ids_are_unique", "No account has two versions of one load, two ids, or two newest balances.", _VERIFY)
_COVERED = _rule(
    "accounts_are_counted_or_named",
    "Every account that was ever linked is in the totals, or has one reason why not.",
    'Compare `pfo sql "from coverage"` with `pfo sql "from totals"`; nothing of this run was published.',
)
_ACTS = Check("nobody_has_to_act", "No user, connection or account of any tenant waits for a person.", who_must_act)
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
            ending,
        ),
        Check("contract_has_not_drifted", "Powens has not begun to send what no documentation knows.", drifted),
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
        Check("error_budgets_hold", "Of 30 days' account-days enough were in time, for every tenant.", spent_budgets),
        Check(
            "balances_move_plausibly",
            "No account of the tenant that ran has moved far beyond what its own history knows.",
            jumps,
        ),
    ),
}


def ledger_checks() -> list[dg.AssetChecksDefinition]:
    """One step of checks for each asset that reads the bank, and one after the last publication.

    Each check is three events in Dagster's history, a twentieth of a second; balances follow accounts, so the copy that
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
                look = _look(context, office, reader, step)
                seen = [check.ask(look) for check in checks]
            results = [result(c.name, s, is_rule=c.is_rule) for c, s in zip(checks, seen, strict=True)]
        yield from results

    return ledger_is_in_order


def _look(context: dg.AssetCheckExecutionContext, office: OfficeResource, reader: Reader, step: Step) -> Look:
    tenant_id = context.run.tags.get(PARTITION_TAG)
    return Look(office.config(), reader, tenant_id, context.run.run_id, step.operation.key, utc_now())


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
        seen = Seen(
            len(rows),
            "Run `pfo run`, which publishes anew; if it lasts, `pfo verify` tells which of the two is wrong.",
            {"differences": table(("about", "problem"), rows, nothing="None.")},
        )
        return result(name, seen, is_rule=True)

    return published_equals_primary
