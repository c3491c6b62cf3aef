"""(b) A batch with every account's balance, some of them changed, merged into ledgers of growing size.

Measured twice: with all balances of the newest day, and with one account still at the first day, as of a bank that stopped
answering. In the second case the batch is compared with the dates of the whole history.
"""

from benchmarks.ledgers import FilledLedger, Tell
from benchmarks.measuring import Measured, run_unit
from benchmarks.results import Comparison, Figure, Part, figure, is_missed, times
from benchmarks.sizes import Sizes

_WIDTHS = {"all of the newest day": False, "one account far behind": True}


def measure(sizes: Sizes, ledgers: tuple[FilledLedger, ...], tell: Tell) -> Part:
    accounts = sizes.ledgers[0].accounts
    assert {size.accounts for size in sizes.ledgers} == {accounts}, "the batches must be the same"
    found: dict[tuple[str, str], list[Measured]] = {}
    number = 0
    for repetition in range(sizes.merge_repetitions):
        tell(f"merges, repetition {repetition + 1}")
        for width, is_one_behind in _WIDTHS.items():
            for ledger in ledgers:
                found.setdefault((width, ledger.name), []).append(_merge(sizes, ledger, number, is_one_behind))
            number += 1
    arrow = figure(
        "rows to Arrow alone", [run_unit("rows_to_arrow", accounts=accounts) for _ in range(sizes.merge_repetitions)]
    )
    figures = {key: figure(f"{key[1]}, {key[0]}", runs, _facts(runs)) for key, runs in found.items()}
    comparisons = _comparisons(figures, ledgers, arrow)
    profiles = {}
    if sizes.with_profiles and is_missed(comparisons):
        tell("profiling the merge")
        profiles = {
            f"{ledgers[-1].name}, {width}": _merge(sizes, ledgers[-1], number + i, is_one_behind, profile=True).profile
            for i, (width, is_one_behind) in enumerate(_WIDTHS.items())
        }
    title = f"Merge of {sizes.changed_rows:,} changed rows among {accounts:,} offered"
    return Part("b", title, (*figures.values(), arrow), comparisons, profiles)


def _merge(sizes: Sizes, ledger: FilledLedger, number: int, is_one_behind: bool, *, profile: bool = False) -> Measured:
    options = {"changed": sizes.changed_rows, "number": number, "is_one_behind": is_one_behind}
    return run_unit("merge", profile=profile, **ledger.arguments, **options)


def _facts(runs: list[Measured]) -> dict[str, int]:
    """Rows added by one merge, the same each time, and the file's growth over all."""
    [added] = {run.facts["added"] for run in runs}
    return {"added": added, "growth_bytes": sum(run.facts["growth_bytes"] for run in runs)}


def _comparisons(
    figures: dict[tuple[str, str], Figure], ledgers: tuple[FilledLedger, ...], arrow: Figure
) -> tuple[Comparison, ...]:
    small, large = ledgers[0].name, ledgers[-1].name
    comparisons: list[Comparison] = []
    for width in _WIDTHS:
        first, last = figures[width, small], figures[width, large]
        more = max(0.0, last.cpu_seconds - first.cpu_seconds)
        comparisons += [
            times(f"{width}, {large} / {small}, CPU", last.cpu_seconds, first.cpu_seconds, 2),
            times(f"{width}, {large} / {small}, wall time", last.wall_seconds, first.wall_seconds, 2),
            times(f"{width}, {large} / {small}, peak memory", last.peak_bytes, first.peak_bytes),
            Comparison(f"{width}, CPU at {large} beyond that at {small}", more, "s"),
            times(f"{width}, rows to Arrow alone / merge at {small}, CPU", arrow.cpu_seconds, first.cpu_seconds),
        ]
    return tuple(comparisons)
