"""Check that the published ledger equals the private one: same row counts, same proof, all loads of a run.

The check is cheap, so it can run after each publication.
"""

from pfo_pipeline.contracts.tables import tables
from pfo_pipeline.ledger.known import Violation
from pfo_pipeline.ledger.reader import Reader

# Loads of another tenant's run since then are only in the private ledger; they are not a difference.
_EXTENT = "\n".join(
    [
        "select 'chain of ' || tenant_id, max_by(hash, load_id) from chain where load_id <= $through group by tenant_id",
        "union all select 'newest load of the run', max(load_id)::varchar from loads where run_id = $run",
        # A newer load replaces newest balances, so they are compared only if there is none.
        "union all select 'newest balances', case when $newest = $through then",
        # Whole and fractional parts separately: together they may have more digits than the ledger's type.
        "count(*) || ' rows, ' || coalesce(sum(trunc(current_balance)::hugeint), 0) || ' and ' ||",
        "coalesce(sum(current_balance - trunc(current_balance)), 0) end from balances_current",
        *(
            f"union all select '{table.name}', count(*) || ' rows' from {table.name} where load_id <= $through"
            for table in tables()
        ),
    ]
)


def differences(primary: Reader, published: Reader, run_id: str) -> list[Violation]:
    """Return the differences of the published ledger from the private one, up to the published ledger's newest load.

    Args:
        run_id: A run whose loads must all have been published.
    Raises: LedgerError.
    """
    with primary.at_once() as ours, published.at_once() as theirs:
        through, newest = theirs.newest_load(), ours.newest_load()
        parameters = {"through": through, "newest": newest, "run": run_id}
        private, public = ours.texts(_EXTENT, parameters), theirs.texts(_EXTENT, parameters)
    return [
        Violation(about, f"{public.get(about)} published, {private.get(about)} in the private ledger")
        for about in sorted(private | public)
        if private.get(about) != public.get(about)
    ]
