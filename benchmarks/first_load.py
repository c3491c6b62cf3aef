"""(a) A first load and an identical second one: the whole pipeline, its steps without Dagster, and a handwritten minimum.

The minimum reads both lists once and merges one table. The pipeline's two workflows read both lists twice, keep history,
prove it, read it back and publish it. The sides alternate, so that other load of the machine affects all of them.
"""

from pathlib import Path

from benchmarks.ledgers import Tell
from benchmarks.measuring import Measured, run_unit
from benchmarks.results import MIB, Comparison, Figure, Part, figure, is_missed, times
from benchmarks.serving import BankServer, bank_server
from benchmarks.sizes import Sizes

SIDES = {"minimum": "load_minimum", "steps": "load_by_steps", "dagster": "load_by_dagster"}
_NOTHING = "two empty Dagster runs of two assets"
_GROWING = ("rows", "log_rows", "file_bytes", "published_bytes")


def measure(sizes: Sizes, folder: Path, tell: Tell) -> Part:
    with bank_server(sizes.load) as server:
        firsts: dict[str, list[Measured]] = {side: [] for side in SIDES}
        seconds: dict[str, list[Measured]] = {side: [] for side in SIDES}
        nothing: list[Measured] = []
        begun = server.usage()
        for repetition in range(sizes.load_repetitions):
            for side in SIDES:
                tell(f"load by {side}, repetition {repetition + 1}")
                place = folder / f"load-{side}-{repetition}"
                firsts[side].append(_load(server, side, place))
                seconds[side].append(_load(server, side, place))
            nothing.append(run_unit("empty_run", home=str(folder / f"load-nothing-{repetition}"), jobs=2))
        used = server.usage() - begun
        spent = sum(run.work.seconds for runs in (*firsts.values(), *seconds.values()) for run in runs)
        further = _further(server, folder / "load-dagster-0", seconds["dagster"][0], sizes, tell)
        first = {side: figure(f"{side}, first load", firsts[side]) for side in SIDES}
        first[_NOTHING] = figure(_NOTHING, nothing)
        second = {
            side: figure(f"{side}, second load", runs, _growth(firsts, side, runs)) for side, runs in seconds.items()
        }
        comparisons = (
            *_ratios(first, second),
            *_second(second["dagster"]),
            *_further_growth(further, sizes),
            times("server's CPU against wall time of the loads", used.cpu_seconds, spent),
        )
        profiles = _profiles(server, folder, tell) if sizes.with_profiles and is_missed(comparisons) else {}
    title = f"{sizes.load.accounts:,} accounts over {sizes.load.connections:,} connections"
    return Part("a", title, (*first.values(), *second.values(), further), comparisons, profiles)


def _load(server: BankServer, side: str, place: Path, *, profile: bool = False) -> Measured:
    return run_unit(SIDES[side], profile=profile, root=server.root, data_dir=str(place))


def _growth(firsts: dict[str, list[Measured]], side: str, seconds: list[Measured]) -> dict[str, int]:
    """The growth by the second load, the largest of all repetitions."""
    names = [name for name in _GROWING if name in seconds[0].facts]
    pairs = list(zip(firsts[side], seconds, strict=True))
    return {name: max(second.facts[name] - first.facts[name] for first, second in pairs) for name in names}


def _further(server: BankServer, place: Path, before: Measured, sizes: Sizes, tell: Tell) -> Figure:
    """Further identical loads into one ledger: a file grows by whole blocks, so one load alone does not show the growth."""
    count = sizes.further_identical_loads
    tell(f"{count} more identical loads")
    runs = [_load(server, "dagster", place) for _ in range(count)]
    grown = {name: value - before.facts[name] for name, value in runs[-1].facts.items()}
    return figure(f"dagster, {count} further identical loads", runs, grown)


def _ratios(first: dict[str, Figure], second: dict[str, Figure]) -> tuple[Comparison, ...]:
    base, nothing = first["minimum"], first[_NOTHING]
    ratios = [
        times(
            "Dagster with nothing to do / minimum, CPU of the process",
            nothing.process_cpu_seconds,
            base.process_cpu_seconds,
        )
    ]
    for side in ("steps", "dagster"):
        mine = first[side]
        whole = f"first load, {side} / minimum, CPU of the process with its imports"
        ratios += [
            times(whole, mine.process_cpu_seconds, base.process_cpu_seconds, 2),
            times(f"first load, {side} / minimum, CPU after imports", mine.cpu_seconds, base.cpu_seconds),
            times(
                f"second load, {side} / minimum, CPU after imports",
                second[side].cpu_seconds,
                second["minimum"].cpu_seconds,
            ),
            Comparison(f"first load, {side}, peak memory", mine.peak_bytes / MIB, "MiB", 400),
        ]
    return tuple(ratios)


def _second(second: Figure) -> tuple[Comparison, ...]:
    return (
        Comparison("second load, rows about accounts, banks and balances", second.facts["rows"], "rows", 0),
        Comparison("second load, rows of logs, telemetry and proof", second.facts["log_rows"], "rows"),
        Comparison("second load, growth of the primary", second.facts["file_bytes"], "bytes", 0),
        Comparison("second load, growth of the published copy", second.facts["published_bytes"], "bytes", 0),
    )


def _further_growth(further: Figure, sizes: Sizes) -> tuple[Comparison, ...]:
    each = sizes.further_identical_loads
    return (
        Comparison("each further identical load, rows about accounts", further.facts["rows"] / each, "rows", 0),
        Comparison("each further identical load, rows of logs", further.facts["log_rows"] / each, "rows"),
        Comparison(
            "each further identical load, growth of the primary", further.facts["file_bytes"] / each, "bytes", 0
        ),
    )


def _profiles(server: BankServer, folder: Path, tell: Tell) -> dict[str, tuple[str, ...]]:
    tell("profiling the first load")
    return {
        f"{side}, first load": _load(server, side, folder / f"profile-{side}", profile=True).profile
        for side in ("steps", "dagster")
    }
