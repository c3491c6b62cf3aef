"""The coverage of linked accounts: counted, or the one reason why not; and amounts that may be counted twice."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import CoverageRow, PossibleDouble
from pfo_pipeline.ledger.moments import coverage_at, possible_doubles_at
from pfo_pipeline.ledger.reader import ALWAYS, Reader

REASONS: Mapping[str, str] = {
    "same_as": "linked again, counted once",
    "one_of": "one of several, not known which",
    "part_of": "part of another",
    "loan": "loan",
    "unclassified": "of no known class",
    "no_balance": "without a balance yet",
    "quarantined": "could not be read",
    "disabled": "not enabled at Powens",
    "deleted": "deleted by the bank",
    "gone": "gone from the bank",
    "ended": "ended by the operator",
}
"""Reasons why a linked account is in no total, in words; reasons that need attention come first."""


@dataclass(frozen=True)
class TenantCoverage:
    """How many accounts a tenant has linked, counted and left out; `counted` and `reasons` add up to `linked`."""

    tenant_id: str
    linked: int
    counted: int
    reasons: tuple[tuple[str, int], ...]
    """In the order of REASONS."""
    types: tuple[str, ...]
    """Account types without a class."""
    missing: int
    """Number of counted accounts that the bank does not list."""
    possibly_double: tuple[tuple[str, Decimal], ...]
    """Amounts per currency that may be counted twice according to open proposals."""


def coverage_of(
    reader: Reader, tenant_ids: Sequence[str], *, at: datetime = ALWAYS, known_at: datetime = ALWAYS
) -> list[TenantCoverage]:
    """Return the coverage of each of these tenants, in their order. Raises: LedgerError."""
    by_tenant: dict[str, list[CoverageRow]] = defaultdict(list)
    for covered in coverage_at(reader, tenant_ids, at, known_at):
        by_tenant[covered.tenant_id].append(covered)
    doubled = possible_doubles_at(reader, tenant_ids, at, known_at)
    return [
        _of_tenant(tenant_id, by_tenant[tenant_id], [d for d in doubled if d.tenant_id == tenant_id])
        for tenant_id in tenant_ids
    ]


def _of_tenant(tenant_id: str, covered: Sequence[CoverageRow], doubled: Iterable[PossibleDouble]) -> TenantCoverage:
    reasons = Counter(one.reason for one in covered if one.reason is not None)
    return TenantCoverage(
        tenant_id,
        linked=len(covered),
        counted=sum(one.counted for one in covered),
        reasons=tuple((reason, reasons[reason]) for reason in REASONS if reasons[reason]),
        types=tuple(sorted({one.account_type or "" for one in covered if one.reason == "unclassified"})),
        missing=sum(one.counted and one.note == "missing" for one in covered),
        possibly_double=possibly_double_by_currency(doubled),
    )


def possibly_double_by_currency(doubled: Iterable[PossibleDouble]) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    for one in doubled:
        sums[one.currency] = EXACT.add(sums.get(one.currency, Decimal(0)), one.current_balance)
    return tuple(sorted(sums.items()))
