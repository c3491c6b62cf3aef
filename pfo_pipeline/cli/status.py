"""`pfo status`: every connection, who must act, what is stale and what is not counted."""

from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from typing import Any

import click

from pfo_pipeline.cli.context import Place, find_place, select_tenants
from pfo_pipeline.cli.options import KNOWN_AT, TENANTS, examples, formats, without_pandas
from pfo_pipeline.cli.output import console, print_rows
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.ledger.known import KnownConnection
from pfo_pipeline.ledger.reader import ALWAYS
from pfo_pipeline.operations.coverage import coverage_of

KNOWN_COLUMNS = ("tenant_id", *(f.name for f in fields(KnownConnection)), "tenant_coverage")
KNOWN_SHOWN = (
    "tenant_id",
    "user_id",
    "connection_id",
    "institution_name",
    "status",
    "last_success_at",
    "next_try_at",
    "consent_expires_at",
)


def connection_states(place: Place, tenant_id: str, known_at: date | None) -> list[dict[str, Any]]:
    """Every connection as it is known, or was at a moment, with the coverage of its tenant's accounts."""
    reader = place.reader
    moment = reader.moment(tenant_id, known_at) or ALWAYS
    [coverage] = coverage_of(reader, [tenant_id], at=moment, known_at=moment)
    covered = {
        "linked": coverage.linked,
        "counted": coverage.counted,
        "not_counted": dict(coverage.reasons),
        "unclassified_types": list(coverage.types),
        "missing": coverage.missing,
        "possibly_double": {currency: plain(amount) for currency, amount in coverage.possibly_double},
    }
    return [
        {"tenant_id": tenant_id, **asdict(c), "tenant_coverage": covered}
        for c in reader.connections(tenant_id, known_at=moment)
    ]


@click.command(
    short_help="Show connections, action items, freshness and coverage.",
    epilog=examples("pfo status", "pfo status --tenant moreau", "pfo status --known-at 2026-11-05 --json"),
)
@TENANTS
@KNOWN_AT
@formats
@without_pandas
def status(tenants: tuple[str, ...], known_at: date | None, form: str | None) -> None:
    """Every connection: how it stands, who must act, until when the consent holds.

    With --known-at: only the connections, as known then. Action items and freshness are those of now.
    """
    with find_place().at_once() as place:
        chosen = select_tenants(place, tenants)
        if form or known_at:
            rows = [row for tenant_id in chosen for row in connection_states(place, tenant_id, known_at)]
            print_rows(list(KNOWN_COLUMNS if form else KNOWN_SHOWN), rows, form)
        else:
            from pfo_pipeline.cli.tables import print_status, views_of  # Programs wait for no table.

            now = datetime.now(UTC)
            print_status(console(), place, views_of(place, chosen, now), now)
